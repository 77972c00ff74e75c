"""Lists of tens of thousands of URLs from gunicorn: as a stream, in little memory, to clients that may hang up."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import signal
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import brotli
import pytest
import urllib3
from catalogues import build, make_video
from download_readers import READERS, TYPES, read_ndjson, sha256_of
from processes import Service, wait_until

from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.model import Dataset, ReleaseEntry
from gygo_server.store import dataset_file, keys
from gygo_server.store.bucket import Bucket

BUCKET = "gygo-download-streams"
VIDEOS = 30_000
PATH = "/v1/datasets/many/releases/r1/downloads"

#: Much more than a worker needs to write a list of any length, and much less than the whole of this one.
SOME_BYTES = 8 << 20


@pytest.fixture(scope="session")
def many(s3: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The release `r1` of `many`, of many videos: the bucket has its catalogue, but no archives."""
    videos = (make_video(f"batch-{n // 100:03}/video-{n:05}", frames=1, splits=("train",)) for n in range(VIDEOS))
    content = build(tmp_path_factory.mktemp("many") / "catalogue.sqlite", videos, dataset="many").read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    entry = ReleaseEntry("r1", "2026-01-02T03:04:05Z", sha256, len(content))
    bucket = Bucket(s3.settings(BUCKET))
    bucket.create()
    bucket.put(keys.catalogue("many", "r1", sha256), content, replaces=None)
    bucket.put(
        keys.dataset_file("many"), dataset_file.encode(Dataset("many", "Many", releases=(entry,))), replaces=None
    )


@pytest.fixture(scope="module")
def service(s3: SeaweedFS, many: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("download-streams")
    with Service(root, {"GYGO_BUCKET": BUCKET, "GYGO_S3_ENDPOINT": s3.endpoint}) as service:
        yield service


@contextmanager
def asked(service: Service, path: str = PATH, **headers: str) -> Iterator[tuple[http.client.HTTPResponse, int]]:
    """The answer, of which only the head has been read, and the port that it comes to."""
    with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)) as connection:
        connection.request("GET", path, headers=headers)
        client_port = connection.sock.getsockname()[1]
        with connection.getresponse() as answer:
            assert answer.status == 200
            yield answer, client_port


def own_memory(service: Service) -> dict[int, int]:
    """Bytes of each worker that are its own: not the catalogue, which is mapped."""
    found = {}
    for worker in service.workers():
        status = Path(f"/proc/{worker}/status").read_text()
        (kilobytes,) = re.findall(r"RssAnon:\s+(\d+) kB", status)
        found[worker] = int(kilobytes) * 1024
    return found


def warm(service: Service) -> None:
    """Let each worker open the release, and fill what it keeps, before it is measured."""
    for worker in service.workers():
        with service.connection_to(worker) as connection:
            for name in TYPES:
                assert connection.request("GET", f"{PATH}?format={name}&q=video-00").status == 200


@pytest.mark.parametrize("name", sorted(TYPES))
def test_a_long_list_takes_little_memory_and_is_whole(service: Service, name: str) -> None:
    warm(service)
    before, most, parts = own_memory(service), 0, []
    with asked(service, f"{PATH}?format={name}") as (answer, _):
        assert answer.getheader("Transfer-Encoding") == "chunked"
        while part := answer.read(1 << 20):
            parts.append(part)
            now = own_memory(service)
            most = max(most, *(now[worker] - before[worker] for worker in before))
    whole = b"".join(parts)
    assert len(whole) > 1.5 * SOME_BYTES
    assert most < SOME_BYTES
    assert len({sha256_of(each) for each in READERS[name](whole)}) == VIDEOS


def test_the_first_line_comes_before_the_last_is_made_and_a_list_cut_short_is_found_out(service: Service) -> None:
    """The worker dies once its client has the first line: had it made them all by then, all of them might come."""
    with asked(service) as (answer, client_port):
        first = json.loads(answer.readline())
        assert first["id"] == "batch-000:video-00000"
        worker = service.owner(client_port)
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
    wait_until(lambda: len(service.workers()) == 2 and worker not in service.workers(), 20)


def test_clients_that_hang_up_leave_the_workers_free(service: Service) -> None:
    """More than there are threads: each would be taken for good."""
    for _ in range(3):
        leaving = [threading.Thread(target=hang_up, args=(service,)) for _ in range(8)]
        for each in leaving:
            each.start()
        for each in leaving:
            each.join(30)
    for worker in service.workers():
        with service.connection_to(worker) as connection:
            answer = connection.request("GET", f"{PATH}?q=video-00")
            assert len(read_ndjson(answer.data)) == 1000
    assert "Traceback" not in service.log.read_text()


def hang_up(service: Service) -> None:
    with asked(service) as (answer, _):
        assert answer.readline()


def test_a_release_is_named_in_a_chunked_body(service: Service) -> None:
    body = json.dumps({"videos": ["batch-000/video-00001", "batch-299:video-29999"]}).encode()
    with urllib3.PoolManager() as pool:
        answer = pool.request(
            "POST",
            f"{service.url}{PATH}",
            body=iter([body[:9], body[9:]]),
            headers={"Content-Type": "application/json"},
            chunked=True,
            retries=False,
        )
        assert answer.status == 200
        assert [each.id for each in read_ndjson(answer.data)] == ["batch-000:video-00001", "batch-299:video-29999"]
        empty = pool.request("POST", f"{service.url}{PATH}?q=video-00001", body=iter([b""]), chunked=True)
        assert empty.status == 415


@pytest.mark.parametrize("name", sorted(TYPES))
@pytest.mark.parametrize("encoding", ["gzip", "br", "identity"])
def test_a_list_is_compressed_as_it_streams(service: Service, name: str, encoding: str) -> None:
    path = f"{PATH}?format={name}&q=batch-00"
    with asked(service, path, **{"Accept-Encoding": encoding}) as (answer, _):
        assert answer.getheader("Transfer-Encoding") == "chunked"
        assert answer.getheader("Content-Encoding", "identity") == encoding
        assert "Accept-Encoding" in answer.getheader("Vary", "")
        sent = answer.read()
    plain = {"gzip": lambda data: zlib.decompress(data, 31), "br": brotli.decompress, "identity": bytes}[encoding](sent)
    assert len(READERS[name](plain)) == 1000
    assert len(sent) < (len(plain) / 3 if encoding != "identity" else len(plain) + 1)


def test_a_compressed_list_takes_little_memory_and_begins_before_it_ends(service: Service) -> None:
    warm(service)
    before, most = own_memory(service), 0
    inflater, plain, first_at = zlib.decompressobj(31), 0, 0
    with asked(service, **{"Accept-Encoding": "gzip"}) as (answer, _):
        received = 0
        while part := answer.read(1 << 16):
            received += len(part)
            plain += len(inflater.decompress(part))
            first_at = first_at or (received if plain else 0)
            now = own_memory(service)
            most = max(most, *(now[worker] - before[worker] for worker in before))
    assert inflater.eof
    assert plain > 1.5 * SOME_BYTES
    assert most < SOME_BYTES
    assert first_at < received / 10
