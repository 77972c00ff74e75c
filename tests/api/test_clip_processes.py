"""Batches of clips from gunicorn's workers, which may die in the middle, as may the way to the store."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import urllib3
from clip_trees import Clip, Tree
from processes import CountingRelay, Service, wait_until
from tars import files_in, source_files

from gygo.http import Http
from gygo_server.app import MAX_QUESTION_BYTES
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.store.bucket import Bucket

BUCKET = "gygo-clip-processes"
JSON = {"Content-Type": "application/json"}


@dataclass
class Running:
    service: Service
    relay: CountingRelay
    trees: dict[str, Tree]

    @contextmanager
    def answer(self, dataset: str, headers: dict[str, str] | None = None) -> Iterator[http.client.HTTPResponse]:
        """The answer to this dataset's question, of which only the head has been read."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=60)) as connection:
            body = json.dumps(question()).encode()
            connection.request("POST", path(dataset), body, JSON | (headers or {}))
            with connection.getresponse() as answer:
                yield answer

    def whole(self, dataset: str, headers: dict[str, str] | None = None) -> tuple[http.client.HTTPResponse, bytes]:
        with self.answer(dataset, headers) as answer:
            return answer, answer.read()

    def wanted(self, dataset: str) -> list[tuple[str, bytes]]:
        return [file for video in ("a", "b", "c") for file in source_files(self.trees[dataset], video, range(3))]


def path(dataset: str) -> str:
    return f"/v1/datasets/{dataset}/releases/r1/clips"


def question() -> dict[str, Any]:
    return {"clips": [{"video": video, "start": 0, "length": 3} for video in ("a", "b", "c")]}


