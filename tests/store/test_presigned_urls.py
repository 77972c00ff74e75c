"""Signed URLs: a real S3 server takes them as they are, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
import urllib3
from presigning import presign
from tcp_gate import Gate

from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.store.bucket import Bucket
from gygo_server.store.content_disposition import attachment

CONTENT = b"the archive's bytes"


@pytest.fixture(scope="module")
def http() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False) as pool:
        yield pool


@pytest.fixture(scope="module")
def key(bucket: Bucket) -> str:
    key = "presigned/videos/a.tar"
    bucket.put(key, CONTENT, replaces=None)
    bucket.put("presigned/videos/b.tar", b"somebody else's", replaces=None)
    return key


def changed(url: str, **parameters: str) -> str:
    """The URL with other query parameters."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **parameters}
    return urlunsplit(parts._replace(query=urlencode(query)))


def test_the_url_gives_the_object_without_credentials(bucket: Bucket, key: str, http: urllib3.PoolManager) -> None:
    answer = http.request("GET", presign(bucket, key))
    assert (answer.status, answer.data) == (200, CONTENT)


def test_part_of_the_object_may_be_asked_for(bucket: Bucket, key: str, http: urllib3.PoolManager) -> None:
    answer = http.request("GET", presign(bucket, key), headers={"Range": "bytes=4-10"})
    assert (answer.status, answer.data) == (206, CONTENT[4:11])


def test_a_browser_saves_it_under_the_name_given(bucket: Bucket, key: str, http: urllib3.PoolManager) -> None:
    answer = http.request("GET", presign(bucket, key, filename="batch-00002_cool car.tar"))
    assert answer.status == 200
    assert answer.headers["Content-Disposition"] == 'attachment; filename="batch-00002_cool car.tar"'


def test_head_has_a_url_of_its_own(bucket: Bucket, key: str, http: urllib3.PoolManager) -> None:
    answer = http.request("HEAD", presign(bucket, key, method="HEAD"))
    assert answer.status == 200
    assert int(answer.headers["Content-Length"]) == len(CONTENT)


@pytest.mark.parametrize(
    ("signed", "asked"), [("GET", "HEAD"), ("HEAD", "GET"), ("GET", "PUT"), ("GET", "DELETE"), ("GET", "POST")]
)
def test_another_method_is_refused(
    bucket: Bucket, key: str, http: urllib3.PoolManager, signed: str, asked: str
) -> None:
    answer = http.request(asked, presign(bucket, key, method=signed))
    assert answer.status in {403, 405} if asked == "POST" else answer.status == 403
    assert bucket.get(key).content == CONTENT


def test_a_tampered_url_is_refused(bucket: Bucket, key: str, http: urllib3.PoolManager) -> None:
    url = presign(bucket, key)
    signature = dict(parse_qsl(urlsplit(url).query))["X-Amz-Signature"]
    other = ("0" if signature[0] != "0" else "1") + signature[1:]
    for tampered in (
        changed(url, **{"X-Amz-Signature": other}),
        changed(url, **{"X-Amz-Expires": "3600"}),
        changed(url, **{"X-Amz-Date": "20200101T000000Z"}),
        changed(url, **{"response-content-type": "text/html"}),
        url.replace("a.tar", "b.tar"),
        url.split("?")[0],
    ):
        answer = http.request("GET", tampered)
        assert answer.status == 403, tampered
        assert CONTENT not in answer.data


def test_an_expired_url_is_refused(bucket: Bucket, key: str, http: urllib3.PoolManager) -> None:
    now = time.time()
    assert http.request("GET", presign(bucket, key, signed_at=now - 3600, expires_in=3600 + 60)).status == 200
    assert http.request("GET", presign(bucket, key, signed_at=now - 3600, expires_in=3600 - 2)).status == 403


@pytest.mark.parametrize(
    "name", ["plain.tar", "a b+c%20d.tar", "ünïcode/日本語.tar", "~tilde'(1)!*.tar", "&=?#;:@,$.tar", "x/y.z/.hidden"]
)
def test_keys_may_hold_what_file_names_hold(bucket: Bucket, http: urllib3.PoolManager, name: str) -> None:
    bucket.put(f"odd/{name}", name.encode(), replaces=None)
    for method in ("GET", "HEAD"):
        answer = http.request(method, presign(bucket, f"odd/{name}", method=method, filename=name))  # type: ignore[arg-type]
        assert (answer.status, answer.data) == (200, name.encode() if method == "GET" else b"")


@pytest.mark.parametrize(
    "filename", ["ünï.tar", "日本語 クリップ.tar", 'quo"te\\.tar', "100%41.tar", "line\r\nX-Evil: 1.tar", "nul\0.tar"]
)
def test_the_store_gives_a_browser_any_name_whole(
    bucket: Bucket, key: str, http: urllib3.PoolManager, filename: str
) -> None:
    answer = http.request("GET", presign(bucket, key, filename=filename))
    assert answer.status == 200
    assert answer.headers["Content-Disposition"] == attachment(filename)
    assert "X-Evil" not in answer.headers


def test_a_url_signed_with_wrong_keys_is_refused(bucket: Bucket, key: str, http: urllib3.PoolManager) -> None:
    nobody = Bucket(bucket.settings, credentials=("gygonobody", "wrong"))
    assert http.request("GET", presign(nobody, key)).status == 403


def test_urls_are_signed_for_the_endpoint_that_users_reach(
    s3: SeaweedFS, bucket: Bucket, gate: Gate, key: str, http: urllib3.PoolManager
) -> None:
    inside = Bucket(replace(bucket.settings, public_endpoint=gate.endpoint))
    url = presign(inside, key)
    assert url.startswith(f"{gate.endpoint}/{bucket.settings.bucket}/")
    assert http.request("GET", url).data == CONTENT
    # The host is signed: by the way that only the service has, the same URL is worth nothing.
    assert http.request("GET", url.replace(gate.endpoint, s3.endpoint)).status == 403


def test_the_service_itself_does_not_go_by_the_public_endpoint(bucket: Bucket, dead_endpoint: str, key: str) -> None:
    inside = Bucket(replace(bucket.settings, public_endpoint=dead_endpoint))
    assert inside.get(key).content == CONTENT
    assert presign(inside, key).startswith(f"{dead_endpoint}/")


def test_signing_needs_no_answer_from_the_store(bucket: Bucket, dead_endpoint: str) -> None:
    away = Bucket(replace(bucket.settings, endpoint=dead_endpoint))
    assert presign(away, "any/a.tar").startswith(f"{dead_endpoint}/")


def test_a_url_is_good_for_the_time_asked(bucket: Bucket) -> None:
    query = dict(parse_qsl(urlsplit(presign(bucket, "any/a.tar", expires_in=1234)).query))
    assert query["X-Amz-Expires"] == "1234"
    assert query["X-Amz-SignedHeaders"] == "host"
