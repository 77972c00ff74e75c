"""Clients that send nothing, or byte by byte, or do not read their answer, in front of the real gunicorn."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clip_trees import Clip, Tree
from processes import Service, wait_until
from raw_requests import answer_on, ask, connect, connections, is_closed, trickle

from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.store.bucket import Bucket

BUCKET = "gygo-slow-clients"

#: More than the service has threads, several times: two workers of four.
MANY = 40

RELEASE = "/v1/datasets/huge/releases/r1"
#: Larger than the buffers of a connection: 4 MB is what the system gives one to send.
IMAGE = f"{RELEASE}/videos/v/frames/0/image"
CLIPS = f"{RELEASE}/clips"
POST = f"POST {CLIPS} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n".encode()
BATCH = b'{"clips":[' + b",".join([b'{"video":"v","start":0,"length":1}'] * 2) + b"]}"


def get(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode()


@pytest.fixture(scope="module")
def tree(s3: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    root = tmp_path_factory.mktemp("slow-clients")
    tree = Tree(root / "source", [Clip("v", ((1,),), size=(4200, 3200))], quality=97)
    store = Bucket(s3.settings(BUCKET))
    store.create()
    publish(Publication(tree.root, "huge", "r1", workers=1), store, root / "state", Silent())
    assert len(tree.files["JPEGImages/480p/v/00000.jpg"]) > 8 << 20
    return tree


def started(s3: SeaweedFS, folder: Path, seconds: float) -> Service:
    return Service(
        folder, {"GYGO_BUCKET": BUCKET, "GYGO_S3_ENDPOINT": s3.endpoint, "GYGO_CLIENT_SECONDS": str(seconds)}
    )


@pytest.fixture(scope="module")
def patient(s3: SeaweedFS, tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that waits for clients much longer than the tests do."""
    with started(s3, tmp_path_factory.mktemp("patient"), 300) as service:
        yield service


@pytest.fixture(scope="module")
def strict(s3: SeaweedFS, tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with started(s3, tmp_path_factory.mktemp("strict"), 1) as service:
        yield service


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"G",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n",
        get("/healthz"),  # answered, and kept
        get("/healthz", "Connection: close\r\n"),  # answered, and not closed by the client
        get("/healthz", "Content-Length: 1000\r\n"),  # with a body that no view reads
        get("/healthz", "Transfer-Encoding: chunked\r\n"),
        POST + b"Content-Length: 1000\r\n\r\n{",
        POST + b"Content-Length: 99999999999\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        POST + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
        get(IMAGE),  # by sendfile, and not read
        POST + b"Content-Length: %d\r\n\r\n%s" % (len(BATCH), BATCH),  # as a stream, and not read
        get("/nowhere") * 50,
        b"\r\n" * 20,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    ],
    ids=lambda sent: repr(sent[:30]),
)
def test_clients_that_do_nothing_hold_up_nobody(patient: Service, sent: bytes) -> None:
    with connections(patient.port, MANY, sent):
        for _ in range(8):
            assert ask(patient.port, get("/healthz", "Connection: close\r\n")).status == 200
        # A request that takes some work, too.
        assert ask(patient.port, get(f"{RELEASE}/videos")).status == 200


def test_threads_go_when_their_clients_do(patient: Service) -> None:
    def threads() -> int:
        return sum(len(list(Path(f"/proc/{worker}/task").iterdir())) for worker in patient.workers())

    with connections(patient.port, MANY, b"GET /"):
        wait_until(lambda: threads() >= MANY, 20)

    def back() -> bool:
        # A thread sees that it is one too many when it has answered a request.
        with connections(patient.port, 10, get("/healthz")) as asked:
            for each in asked:
                answer_on(each)
        return threads() < MANY

    wait_until(back, 30)


@pytest.mark.parametrize("pace", [0.0, 0.1])
@pytest.mark.parametrize(
    ("at_once", "slowly"),
    [
        (b"", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1000),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n" * 200),
        (POST + b"Content-Length: 1000\r\n\r\n", b" " * 1000),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 200),
    ],
)
def test_a_request_that_takes_too_long_is_a_408(strict: Service, at_once: bytes, slowly: bytes, pace: float) -> None:
    with connect(strict.port, at_once + slowly[:1]) as connection:
        if pace:
            assert trickle(connection, slowly[1:], pace) < 200, "bytes do not buy time"
        answer = answer_on(connection)
        assert answer.status == 408
        assert answer.problem["type"] == "urn:gygo:problem:request-timeout"
        assert answer.headers["Connection"] == "close"
        assert is_closed(connection)


def test_a_connection_without_a_request_is_closed_without_a_word(strict: Service) -> None:
    with connect(strict.port) as connection:
        assert connection.recv(1) == b""


def test_a_kept_connection_may_be_idle_for_longer(strict: Service) -> None:
    with connect(strict.port, get("/healthz")) as connection:
        assert answer_on(connection).status == 200
        time.sleep(2.5)  # more than a client has for a request
        connection.sendall(get("/healthz"))
        assert answer_on(connection).status == 200


