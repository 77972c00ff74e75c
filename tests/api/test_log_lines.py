"""The log: a line an event, whatever a client puts into it, and never a secret."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import Service, wait_until
from raw_requests import ask, connect

from gygo_server.access.token import new_id, new_token
from gygo_server.api.request_log import _line
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.settings import Settings

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
R1 = "/v1/datasets/multi/releases/r1"


@pytest.fixture(scope="module")
def service(
    s3: SeaweedFS, settings: Settings, published: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service that logs all it can."""
    environment = {"GYGO_BUCKET": settings.s3.bucket, "GYGO_S3_ENDPOINT": s3.endpoint, "GYGO_LOG_LEVEL": "debug"}
    with Service(tmp_path_factory.mktemp("log-lines"), environment) as service:
        yield service


@pytest.mark.parametrize(
    "what",
    [
        'a\n{"event":"request","status":200}',
        "a\r\nb",
        'a","status":"200',
        "a\\",
        "\x1b[2J\x1b]0;title\x07",
        "\x00\x7f",
        "\u2028\u2029\x85\x9b31m",
        "é\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
    ],
)
def test_a_path_cannot_end_its_line_or_steer_a_terminal(service: Service, what: str) -> None:
    path = "/" + quote(what)
    found = service.get(path).headers["X-Request-Id"]
    wait_until(lambda: [line for line in service.lines() if line.get("request_id") == found], 10)
    (line,) = [line for line in service.lines() if line.get("request_id") == found]
    assert (line["event"], line["status"]) == ("request", 404)
    assert line["path"].encode("latin-1") == ("/" + what).encode()
    written = service.log.read_bytes()
    assert all(json.loads(each) for each in written.decode().splitlines())
    assert not any(control in written for control in (b"\x1b", b"\x07", b"\x00", b"\x7f", b"\xc2\x9b", b"\r"))


@pytest.mark.parametrize(
    "sent", [b"GET /\x1b[2J HTTP/1.1\r\n\r\n", b"G\x1b\n{}\r\nX: y\r\n\r\n", b"GET / X\n{}\r\n\r\n"]
)
def test_a_refusal_is_one_line_too(service: Service, sent: bytes) -> None:
    assert ask(service.port, sent).status == 400
    wait_until(lambda: any(line["event"] == "request refused" for line in service.lines()), 10)
    assert all(json.loads(each) for each in service.log.read_text().splitlines())


def test_at_the_lowest_level_no_library_tells_of_requests(service: Service, s3: SeaweedFS) -> None:
    token = f"Bearer {SECRET}"
    assert service.get(f"{R1}/videos?include=archive_url").status == 200
    video = service.get(f"{R1}/videos?limit=1").json()["items"][0]["id"]
    assert service.get(f"{R1}/videos/{video}/frames/0/image", Authorization=token).status == 401
    # A head that breaks off, which gunicorn would log at this level.
    ask_nothing(service, f"GET / HTTP/1.1\r\nAuthorization: {token}\r\n".encode())
    found = service.get("/healthz").headers["X-Request-Id"]
    wait_until(lambda: [line for line in service.lines() if line.get("request_id") == found], 10)
    written = service.log.read_text()
    for word in (SECRET, s3.secret_key, s3.access_key, "X-Amz-", "botocore", "urllib3", "Traceback"):
        assert word not in written


def test_a_key_that_stands_where_it_does_not_belong_is_told_by_its_id_only(service: Service) -> None:
    token = new_token(new_id())
    long = "/v1/datasets/" + "x" * 140 + token  # so that a reason is cut off within the key
    for sent in (
        f"GET /v1/datasets/{token} HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET /v1/datasets/{token[:-1]} HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET /v1/datasets HTTP/1.1\r\nHost: a\r\nX-Request-Id: {token}\r\n\r\n",
        f"GET /v1/datasets HTTP/1.1\r\nHost: a\r\nX-Key {token}\r\n\r\n",
        f"GET /v1/datasets HTTP/1.1\r\nHost: a\r\nX {token}: y\r\n\r\n",
        f"GET /v1/datasets {token} HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET {long} {token} HTTP/1.1\r\nHost: a\r\n\r\n",
    ):
        ask(service.port, sent.encode())
    wait_until(lambda: service.log.read_text().count(token[:15]) >= 6, 10)
    written = service.log.read_text().lower()
    assert token[16:26].lower() not in written
    assert f"{token[:15]}_..." in written


