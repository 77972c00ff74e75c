"""The service as it runs in production: gunicorn, two workers, one disk cache, a store that may go away."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import urllib3
from clip_trees import Clip, Tree
from processes import CountingRelay, Service, wait_until

from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.store.bucket import Bucket

BUCKET = "gygo-processes"
LARGE = (900, 600)


@dataclass
class Running:
    service: Service
    relay: CountingRelay
    trees: dict[str, Tree]


@pytest.fixture(scope="module")
def store(s3: SeaweedFS) -> Bucket:
    bucket = Bucket(s3.settings(BUCKET))
    bucket.create()
    return bucket


@pytest.fixture(scope="module")
def trees(store: Bucket, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tree]:
    root = tmp_path_factory.mktemp("processes")
    found = {
        "small": Tree(root / "small", [Clip(f"v{n}", ((1,), (1, 2))) for n in range(6)]),
        "cold": Tree(root / "cold", [Clip("once", ((1,),) * 3, size=LARGE)], quality=97, seed=77000),
        "large": Tree(root / "large", [Clip("big1", ((1,),) * 3, size=LARGE)], quality=97),
    }
    for dataset, tree in found.items():
        publish(Publication(tree.root, dataset, "r1", workers=2), store, root / "state", Silent())
    return found


@pytest.fixture(scope="module")
def running(s3: SeaweedFS, trees: dict[str, Tree], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with CountingRelay(s3.port) as relay:
        environment = {"GYGO_BUCKET": BUCKET, "GYGO_S3_ENDPOINT": relay.endpoint}
        with Service(tmp_path_factory.mktemp("service"), environment) as service:
            yield Running(service, relay, trees)


def image_of(dataset: str, video: str, index: int = 0) -> str:
    return f"/v1/datasets/{dataset}/releases/r1/videos/{video}/frames/{index}/image"


def source_of(tree: Tree, video: str, index: int = 0) -> bytes:
    return tree.files[f"JPEGImages/480p/{video}/{index:05d}.jpg"]


def test_a_cold_archive_that_many_ask_for_is_fetched_once(running: Running) -> None:
    running.relay.archive_seconds = 0.7  # long enough for all to ask meanwhile
    asked = [image_of("cold", "once", n % 3) for n in range(8)]
    barrier = threading.Barrier(len(asked))

    def get(path: str) -> bytes:
        barrier.wait(20)
        return running.service.get(path).data

    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(get, asked))
    running.relay.archive_seconds = 0
    assert answers == [source_of(running.trees["cold"], "once", n % 3) for n in range(8)]
    assert len(running.relay.archives("cold")) == 1
    # And whichever worker is asked from now on has it.
    for worker in running.service.workers():
        with running.service.connection_to(worker) as connection:
            assert connection.request("GET", image_of("cold", "once", 1)).data == answers[1]
    assert len(running.relay.archives("cold")) == 1
    assert [path for path in running.service.cache.rglob("*") if ".partial" in path.name] == []


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        (None, 0, None),
        ("bytes=0-99", 0, 100),
        ("bytes=1000-300999", 1000, 301000),
        ("bytes=70000-", 70000, None),
        ("bytes=-300000", -300000, None),
        ("bytes=-1", -1, None),
    ],
)
def test_large_pictures_are_sent_as_they_are_and_in_parts(
    running: Running, asked: str | None, start: int, stop: int | None
) -> None:
    whole = source_of(running.trees["large"], "big1", 1)
    assert len(whole) > 256 * 1024 + 70000  # above what is read into memory: by sendfile
    pool = urllib3.HTTPConnectionPool("127.0.0.1", running.service.port, maxsize=1, timeout=30, retries=False)
    with pool:
        for _ in range(3):
            answer = pool.request("GET", image_of("large", "big1", 1), headers={"Range": asked} if asked else {})
            assert answer.status == (206 if asked else 200)
            assert answer.data == whole[start:stop]
            assert answer.headers["Content-Length"] == str(len(answer.data))
            # The next request on the connection finds no stray bytes.
            assert pool.request("HEAD", image_of("large", "big1", 1)).headers["Content-Length"] == str(len(whole))
            assert pool.request("GET", "/healthz").json() == {"status": "ok", "checks": {}}
        assert pool.num_connections == 1


def test_connections_are_kept(running: Running) -> None:
    paths = [
        "/healthz",
        "/v1/datasets",
        image_of("small", "v0"),
        "/nowhere",
        "/v1/datasets?x=1",
        image_of("large", "big1"),
    ]
    pool = urllib3.HTTPConnectionPool("127.0.0.1", running.service.port, maxsize=1, timeout=30, retries=False)
    with pool:
        for path in paths * 4:
            for method in ("GET", "HEAD", "OPTIONS"):
                assert pool.request(method, path).status in {200, 404, 422}
        assert (pool.num_requests, pool.num_connections) == (len(paths) * 12, 1)


def test_each_request_is_one_json_line_with_its_id(running: Running) -> None:
    asked = {
        "log-a": "/v1/datasets",
        "log-b": "/nowhere",
        "log-c": image_of("small", "v1"),
        "log-d": "/v1/datasets?x=%0a",
    }
    for request_id, path in asked.items():
        assert running.service.get(path, **{"X-Request-Id": request_id}).headers["X-Request-Id"] == request_id
    own = running.service.get("/healthz").headers["X-Request-Id"]
    wait_until(lambda: any(line.get("request_id") == own for line in running.service.lines()), 5)
    lines = [line for line in running.service.lines() if line.get("event") == "request"]
    for request_id, path in asked.items():
        (line,) = [each for each in lines if each["request_id"] == request_id]
        assert (line["method"], line["path"]) == ("GET", path.split("?")[0])
        assert line["status"] == {"log-b": 404, "log-d": 422}.get(request_id, 200)
        assert line["ms"] >= 0
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line["timestamp"])
    assert len([each for each in lines if each["request_id"] == own]) == 1


def test_no_secret_is_in_the_log(running: Running, s3: SeaweedFS) -> None:
    release = "/v1/datasets/small/releases/r1"
    assert running.service.get(f"{release}/videos?include=archive_url").status == 200
    assert running.service.get(f"{release}/videos/v0/archive").status == 307
    log = running.service.log.read_text()
    assert s3.secret_key not in log
    assert "X-Amz-Signature" not in log
    assert "Traceback" not in log


def test_long_questions_are_answered_and_longer_ones_refused(running: Running) -> None:
    values = "&".join(f"attribute={'a' * 190}" for _ in range(38))
    assert running.service.get(f"/v1/datasets/small/releases/r1/videos?{values}").status == 200
    answer = running.service.get("/v1/datasets?q=" + "a" * 9000)
    assert answer.status in {400, 414}
    assert b"Traceback" not in answer.data
    assert running.service.get("/healthz").status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(500)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
        b"G\xff\xfe / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_bytes_that_are_no_honest_request_never_break_the_service(running: Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", running.service.port), 10) as connection:
        connection.settimeout(10)
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(65536):
            answer += data
    assert not re.match(rb"HTTP/1\.[01] 5\d\d", answer)
    assert b"Traceback" not in answer
    assert running.service.get("/healthz").status == 200


def test_sigterm_lets_a_running_request_end(s3: SeaweedFS, trees: dict[str, Tree], tmp_path: Path) -> None:
    with CountingRelay(s3.port) as relay:
        relay.archive_seconds = 2.0
        with Service(tmp_path, {"GYGO_BUCKET": BUCKET, "GYGO_S3_ENDPOINT": relay.endpoint}) as service:
            with ThreadPoolExecutor(1) as pool:
                running = pool.submit(service.get, image_of("small", "v2"))
                wait_until(lambda: relay.archives("small"), 10)
                service.process.send_signal(signal.SIGTERM)
                answer = running.result(20)
            assert (answer.status, answer.data) == (200, source_of(trees["small"], "v2"))
            assert service.process.wait(20) == 0
            with pytest.raises(urllib3.exceptions.HTTPError):
                service.get("/healthz")


def test_metadata_and_cached_frames_survive_the_store(tmp_path: Path) -> None:
    """SeaweedFS stops, as in a power cut, and comes back on the same port over the same folder."""
    store = SeaweedFS(tmp_path / "store")
    try:
        store.start()
        settings = replace(store.settings(BUCKET), timeout=5)
        bucket = Bucket(settings, credentials=(store.access_key, store.secret_key))
        bucket.create()
        tree = Tree(tmp_path / "source", [Clip(f"v{n}", ((1,), (1, 2))) for n in range(3)])
        for release in ("r1", "unread"):
            publish(Publication(tree.root, "outage", release, workers=1), bucket, tmp_path / "state", Silent())
        environment = {"GYGO_BUCKET": BUCKET, "GYGO_S3_ENDPOINT": store.endpoint, "GYGO_S3_TIMEOUT": "3"}
        with Service(tmp_path, {**environment, **store.environment()}) as service:
            release = "/v1/datasets/outage/releases/r1"
            metadata = [
                "/v1/datasets",
                "/v1/datasets/outage",
                release,
                f"{release}/videos",
                f"{release}/videos/v1/frames",
            ]
            # One request to one worker: the other one has only the folder that they share.
            known = {path: service.get(path).data for path in metadata}
            assert service.get(image_of("outage", "v0")).data == source_of(tree, "v0")
            store.kill()
            for worker in service.workers():
                with service.connection_to(worker) as connection:
                    check_without_store(connection, tree, known)
            # A worker that was not there before reads what the others left on the disk.
            replaced, other = service.workers()
            os.kill(replaced, signal.SIGKILL)
            wait_until(lambda: len(service.workers()) == 2 and replaced not in service.workers(), 20)
            (fresh,) = set(service.workers()) - {other}
            with service.connection_to(fresh) as connection:
                check_without_store(connection, tree, known)
            store.start()
            for worker in service.workers():
                with service.connection_to(worker) as connection:
                    wait_until(lambda c=connection: c.request("GET", "/readyz").status == 200, 20)
                    wait_until(
                        lambda c=connection: c.request("GET", "/v1/datasets/outage/releases/unread").status == 200, 20
                    )
                    answer = connection.request("GET", image_of("outage", "v1"))
                    assert (answer.status, answer.data) == (200, source_of(tree, "v1"))
            assert "Traceback" not in service.log.read_text()
    finally:
        store.kill()


def test_a_store_that_hangs_does_not_take_the_rest_with_it(tmp_path: Path) -> None:
    """More clients wait for a stopped SeaweedFS than the service has threads; they do not wait for it in turn."""
    store = SeaweedFS(tmp_path / "store")
    try:
        store.start()
        bucket = Bucket(store.settings(BUCKET), credentials=(store.access_key, store.secret_key))
        bucket.create()
        tree = Tree(tmp_path / "source", [Clip(f"v{n}", ((1,), (1, 2))) for n in range(4)])
        publish(Publication(tree.root, "hang", "r1", workers=1), bucket, tmp_path / "state", Silent())
        environment = {"GYGO_BUCKET": BUCKET, "GYGO_S3_ENDPOINT": store.endpoint, "GYGO_S3_TIMEOUT": "2"}
        with Service(tmp_path, {**environment, **store.environment()}) as service:
            cached, metadata = image_of("hang", "v0"), "/v1/datasets/hang/releases/r1/videos"
            for worker in service.workers():
                with service.connection_to(worker) as connection:
                    assert connection.request("GET", cached).status == 200
                    assert connection.request("GET", metadata).status == 200
            store.pause()
            with ThreadPoolExecutor(32) as pool:
                uncached = [pool.submit(service.get, image_of("hang", f"v{1 + n % 3}", n % 2)) for n in range(32)]
                statuses = [answer.result(60).status for answer in uncached]
                assert statuses == [503] * 32
            began = time.monotonic()
            for path in ("/healthz", cached, metadata):
                assert service.get(path).status == 200
            assert service.get("/readyz").status == 503
            assert time.monotonic() - began < 10
            store.resume()
            wait_until(lambda: service.get(image_of("hang", "v1")).status == 200, 30)
    finally:
        store.resume()
        store.kill()


def check_without_store(connection: urllib3.HTTPConnectionPool, tree: Tree, known: dict[str, bytes]) -> None:
    assert connection.request("GET", "/healthz").status == 200
    for path, body in known.items():
        answer = connection.request("GET", path)
        assert (answer.status, answer.data) == (200, body)
    for index in (0, 1):
        answer = connection.request("GET", image_of("outage", "v0", index))
        assert (answer.status, answer.data) == (200, source_of(tree, "v0", index))
    assert connection.request("GET", "/v1/datasets/outage/releases/latest", redirect=False).status == 307
    # Signing needs no store: the URL is good when it is back.
    assert connection.request("GET", "/v1/datasets/outage/releases/r1/videos/v1/archive", redirect=False).status == 307
    for path in (image_of("outage", "v1"), "/v1/datasets/outage/releases/unread"):
        began = time.monotonic()
        answer = connection.request("GET", path)
        assert answer.status == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json()["type"] == "urn:gygo:problem:store-unavailable"
        assert time.monotonic() - began < 8
    ready = connection.request("GET", "/readyz")
    assert ready.status == 503
    assert ready.json()["status"] == "not ready"
    assert "no answer" in ready.json()["checks"]["store"]
    assert int(ready.headers["Retry-After"]) > 0
