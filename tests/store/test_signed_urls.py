"""Signed URLs that are the same for all who ask for a while, and are good for as long as they say."""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from hypothesis import example, given
from hypothesis import strategies as st

from gygo_server.store import keys
from gygo_server.store.bucket import Bucket, S3Settings
from gygo_server.store.content_disposition import attachment
from gygo_server.store.signed_urls import Batch, SignedUrls
from gygo_server.store.sigv4 import MAX_SECONDS

CONTENT = b'{"an": "archive"}'
SHA256 = hashlib.sha256(CONTENT).hexdigest()

#: A bucket that nobody has to have, to look at URLs of.
NOWHERE = Bucket(S3Settings("datasets", "http://s3.example.org"), ("key", "secret"))


@pytest.fixture(scope="module")
def stored(bucket: Bucket) -> Bucket:
    bucket.put(keys.archive("signed", SHA256), CONTENT, replaces=None)
    return bucket


def urls_of(
    bucket: Bucket, now: float | None = None, *, seconds: int = 600, most: int = MAX_SECONDS, step: int = 900
) -> SignedUrls:
    """Signs with the clock stopped at ``now`` (Unix time)."""
    clock = time.time if now is None else lambda: now
    return SignedUrls(bucket, seconds=seconds, max_seconds=most, bucket_seconds=step, clock=clock)


def sign(urls: SignedUrls, method: str = "GET", filename: str = "a.tar") -> str:
    return urls.archive("signed", SHA256, method=method, filename=filename).url  # type: ignore[arg-type]


class Life(NamedTuple):
    """What a URL says of itself, in Unix time."""

    signed_at: int
    expires_in: int

    @property
    def ends(self) -> int:
        return self.signed_at + self.expires_in


def life_of(url: str) -> Life:
    query = parse_qs(urlsplit(url).query)
    signed_at = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return Life(int(signed_at.timestamp()), int(query["X-Amz-Expires"][0]))


