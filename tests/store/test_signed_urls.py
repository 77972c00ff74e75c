"""Signed URLs that are used again, and are good for as long as they say."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import urllib3

from gygo_server.store import keys
from gygo_server.store.bucket import Bucket
from gygo_server.store.signed_urls import SignedUrls

CONTENT = b'{"an": "archive"}'
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def stored(bucket: Bucket) -> Bucket:
    bucket.put(keys.archive("signed", SHA256), CONTENT, replaces=None)
    return bucket


def sign(urls: SignedUrls, method: str = "GET", filename: str = "a.tar") -> str:
    return urls.archive("signed", SHA256, method=method, filename=filename).url


def test_a_url_is_used_again_and_leads_to_the_archive(stored: Bucket) -> None:
    urls = SignedUrls(stored, 600)
    assert sign(urls) == sign(urls)
    assert urllib3.request("GET", sign(urls)).data == CONTENT


def test_methods_and_names_have_urls_of_their_own(stored: Bucket) -> None:
    urls = SignedUrls(stored, 600)
    assert len({sign(urls), sign(urls, "HEAD"), sign(urls, filename="b.tar")}) == 3
    assert urllib3.request("HEAD", sign(urls, "HEAD")).status == 200
    assert "b.tar" in urllib3.request("GET", sign(urls, filename="b.tar")).headers["Content-Disposition"]


def test_it_says_when_it_ends_and_is_renewed_long_before(stored: Bucket) -> None:
    urls = SignedUrls(stored, 8)
    first = urls.archive("signed", SHA256, method="GET", filename="a.tar")
    assert datetime.fromisoformat(first.expires_at) <= datetime.now(UTC) + timedelta(seconds=8)
    deadline = time.monotonic() + 6
    while (later := urls.archive("signed", SHA256, method="GET", filename="a.tar")) == first:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert later.expires_at > first.expires_at
    assert urllib3.request("GET", first.url).status == 200


def test_threads_may_sign_at_the_same_time(stored: Bucket) -> None:
    urls = SignedUrls(stored, 600)
    with ThreadPoolExecutor(8) as pool:
        signed = list(pool.map(lambda number: sign(urls, filename=f"{number % 4}.tar"), range(64)))
    assert len({url.split("&X-Amz-Date")[0] for url in signed}) == 4
