"""Signed URLs of archives, each used again for the first quarter of its life: signing takes longer than finding."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cachetools import TTLCache

from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

#: URLs kept, at most: some ten megabytes.
KEPT = 16_384


class Signed(NamedTuple):
    """A signed URL, and when it ends (RFC 3339, UTC)."""

    url: str
    expires_at: str


class SignedUrls:
    """URLs that are good for ``seconds``, or three quarters of that at least. Safe for threads."""

    def __init__(self, bucket: Bucket, seconds: int) -> None:
        self._bucket = bucket
        self._seconds = seconds
        self._kept: TTLCache[tuple[str, ...], Signed] = TTLCache(KEPT, ttl=seconds / 4)
        self._lock = threading.Lock()

    def archive(self, dataset: str, sha256: str, *, method: str, filename: str) -> Signed:
        """A URL of an archive for this method, which a browser saves as ``filename``."""
        which = (dataset, sha256, method, filename)
        with self._lock:
            signed = self._kept.get(which)
        if signed is None:
            ends = datetime.now(UTC) + timedelta(seconds=self._seconds)  # before it is signed: not after its end
            url = self._bucket.presign(
                keys.archive(dataset, sha256), method=method, expires_in=self._seconds, filename=filename
            )
            signed = Signed(url, ends.strftime("%Y-%m-%dT%H:%M:%SZ"))
            with self._lock:
                self._kept[which] = signed
        return signed
