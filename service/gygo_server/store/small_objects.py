"""Small JSON objects of the bucket that each describe one thing: listed, and changed if nobody else has meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from marshmallow import ValidationError, fields

from gygo_server.errors import CorruptObjectError, ObjectNotFoundError, PreconditionFailedError
from gygo_server.model import time_text
from gygo_server.store.bucket import Bucket

#: Lost races for an object before a change gives up.
RACES = 20

T = TypeVar("T")


def list_objects(
    bucket: Bucket, prefix: str, id_of: Callable[[str], str | None], decode: Callable[[bytes, str], T]
) -> Iterator[T | CorruptObjectError]:
    """What the objects below ``prefix`` describe, in the order of their keys; in place of a spoilt one, why.

    ``id_of`` gives the id that an object's key says, None for objects of another kind, which are passed over.
    """
    for entry in bucket.entries(prefix):
        known_as = id_of(entry.key)
        stored = bucket.find(entry.key) if known_as else None
        if known_as and stored:
            try:
                yield decode(stored.content, known_as)
            except CorruptObjectError as error:
                yield error


def change_object(
    bucket: Bucket,
    key: str,
    change: Callable[[T | None], T],
    *,
    decode: Callable[[bytes], T],
    encode: Callable[[T], bytes],
) -> T | None:
    """What an object describes after a change, written if nobody else has since it was read; otherwise, again.

    ``change`` is given None when there is no such object (any more). The outcome None: others write it all the time.
    """
    for _ in range(RACES):
        stored = bucket.find(key)
        found = decode(stored.content) if stored else None
        changed = change(found)
        if changed == found:
            return changed
        try:
            bucket.put(key, encode(changed), replaces=stored.etag if stored else None)
        except (PreconditionFailedError, ObjectNotFoundError):
            continue  # written by somebody else, or removed
        return changed
    return None


def written(time: datetime | None) -> str | None:
    """A time as such an object holds it."""
    return None if time is None else time_text(time)


class TimeField(fields.AwareDateTime):
    """A time that such an object holds, in UTC."""

    def __init__(self, *, optional: bool = False) -> None:
        super().__init__(required=True, allow_none=optional, default_timezone=UTC)

    def _deserialize(self, value: Any, *more: Any, **kwargs: Any) -> datetime:
        try:
            return super()._deserialize(value, *more, **kwargs).astimezone(UTC)
        except OverflowError:  # 0001-01-01T00:00:00+01:00 is before the year 1
            raise ValidationError("not a time of the years 1 to 9999") from None
