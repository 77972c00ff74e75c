"""Signed URLs: a real S3 server takes them as they are, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
import urllib3
from tcp_gate import Gate

from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.store.bucket import Bucket

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
    answer = http.request("GET", bucket.presign(key, expires_in=60))
    assert (answer.status, answer.data) == (200, CONTENT)


def test_part_of_the_object_may_be_asked_for(bucket: Bucket, key: str, http: urllib3.PoolManager) -> None:
    answer = http.request("GET", bucket.presign(key, expires_in=60), headers={"Range": "bytes=4-10"})
    assert (answer.status, answer.data) == (206, CONTENT[4:11])


def test_a_browser_saves_it_under_the_name_given(bucket: Bucket, key: str, http: urllib3.PoolManager) -> None:
    answer = http.request("GET", bucket.presign(key, expires_in=60, filename="batch-00002_cool car.tar"))
    assert answer.status == 200
    assert answer.headers["Content-Disposition"] == 'attachment; filename="batch-00002_cool car.tar"'


def test_head_has_a_url_of_its_own(bucket: Bucket, key: str, http: urllib3.PoolManager) -> None:
    answer = http.request("HEAD", bucket.presign(key, method="HEAD", expires_in=60))
    assert answer.status == 200
    assert int(answer.headers["Content-Length"]) == len(CONTENT)


@pytest.mark.parametrize(
    ("signed", "asked"), [("GET", "HEAD"), ("HEAD", "GET"), ("GET", "PUT"), ("GET", "DELETE"), ("GET", "POST")]
)
def test_another_method_is_refused(
    bucket: Bucket, key: str, http: urllib3.PoolManager, signed: str, asked: str
) -> None:
    answer = http.request(asked, bucket.presign(key, method=signed, expires_in=60))
    assert answer.status in {403, 405} if asked == "POST" else answer.status == 403
    assert bucket.get(key).content == CONTENT


def test_a_tampered_url_is_refused(bucket: Bucket, key: str, http: urllib3.PoolManager) -> None:
    url = bucket.presign(key, expires_in=60)
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
    url = bucket.presign(key, expires_in=1)
    time.sleep(2.1)
    assert http.request("GET", url).status == 403


def test_a_url_signed_with_wrong_keys_is_refused(bucket: Bucket, key: str, http: urllib3.PoolManager) -> None:
    nobody = Bucket(bucket.settings, credentials=("gygonobody", "wrong"))
    assert http.request("GET", nobody.presign(key, expires_in=60)).status == 403


def test_urls_are_signed_for_the_endpoint_that_users_reach(
    s3: SeaweedFS, bucket: Bucket, gate: Gate, key: str, http: urllib3.PoolManager
) -> None:
    inside = Bucket(replace(bucket.settings, public_endpoint=gate.endpoint))
    url = inside.presign(key, expires_in=60)
    assert url.startswith(f"{gate.endpoint}/{bucket.settings.bucket}/")
    assert http.request("GET", url).data == CONTENT
    # The host is signed: by the way that only the service has, the same URL is worth nothing.
    assert http.request("GET", url.replace(gate.endpoint, s3.endpoint)).status == 403


def test_the_service_itself_does_not_go_by_the_public_endpoint(bucket: Bucket, dead_endpoint: str, key: str) -> None:
    inside = Bucket(replace(bucket.settings, public_endpoint=dead_endpoint))
    assert inside.get(key).content == CONTENT
    assert inside.presign(key, expires_in=60).startswith(f"{dead_endpoint}/")


def test_signing_needs_no_answer_from_the_store(bucket: Bucket, dead_endpoint: str) -> None:
    away = Bucket(replace(bucket.settings, endpoint=dead_endpoint))
    assert away.presign("any/a.tar", expires_in=60).startswith(f"{dead_endpoint}/")


def test_a_url_is_good_for_the_time_asked(bucket: Bucket) -> None:
    query = dict(parse_qsl(urlsplit(bucket.presign("any/a.tar", expires_in=1234)).query))
    assert query["X-Amz-Expires"] == "1234"
    assert query["X-Amz-SignedHeaders"] == "host"
