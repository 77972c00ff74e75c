"""Keys made, changed and taken back: what the command line does in the bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gygo_server.access import key_file
from gygo_server.access.api_key import ApiKey, Scope, Secret
from gygo_server.access.token import new_id, new_token, read_token
from gygo_server.errors import CorruptObjectError, KeyChangeError, NotFoundError
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket
from gygo_server.store.small_objects import change_object, list_objects


@dataclass(frozen=True, slots=True)
class Order:
    """A key that is wanted."""

    owner: str
    scopes: tuple[Scope, ...] = ()
    expires_at: datetime | None = None
    rate: str | None = None
    quota_bytes: int | None = None


def create_key(bucket: Bucket, order: Order) -> tuple[ApiKey, str]:
    """Make a key: what the bucket keeps, and the key itself, which nobody can tell again.

    Raises:
        KeyChangeError: it would have expired already.
    """
    now = _now()
    if order.expires_at is not None and order.expires_at <= now:
        raise KeyChangeError("the key would have expired before it was made")
    key_id = new_id()
    token = new_token(key_id)
    key = ApiKey(
        id=key_id,
        owner=order.owner,
        secrets=(Secret(_hash(token), None),),
        scopes=order.scopes,
        created_at=now,
        expires_at=order.expires_at,
        rate=order.rate,
        quota_bytes=order.quota_bytes,
    )
    bucket.put(keys.api_key(key_id), key_file.encode(key), replaces=None)
    return key, token


def list_keys(bucket: Bucket) -> Iterator[ApiKey | CorruptObjectError]:
    """All keys, in the order of their ids; in place of one that cannot be read, why."""
    return list_objects(bucket, keys.API_KEYS, keys.id_of_api_key, key_file.decode)


def find_key(bucket: Bucket, key_id: str) -> ApiKey:
    """The key with this id.

    Raises:
        NotFoundError: there is none.
    """
    _require_id(key_id)
    stored = bucket.find(keys.api_key(key_id))
    if stored is None:
        raise _missing(key_id)
    return key_file.decode(stored.content, key_id)


def revoke_key(bucket: Bucket, key_id: str) -> ApiKey:
    """Take a key back for good. Replicas refuse it within a minute.

    Raises:
        NotFoundError, KeyChangeError: there is none, or it was revoked before.
    """

    def change(key: ApiKey) -> ApiKey:
        _refuse_revoked(key)
        return replace(key, revoked_at=_now())

    return _change(bucket, key_id, change)


def rotate_key(bucket: Bucket, key_id: str, overlap: timedelta) -> tuple[ApiKey, str]:
    """Give a key another secret: the new one is good at once, the old one for as long as ``overlap``.

    Raises:
        NotFoundError, KeyChangeError: there is none, or it was revoked.
    """
    token = new_token(key_id)

    def change(key: ApiKey) -> ApiKey:
        _refuse_revoked(key)
        now = _now()
        ends = now + overlap
        old = [(each.sha256, min(each.expires_at or ends, ends)) for each in key.secrets]
        good = [Secret(sha256, end) for sha256, end in old if end > now]
        return replace(key, secrets=(Secret(_hash(token), None), *good))

    return _change(bucket, key_id, change), token


def _change(bucket: Bucket, key_id: str, change: Callable[[ApiKey], ApiKey]) -> ApiKey:
    _require_id(key_id)

    def change_found(key: ApiKey | None) -> ApiKey:
        if key is None:
            raise _missing(key_id)
        return change(key)

    changed = change_object(
        bucket,
        keys.api_key(key_id),
        change_found,
        decode=lambda content: key_file.decode(content, key_id),
        encode=key_file.encode,
    )
    if changed is None:
        raise KeyChangeError(f"key {key_id} is changed by others all the time; try again")
    return changed


def _require_id(key_id: str) -> None:
    if keys.id_of_api_key(keys.api_key(key_id)) is None:
        raise _missing(key_id)


def _missing(key_id: str) -> NotFoundError:
    return NotFoundError("key", f"there is no key {key_id!r}")


def _refuse_revoked(key: ApiKey) -> None:
    if key.revoked_at is not None:
        raise KeyChangeError(f"key {key.id} is revoked: make a new one")


def _hash(token: str) -> str:
    read = read_token(token)
    assert read is not None  # noqa: S101
    return read.sha256


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
