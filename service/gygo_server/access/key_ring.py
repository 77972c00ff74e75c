"""The API keys as a replica knows them: read from the bucket, kept fresh, never written to its disk."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

import structlog

from gygo_server.access import key_file
from gygo_server.access.api_key import ApiKey
from gygo_server.errors import CorruptObjectError, ObjectNotFoundError, StoreError, StoreUnavailableError
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

log = structlog.get_logger()

#: What is known of keys is not believed when it is older than this: a revoked key stops within a minute.
MAX_AGE = 50.0

#: A key that is not known is looked for in the bucket at once, but not more often than this.
MISS_SECONDS = 0.25


class _Known(NamedTuple):
    """What one reading found: keys by their ids (None: the object is spoilt), and the entity tags of their objects.

    ``at``: when it began.
    """

    at: float
    keys: dict[str, ApiKey | None]
    etags: dict[str, str | None]


class KeyRing:
    """The keys of one bucket. Safe for threads; nothing is read before a key is asked for."""

    def __init__(self, bucket: Bucket, *, refresh_seconds: float) -> None:
        self._bucket = bucket
        self._refresh_seconds = min(refresh_seconds, MAX_AGE)
        self._known: _Known | None = None
        self._tried_at = 0.0
        self._reading = threading.Lock()

    def find(self, key_id: str) -> ApiKey | None:
        """The key with this id, revoked and expired ones too, as the bucket has had it within the last minute.

        Raises:
            StoreError: the bucket did not tell for too long.
        """
        known = self._fresh(self._refresh_seconds)
        found = known.keys.get(key_id)
        if found is None and time.monotonic() - known.at > MISS_SECONDS:
            found = self._fresh(MISS_SECONDS).keys.get(key_id)  # it may be new
        return found

    def _fresh(self, age: float) -> _Known:
        """What is known, read again if it is older than ``age`` seconds; older, if that fails, up to ``MAX_AGE``."""
        known = self._known
        if known is not None and time.monotonic() - known.at <= age:
            return known
        usable = known is not None and time.monotonic() - known.at < MAX_AGE
        # While one reads, the others go on with what is known, if that is still good.
        if not self._reading.acquire(blocking=not usable):
            assert known is not None  # noqa: S101
            return known
        try:
            known = self._known
            if known is None or time.monotonic() - known.at > age:
                known = self._known = self._try(known)
        finally:
            self._reading.release()
        return known

    def _try(self, known: _Known | None) -> _Known:
        usable = known is not None and time.monotonic() - known.at < MAX_AGE
        if usable and time.monotonic() - self._tried_at < MISS_SECONDS:
            assert known is not None  # noqa: S101
            return known
        try:
            return self._read(known)
        except StoreError as error:
            if known is not None and usable:
                log.warning("keys not refreshed", reason=str(error))
                return known
            raise StoreUnavailableError(f"keys cannot be checked: {error}") from error
        finally:
            self._tried_at = time.monotonic()

    def _read(self, known: _Known | None) -> _Known:
        began = time.monotonic()
        found: dict[str, ApiKey | None] = {}
        etags: dict[str, str | None] = {}
        for entry in self._bucket.entries(keys.API_KEYS):
            key_id = keys.id_of_api_key(entry.key)
            if key_id is None:
                continue
            if known and entry.etag is not None and known.etags.get(key_id) == entry.etag:
                found[key_id], etags[key_id] = known.keys[key_id], entry.etag
                continue
            try:
                found[key_id] = _decode(self._bucket.get(entry.key).content, key_id)
                etags[key_id] = entry.etag
            except ObjectNotFoundError:
                continue  # deleted since it was listed
        return _Known(began, found, etags)


def _decode(content: bytes, key_id: str) -> ApiKey | None:
    """The key; None when its object is spoilt, which must not stop the others."""
    try:
        return key_file.decode(content, key_id)
    except CorruptObjectError as error:
        log.warning("key not understood", key=key_id, reason=str(error))
        return None
