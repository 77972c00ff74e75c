"""An attack list: requests that no honest client sends, each as it is, over a socket, as nobody and as others.

Of none comes a 5xx, a word of a release that its sender may not see, or how we are made; and afterwards all is well.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from guarded_releases import CALLERS, RELEASES, Asked, Guard, leaks

from gygo_server.access.token import new_token
from gygo_server.catalogue import cursor

OPEN = "/v1/datasets/xx-shown/releases/zz-open"
VIDEO = f"{OPEN}/videos/batch-1:common"
IMAGE = f"{VIDEO}/frames/0/image"
SECRET = "/v1/datasets/xx-hidden/releases/zz-secret"
JSON = {"Content-Type": "application/json"}
HUGE = "9" * 400
LONG = "a" * 7000


class Attack(NamedTuple):
    """A request, as bytes would be written; ``body`` None: none, without a length."""

    method: str
    target: str
    headers: dict[str, str] = {}  # noqa: RUF012
    body: bytes | None = None

    def bytes(self, headers: dict[str, str]) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
        if self.body is not None and "Transfer-Encoding" not in self.headers:
            lines.append(f"Content-Length: {len(self.body)}")
        lines += [f"{name}: {value}" for name, value in {**headers, **self.headers}.items()]
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + (self.body or b"")


def paths() -> Iterator[Attack]:
    for way in (
        "..", "../", "../../", "%2e%2e", "%2e%2e%2f", "..%2f", "..%5c", "%252e%252e%252f", "....//", "..;/", ".%00./",
        "%c0%ae%c0%ae/", "\\..\\", "//", "/./", "%2f", "%5c", "~", ".git/config", "%00", "%0a", "%0d%0aX-A:%20b",
        "%ff%fe", "%ed%a0%80", "%e2%80%ae", "*", "?", "'", "\"", "<script>", "${jndi:ldap://x}", "{{7*7}}", "%s%n", "|id",
    ):  # fmt: skip
        yield Attack("GET", f"/v1/datasets/{way}")
        yield Attack("GET", f"/v1/datasets/xx-shown/releases/{way}")
        yield Attack("GET", f"{OPEN}/videos/{way}/archive")
        yield Attack("GET", f"{OPEN}/imagesets/{way}.txt")
    for target in (
        "/_keys/", "/v1/_keys", "/v1/datasets/_keys", "/v1/datasets/_keys/releases/x", "/v1/datasets/_audit",
        "/v1/datasets/xx-hidden/dataset.json", "/xx-hidden/dataset.json", "/v1/datasets/xx-hidden/../xx-shown",
        "/v1/datasets/xx-shown/../xx-hidden", "/v1/datasets/xx-shown/releases/../../xx-hidden/releases/zz-secret",
        "/v1/datasets/xx-shown%2freleases%2fzz-secret", "/v1/datasets/XX-HIDDEN", "/v1/datasets/xx-hidden%20",
        "/v1/datasets/xx-shown/releases/ZZ-SECRET", "/v1/datasets/xx-shown/releases/zz-secret%00",
        "/v1/datasets/xx-shown/releases/latest%2f..%2fzz-secret", "/docs/../etc/passwd", "/docs/..%2f..%2fetc/passwd",
        "/docs/%2e%2e/%2e%2e/settings.py", "/static/../app.py", "http://169.254.169.254/latest/meta-data",
        "http://elsewhere.example.org/v1/datasets", "//elsewhere.example.org/v1", f"/{LONG}", "/" + "a/" * 3000,
        f"{VIDEO}/frames/-1", f"{VIDEO}/frames/{HUGE}", f"{VIDEO}/frames/0x0/image", f"{VIDEO}/frames/%30/mask",
        f"{OPEN}/videos/only-in-zz-secret", f"{OPEN}/videos/only-in-zz-coming/archive", "*", "",
    ):  # fmt: skip
        yield Attack("GET", target)


def cursors() -> Iterator[Attack]:
    good = cursor.encode((1,), ["another", "question"])
    for text in (
        "", "a", "AAAA", "=" * 10, "%00", "null", "-1", "[]", "{}", HUGE, "a" * 513, "../..", "' OR 1=1 --", "%F0%9F%98%80",
        base64.urlsafe_b64encode(b'["x",[1]]').decode(), base64.urlsafe_b64encode(b"[" * 300).decode(),
        base64.urlsafe_b64encode(zlib.compress(b"0" * 10**6)).decode()[:500],
        base64.urlsafe_b64encode(b"\x80\x04cos\nsystem\n(S'id'\ntR.").decode(), good,
    ):  # fmt: skip
        for path in (
            f"{OPEN}/videos",
            f"{VIDEO}/frames",
            f"{OPEN}/changes",
            f"{OPEN}/downloads",
            "/v1/datasets",
            f"{OPEN}/sample",
        ):
            yield Attack("GET", f"{path}?cursor={text}")


def queries() -> Iterator[Attack]:
    for query in (
        "limit=-1", f"limit={HUGE}", "limit=1e9", "limit=%00", "limit[]=1", "limit=1&limit=2", "sort=name;DROP TABLE videos",
        "q=%27%20OR%201=1--", "q=%25%25%25", "q=" + "%22" * 60, "q=*%20NEAR%20*", "category=%27;--", "fields=__class__",
        "fields=" + ",".join(["id"] * 60), "resolution=../480p", "expires_in=0", "expires_in=-5", "include=secrets",
        "changed_since=zz-secret", "changed_since=zz-coming", "changed_since=zz-members", "changed_since=../x", "&" * 1000,
        "a=b&" * 500, "%ff=%ff", "=" * 50, "link=", "link=x", "link=" + "A" * 3000, "link=x&link=y", "LINK=x", "%6cink=x",
    ):  # fmt: skip
        yield Attack("GET", f"{OPEN}/videos?{query}")
        yield Attack("GET", f"{OPEN}/downloads?{query}")
    for signature in ("", ".", "..", "e30.x", "WyJhIiwxLCJiIl0.AAAA", "null", "%00", ".eJw" + "A" * 100):
        yield Attack("GET", f"{SECRET}/videos?link={signature}")


def ranges() -> Iterator[Attack]:
    for text in (
        "bytes=", "bytes=-", "bytes=--1", "bytes=a-b", "bytes=9-1", f"bytes={HUGE}-", f"bytes=0-{HUGE}", "bytes=-0",
        "bytes=0-0,1-1", "bytes=" + ",".join(f"{n}-{n}" for n in range(500)), "bits=0-1", "bytes=0x0-1", "bytes=0-1;x",
        "bytes = 0-1", "bytes=\t0-1", "BYTES=0-1", f"bytes=-{HUGE}", "bytes=1.5-2", "none", "=", "bytes=\u0661-\u0662",
    ):  # fmt: skip
        yield Attack("GET", IMAGE, {"Range": text})
        yield Attack("GET", f"{VIDEO}/clip", {"Range": text, "If-Range": '"x"'})


def headers() -> Iterator[Attack]:
    for name, value in (
        ("Host", ""), ("Host", "evil.example.org/path"), ("Host", "a b"), ("Host", "x\x00y"), ("Host", "[::1"), ("Host", "@"),
        ("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-For", "a" * 5000), ("X-Forwarded-Host", "evil.example.org"),
        ("X-Forwarded-Prefix", "/../.."), ("X-Original-URL", SECRET), ("X-Rewrite-URL", SECRET), ("X-HTTP-Method-Override", "PUT"),
        ("X-Request-Id", "a\tb"), ("X-Request-Id", '"}\\n{"level":"x'), ("X-Request-Id", "a" * 5000), ("Accept", "a" * 5000),
        ("Accept", "*/*;q=" + HUGE), ("Accept", ",;,;="), ("Accept-Encoding", "gzip;q=x, br;q=-1"), ("Accept-Encoding", "," * 2000),
        ("If-None-Match", '"' * 50), ("If-None-Match", "W/" * 500), ("If-Match", "*, *"), ("If-Match", '"x'), ("If-Range", "x" * 4000),
        ("If-Modified-Since", "yesterday"), ("Cookie", "session=x; " * 200), ("Content-Length", "-1"), ("Content-Length", "5, 6"),
        ("Content-Length", HUGE), ("Transfer-Encoding", "gzip, chunked"), ("Transfer-Encoding", "xchunked"), ("Expect", "200-ok"),
        ("Origin", "null"), ("Origin", "https://evil.example.org\x00"), ("Upgrade", "h2c"), ("Te", "trailers, x"), ("Forwarded", "for=x"),
        ("Proxy", "http://evil.example.org"), ("Wsgi.Input", "x"), ("X_Forwarded_For", "1.1.1.1"), ("Range", "a" * 7000), ("", "x"),
        ("Content-Type", "application/json; charset=utf-7"), ("\u00e4", "\u00f6"), ("A B", "c"), ("X-A", "b\r\n folded"),
    ):  # fmt: skip
        yield Attack("GET", f"{OPEN}/videos", {name: value})
    for number in (150, 500):
        yield Attack("GET", "/v1/datasets", {f"X-{n}": "v" for n in range(number)})


def bodies() -> Iterator[Attack]:
    clip = {"video": "batch-1:common", "start": 0, "length": 1}
    for body in (
        b"", b"{", b"null", b"[]", b'"x"', b"NaN", b"{}" * 2, b"[" * 100_000, b'{"clips":' * 5000, b"\xff\xfe{}", b"\x00" * 1000,
        b'{"clips": []}', b'{"clips": {}}', b'{"clips": [null]}', json.dumps({"clips": [clip] * 1001}).encode(),
        json.dumps({"clips": [{**clip, "video": "../../etc/passwd"}], "on_error": "fail"}).encode(),
        json.dumps({"clips": [{**clip, "video": "only-in-zz-secret"}], "on_error": "fail"}).encode(),
        json.dumps({"clips": [{**clip, "start": -1}]}).encode(), json.dumps({"clips": [{**clip, "length": 2**70}]}).encode(),
        json.dumps({"clips": [{**clip, "step": 0}]}).encode(), json.dumps({"clips": [clip], "x": 1}).encode(),
        json.dumps({"clips": [{**clip, "start": True}]}).encode(), json.dumps({"clips": [{**clip, "start": 1e400}]}).encode(),
        b'{"clips": [{"video": "\\ud800", "start": 0, "length": 1}]}', b'{"clips": "' + b"a" * 10**6 + b'"}',
        b'{"videos": ["\\u0000"]}', b'{"videos": ["only-in-zz-secret"]}', b'{"videos": []}', b'{"videos": [5]}', b'{"url": "//x"}',
        b'{"url": "/v1/datasets/xx-hidden/releases/zz-secret/videos/v"}', b'{"url": "videos/\\r\\n"}', b"a" * (5 << 20),
        b'{"__proto__": {}}', b'{"clips": [], "clips": [1]}', b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///x">]>',
    ):  # fmt: skip
        for end in ("clips", "downloads", "links"):
            yield Attack("POST", f"{OPEN}/{end}", JSON, body)
    packed = zlib.compress(b"[" * 10**6)
    yield Attack("POST", f"{OPEN}/clips", {**JSON, "Content-Encoding": "deflate"}, packed)
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "application/json;;;",
    ):
        yield Attack("POST", f"{OPEN}/clips", {"Content-Type": kind}, b"{}")
    chunked = {**JSON, "Transfer-Encoding": "chunked"}
    for body in (
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"-1\r\n{}\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\n{}",
        b"2;x=\x00\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}x",
    ):
        yield Attack("POST", f"{OPEN}/clips", chunked, body)
    yield Attack(
        "POST",
        f"{OPEN}/clips",
        {**chunked, "Content-Length": "4"},
        b"0\r\n\r\nGET /v1/datasets/xx-hidden HTTP/1.1\r\n\r\n",
    )
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "G" * 100, "GE T", "\x00"):
        yield Attack(method, f"{OPEN}/videos")
        yield Attack(method, SECRET)


def keys() -> Iterator[Attack]:
    good = new_token("abc0123xyz")
    for value in (
        "", "Bearer", "Bearer x", f"Bearer {good}", f"Bearer {good}\x00", f"bearer\t{good}", "Bearer gygo_../../dataset_" + "A" * 38,
        "Bearer gygo__" + "A" * 38, "Bearer *", "Bearer " + "A" * 7000, "Basic YTpi", "Basic " + "=" * 100, "Negotiate x", "Bearer null",
        "Bearer ' OR '1'='1", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", f"Bearer {good[::-1]}", "Bearer \u00e4", "AWS4-HMAC-SHA256 x",
    ):  # fmt: skip
        for target in ("/v1/datasets", SECRET, IMAGE):
            yield Attack("GET", target, {"Authorization": value})


ATTACKS = {
    f"{make.__name__}-{number}": attack
    for make in (paths, cursors, queries, ranges, headers, bodies, keys)
    for number, attack in enumerate(make())
}


def send(guard: Guard, content: bytes) -> bytes:
    """What comes back until the service hangs up."""
    with socket.create_connection(("127.0.0.1", guard.service.port), timeout=30) as connection:
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was refused before all of it was there; what was said is read all the same
        received = b""
        try:
            while chunk := connection.recv(1 << 16):
                received += chunk
        except ConnectionResetError:
            pass
    return received


def answer_of(received: bytes) -> Asked:
    head, _, body = received.partition(b"\r\n\r\n")
    status, _, shown = head.decode("latin-1").partition("\r\n")
    cached = re.search(r"(?im)^cache-control: (.*)$", shown)
    return Asked(int(status.split()[1]), "", body.decode("utf-8", "replace"), shown, body, cached[1] if cached else "")


def test_the_list_is_long() -> None:
    assert len(set(map(repr, ATTACKS.values()))) >= 500


@pytest.mark.parametrize("caller", ["nobody", "member"])
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_nothing(guard: Guard, name: str, caller: str) -> None:
    attack = ATTACKS[name]
    content = attack.bytes(guard.guarded.headers(caller))
    received = send(guard, content)
    if not received:
        assert not attack.target.startswith("/") or attack.body or len(content) > 8000, "no answer"
        return
    answer = answer_of(received)
    where = f"{content[:300]!r} as {caller}: {answer.status} {answer.text[:300]}"
    assert answer.status < 500, where
    sent = content.decode("utf-8", "replace")
    assert not [word for word in leaks(answer, caller, "xx-shown") if word not in sent], where
    for inside in (
        "Traceback",
        "site-packages",
        "gygo_server/",
        "sqlite3",
        "botocore",
        "werkzeug.",
        "AKIA",
        "dataset.json",
    ):
        assert inside not in answer.text or inside in sent, where
    assert not re.search(r"(?im)^(x-a|set-cookie):", answer.headers), where


def test_afterwards_all_is_well(guard: Guard) -> None:
    for caller in CALLERS:
        found = guard.send("GET", "/v1/datasets/xx-shown", guard.guarded.headers(caller))
        assert found.status == 200
        assert "zz-open" in found.text
    assert guard.send("GET", "/readyz", {}).status == 200
    assert not [line for line in guard.service.lines() if line.get("event") == "unforeseen"]
    assert len(RELEASES) == 5
