"""Requests that no honest client sends: each is refused by name, none is a 500, and none tells how we are made."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import pytest
from checked_client import PROBLEM, CheckedClient
from werkzeug.serving import WSGIRequestHandler, make_server

R1 = "/v1/datasets/multi/releases/r1"
VIDEOS = f"{R1}/videos"
FRAMES = f"{VIDEOS}/VIDEO/frames"
LONG = "a" * 2000
HUGE = "9" * 300

#: What → the status it must have. Sent as they are, without a client that would mend them.
REFUSED = {
    # numbers
    f"{VIDEOS}?limit=0": 422,
    f"{VIDEOS}?limit=-1": 422,
    f"{VIDEOS}?limit=1001": 422,
    f"{VIDEOS}?limit={HUGE}": 422,
    f"{VIDEOS}?limit=1e3": 422,
    f"{VIDEOS}?limit=1.5": 422,
    f"{VIDEOS}?limit=": 422,
    f"{VIDEOS}?limit=NaN": 422,
    f"{VIDEOS}?limit=Infinity": 422,
    f"{VIDEOS}?limit=0x10": 422,
    f"{VIDEOS}?limit=1_0": 422,
    f"{VIDEOS}?limit=%2B5": 422,
    f"{VIDEOS}?limit=+5": 422,
    f"{VIDEOS}?limit=5%00": 422,
    f"{VIDEOS}?limit=%D9%A1%D9%A0": 422,  # ARABIC-INDIC DIGITS ONE ZERO
    f"{VIDEOS}?limit=%EF%BC%95": 422,  # FULLWIDTH DIGIT FIVE
    f"{VIDEOS}?min_frames={HUGE}": 422,
    f"{VIDEOS}?min_frames=9223372036854775808": 422,
    f"{VIDEOS}?max_frames=-1": 422,
    f"{VIDEOS}?min_objects=true": 422,
    f"{FRAMES}?object=0": 422,
    f"{FRAMES}?object=255": 422,
    f"{FRAMES}?object={HUGE}": 422,
    f"{FRAMES}?has_mask=perhaps": 422,
    f"{FRAMES}?has_mask=": 422,
    # words
    f"{VIDEOS}?sort=n": 422,
    f"{VIDEOS}?sort=--name": 422,
    f"{VIDEOS}?sort=name;drop%20table%20videos": 422,
    f"{VIDEOS}?include=secrets": 422,
    f"{VIDEOS}?q=": 422,
    f"{VIDEOS}?q={LONG}": 422,
    f"{VIDEOS}?category={LONG}": 422,
    f"{VIDEOS}?split=": 422,
    f"{VIDEOS}?fields=": 422,
    f"{VIDEOS}?fields=id,,name": 422,
    f"{VIDEOS}?fields=id,__class__": 422,
    f"{VIDEOS}?resolution={LONG}&include=archive_url": 422,
    f"{VIDEOS}?{LONG}=1": 422,
    f"{VIDEOS}?=1": 422,
    f"{VIDEOS}?%00=1": 422,
    f"{VIDEOS}?limit[]=1": 422,
    f"{VIDEOS}?limit[$gt]=1": 422,
    # the same thing twice
    f"{VIDEOS}?limit=1&limit=2": 422,
    f"{VIDEOS}?sort=name&sort=-name": 422,
    f"{VIDEOS}?cursor=a&cursor=b": 422,
    f"{FRAMES}?resolution=480p&resolution=original": 422,
    f"{FRAMES}/0/image?resolution=480p&resolution=480p": 422,
    f"{VIDEOS}?" + "&".join(f"category=c{n}" for n in range(200)): 422,
    f"{VIDEOS}?" + "&".join(f"attribute=a{n}" for n in range(200)): 422,
    # cursors
    f"{VIDEOS}?cursor=": 422,
    f"{VIDEOS}?cursor=x": 422,
    f"{VIDEOS}?cursor=%00": 422,
    f"{VIDEOS}?cursor={LONG}": 422,
    f"{VIDEOS}?cursor=W10": 422,  # []
    f"{VIDEOS}?cursor=bnVsbA": 422,  # null
    f"{VIDEOS}?cursor=e30": 422,  # {}
    f"{VIDEOS}?cursor=%C3%A9": 422,
    f"{VIDEOS}?cursor=" + "W1tb" * 100: 422,
    "/v1/datasets?cursor=W251bGxd": 422,  # [null]
    # paths
    f"{FRAMES}/-1": 404,
    f"{FRAMES}/x/image": 404,
    f"{FRAMES}/1.0/image": 404,
    f"{FRAMES}/{HUGE}/image": 404,
    f"{FRAMES}/2147483647/image": 404,
    f"{FRAMES}/2147483648": 404,
    f"{FRAMES}/%D9%A0/image": 404,  # ARABIC-INDIC DIGIT ZERO
    f"{FRAMES}/%EF%BC%90": 404,  # FULLWIDTH DIGIT ZERO
    f"{FRAMES}/00000": 404,  # a name, not an index
    f"{FRAMES}/00000/image": 404,
    f"{FRAMES}/0%00": 404,
    f"{FRAMES}/0/image/": None,
    f"{FRAMES}/0/../../../../../../../etc/passwd": 404,
    f"{VIDEOS}/%00": 404,
    f"{VIDEOS}/VIDEO%00": 404,
    f"{VIDEOS}/%ff%fe": 404,
    f"{VIDEOS}/%": 404,
    f"{VIDEOS}/%zz": 404,
    f"{VIDEOS}/%ED%A0%80": 404,  # a lone surrogate
    f"{VIDEOS}/..": 404,
    f"{VIDEOS}/..%2F..%2F..%2Fetc%2Fpasswd": 404,
    f"{VIDEOS}/%2e%2e/%2e%2e": 404,
    f"{VIDEOS}/'%20OR%201=1--": 404,
    f"{VIDEOS}/{LONG}": 404,
    f"{VIDEOS}/%F0%9F%92%A9": 404,
    f"{R1}/imagesets/..%2F..%2Fx.txt": 404,
    f"{R1}/imagesets/%00.txt": 404,
    f"{R1}/imagesets/.txt": 404,
    f"{R1}/imagesets/train.txt%00": 404,
    "/v1/datasets/%00": 404,
    "/v1/datasets/..": 404,
    "/v1/datasets/../../_keys": 404,
    "/v1/datasets/..%2F_keys": 404,
    "/v1/datasets/multi%2Freleases%2Fr1x": 404,
    "/v1/datasets/_keys": 404,
    "/v1/datasets/MULTI": 404,
    "/v1/datasets/%ff/releases/latest": 404,
    "/v1/datasets/multi/releases/..%2F..%2Ftoys": 404,
    "/v1/datasets/multi/releases/LATEST": 404,
    "/v1/datasets/multi/releases/%00latest/videos": 404,
    "/docs/../openapi.json": 404,
    "/docs/..%2f..%2f..%2fetc%2fpasswd": 404,
    "/docs/%2e%2e/%2e%2e/pyproject.toml": 404,
    "/docs/%00": 404,
    "/docs//etc/passwd": None,
    "/docs/static%5c..%5c..%5capp.py": 404,
}

#: Strange, but questions that have an answer: nothing is found, or what is meant.
ANSWERED = [
    f"{VIDEOS}?q=%00",
    f"{VIDEOS}?q=%ff",
    f"{VIDEOS}?q=%",
    f"{VIDEOS}?q=%22%22%22",
    f"{VIDEOS}?q=*",
    f"{VIDEOS}?q=)(",
    f"{VIDEOS}?q=NEAR(a%20b)",
    f"{VIDEOS}?q=a%20AND%20NOT",
    f"{VIDEOS}?q=text:a",
    f"{VIDEOS}?q=_",
    f"{VIDEOS}?q=%C2%BC",
    f"{VIDEOS}?q=" + "a%20" * 99,
    f"{VIDEOS}?q=%F0%9F%92%A9",
    f"{VIDEOS}?category=%00",
    f"{VIDEOS}?category='%20OR%201=1--",
    f"{VIDEOS}?split=%ff",
    f"{VIDEOS}?min_frames=5&max_frames=2",
    "/v1/datasets?q=%00",
    "/v1/datasets?q=%ff%fe",
]


@pytest.fixture(scope="module")
def video(api: CheckedClient) -> str:
    found: str = api.get(f"{VIDEOS}?limit=1").json["items"][0]["id"]
    return found


class _Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def port(api: CheckedClient) -> Iterator[int]:
    """The service behind a socket, so that a request may be any bytes."""
    server = make_server("127.0.0.1", 0, api.application, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def ask(port: int, target: str, method: str = "GET", **headers: str) -> tuple[int, HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(method, "/", skip_host="Host" in headers, skip_accept_encoding=True)
        connection._buffer[0] = f"{method} {target} HTTP/1.1".encode("latin-1")  # type: ignore[attr-defined]
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value.encode("latin-1"))
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer, answer.read()
    finally:
        connection.close()


def clean(body: bytes) -> bool:
    return not any(word in body for word in (b"Traceback", b'File "', b"sqlite3", b"site-packages", b"root:"))


@pytest.mark.parametrize("target", REFUSED)
def test_hostile_requests_are_refused(port: int, video: str, target: str) -> None:
    status, answer, body = ask(port, target.replace("VIDEO", video))
    wanted = REFUSED[target]
    assert status == wanted if wanted else status < 500
    assert clean(body)
    if wanted:
        assert answer.headers["Content-Type"] == PROBLEM


def test_the_table_is_a_long_one() -> None:
    assert len(REFUSED) >= 60


@pytest.mark.parametrize("target", ANSWERED)
def test_strange_questions_have_an_answer(port: int, target: str) -> None:
    status, _, body = ask(port, target)
    assert status == 200
    assert body.startswith(b'{"items":[')


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "a b",
        "<script>alert(1)</script>",
        'x"y',
        "x/../y",
        "x?y",
        "x#y",
        "user@x",
        "x:99999999",
        "x:port",
        "[::1",
        "[",
        "\xff\xfe",
        "%00",
        "x" * 5000,
        "",
        ">; rel=next, <http://evil",
    ],
)
@pytest.mark.parametrize("target", ["/", f"{VIDEOS}?limit=1", "/v1/datasets/multi/releases/latest"])
def test_a_wrong_host_never_breaks_an_answer(port: int, target: str, host: str) -> None:
    status, answer, body = ask(port, target, Host=host)
    assert status < 500
    assert clean(body)
    for name in ("Link", "Location"):
        assert "<http://evil>" not in answer.headers.get(name, "")
        assert "<script>" not in answer.headers.get(name, "")


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=" + "0-1," * 2000},
        {"Range": "bytes=" + HUGE + "-"},
        {"Range": "bytes=-" + HUGE},
        {"Range": "bytes=\xb2-\xb3"},
        {"Range": "\x00"},
        {"If_None_Match": '"' * 999},
        {"If_None_Match": "W/" * 500},
        {"If_None_Match": "\xff"},
        {"If_Range": "Tue, 99 Foo 9999 99:99:99 GMT", "Range": "bytes=0-1"},
        {"If_Modified_Since": "never"},
        {"Accept_Encoding": "gzip;q=nan, br;q=-1, zstd;q=" + HUGE},
        {"Accept": "*/*;q=x"},
        {"Content_Length": "0", "Content_Type": "multipart/form-data"},
        {"X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "gopher"},
        {"Cookie": "=;" * 500},
        {"Authorization": "Bearer \xff"},
        {"Origin": "\xff"},
    ],
    ids="-".join,
)
@pytest.mark.parametrize("target", [f"{FRAMES}/0/image", f"{VIDEOS}?limit=1", "/v1/datasets"])
def test_strange_headers_never_break_an_answer(port: int, video: str, target: str, headers: dict[str, str]) -> None:
    status, answer, body = ask(port, target.replace("VIDEO", video), **headers)
    assert status < 500
    assert clean(body)
    assert b"evil.example" not in body
    assert answer.headers["X-Request-Id"]


def test_a_request_that_is_no_http_ends_the_connection_and_nothing_else(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    assert ask(port, "/healthz")[0] == 200