@pytest.fixture(scope="module")
def running(s3: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    store = Bucket(s3.settings(BUCKET))
    store.create()
    root = tmp_path_factory.mktemp("clip-processes")
    trees = {}
    # Each test has a dataset of its own, whose archives no worker has seen.
    for number, dataset in enumerate(["sound", "broken", "killed", "plain", "left", "kept"]):
        clips = [Clip(name, ((1,),) * 3, size=(300, 200)) for name in ("a", "b", "c")]
        trees[dataset] = Tree(root / dataset, clips, seed=61000 + 7000 * number)
        publish(Publication(trees[dataset].root, dataset, "r1", workers=1), store, root / "state", Silent())
    with CountingRelay(s3.port) as relay:
        environment = {"GYGO_BUCKET": BUCKET, "GYGO_S3_ENDPOINT": relay.endpoint, "GYGO_S3_TIMEOUT": "5"}
        with Service(root, environment) as service:
            yield Running(service, relay, trees)


@pytest.fixture
def at_the_second_archive(running: Running) -> Iterator[Callable[[str, Callable[[], bool]], None]]:
    """Has something happen when the service asks the store for the second archive of a dataset, and later ones."""

    def arrange(dataset: str, happens: Callable[[], bool]) -> None:
        seen: list[str] = []

        def lets_pass(line: str) -> bool:
            if f"/{dataset}/videos/" not in line:
                return True
            key = line.split("?")[0]
            if key not in seen:
                seen.append(key)
            return seen.index(key) == 0 or happens()

        running.relay.lets_pass = lets_pass

    yield arrange
    running.relay.lets_pass = lambda _: True


def test_a_batch_over_a_socket(running: Running) -> None:
    answer, content = running.whole("sound")
    assert files_in(content) == running.wanted("sound")
    assert answer.headers["Content-Length"] == str(len(content))
    known, nothing = running.whole("sound", {"If-None-Match": answer.headers["ETag"]})
    assert (known.status, nothing) == (304, b"")
    part, rest = running.whole("sound", {"Range": "bytes=5000-", "If-Range": answer.headers["ETag"]})
    assert (part.status, rest) == (206, content[5000:])


def test_a_store_that_goes_away_in_the_middle_breaks_the_answer_off_to_be_gone_on_with(
    running: Running, at_the_second_archive: Callable[[str, Callable[[], bool]], None]
) -> None:
    at_the_second_archive("broken", lambda: False)
    with running.answer("broken") as answer:
        assert answer.status == 200
        with pytest.raises(http.client.IncompleteRead) as broken:
            answer.read()
    first = broken.value.partial
    tree = running.trees["broken"]
    assert files_in(first + bytes(1024)) == source_files(tree, "a", range(3))
    wait_until(lambda: "answer broken off" in running.service.log.read_text(), 10)
    assert "Traceback" not in running.service.log.read_text()
    headers = {"Range": f"bytes={len(first)}-", "If-Range": answer.headers["ETag"]}
    # As long as the store is away, nothing can be begun there.
    refused, _ = running.whole("broken", headers)
    assert (refused.status, refused.headers["Content-Type"]) == (503, "application/problem+json")
    running.relay.lets_pass = lambda _: True
    part, rest = running.whole("broken", headers)
    assert part.status == 206
    assert files_in(first + rest) == running.wanted("broken")


def kill_workers(running: Running) -> Callable[[], bool]:
    """Kills the workers once, and lets the store's answers pass."""
    killed: list[int] = []

    def kill() -> bool:
        if not killed:
            killed.extend(running.service.workers())
            for worker in killed:
                os.kill(worker, signal.SIGKILL)
        return True

    return kill


def test_the_client_reads_on_when_a_worker_dies_in_the_middle(
    running: Running, at_the_second_archive: Callable[[str, Callable[[], bool]], None]
) -> None:
    before = running.service.workers()
    at_the_second_archive("killed", kill_workers(running))
    stream = Http(running.service.url, patience=60).post_stream(path("killed"), question())
    content = stream.read()
    stream.close()
    assert not set(before) & set(running.service.workers())
    assert files_in(content) == running.wanted("killed")
    assert content == running.whole("killed")[1]


def test_any_other_client_sees_that_a_worker_died_in_the_middle(
    running: Running, at_the_second_archive: Callable[[str, Callable[[], bool]], None]
) -> None:
    at_the_second_archive("plain", kill_workers(running))
    with (
        urllib3.PoolManager(retries=False, timeout=60) as pool,
        pytest.raises(urllib3.exceptions.ProtocolError, match=r"IncompleteRead|Connection"),
    ):
        pool.request("POST", running.service.url + path("plain"), json=question())


def test_a_client_that_leaves_in_the_middle_is_nobodys_error(
    running: Running, at_the_second_archive: Callable[[str, Callable[[], bool]], None]
) -> None:
    left = threading.Event()
    at_the_second_archive("left", lambda: left.wait(20))
    with running.answer("left") as answer:
        assert answer.status == 200
    left.set()
    wait_until(lambda: len({line.split("?")[0] for line in running.relay.archives("left")}) >= 2, 20)
    assert files_in(running.whole("left")[1]) == running.wanted("left")
    assert "Traceback" not in running.service.log.read_text()


def test_a_connection_is_kept_after_each_kind_of_answer(running: Running) -> None:
    good = json.dumps(question()).encode()
    bodies = {good: 200, b"{}": 422, b"[": 422}
    pool = urllib3.HTTPConnectionPool("127.0.0.1", running.service.port, maxsize=1, timeout=60, retries=False)
    with pool:
        for body, status in [*bodies.items()] * 2:
            answer = pool.request("POST", path("kept"), body=body, headers=JSON)
            assert answer.status == status
            assert pool.request("GET", "/healthz").status == 200
        whole = pool.request("POST", path("kept"), body=good, headers=JSON)
        assert files_in(whole.data) == running.wanted("kept")
        pieces = b""
        while len(pieces) < len(whole.data):
            headers = {**JSON, "Range": f"bytes={len(pieces)}-{len(pieces) + 299_999}"}
            pieces += pool.request("POST", path("kept"), body=good, headers=headers).data
        assert pieces == whole.data


@pytest.mark.parametrize("chunk", [1, 1 << 16])
def test_a_question_without_a_length_is_limited_too(running: Running, chunk: int) -> None:
    body = json.dumps(question()).encode()
    sent = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    assert files_in(post_chunks(running, iter(sent)).data) == running.wanted("sound")
    endless = (b" " * (1 << 16) for _ in range(2 * MAX_QUESTION_BYTES >> 16))
    assert post_chunks(running, endless).status == 413


def post_chunks(running: Running, chunks: Iterator[bytes]) -> urllib3.BaseHTTPResponse:
    with urllib3.HTTPConnectionPool("127.0.0.1", running.service.port, timeout=60, retries=False) as pool:
        return pool.request("POST", path("sound"), body=chunks, headers=JSON)


@pytest.mark.parametrize(
    "sent",
    [
        b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
        b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\r\n",
        b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{}",
    ],
)
def test_bodies_that_break_off_never_break_the_service(running: Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", running.service.port), 20) as connection:
        connection.sendall(sent % path("sound").encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(65536):
            answer += data
    assert not answer.startswith((b"HTTP/1.1 5", b"HTTP/1.0 5"))
    assert b"Traceback" not in answer
    assert running.service.get("/healthz").status == 200
    assert "Traceback" not in running.service.log.read_text()
