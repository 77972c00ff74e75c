"""What the client does when a service, a store or the network in between misbehaves."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from scripted_server import Asked, Reply, ScriptedServer

import gygo
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
    assert Http(server.url, patience=5).get_json("/v1/datasets") == {"items": 1}
    assert len(server.asked) == 3


def test_retry_after_is_heeded_and_a_question_is_asked_again_with_its_body(script: Serve) -> None:
    server = script(one_after_the_other(Reply(503, headers={"Retry-After": "0"}), Reply()))
    Http(server.url, patience=5).ask("POST", "/v1/clips", body={"clips": [1]})
    assert [json.loads(each.body) for each in server.asked] == [{"clips": [1]}] * 2


def test_a_connection_that_breaks_is_made_again(script: Serve) -> None:
    server = script(one_after_the_other(Reply(silent=True), Reply(body=b"[1, 2]", cut_after=2), Reply(body=b"[1, 2]")))
    assert Http(server.url, patience=5).get_json("/v1/datasets") == [1, 2]


def test_nobody_there_is_told_after_a_while_and_without_what_is_secret(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(gygo.UnreachableError, match="no answer") as caught:
        Http("http://127.0.0.1:1", patience=0.3).get_range(f"http://127.0.0.1:1{SIGNED}", 0, 10)
    assert "5ec2e7" not in str(caught.value)
    assert "5ec2e7" not in caplog.text


def test_a_problem_names_the_fields_at_fault(script: Serve) -> None:
    problem = {"type": "urn:x", "detail": "no", "errors": [{"field": "limit", "message": "too many"}]}
    server = script(lambda asked: Reply(422, json.dumps(problem).encode()))
    with pytest.raises(gygo.InvalidRequestError, match=r"^limit: too many$") as caught:
        Http(server.url).get_json("/v1/datasets")
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
        Http(server.url, patience=0.1).get_json("/v1/datasets")


def test_the_key_goes_to_the_service_and_not_to_the_store(script: Serve) -> None:
    store = script(ranged)
    service = script(lambda asked: Reply(307, headers={"Location": store.url + SIGNED}))
    http = Http(service.url, key="gygo_secret")
    assert http.location("/v1/archive") == store.url + SIGNED
    assert http.get_range(store.url + SIGNED, 5, 9) == BODY[5:9]
    assert http.get_bytes("/v1/archive") == BODY
    assert all(each.headers["Authorization"] == "Bearer gygo_secret" for each in service.asked)
    assert not any("Authorization" in each.headers for each in store.asked)


def test_endless_redirects_end(script: Serve) -> None:
    server = script(lambda asked: Reply(307, headers={"Location": asked.path}))
    with pytest.raises(gygo.ServerError, match="again and again"):
        Http(server.url).get_json("/v1/datasets")


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refused_url_is_told_apart_and_not_shown(script: Serve, status: int) -> None:
    server = script(lambda asked: Reply(status, b"<Error/>"))
    with pytest.raises(RefusedUrlError) as caught:
        Http(server.url).get_range(server.url + SIGNED, 0, 10)
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
        Http(server.url).get_range(server.url + SIGNED, 0, 10)


def test_a_range_that_breaks_off_goes_on_where_it_was(script: Serve) -> None:
    server = script(lambda asked: ranged(asked)._replace(cut_after=4000))
    assert bytes(Http(server.url, patience=1).get_range(server.url + SIGNED, 100, 10_100)) == BODY[100:10_100]
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
    http, target = Http(server.url, patience=1), io.BytesIO()
    while target.tell() < len(BODY):
        assert http.download(server.url + SIGNED, target, target.tell()) > 0
    assert target.getvalue() == BODY
    assert [each.headers.get("Range") for each in server.asked] == [None, "bytes=4000-", "bytes=8000-"]


def test_a_stream_that_breaks_off_goes_on_where_it_was(script: Serve) -> None:
    cuts = iter([1000, 5000, None])

    def answer(asked: Asked) -> Reply:
        reply = ranged(asked)
        return reply._replace(headers={**reply.headers, "ETag": '"one"'}, cut_after=next(cuts))

    server = script(answer)
    stream = Http(server.url, patience=1).post_stream("/v1/clips", {"clips": []})
    assert stream.read(10) == BODY[:10]
    assert stream.read() == BODY[10:]
    assert stream.read() == b""
    asked = [(each.headers.get("Range"), each.headers.get("If-Range")) for each in server.asked]
    assert asked == [(None, None), ("bytes=1000-", '"one"'), ("bytes=6000-", '"one"')]


def test_a_stream_that_has_changed_is_not_put_together(script: Serve) -> None:
    server = script(one_after_the_other(Reply(body=BODY, headers={"ETag": '"one"'}, cut_after=9), Reply(body=BODY)))
    with pytest.raises(gygo.CorruptDataError, match="has changed"):
        Http(server.url, patience=1).post_stream("/v1/clips", {}).read()


def test_a_stream_must_say_how_long_it_is(script: Serve) -> None:
    server = script(lambda asked: Reply(200, b"", {"Transfer-Encoding": "chunked", "Content-Length": ""}))
    with pytest.raises(gygo.GygoError):
        Http(server.url, patience=0.1).post_stream("/v1/clips", {}).read()
