"""Keys as a replica knows them: fresh, read once for many, and not believed for long when the store is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tcp_gate import Gate

from gygo_server.access import key_ring
from gygo_server.access.issuing import Order, create_key, revoke_key
from gygo_server.access.key_ring import KeyRing
from gygo_server.errors import StoreUnavailableError
from gygo_server.store.bucket import Bucket, Listed


@pytest.fixture(scope="module")
def shelf(bucket_named: Callable[[str], Bucket]) -> Bucket:
    return bucket_named("gygo-key-ring")


@pytest.fixture
def behind(shelf: Bucket, gate: Gate) -> Bucket:
    """The same bucket, by a way that can be shut."""
    return Bucket(replace(shelf.settings, endpoint=gate.endpoint, timeout=2.0))


def test_a_key_is_known_at_once_and_its_end_after_the_refresh(shelf: Bucket) -> None:
    ring = KeyRing(shelf, refresh_seconds=0.3)
    assert ring.find("nonesuch00") is None
    time.sleep(key_ring.MISS_SECONDS)
    key, _ = create_key(shelf, Order("A"))
    assert ring.find(key.id) == key
    revoked = revoke_key(shelf, key.id)
    time.sleep(0.4)
    assert ring.find(key.id) == revoked


class CountingBucket(Bucket):
    """The bucket, which counts how often it is asked for a list."""

    lists = 0

    def entries(self, prefix: str, *, delimiter: str = "") -> Iterator[Listed]:
        self.lists += 1
        return super().entries(prefix, delimiter=delimiter)


def test_keys_that_nobody_has_do_not_ask_the_store_each_time(shelf: Bucket) -> None:
    counting = CountingBucket(shelf.settings)
    ring = KeyRing(counting, refresh_seconds=10)
    began = time.monotonic()
    for number in range(500):
        assert ring.find(f"nobody{number:04}") is None
    assert counting.lists <= 2 + (time.monotonic() - began) / key_ring.MISS_SECONDS


def test_a_key_that_did_not_change_is_not_read_again(shelf: Bucket) -> None:
    key, _ = create_key(shelf, Order("D"))
    ring = KeyRing(shelf, refresh_seconds=0.1)
    first = ring.find(key.id)
    time.sleep(0.2)
    assert ring.find(key.id) is first


def test_a_store_that_is_away_is_borne_for_a_while(
    shelf: Bucket, behind: Bucket, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_ring, "MAX_AGE", 3.0)
    key, _ = create_key(shelf, Order("B"))
    ring = KeyRing(behind, refresh_seconds=0.1)
    assert ring.find(key.id) == key
    gate.shut()
    time.sleep(0.3)
    assert ring.find(key.id) == key
    time.sleep(3.0)
    with pytest.raises(StoreUnavailableError, match="keys cannot be checked"):
        ring.find(key.id)
    gate.open()
    deadline = time.monotonic() + 10
    while not found(ring, key.id):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def found(ring: KeyRing, key_id: str) -> bool:
    try:
        return ring.find(key_id) is not None
    except StoreUnavailableError:
        return False


def test_without_ever_having_read_no_key_is_good(behind: Bucket, gate: Gate) -> None:
    gate.shut()
    with pytest.raises(StoreUnavailableError):
        KeyRing(behind, refresh_seconds=10).find("nonesuch00")


def test_many_threads_read_once(shelf: Bucket) -> None:
    key, _ = create_key(shelf, Order("C"))
    counting = CountingBucket(shelf.settings)
    ring = KeyRing(counting, refresh_seconds=10)
    barrier = threading.Barrier(16)

    def find(_: int) -> bool:
        barrier.wait()
        return ring.find(key.id) == key

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(find, range(16)))
    assert counting.lists == 1