def test_a_kept_connection_has_the_same_time_for_each_request(strict: Service) -> None:
    with connect(strict.port) as connection:
        for _ in range(4):
            assert trickle(connection, get("/healthz"), 0.01) < 100
            assert answer_on(connection).status == 200


def test_a_body_that_comes_steadily_has_the_time_it_needs(strict: Service) -> None:
    """Three seconds where one is given, at more than the least pace."""
    body = BATCH + b" " * 200_000
    with connect(strict.port, POST + b"Content-Length: %d\r\n\r\n" % len(body)) as connection:
        for at in range(0, len(body), 4000):
            connection.sendall(body[at : at + 4000])
            time.sleep(0.06)
        assert answer_on(connection).status == 200


@pytest.mark.parametrize(
    "sent", [get(IMAGE), POST + b"Content-Length: %d\r\n\r\n%s" % (len(BATCH), BATCH)], ids=["sendfile", "stream"]
)
def test_an_answer_that_nobody_reads_is_cut(strict: Service, sent: bytes) -> None:
    before = len(cut(strict))
    with connect(strict.port, sent) as connection:
        wait_until(lambda: len(cut(strict)) > before, 60)  # a second for each 320 KiB on their way
        with pytest.raises(ConnectionResetError):
            read_all(connection)
    assert "Traceback" not in strict.log.read_text()


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 20), b""))


def cut(service: Service) -> list[str]:
    return [line["reason"] for line in service.lines() if line.get("event") == "connection cut"]


@pytest.mark.parametrize("path", [IMAGE, f"{RELEASE}/videos/v/clip?start=0&length=1"], ids=["sendfile", "stream"])
def test_an_answer_that_is_read_slowly_is_whole(strict: Service, tree: Tree, path: str) -> None:
    """So slowly that a connection's buffer has room again more seldom than every second."""
    with connect(strict.port, get(path, "Connection: close\r\n")) as connection:
        received = bytearray()
        while data := connection.recv(1 << 16):
            received += data
            time.sleep(0.015)
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert tree.files["JPEGImages/480p/v/00000.jpg"] in body


def test_a_client_that_reads_on_more_slowly_is_not_cut(strict: Service) -> None:
    """From a large buffer, of which its system tells that it is read only when a sixteenth is free again."""
    batch = b'{"clips":[' + b",".join([b'{"video":"v","start":0,"length":1}'] * 6) + b"]}"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        buffer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)  # what the system gives
        connection.settimeout(30)
        connection.connect(("127.0.0.1", strict.port))
        connection.sendall(POST + b"Content-Length: %d\r\n\r\n%s" % (len(batch), batch))
        before, received = len(cut(strict)), 0
        while received < 16 << 20:
            received += len(connection.recv(1 << 20))
        slowly, began = 0, time.monotonic()
        while (seconds := time.monotonic() - began) < 12:  # a sixteenth takes four of them, where one is given
            slowly += len(connection.recv(max(0, int(buffer / 64 * seconds) - slowly) or 1))
            time.sleep(0.1)
        assert len(cut(strict)) == before
        # All that is left is still to be had: the connection stands.
        rest = connection.makefile("rb").read(16 << 20)
        assert len(rest) == 16 << 20


def test_a_body_that_no_view_reads_ends_the_connection(strict: Service) -> None:
    with connect(strict.port, get("/healthz", "Content-Length: 1000\r\n")) as connection:
        assert answer_on(connection).status == 200
        assert is_closed(connection)
    # One that is there already is passed over.
    with connect(
        strict.port, get("/healthz", "Content-Length: 1000\r\n") + b" " * 1000 + get("/nowhere")
    ) as connection:
        assert answer_on(connection).status == 200
        assert answer_on(connection).status == 404


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"1\r\n{}\r\n", b"f" * 9000, b"0\r\n" + b"X: y\r\n" * 2000])
def test_a_malformed_body_that_no_view_reads_ends_the_connection_without_a_second_answer(
    strict: Service, chunk: bytes
) -> None:
    sent = get("/healthz", "Transfer-Encoding: chunked\r\n") + chunk
    with connect(strict.port, sent + get("/nowhere")) as connection:
        assert re.findall(rb"HTTP/1\.1 (\d+)", read_all(connection)) == [b"200"]


def test_pipelined_requests_are_answered_in_turn(strict: Service) -> None:
    last = get("/healthz").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with (
        connect(strict.port, get("/healthz") + get("/nowhere") + last) as connection,
        connection.makefile("rb") as file,
    ):
        assert re.findall(rb"HTTP/1\.1 (\d+)", file.read()) == [b"200", b"404", b"200"]


def test_idle_connections_make_room_for_new_ones(patient: Service) -> None:
    """More than two workers take: a thousand each."""
    with connections(patient.port, 1200, b""), connections(patient.port, 1200, get("/healthz")):
        for _ in range(20):
            assert ask(patient.port, get("/healthz")).status == 200