def life_of_batch(batch: Batch) -> Life:
    """The life of a batch's URLs, which is what the batch says."""
    life = life_of(batch.url(SHA256, "a.tar"))
    assert batch.expires_at == datetime.fromtimestamp(life.ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return life


# Against a real store


def test_a_url_leads_to_the_archive_and_a_browser_saves_it_under_its_name(stored: Bucket) -> None:
    answer = urllib3.request("GET", sign(urls_of(stored), filename="a ü.tar"))
    assert (answer.status, answer.data) == (200, CONTENT)
    assert answer.headers["Content-Disposition"] == attachment("a ü.tar")
    plain = urllib3.request("GET", sign(urls_of(stored), filename="toys-r1-car_1.tar"))
    assert plain.headers["Content-Disposition"] == 'attachment; filename="toys-r1-car_1.tar"'


def test_methods_and_names_have_urls_of_their_own(stored: Bucket) -> None:
    urls = urls_of(stored)
    assert len({sign(urls), sign(urls, "HEAD"), sign(urls, filename="b.tar")}) == 3
    assert urllib3.request("HEAD", sign(urls, "HEAD")).status == 200
    assert urllib3.request("GET", sign(urls, "HEAD")).status == 403
    batch = urls.batch("signed", method="HEAD")
    assert urllib3.request("HEAD", batch.url(SHA256, "a.tar")).status == 200


def test_a_url_signed_a_bucket_ago_is_still_good(stored: Bucket) -> None:
    before = urls_of(stored, time.time() - 599, seconds=600, step=150)
    assert urllib3.request("GET", sign(before)).status == 200


def test_a_url_ends_when_it_says(stored: Bucket) -> None:
    signed = urls_of(stored, time.time() - 3600, seconds=600).archive("signed", SHA256, method="GET", filename="a.tar")
    assert datetime.fromisoformat(signed.expires_at) < datetime.now(UTC)
    assert urllib3.request("GET", signed.url).status == 403


def test_a_fork_signs_on(stored: Bucket) -> None:
    urls = urls_of(stored)
    sign(urls)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, f"{sign(urls)} {urls.batch('signed').url(SHA256, 'b.tar')}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        told = answer.read().split()
    os.waitpid(child, 0)
    assert [urllib3.request("GET", url).status for url in told] == [200, 200]


def test_threads_may_sign_at_the_same_time(stored: Bucket) -> None:
    urls = urls_of(stored, 1_790_000_000)
    batch = urls.batch("signed")

    def both(number: int) -> tuple[str, str]:
        name = f"{number % 4}.tar"
        return sign(urls, filename=name), batch.url(SHA256, name)

    with ThreadPoolExecutor(8) as pool:
        signed = list(pool.map(both, range(400)))
    assert {url for pair in signed for url in pair} == {batch.url(SHA256, f"{number}.tar") for number in range(4)}


# When, and for how long

NOW = st.floats(1e9, 4e9)
SECONDS = st.integers(1, MAX_SECONDS)
STEP = st.integers(0, 86400)


@given(now=NOW, asked=SECONDS, step=STEP)
@example(1.79e9 + 0.999, 1, 900)
@example(1.79e9, MAX_SECONDS, 86400)
@example(1.79e9, 3600, 0)
def test_a_url_is_good_for_what_was_asked_and_a_quarter_more_at_most(now: float, asked: int, step: int) -> None:
    life = life_of_batch(urls_of(NOWHERE, now, step=step).batch("toys", expires_in=asked))
    assert now - max(1, min(step, asked / 4)) <= life.signed_at <= now
    assert life.expires_in <= MAX_SECONDS
    assert life.ends - now <= max(asked * 1.25, asked + 1)
    if asked + step + 1 <= MAX_SECONDS:
        assert life.ends - now >= asked


@given(start=st.integers(1_000_000, 4_000_000), offset=st.floats(0, 0.999), asked=SECONDS, step=st.integers(1, 86400))
def test_all_who_ask_in_one_bucket_get_the_same_url(start: int, offset: float, asked: int, step: int) -> None:
    width = max(1, min(step, asked // 4))
    first, again = ((start + within) * width for within in (0, offset))
    elsewhere = Bucket(NOWHERE.settings, ("key", "secret"))
    one, other, later = (
        urls_of(bucket, now, step=step).batch("toys", expires_in=asked)
        for bucket, now in ((NOWHERE, first), (elsewhere, again), (NOWHERE, first + width))
    )
    assert one.url(SHA256, "a.tar") == other.url(SHA256, "a.tar")
    assert one.expires_at == other.expires_at <= later.expires_at
    assert one.url(SHA256, "a.tar") != later.url(SHA256, "a.tar")


def test_one_at_a_time_and_in_a_batch_it_is_the_same_url() -> None:
    urls = urls_of(NOWHERE, 1_790_000_000)
    batch = urls.batch("signed")
    assert urls.archive("signed", SHA256, method="GET", filename="a.tar") == (
        batch.url(SHA256, "a.tar"),
        batch.expires_at,
    )


def test_time_goes_on() -> None:
    now = [1_790_000_100.0]
    urls = SignedUrls(NOWHERE, seconds=3600, max_seconds=7200, bucket_seconds=900, clock=lambda: now[0])
    first = sign(urls)
    now[0] += 799.9
    assert sign(urls) == first
    now[0] += 100.1
    assert life_of(sign(urls)) == (life_of(first).signed_at + 900, 4500)


def test_more_than_anybody_gets_is_cut() -> None:
    urls = urls_of(NOWHERE, 1_790_000_000, seconds=600, most=1000, step=0)
    assert life_of_batch(urls.batch("toys", expires_in=1001)) == life_of_batch(urls.batch("toys", expires_in=1000))
    assert life_of_batch(urls.batch("toys", expires_in=60)).expires_in == 61
    assert life_of_batch(urls.batch("toys")).expires_in == 601
    wide = urls_of(NOWHERE, 1_790_000_000, seconds=600, most=1000, step=900)
    assert life_of_batch(wide.batch("toys", expires_in=1000)).expires_in == 1000, "no bucket is put on top of the most"


@pytest.mark.parametrize("expires_in", [0, -1])
def test_no_time_at_all_is_refused(expires_in: int) -> None:
    with pytest.raises(ValueError, match="expires_in"):
        urls_of(NOWHERE).batch("toys", expires_in=expires_in)


@given(st.text())
@example("plain-Name_1.0~.tar")
def test_the_url_asks_for_the_name(filename: str) -> None:
    url = urls_of(NOWHERE).batch("toys").url(SHA256, filename)
    assert parse_qs(urlsplit(url).query)["response-content-disposition"] == [attachment(filename)]
    assert url.startswith(f"http://s3.example.org/datasets/toys/videos/{SHA256}.tar?")
