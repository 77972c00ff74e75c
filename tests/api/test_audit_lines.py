"""What the audit trail says of each request, over real HTTP, with keys as they are issued."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from catalogues import build, make_video
from clip_trees import Clip, Tree
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from processes import Service, wait_until

from gygo_server.access.api_key import ApiKey, Scope
from gygo_server.access.issuing import Order, create_key, revoke_key
from gygo_server.app import create_app_with_settings
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.datasets import change_dataset
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.model import Dataset, ReleaseEntry, Visibility
from gygo_server.settings import Settings
from gygo_server.store import dataset_file, keys
from gygo_server.store.bucket import Bucket
from gygo_server.store.cloudfront import CloudFrontSettings

BUCKET = "gygo-audit"
LINK_SECRET = "a-secret-for-links-of-at-least-thirty-two"
RELEASE = "/v1/datasets/toys/releases/r1"
PRIVATE = "/v1/datasets/closed/releases/r1"
MANY = "/v1/datasets/many/releases/r1"
VIDEOS = 20_000

CLIPS = [
    Clip("batch-1/a", ((1,), (1, 2)) * 3, "toys", (), ("train",), resolutions=("480p", "original")),
    Clip("b", ((1,),) * 4, "toys", (), ("val",)),
]

#: What all lines of requests have.
COMMON = {
    "time",
    "event",
    "request_id",
    "key",
    "owner",
    "by_link",
    "address",
    "method",
    "operation",
    "path",
    "dataset",
    "release",
    "video",
    "status",
}
ANSWER = COMMON | {"bytes_sent", "cut"}
SIGNED = COMMON | {"expires_at", "urls", "bytes_signed", "videos"}

Lines = list[dict[str, Any]]


@dataclass
class Audited:
    """A service that writes its trail to a file, a partner's key, and one that may only look."""

    service: Service
    file: Path
    bucket: Bucket
    partner: ApiKey
    token: str
    reader: str
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def ask(
        self, path: str, token: str | None = "", *, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[urllib3.BaseHTTPResponse, Lines]:
        """The answer and its lines; the partner asks unless another token is given."""
        request_id = headers.pop("X_Request_Id", f"ask-{next(self.numbers)}")
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            headers["Authorization"] = f"Bearer {token or self.token}"
        with urllib3.HTTPConnectionPool("127.0.0.1", self.service.port, timeout=30, retries=False) as pool:
            sent = {"json": body} if body is not None else {}
            headers["X-Request-Id"] = request_id
            answer = pool.request(method, path, headers=headers, redirect=False, preload_content=False, **sent)
            answer.read(decode_content=False, cache_content=True)
        return answer, self.lines_of(answer.headers["X-Request-Id"])

    def lines_of(self, request_id: str) -> Lines:
        """The lines of a request that has ended."""
        # Its worker writes the last line when the answer has gone out: a question after it on no other way comes later.
        for worker in self.service.workers():
            with self.service.connection_to(worker) as pool:
                pool.request("GET", "/healthz")
        return [line for line in self.lines() if line["request_id"] == request_id]

    def lines(self) -> Lines:
        text = self.file.read_text(encoding="ascii")
        assert text.isascii()
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def audited(s3: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    root = tmp_path_factory.mktemp("audited")
    bucket = Bucket(s3.settings(BUCKET))
    bucket.create()
    huge = Clip("huge", (None,), size=(3000, 2400), resolutions=("original",))
    trees = {
        "toys": Tree(root / "toys", CLIPS, seed=81000),
        "closed": Tree(root / "closed", CLIPS[1:], seed=82000),
        "huge": Tree(root / "huge", [huge], quality=97, seed=83000),
    }
    for dataset, tree in trees.items():
        publish(Publication(tree.root, dataset, "r1", workers=1, fps=5), bucket, root / "state", Silent())

    def hide(found: Dataset | None) -> Dataset:
        assert found is not None
        return replace(found, visibility=Visibility.parse("private"))

    change_dataset(bucket, "closed", hide)
    publish_many(bucket, root)
    partner, token = create_key(bucket, Order("Partner Ltd", (Scope.parse("*"),)))
    _, reader = create_key(bucket, Order("Reader", (Scope.parse("closed=read"),)))
    file = root / "audit.jsonl"
    environment = {
        "GYGO_BUCKET": BUCKET,
        "GYGO_S3_ENDPOINT": s3.endpoint,
        "GYGO_AUDIT": f"file:{file}",
        "GYGO_LINK_SECRETS": LINK_SECRET,
        "GYGO_KEY_REFRESH_SECONDS": "0.2",
    }
    with Service(root, environment) as service:
        yield Audited(service, file, bucket, partner, token, reader)


def publish_many(bucket: Bucket, root: Path) -> None:
    """The release `r1` of `many`: a catalogue of many videos, without their archives."""
    videos = (make_video(f"v{n:05}", frames=1) for n in range(VIDEOS))
    content = build(root / "many.sqlite", videos, dataset="many").read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    entry = ReleaseEntry("r1", "2026-01-02T03:04:05Z", sha256, len(content))
    bucket.put(keys.catalogue("many", "r1", sha256), content, replaces=None)
    named = dataset_file.encode(Dataset("many", "Many", releases=(entry,)))
    bucket.put(keys.dataset_file("many"), named, replaces=None)


# What is given


@pytest.mark.parametrize(
    ("path", "operation", "named", "more"),
    [
        ("/v1/datasets", "list_datasets", (None, None, None), {}),
        ("/v1/datasets/toys", "get_dataset", ("toys", None, None), {}),
        (RELEASE, "get_release", ("toys", "r1", None), {}),
        (f"{RELEASE}/imagesets/train.txt", "get_imageset", ("toys", "r1", None), {}),
        (f"{RELEASE}/videos?limit=1", "list_videos", ("toys", "r1", None), {}),
        (f"{RELEASE}/videos/b", "get_video", ("toys", "r1", "b"), {}),
        (f"{RELEASE}/videos/b/frames", "list_frames", ("toys", "r1", "b"), {}),
        (f"{RELEASE}/videos/b/frames/1", "get_frame", ("toys", "r1", "b"), {}),
        (f"{RELEASE}/videos/b/frames/1/image", "get_image", ("toys", "r1", "b"), {"resolution": "480p"}),
        (
            f"{RELEASE}/videos/batch-1:a/frames/1/mask?resolution=original",
            "get_mask",
            ("toys", "r1", "batch-1:a"),
            {"resolution": "original"},
        ),
        (
            f"{RELEASE}/videos/b/clip?start=1&length=2",
            "get_clip",
            ("toys", "r1", "b"),
            {"resolution": "480p", "frames": 2},
        ),
        (f"{RELEASE}/sample?length=2&seed=1&epoch=0", "get_sample", ("toys", "r1", None), {}),
        (f"{PRIVATE}/videos/b/frames/0/image", "get_image", ("closed", "r1", "b"), {"resolution": "480p"}),
    ],
)
def test_an_answer_is_one_line(
    audited: Audited, path: str, operation: str, named: tuple[str | None, ...], more: dict[str, Any]
) -> None:
    before = datetime.now(UTC)
    answer, lines = audited.ask(path, Accept_Encoding="gzip")
    assert answer.status == 200
    (line,) = lines
    assert set(line) == ANSWER | set(more)
    assert line.items() >= more.items()
    assert (line["dataset"], line["release"], line["video"]) == named
    assert (line["event"], line["operation"], line["method"]) == ("answer", operation, "GET")
    assert (line["key"], line["owner"], line["by_link"]) == (audited.partner.id, "Partner Ltd", False)
    assert (line["path"], line["status"], line["cut"]) == (path.partition("?")[0], 200, False)
    assert line["address"] == "127.0.0.1"
    assert line["bytes_sent"] == len(answer.data) == int(answer.headers["Content-Length"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert -0.01 <= (datetime.fromisoformat(line["time"]) - before).total_seconds() < 60


def test_who_has_no_key_is_told_of_too(audited: Audited) -> None:
    _, (line,) = audited.ask(f"{RELEASE}/videos/b/frames/0/image", None)
    assert (line["key"], line["owner"], line["event"]) == (None, None, "answer")


def test_a_range_tells_what_was_sent_of_it(audited: Audited) -> None:
    answer, (line,) = audited.ask(f"{RELEASE}/videos/b/frames/0/image", Range="bytes=10-109")
    assert answer.status == line["status"] == 206
    assert line["bytes_sent"] == len(answer.data) == 100


def test_a_file_that_the_kernel_sends_tells_its_bytes(audited: Audited) -> None:
    answer, (line,) = audited.ask("/v1/datasets/huge/releases/r1/videos/huge/frames/0/image")
    assert line["bytes_sent"] == len(answer.data) > 5e6
    assert line["cut"] is False


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/", "/docs/"])
def test_what_is_no_data_is_no_line(audited: Audited, path: str) -> None:
    answer, lines = audited.ask(path)
    assert answer.status == 200
    assert lines == []


def test_what_gives_nothing_is_no_line(audited: Audited) -> None:
    image = f"{RELEASE}/videos/b/frames/0/image"
    etag = audited.ask(image)[0].headers["ETag"]
    for status, asked in {
        304: {"path": image, "If_None_Match": etag},
        200: {"path": image, "method": "HEAD"},
        307: {"path": "/v1/datasets/toys/releases/latest/videos"},
        404: {"path": f"{RELEASE}/videos/nope"},
        416: {"path": image, "Range": "bytes=99999999-"},
        422: {"path": f"{RELEASE}/videos?nope=1"},
    }.items():
        answer, lines = audited.ask(**asked)
        assert answer.status == status
        assert lines == []
    for path in (image, f"{RELEASE}/videos/b/archive", f"{RELEASE}/downloads"):
        assert audited.ask(path, method="HEAD")[1] == []
        assert audited.ask(path, method="OPTIONS")[1] == []


def test_a_preflight_is_answered_and_no_line(audited: Audited) -> None:
    asked = {"Origin": "https://pages.example", "Access_Control_Request_Method": "GET"}
    for path in ("/v1/datasets", f"{PRIVATE}/videos", "/nowhere"):
        answer, lines = audited.ask(path, None, method="OPTIONS", **asked)
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS, POST"
        assert lines == []


# URLs


def test_a_url_of_an_archive_is_told(audited: Audited) -> None:
    described = json.loads(audited.ask(f"{RELEASE}/videos/batch-1:a")[0].data)
    sizes = {each["resolution"]: each["archive"]["bytes"] for each in described["resolutions"]}
    answer, (signed, ended) = audited.ask(f"{RELEASE}/videos/batch-1:a/archive?resolution=original&expires_in=600")
    assert answer.status == 307
    assert set(signed) == SIGNED
    assert (signed["event"], signed["status"], signed["urls"]) == ("signed", 307, 1)
    assert signed["videos"] == [{"id": "batch-1:a", "resolution": "original", "bytes": sizes["original"]}]
    assert signed["bytes_signed"] == sizes["original"]
    assert signed["expires_at"] == answer.headers["X-Url-Expires-At"]
    assert (ended["event"], ended["status"], ended["bytes_sent"]) == ("answer", 307, len(answer.data))


def test_urls_in_a_page_are_told(audited: Audited) -> None:
    for path in (f"{RELEASE}/videos?include=archive_url&limit=2", f"{RELEASE}/downloads?limit=2"):
        answer, (signed, ended) = audited.ask(path)
        assert [each["id"] for each in signed["videos"]] == [each["id"] for each in json.loads(answer.data)["items"]]
        assert signed["bytes_signed"] == sum(each["bytes"] for each in signed["videos"]) > 0
        assert (signed["urls"], ended["event"], ended["bytes_sent"]) == (2, "answer", len(answer.data))


@pytest.mark.parametrize("encoding", ["identity", "zstd"])
@pytest.mark.parametrize("form", ["ndjson", "metalink", "uri-list", "curl"])
def test_a_list_of_many_urls_names_every_video_in_lines_of_a_thousand(
    audited: Audited, form: str, encoding: str
) -> None:
    answer, lines = audited.ask(f"{MANY}/downloads?format={form}", Accept_Encoding=encoding)
    *signed, ended = lines
    assert {line["event"] for line in signed} == {"signed"}
    assert [line["urls"] for line in signed] == [1000] * (VIDEOS // 1000)
    assert [each["id"] for line in signed for each in line["videos"]] == [f"v{n:05}" for n in range(VIDEOS)]
    assert all(line["bytes_signed"] == 1000 * 5120 for line in signed)
    assert {line["expires_at"] for line in signed} == {answer.headers["X-Url-Expires-At"]}
    assert (ended["event"], ended["bytes_sent"], ended["cut"]) == ("answer", len(answer.data), False)


def test_of_a_list_that_was_cut_only_what_went_out_is_told(audited: Audited) -> None:
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.connect(("127.0.0.1", audited.service.port))
        connection.sendall(
            f"GET {MANY}/downloads HTTP/1.1\r\nHost: a\r\nX-Request-Id: cut-list\r\n"
            f"Authorization: Bearer {audited.token}\r\n\r\n".encode()
        )
        got = connection.recv(4096)
        assert got.startswith(b"HTTP/1.1 200 ")
        while len(got) < 20_000:
            got += connection.recv(4096)
    wait_until(lambda: any(line["event"] == "answer" for line in audited.lines_of("cut-list")), 20)
    *signed, ended = audited.lines_of("cut-list")
    told = [each["id"] for line in signed for each in line["videos"]]
    assert ended["cut"] is True
    assert told == [f"v{n:05}" for n in range(len(told))]
    assert 0 < len(told) < VIDEOS
    assert ended["bytes_sent"] >= len(got) - 4096
    assert told[: got.count(b"\n") - 20]


def test_of_a_file_that_was_cut_only_what_went_out_is_told(audited: Audited) -> None:
    path = "/v1/datasets/huge/releases/r1/videos/huge/frames/0/image"
    size = int(audited.ask(path, method="HEAD")[0].headers["Content-Length"])
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.connect(("127.0.0.1", audited.service.port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: cut-file\r\n\r\n".encode())
        first = connection.recv(4096)
        assert first.startswith(b"HTTP/1.1 200 ")
        got = len(first)
        while got < 50_000:
            got += len(connection.recv(4096))
    wait_until(lambda: audited.lines_of("cut-file"), 20)
    (line,) = audited.lines_of("cut-file")
    assert line["cut"] is True
    assert got - 1000 <= line["bytes_sent"] < size


# Clips


def test_a_tar_of_clips_tells_frames_and_bytes_of_each_video(audited: Audited) -> None:
    asked = [
        {"video": "b", "start": 0, "length": 2},
        {"video": "batch-1/a", "start": 1, "length": 3},
        {"video": "nope", "start": 0, "length": 1},
        {"video": "b", "start": 1, "length": 1},
    ]
    answer, (line,) = audited.ask(f"{RELEASE}/clips", method="POST", body={"clips": asked})
    assert (answer.status, line["event"], line["operation"]) == (200, "answer", "get_clips")
    assert set(line) == ANSWER | {"frames", "videos"}
    assert [(each["id"], each["resolution"], each["frames"]) for each in line["videos"]] == [
        ("b", "480p", 3),
        ("batch-1:a", "480p", 3),
    ]
    assert line["frames"] == 6
    assert line["bytes_sent"] == len(answer.data) > sum(each["bytes"] for each in line["videos"]) > 0


def test_urls_of_clips_tell_the_archives_that_they_open_once_each(audited: Audited) -> None:
    asked = [{"video": "b", "start": 0, "length": 2}, {"video": "nope", "start": 0, "length": 1}]
    asked += [{"video": "b", "start": 2, "length": 2}]
    answer, (signed, ended) = audited.ask(f"{RELEASE}/clips?delivery=urls", method="POST", body={"clips": asked})
    sizes = [each["archive"]["bytes"] for each in json.loads(answer.data)["items"] if "archive" in each]
    assert [each["bytes"] for each in signed["videos"]] == [sizes[0], 0]
    assert [each["id"] for each in signed["videos"]] == ["b", "b"]
    assert (signed["urls"], signed["bytes_signed"]) == (2, sizes[0])
    assert ended["event"] == "answer"


# Links


def test_a_link_is_told_when_it_is_made_and_when_it_is_used(audited: Audited) -> None:
    shown = f"{PRIVATE}/videos/b/frames/0/image"
    answer, (made,) = audited.ask(f"{PRIVATE}/links", method="POST", body={"url": shown, "expires_in": 600})
    link = json.loads(answer.data)
    assert set(made) == ANSWER | {"shows", "expires_at"}
    assert (made["event"], made["shows"], made["expires_at"]) == ("link", shown, link["expires_at"])
    url = urlsplit(link["url"])
    answer, (used,) = audited.ask(f"{url.path}?{url.query}", None)
    assert answer.status == 200
    assert (used["event"], used["by_link"], used["path"]) == ("answer", True, shown)
    assert (used["key"], used["owner"]) == (audited.partner.id, "Partner Ltd")
    (signature,) = parse_qs(url.query)["link"]
    assert signature not in audited.file.read_text()
    answer, (refused,) = audited.ask(f"{url.path}?{url.query}x", None)
    assert (answer.status, refused["event"], refused["problem"]) == (403, "refused", "link-refused")
    assert (refused["by_link"], refused["owner"]) == (True, None)
    assert signature not in audited.file.read_text()


# Refusals


def test_a_refused_key_is_told(audited: Audited) -> None:
    key, token = create_key(audited.bucket, Order("Former", (Scope.parse("*"),)))
    revoke_key(audited.bucket, key.id)
    time.sleep(1.1)  # a key that is not known is looked for once a second
    answer, (line,) = audited.ask(f"{PRIVATE}/videos", token)
    assert (answer.status, line["status"], line["event"]) == (401, 401, "refused")
    assert set(line) == COMMON | {"problem"}
    assert (line["problem"], line["key"], line["owner"]) == ("key-refused", key.id, None)
    assert (line["operation"], line["dataset"], line["release"]) == ("list_videos", "closed", "r1")
    answer, (line,) = audited.ask("/v1/datasets", "no-key-at-all")
    assert (answer.status, line["problem"], line["key"]) == (401, "key-refused", None)


def test_what_a_key_may_not_do_is_told_and_no_url_is(audited: Audited) -> None:
    for path in ("downloads", "videos?include=archive_url", "videos/b/archive", "videos/b/clip"):
        answer, (line,) = audited.ask(f"{PRIVATE}/{path}", audited.reader)
        assert (answer.status, line["event"], line["problem"]) == (403, "refused", "scope-missing")
        assert line["owner"] == "Reader"


# What somebody hostile sends


@pytest.mark.parametrize(
    "segment", ["%0A%7B%22event%22:1%7D", "%0d%0a", "%E2%80%AE%E2%80%A8x%C2%85", "%00%1b[2J%7f", "%ff%fe"]
)
def test_a_path_cannot_begin_another_line(audited: Audited, segment: str) -> None:
    _, (line,) = audited.ask(f"/v1/datasets/{segment}/releases/r1/videos", "gygo_wrong", X_Request_Id="hostile-\tid")
    assert line["event"] == "refused"
    raw = [text for text in audited.file.read_bytes().split(b"\n") if line["request_id"].encode() in text]
    assert len(raw) == 1
    assert all(0x20 <= byte < 0x7F for byte in raw[0])


def test_no_secret_is_in_any_line(audited: Audited, s3: SeaweedFS) -> None:
    token = audited.token
    for path in (f"{RELEASE}/downloads", f"{RELEASE}/videos/b/archive", f"{RELEASE}/clips?delivery=urls"):
        body = {"clips": [{"video": "b", "start": 0, "length": 1}]} if "clips" in path else None
        audited.ask(path, method="POST" if body else "GET", body=body)
    # A key where none belongs.
    audited.ask("/v1/datasets", X_Request_Id=token)
    audited.ask(f"/v1/datasets/{token}/releases/r1", "gygo_wrong")
    audited.ask(f"/v1/datasets?{token}")
    text = audited.file.read_text()
    assert f"{token[:15]}_..." in text
    secrets = {token, token[16:], token[16:48], audited.reader[16:48], s3.secret_key, LINK_SECRET}
    for secret in secrets | {"X-Amz", "Signature", "Bearer", "Authorization", "link="}:
        assert secret not in text


# Settings


def test_answers_without_a_key_need_not_be_told(settings: Settings, published: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    quiet = replace(settings, cache_dir=tmp_path / "cache", audit=f"file:{file}", audit_anonymous=False)
    client = create_app_with_settings(quiet).test_client()
    assert client.get("/v1/datasets/toys").status_code == 200
    assert client.get("/v1/datasets/toys?link=forged").status_code == 403
    assert client.get("/v1/datasets/toys", headers={"Authorization": "Bearer x"}).status_code == 401
    (line,) = [json.loads(text) for text in file.read_text().splitlines()]
    assert (line["event"], line["by_link"]) == ("refused", True)


def test_a_head_that_gets_a_url_of_cloudfront_is_told_and_charged_as_a_get(
    settings: Settings, published: dict[str, Path], tmp_path: Path
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key_file, file = tmp_path / "key.pem", tmp_path / "audit.jsonl"
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    cloudfront = CloudFrontSettings("https://d1.cloudfront.net", "K1", key_file)
    behind = replace(
        settings, cache_dir=tmp_path / "cache", audit=f"file:{file}", cloudfront=cloudfront, quota_anonymous=10**12
    )
    client = create_app_with_settings(behind).test_client()
    video = client.get("/v1/datasets/toys/releases/r1/videos?limit=1").json["items"][0]
    path = f"/v1/datasets/toys/releases/r1/videos/{video['id']}/archive"
    file.write_text("")
    head, get = client.head(path, buffered=True), client.get(path, buffered=True)
    assert head.headers["Location"] == get.headers["Location"]
    lines = [json.loads(text) for text in file.read_text().splitlines()]
    assert [(line["event"], line["method"]) for line in lines] == [
        ("signed", "HEAD"),
        ("answer", "HEAD"),
        ("signed", "GET"),
        ("answer", "GET"),
    ]
    assert lines[0]["bytes_signed"] == lines[2]["bytes_signed"] > 0
    assert lines[1]["cut"] is False
    left = [int(re.findall(r'"bytes";r=(\d+)', answer.headers["RateLimit"])[0]) for answer in (head, get)]
    assert left[0] - left[1] == lines[2]["bytes_signed"] + len(get.data)
    assert 10**12 - left[0] >= lines[0]["bytes_signed"]
    # A URL of S3 that is signed for HEAD opens nothing: it is not told.
    file.write_text("")
    assert create_app_with_settings(replace(behind, cloudfront=None)).test_client().head(path).status_code == 307
    assert file.read_text() == ""


def test_no_trail_is_kept_unless_it_is_asked_for(
    api_with: Callable[..., Any], published: dict[str, Path], tmp_path: Path
) -> None:
    client = api_with(cache_dir=tmp_path / "cache")
    assert client.get("/v1/datasets/toys/releases/r1/downloads").status_code == 200
    assert not (tmp_path / "cache" / "audit").exists()


def test_the_answer_is_the_same_with_and_without_a_trail(audited: Audited) -> None:
    """The connection is kept too: what counts must not change how an answer ends."""
    with closing(http.client.HTTPConnection("127.0.0.1", audited.service.port, timeout=30)) as connection:
        for path in (f"{RELEASE}/videos", f"{RELEASE}/videos/b/frames/0/image", f"{MANY}/downloads") * 2:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200
            assert len(answer.read()) > 500
        local = connection.sock.getsockname()[1]
        assert audited.service.owner(local) in audited.service.workers()
