"""What never reaches a route, because gunicorn cannot read it: answered as everything else is, and logged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import Service, wait_until
from raw_requests import answer_on, ask, connect, is_closed

from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.settings import Settings

POST = "POST /v1/datasets/multi/releases/r1/clips HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def service(
    s3: SeaweedFS, settings: Settings, published: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    environment = {
        "GYGO_BUCKET": settings.s3.bucket,
        "GYGO_S3_ENDPOINT": s3.endpoint,
        "GYGO_CLIENT_SECONDS": "5",
    }
    with Service(tmp_path_factory.mktemp("refusals"), environment) as service:
        yield service


def head(*lines: str, first: str = "GET /healthz HTTP/1.1") -> bytes:
    return "\r\n".join([first, "Host: a", *lines, "", ""]).encode("latin-1")


#: What → the status it must have, and words that tell the client why.
REFUSED: dict[str, tuple[bytes, int, str]] = {
    "not http": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400, "request line"),
    "http/0.9": (b"GET /\r\n\r\n", 400, "request line"),
    "http/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "HTTP/1.1"),
    "version": (head(first="GET / HTTP/9.9"), 400, "version"),
    "method": (head(first="get / HTTP/1.1"), 400, "method"),
    "no ascii": (head(first="GET /\xe9 HTTP/1.1"), 400, "printable ASCII"),
    "null": (head(first="GET /\x00 HTTP/1.1"), 400, "printable ASCII"),
    "spaces": (head(first="GET  / HTTP/1.1"), 400, "request line"),
    "long line": (head(first=f"GET /{'a' * 9000} HTTP/1.1"), 414, "8190 bytes"),
    "endless line": (b"GET /" + b"a" * 100_000, 414, "8190 bytes"),
    "long header": (head("X: " + "a" * 9000), 431, "8190 bytes"),
    "many headers": (head(*(f"X-{n}: y" for n in range(101))), 431, "100 header fields"),
    "long head": (head(*(f"X-{n}: {'y' * 2000}" for n in range(40))), 431, "65536 bytes"),
    "endless head": (head()[:-2] + b"X: " + b"y" * 200_000, 431, "65536 bytes"),
    "bare lf": (b"GET / HTTP/1.1\nHost: a\n\n", 400, ""),
    "folded": (head("X: y", " z"), 400, "folded"),
    "header name": (head("X y: z"), 400, "name"),
    "space before colon": (head("X : y"), 400, "name"),
    "no colon": (head("X"), 400, "malformed"),
    "null in header": (head("X: \x00"), 400, "malformed"),
    "two hosts": (head("Host: b"), 400, "twice"),
    "two lengths": (head("Content-Length: 1", "Content-Length: 2"), 400, "length"),
    "negative length": (head("Content-Length: -1"), 400, "length"),
    "length of letters": (head("Content-Length: 1e1"), 400, "length"),
    "length and chunks": (head("Content-Length: 5", "Transfer-Encoding: chunked"), 400, "length"),
    "chunks of 1.0": (head("Transfer-Encoding: chunked", first="GET / HTTP/1.0"), 400, "length"),
    "chunks twice": (head("Transfer-Encoding: chunked, chunked"), 400, "length"),
    "coding": (head("Transfer-Encoding: braille"), 400, "chunked"),
    "expectation": (head("Expect: a miracle"), 417, "100-continue"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_a_problem_like_all_others_and_in_the_log(service: Service, what: str) -> None:
    sent, status, words = REFUSED[what]
    with connect(service.port) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
            connection.sendall(sent)
        answer = answer_on(connection)
        assert answer.status == status
        problem = answer.problem
        assert words in problem["detail"]
        assert "{" not in problem["detail"]
        assert problem["type"].startswith("urn:gygo:problem:")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Connection"] == "close"
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        assert is_closed(connection)
    assert not any(word in answer.body for word in (b"<html", b"gunicorn", b"Traceback", b"Errno"))
    wait_until(lambda: logged(service, problem["request_id"]), 10)
    (line,) = logged(service, problem["request_id"])
    assert (line["event"], line["status"]) == ("request", status)


def logged(service: Service, request_id: str) -> list[dict[str, object]]:
    return [line for line in service.lines() if line.get("request_id") == request_id]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("Content-Length: 5000000\r\n\r\n{", 413),
        ("Content-Length: 99999999999999999999\r\n\r\n{", 413),
        ("Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\n" + "f" * 9000, 400),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + "X: y\r\n" * 200 + "\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 415),
        ("Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415),
        ("Content-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 415),
        ("Content-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", 422),
    ],
)
def test_bodies_are_limited_and_never_inflated(service: Service, sent: str, status: int) -> None:
    answer = ask(service.port, (POST + sent).encode())
    assert answer.status == status
    assert answer.problem["detail"]
    assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize("body", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000, "1" * 100_000])
def test_json_that_is_nested_too_deep_is_refused(service: Service, body: str) -> None:
    answer = ask(service.port, (POST + f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
    assert answer.status == 422
    assert answer.problem["errors"]


def test_a_long_path_is_refused_by_the_service(service: Service) -> None:
    assert ask(service.port, head(first=f"GET /{'a' * 4095} HTTP/1.1")).status == 404
    answer = ask(service.port, head(first=f"GET /{'a' * 4096} HTTP/1.1"))
    assert answer.status == 414
    assert "4096 bytes" in answer.problem["detail"]
    assert ask(service.port, head(first=f"GET /{'%61' * 1500} HTTP/1.1")).status == 414


@pytest.mark.parametrize("parameter", ["a=b", "limit=1", "=", ""])
def test_a_query_of_many_parameters_is_refused_in_few_words(service: Service, parameter: str) -> None:
    answer = ask(service.port, head(first=f"GET /v1/datasets?{'&'.join([parameter] * 257)} HTTP/1.1"))
    assert answer.status == 422
    assert "256 parameters" in answer.problem["detail"]
    assert len(answer.body) < 1000


def test_a_client_that_hangs_up_is_no_error(service: Service) -> None:
    for sent in (b"", b"G", head()[:-2], POST.encode() + b"Content-Length: 10\r\n\r\n{", b"GET / HTTP/1.1\n\n"):
        connect(service.port, sent).close()
    assert ask(service.port, head()).status == 200
    assert "Traceback" not in service.log.read_text()
