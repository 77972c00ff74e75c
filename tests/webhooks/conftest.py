from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from receivers import Authority, Received, Receiver, Reply

from gygo_server.store.bucket import Bucket


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def own_bucket(bucket_named: Callable[[str], Bucket]) -> Bucket:
    """A bucket apart: commands of other tests must not send to the webhooks of these."""
    return bucket_named("gygo-webhooks")


@pytest.fixture
def hooks(own_bucket: Bucket) -> Iterator[Bucket]:
    """That bucket, empty at first."""
    yield own_bucket
    for key, _ in list(own_bucket.list("")):
        own_bucket.delete(key)


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    """Starts receivers."""
    started: list[Receiver] = []

    def start(answer: Callable[[Received], Reply] = lambda _: Reply(), **more: object) -> Receiver:
        started.append(Receiver(answer, **more).__enter__())  # type: ignore[arg-type]
        return started[-1]

    yield start
    for each in started:
        each.__exit__(None, None, None)
