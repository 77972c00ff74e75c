"""What a webhook may be told of: what its API key, or the public, may see."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from gygo_server.access.caller import Caller
from gygo_server.access.issuing import find_key
from gygo_server.errors import KeyRefusedError, NotFoundError
from gygo_server.model import Dataset
from gygo_server.store.bucket import Bucket


def find_caller(bucket: Bucket, key_id: str | None, at: datetime) -> Caller:
    """Who a webhook is told on behalf of: the owner of a key, as the bucket has it now, or (None) the public.

    Raises:
        KeyRefusedError: there is no such key, or it is no longer good.
    """
    if key_id is None:
        return Caller(None, at)
    try:
        key = find_key(bucket, key_id)
    except NotFoundError as error:
        raise KeyRefusedError(str(error)) from None
    why_not = key.why_not(at)
    if why_not:
        raise KeyRefusedError(why_not)
    return Caller(key, at)


def seen_by(caller: Caller, datasets: Iterable[Dataset]) -> list[Dataset]:
    """The datasets as somebody sees them, without what does not exist for them."""
    return [seen for seen in map(caller.view, datasets) if seen is not None]
