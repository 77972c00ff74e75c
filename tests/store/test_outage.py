"""While the store is silent, one caller at a time waits for it; the others are told at once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from gygo_server.errors import StoreSilentError
from gygo_server.store.bucket import Bucket, S3Settings
from gygo_server.store.outage import AWAY_SECONDS, Outage

SILENCE = StoreSilentError("the store gives no answer")


@pytest.fixture
def silent() -> Iterator[Bucket]:
    """A bucket behind a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        yield Bucket(S3Settings("any", endpoint, addressing="path", timeout=1.0), credentials=("key", "secret"))


def test_nothing_is_refused_while_all_is_well() -> None:
    outage = Outage(ask_seconds=60)
    outage.refuse()
    outage.began(SILENCE)
    outage.ended()
    outage.refuse()


def test_one_caller_finds_out_and_the_others_are_refused() -> None:
    outage = Outage(ask_seconds=60)
    outage.began(SILENCE)
    with pytest.raises(StoreSilentError, match="no answer"):
        outage.refuse()
    time.sleep(AWAY_SECONDS + 0.1)
    outage.refuse()  # this one finds out
    with pytest.raises(StoreSilentError):
        outage.refuse()


def test_many_callers_of_a_silent_store_do_not_wait_in_turn(silent: Bucket) -> None:
    outcomes: list[type[Exception]] = []

    def ask() -> None:
        for _ in range(5):
            try:
                silent.get("key")
            except StoreSilentError as error:
                outcomes.append(type(error))

    began = time.monotonic()
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [StoreSilentError] * 40
    # In turn it would be 40 s; the eight first ones wait together, and then one at a time.
    assert time.monotonic() - began < 15