def ask_nothing(service: Service, sent: bytes) -> None:
    connect(service.port, sent).close()


LEAKS = [
    f"Authorization: Bearer {SECRET}",
    f"{{'Authorization': 'Bearer {SECRET}'}}",
    f"authorization=bearer%20{SECRET}",
    f"Basic {SECRET}",
    f"https://s3.example/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={SECRET}&X-Amz-Date=1",
    f"https://s3.example/b/k?x-amz-signature={SECRET}",
    f"/b/k?X-Amz-Credential={SECRET}%2F20260101",
    f"/b/k?X-Amz-Security-Token={SECRET}",
    f"next=https%3A%2F%2Fs3%2Fk%3FX-Amz-Signature%3D{SECRET}%26a",
    f"https://d.cloudfront.net/k?Expires=1&Signature={SECRET}~_&Key-Pair-Id=K",
    f"AWS4-HMAC-SHA256 Credential=AKIA, Signature={SECRET}",
    f"/v1/datasets/x?link={SECRET}",
    f"{{'aws_secret_access_key': '{SECRET}'}}",
    f"AWS_SECRET_ACCESS_KEY={SECRET}",
    f"AWS_SESSION_TOKEN={SECRET}",
    f'{{"api_key": "{SECRET}"}}',
]


@pytest.mark.parametrize("text", LEAKS)
def test_what_gives_access_is_left_out(text: str) -> None:
    for event in (
        {"event": "unforeseen", "exception": f"Traceback…\n  {text}\nEnd"},
        {"event": text},
        {text: {"a": [text]}},
    ):
        line = _line(event)
        assert SECRET.encode() not in line
        assert b"[redacted]" in line
        assert json.loads(line)


@pytest.mark.parametrize(
    "text",
    ["/v1/datasets/toys?limit=5", "a basic question", "link to the bearer", "tokens: 5", "category=toys&sort=name"],
)
def test_what_gives_none_is_left_as_it_is(text: str) -> None:
    assert json.loads(_line({"event": text})) == {"event": text}


@given(
    st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.binary() | st.text(alphabet="\ud800\x85\n=%"))
)
def test_any_event_is_one_line_of_json(event: dict[str, object]) -> None:
    line = _line(event)
    assert len(line.splitlines()) == 1
    assert len(line.decode().splitlines()) == 1
    json.loads(line)


def test_an_exception_in_a_view_is_one_line_without_secrets(tmp_path: Path) -> None:
    """The formatter and the configuration together, in a process of its own."""
    program = f"""
import logging, structlog
from gygo_server.api.request_log import configure_logging
configure_logging("debug")
def fail():
    raise ValueError("GET https://s3/k?X-Amz-Signature={SECRET}&b\\nsecond line")
for log in (structlog.get_logger(), logging.getLogger("botocore.endpoint")):
    try:
        fail()
    except ValueError as error:
        log.error("unforeseen", exc_info=error)
logging.getLogger("botocore.auth").debug("StringToSign {SECRET}")
logging.getLogger("urllib3.connectionpool").info("{SECRET}")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    ours, library = (json.loads(line) for line in done.stderr.splitlines())
    for line in (ours, library):
        assert (line["event"], line["level"]) == ("unforeseen", "error")
        assert "ValueError" in line["exception"]
        assert "X-Amz-Signature=[redacted]" in line["exception"]
        assert line["timestamp"]
    assert SECRET not in done.stderr
