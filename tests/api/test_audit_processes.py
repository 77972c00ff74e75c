"""The audit trail of a service whose workers are killed and stopped, and whose store goes away."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clip_trees import Clip, Tree
from processes import Service, wait_until
from raw_requests import connect
from tcp_gate import Gate

from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

BUCKET = "gygo-audit-processes"
IMAGE = "/v1/datasets/toys/releases/r1/videos/v/frames/0/image"


@pytest.fixture
def store(s3: SeaweedFS, tmp_path: Path) -> Iterator[Bucket]:
    bucket = Bucket(s3.settings(BUCKET))
    bucket.create()
    tree = Tree(tmp_path / "source", [Clip("v", ((1,),) * 2)], seed=91000)
    publish(Publication(tree.root, "toys", "r1", workers=1), bucket, tmp_path / "state", Silent())
    yield bucket
    for key, _ in list(bucket.list("")):
        bucket.delete(key)


def ask(service: Service, worker: int, *names: str) -> list[str]:
    """Have a worker answer these requests."""
    with service.connection_to(worker) as pool:
        for name in names:
            assert pool.request("GET", IMAGE, headers={"X-Request-Id": name}).status == 200
        pool.request("GET", "/healthz")  # behind which the last line has been written
    return list(names)


def in_bucket(bucket: Bucket) -> Counter[str]:
    found: Counter[str] = Counter()
    for key, _ in bucket.list(keys.AUDIT):
        found.update(json.loads(line)["request_id"] for line in gzip.decompress(bucket.get(key).content).splitlines())
    return found


def test_a_killed_worker_loses_no_line_and_a_stopped_service_sends_all(
    s3: SeaweedFS, store: Bucket, tmp_path: Path
) -> None:
    environment = {
        "GYGO_BUCKET": BUCKET,
        "GYGO_S3_ENDPOINT": s3.endpoint,
        "GYGO_AUDIT": "bucket",
        "GYGO_AUDIT_SECONDS": "3600",  # so that nothing is sent but when workers begin and end
    }
    with Service(tmp_path, environment) as service:
        killed, other = service.workers()
        asked = ask(service, killed, *(f"killed-{n}" for n in range(20)))
        asked_of_other = ask(service, other, *(f"other-{n}" for n in range(20)))
        assert in_bucket(store) == Counter()
        os.kill(killed, signal.SIGKILL)
        # The worker that takes its place sends what it left, and only that.
        wait_until(lambda: in_bucket(store) == Counter(asked), 30)
        wait_until(lambda: len(service.workers()) == 2 and killed not in service.workers(), 30)
        (fresh,) = set(service.workers()) - {other}
        asked += ask(service, fresh, "fresh")
        service.process.terminate()
        assert service.process.wait(30) == 0
    assert in_bucket(store) == Counter([*asked, *asked_of_other])
    assert list((service.cache / "audit").glob("*.jsonl")) == []
    assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_of_an_answer_that_the_end_of_the_service_cuts_is_told_what_went_out(
    s3: SeaweedFS, store: Bucket, tmp_path: Path, how: signal.Signals
) -> None:
    clips = b'{"clips":[' + b",".join([b'{"video":"v","start":0,"length":2}'] * 1000) + b"]}"
    trail = tmp_path / "audit.jsonl"
    environment = {
        "GYGO_BUCKET": BUCKET,
        "GYGO_S3_ENDPOINT": s3.endpoint,
        "GYGO_AUDIT": f"file:{trail}",
        "GYGO_GRACEFUL_SECONDS": "1",
    }
    sent = b"POST /v1/datasets/toys/releases/r1/clips HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    with Service(tmp_path, environment) as service:
        with connect(service.port, sent + b"Content-Length: %d\r\n\r\n%s" % (len(clips), clips)) as connection:
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            service.process.send_signal(how)
            wait_until(lambda: trail.read_text() != "", 30)
            (line,) = (json.loads(line) for line in trail.read_text().splitlines())
        assert (line["event"], line["operation"], line["cut"]) == ("answer", "get_clips", True)
        assert line["bytes_sent"] > 0
        assert "Traceback" not in service.log.read_text()


def test_a_store_that_is_away_holds_up_no_request_and_gets_all_lines_later(
    s3: SeaweedFS, store: Bucket, tmp_path: Path
) -> None:
    with Gate(s3.port) as gate:
        environment = {
            "GYGO_BUCKET": BUCKET,
            "GYGO_S3_ENDPOINT": gate.endpoint,
            "GYGO_S3_TIMEOUT": "2",
            "GYGO_AUDIT": "bucket",
            "GYGO_AUDIT_SECONDS": "0.2",
        }
        with Service(tmp_path, environment) as service:
            asked = [name for worker in service.workers() for name in ask(service, worker, f"with-{worker}")]
            wait_until(lambda: in_bucket(store) == Counter(asked), 30)
            gate.shut()
            for worker in service.workers():
                asked += ask(service, worker, *(f"without-{worker}-{n}" for n in range(10)))
            wait_until(lambda: "audit not sent" in service.log.read_text(), 30)
            gate.open()
            wait_until(lambda: in_bucket(store) == Counter(asked), 30)
            wait_until(lambda: "audit sent again" in service.log.read_text(), 30)


def test_standard_output_has_the_lines_and_nothing_else(
    s3: SeaweedFS, store: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    popen, output = subprocess.Popen, tmp_path / "stdout"

    def start(*arguments: object, **more: object) -> subprocess.Popen[bytes]:
        with output.open("wb") as file:
            return popen(*arguments, **{**more, "stdout": file})  # type: ignore[call-overload, no-any-return]

    environment = {"GYGO_BUCKET": BUCKET, "GYGO_S3_ENDPOINT": s3.endpoint, "GYGO_AUDIT": "stdout"}
    monkeypatch.setattr(subprocess, "Popen", start)
    with Service(tmp_path, environment) as service:
        asked = [name for worker in service.workers() for name in ask(service, worker, f"a-{worker}", f"b-{worker}")]
        assert service.get("/v1/datasets/nope").status == 404
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert Counter(line["request_id"] for line in lines) == Counter(asked)


@pytest.mark.parametrize("below", ["a-file/audit.jsonl", "no-such-folder/audit.jsonl", "a-folder"])
def test_a_trail_that_cannot_be_written_refuses_the_start(
    gygo_server: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, below: str
) -> None:
    (tmp_path / "a-file").touch()
    (tmp_path / "a-folder").mkdir()
    done = gygo_server("serve", GYGO_CACHE_DIR=str(tmp_path / "cache"), GYGO_AUDIT=f"file:{tmp_path / below}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: GYGO_AUDIT: {tmp_path / below}: ")
    assert done.stderr.count("\n") == 1


def test_a_spool_that_cannot_be_written_refuses_the_start(
    gygo_server: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "audit").touch()
    for audit in ("bucket", "stdout"):
        done = gygo_server("serve", GYGO_CACHE_DIR=str(tmp_path), GYGO_AUDIT=audit)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: GYGO_AUDIT: ")
        assert done.stderr.count("\n") == 1
