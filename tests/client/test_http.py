"""What the client does when a service, a store or the network in between misbehaves."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from scripted_server import Asked, Reply, ScriptedServer

import gygo
from gygo.fetching import ClipFetcher
from gygo.http import Http, RefusedUrlError

Serve = Callable[[Callable[[Asked], Reply]], ScriptedServer]
SIGNED = "/bucket/a.tar?X-Amz-Signature=5ec2e7"
BODY = bytes(range(256)) * 40


@pytest.fixture
def script() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(ScriptedServer(answer))


def one_after_the_other(*replies: Reply) -> Callable[[Asked], Reply]:
    left = list(replies)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


def ranged(asked: Asked) -> Reply:
    """As a store answers: the range asked for, or all."""
    span = asked.headers.get("Range")
    if span is None:
        return Reply(body=BODY)
    first, last = span.removeprefix("bytes=").split("-")
    content = BODY[int(first) : int(last) + 1 if last else None]
    span = f"bytes {first}-{int(first) + len(content) - 1}/{len(BODY)}"
    return Reply(206, content, {"Content-Range": span})


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_service_that_says_later_is_asked_again(script: Serve, status: int) -> None:
    server = script(one_after_the_other(Reply(status), Reply(status), Reply(body=b'{"items": 1}')))
    assert Http(server.endpoint, patience=5).get_json("/v1/datasets") == {"items": 1}
    assert len(server.asked) == 3


def test_retry_after_is_heeded_and_a_question_is_asked_again_with_its_body(script: Serve) -> None:
    server = script(one_after_the_other(Reply(503, headers={"Retry-After": "0"}), Reply()))
    Http(server.endpoint, patience=5).ask("POST", "/v1/clips", body={"clips": [1]})
    assert [json.loads(each.body) for each in server.asked] == [{"clips": [1]}] * 2


def test_a_connection_that_breaks_is_made_again(script: Serve) -> None:
    server = script(one_after_the_other(Reply(silent=True), Reply(body=b"[1, 2]", cut_after=2), Reply(body=b"[1, 2]")))
    assert Http(server.endpoint, patience=5).get_json("/v1/datasets") == [1, 2]


def test_nobody_there_is_told_after_a_while_and_without_what_is_secret(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(gygo.UnreachableError, match="no answer") as caught:
        Http("http://127.0.0.1:1", patience=0.3).get_range(f"http://127.0.0.1:1{SIGNED}", 0, 10)
    assert "5ec2e7" not in str(caught.value)
    assert "5ec2e7" not in caplog.text


def test_a_problem_names_the_fields_at_fault(script: Serve) -> None:
    problem = {"type": "urn:x", "detail": "no", "errors": [{"field": "limit", "message": "too many"}]}
    server = script(lambda asked: Reply(422, json.dumps(problem).encode()))
    with pytest.raises(gygo.InvalidRequestError, match=r"^limit: too many$") as caught:
        Http(server.endpoint).get_json("/v1/datasets")
    assert (caught.value.status, caught.value.type) == (422, "urn:x")


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (Reply(404, b"<html>"), gygo.NotFoundError, "answers 404"),
        (Reply(403, b"[]"), gygo.InvalidRequestError, "answers 403"),
        (Reply(500, b""), gygo.ServerError, "answers 500"),
        (Reply(200, b"<html>"), gygo.ServerError, "is this a GyGO server"),
    ],
)
def test_answers_of_other_servers_are_no_crash(
    script: Serve, reply: Reply, kind: type[gygo.GygoError], message: str
) -> None:
    server = script(lambda asked: reply)
    with pytest.raises(kind, match=message):
        Http(server.endpoint, patience=0.1).get_json("/v1/datasets")


def test_the_key_goes_to_the_service_and_not_to_the_store(script: Serve) -> None:
    store = script(ranged)
    service = script(lambda asked: Reply(307, headers={"Location": store.endpoint + SIGNED}))
    http = Http(service.endpoint, key="gygo_secret")
    assert http.location("/v1/archive") == store.endpoint + SIGNED
    assert http.get_range(store.endpoint + SIGNED, 5, 9) == BODY[5:9]
    assert http.get_bytes("/v1/archive") == BODY
    assert all(each.headers["Authorization"] == "Bearer gygo_secret" for each in service.asked)
    assert not any("Authorization" in each.headers for each in store.asked)


def test_endless_redirects_end(script: Serve) -> None:
    server = script(lambda asked: Reply(307, headers={"Location": asked.path}))
    with pytest.raises(gygo.ServerError, match="again and again"):
        Http(server.endpoint).get_json("/v1/datasets")


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refused_url_is_told_apart_and_not_shown(script: Serve, status: int) -> None:
    server = script(lambda asked: Reply(status, b"<Error/>"))
    with pytest.raises(RefusedUrlError) as caught:
        Http(server.endpoint).get_range(server.endpoint + SIGNED, 0, 10)
    assert "5ec2e7" not in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(404),
        Reply(416),
        Reply(206, b"short", {"Content-Range": "bytes 0-9/10"}),
        Reply(206, b"elsewhere!", {"Content-Range": "bytes 3-12/20"}),
        Reply(206, b"nowhere!!!"),
        Reply(200, b"a portal's"),
    ],
)
def test_bytes_that_are_not_there_are_not_made_up(script: Serve, reply: Reply) -> None:
    server = script(lambda asked: reply)
    with pytest.raises(gygo.CorruptDataError):
        Http(server.endpoint).get_range(server.endpoint + SIGNED, 0, 10)


def test_a_range_that_breaks_off_goes_on_where_it_was(script: Serve) -> None:
    server = script(lambda asked: ranged(asked)._replace(cut_after=4000))
    assert bytes(Http(server.endpoint, patience=1).get_range(server.endpoint + SIGNED, 100, 10_100)) == BODY[100:10_100]
    asked = [each.headers["Range"] for each in server.asked]
    assert asked == ["bytes=100-10099", "bytes=4100-10099", "bytes=8100-10099"]


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1\r\n", b"SSH-2.0-x\r\n", b"HTTP/1.1 206 OK\r\nno colon\r\n\r\n"])
def test_what_is_no_http_is_no_answer(head: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_all, args=(server, head), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(gygo.UnreachableError, match="HTTPException"):
            Http(url, patience=0.3).get_range(url + SIGNED, 0, 10)


def answer_all(server: socket.socket, head: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(head)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/a b", "http://127.0.0.1/\r\nX: y", "file:///etc/passwd", "http://ü/"]
)
def test_a_url_that_is_none_is_not_asked(url: str) -> None:
    with pytest.raises(gygo.ServerError, match="a URL that is none"):
        Http("http://127.0.0.1:1").get_range(url, 0, 10)


def test_a_download_that_breaks_off_goes_on_where_it_was(script: Serve) -> None:
    server = script(lambda asked: ranged(asked)._replace(cut_after=4000))
    http, target = Http(server.endpoint, patience=1), io.BytesIO()
    while target.tell() < len(BODY):
        assert http.download(server.endpoint + SIGNED, target, target.tell()) > 0
    assert target.getvalue() == BODY
    assert [each.headers.get("Range") for each in server.asked] == [None, "bytes=4000-", "bytes=8000-"]


def test_a_stream_that_breaks_off_goes_on_where_it_was(script: Serve) -> None:
    cuts = iter([1000, 5000, None])

    def answer(asked: Asked) -> Reply:
        reply = ranged(asked)
        return reply._replace(headers={**reply.headers, "ETag": '"one"'}, cut_after=next(cuts))

    server = script(answer)
    stream = Http(server.endpoint, patience=1).post_stream("/v1/clips", {"clips": []})
    assert stream.read(10) == BODY[:10]
    assert stream.read() == BODY[10:]
    assert stream.read() == b""
    asked = [(each.headers.get("Range"), each.headers.get("If-Range")) for each in server.asked]
    assert asked == [(None, None), ("bytes=1000-", '"one"'), ("bytes=6000-", '"one"')]


def test_a_stream_that_has_changed_is_not_put_together(script: Serve) -> None:
    server = script(one_after_the_other(Reply(body=BODY, headers={"ETag": '"one"'}, cut_after=9), Reply(body=BODY)))
    with pytest.raises(gygo.CorruptDataError, match="has changed"):
        Http(server.endpoint, patience=1).post_stream("/v1/clips", {}).read()


def test_a_stream_must_say_how_long_it_is(script: Serve) -> None:
    server = script(lambda asked: Reply(200, b"", {"Transfer-Encoding": "chunked", "Content-Length": ""}))
    with pytest.raises(gygo.GygoError):
        Http(server.endpoint, patience=0.1).post_stream("/v1/clips", {}).read()


def test_a_service_may_not_keep_us_waiting_longer_than_our_patience(script: Serve) -> None:
    server = script(lambda asked: Reply(503, b"", {"Retry-After": "86400"}))
    began = time.monotonic()
    with pytest.raises(gygo.ServerError, match="answers 503"):
        Http(server.endpoint, patience=0.5).get_json("/v1/datasets")
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("after", ["soon", "-1", "Wed, 21 Oct 2099 07:28:00 GMT", "9" * 400])
def test_an_odd_retry_after_is_no_crash(script: Serve, after: str) -> None:
    server = script(one_after_the_other(Reply(503, b"", {"Retry-After": after}), Reply()))
    assert Http(server.endpoint, patience=0.5).get_json("/v1/datasets") == {}


def test_what_is_no_address_is_not_tried_again(script: Serve) -> None:
    server = script(lambda asked: Reply(307, b"", {"Location": "file:///etc/passwd"}))
    with pytest.raises(gygo.UnreachableError, match="cannot be asked"):
        Http(server.endpoint, patience=60).get_json("/v1/datasets")


def test_streams_do_not_follow_redirects_for_ever(script: Serve) -> None:
    server = script(lambda asked: Reply(307, b"", {"Location": asked.path}))
    with pytest.raises(gygo.ServerError, match="again and again"):
        Http(server.endpoint).post_stream("/v1/clips", {}).read()


def test_an_answer_without_end_is_cut_off(script: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gygo.http.MAX_ANSWER", 1 << 20)
    bomb = gzip.compress(bytes(50 << 20))
    server = script(lambda asked: Reply(200, bomb, {"Content-Encoding": "gzip"}))
    with pytest.raises(gygo.ServerError, match="more than"):
        Http(server.endpoint, patience=1).get_json("/v1/datasets")


@pytest.mark.parametrize("size", [10**15, 10**25, -5])
def test_a_range_that_fits_no_memory_is_an_error_of_the_service(size: int) -> None:
    with pytest.raises(gygo.ServerError, match="too many"):
        Http("http://127.0.0.1:1").get_range("http://127.0.0.1:1/a.tar", 0, size)


def test_a_download_longer_than_published_is_refused(script: Serve) -> None:
    server = script(lambda asked: Reply(200, BODY))
    target = io.BytesIO()
    with pytest.raises(gygo.CorruptDataError, match="more than was published"):
        Http(server.endpoint).download(server.endpoint + SIGNED, target, limit=1000)
    assert len(target.getvalue()) <= 1000


@pytest.mark.parametrize("key", ["se cret", "schlüssel", "a\nb"])
def test_a_key_that_is_none_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="no key has") as caught:
        Http("http://127.0.0.1:1", key=key)
    assert key not in str(caught.value)


def test_a_key_may_come_from_a_file_with_its_line_end(script: Serve) -> None:
    server = script(lambda asked: Reply())
    Http(server.endpoint, key="gygo_secret\n").get_json("/v1/datasets")
    assert server.asked[0].headers["Authorization"] == "Bearer gygo_secret"


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="no password") as caught:
        Http("http://user:hunter2@127.0.0.1:1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "spelling", ["http://LOCALHOST:{port}", "http://localhost:{port}/", "http://localhost:0{port}"]
)
def test_the_service_is_known_however_its_address_is_spelt(script: Serve, spelling: str) -> None:
    server = script(lambda asked: Reply())
    port = server.endpoint.rsplit(":", 1)[1]
    http = Http(f"http://localhost:{port}", key="gygo_secret")
    http.get_json(spelling.format(port=port))
    assert "Authorization" in server.asked[0].headers


# Services that answer nonsense

VIDEO = {"id": "v", "frame_count": 3}
NONSENSE = [
    {},
    [],
    None,
    7,
    {"items": 3, "total": 1, "next": None},
    {"items": [{}], "total": 1, "next": None},
    {"items": [], "total": 5, "next": "/v1/datasets"},
    {"items": [VIDEO], "total": "many", "next": None},
    {"items": [7], "total": 1, "next": 9},
]


@pytest.mark.parametrize("answer", NONSENSE, ids=lambda answer: json.dumps(answer)[:30])
def test_nonsense_is_an_error_of_the_service(script: Serve, answer: object) -> None:
    server = script(lambda asked: Reply(body=json.dumps(answer).encode()))
    client = gygo.connect(server.endpoint, patience=0.5)
    for ask in (
        lambda: list(client.datasets()),
        lambda: client.dataset("x"),
        lambda: client.release("x"),
        lambda: list(gygo.Release(client.http, "x", "r1", {}).videos()),
        lambda: gygo.Release(client.http, "x", "r1", {}).video("v"),
        lambda: gygo.Release(client.http, "x", "r1", {}).frame_counts(),
    ):
        with pytest.raises(gygo.ServerError):
            ask()


def located(**changes: object) -> dict[str, object]:
    frames = [{"index": 0, "name": "0", "image": {"offset": 512, "size": 10}, "mask": None}]
    item = {
        "url": "http://127.0.0.1:1/a.tar",
        "expires_at": "2099-01-01T00:00:00Z",
        "resolution": "480p",
        "mask_kind": "none",
        "range": {"start": 0, "end": 1024},
        "archive": {"bytes": 2048, "sha256": "0" * 64},
        "frames": frames,
    }
    return {"items": [{**item, **changes}]}


@pytest.mark.parametrize(
    "answer",
    [
        located(range={"start": 0, "end": 100}),
        located(range={"start": -5, "end": 1024}),
        located(range={"start": 600, "end": 1024}),
        located(archive={"bytes": 100, "sha256": "0" * 64}),
        located(frames=[]),
        located(frames=[{"index": 0, "name": "0", "image": {"offset": 512, "size": -1}, "mask": None}]),
        located(expires_at="tomorrow"),
        located(expires_at="2099-01-01T00:00:00"),
        located(error={"status": 404}),
        {"items": []},
    ],
    ids=range(10),
)
def test_clips_that_do_not_hold_together_are_an_error_of_the_service(script: Serve, answer: object) -> None:
    server = script(lambda asked: Reply(body=json.dumps(answer).encode()))
    release = gygo.Release(Http(server.endpoint, patience=0.5), "x", "r1", {})
    with pytest.raises(gygo.ServerError, match="cannot read"):
        ClipFetcher().locate(release, [gygo.ClipRequest("v", 0, 1)])
