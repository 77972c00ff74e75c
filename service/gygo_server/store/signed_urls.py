"""Signed URLs of archives: the same question, the same URL, for a while; so caches on the way can work."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from gygo_server.errors import StoreRefusedError
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket
from gygo_server.store.cloudfront import CloudFront
from gygo_server.store.content_disposition import attachment
from gygo_server.store.sigv4 import MAX_SECONDS, Method, Presigner, response_query

#: File names that need no escaping, neither in the header nor in the URL.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._~-]+").fullmatch

#: An object's key and more parameters of the query, to its URL.
Sign = Callable[[str, str], str]


class Signed(NamedTuple):
    """A signed URL, and when it ends (RFC 3339, UTC, whole seconds)."""

    url: str
    expires_at: str


class Batch:
    """URLs of one dataset's archives, all signed at the same time and good until the same. Safe for threads."""

    def __init__(self, sign: Sign, dataset: str, ends: int) -> None:
        self._sign = sign
        self._dataset = dataset
        self.expires_at = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def url(self, sha256: str, filename: str) -> str:
        """A URL of an archive, which a browser saves as ``filename``."""
        if _PLAIN_NAME(filename):
            query = f"response-content-disposition=attachment%3B%20filename%3D%22{filename}%22"
        else:
            query = response_query(disposition=attachment(filename))
        return self._sign(keys.archive(self._dataset, sha256), query)


class SignedUrls:
    """Signs URLs; safe for threads, and used on after a fork.

    The signing time is rounded down to a whole number of buckets, and the life reaches a bucket further than asked. So
    all who ask in the same bucket for the same life get the same URL, whichever replica they ask, and it is good for at
    least what they asked from then on. A bucket is ``bucket_seconds``, but at most a quarter of the life asked, so that
    short lives stay short, and at least a second. The life is cut, though, at ``max_seconds`` from the signing time, at
    the 7 days that S3 allows, and at the end of the credentials that sign.
    """

    def __init__(
        self,
        bucket: Bucket,
        *,
        seconds: int,
        max_seconds: int,
        bucket_seconds: int,
        clock: Callable[[], float] = time.time,
        cloudfront: CloudFront | None = None,
    ) -> None:
        """``seconds`` is how long URLs are good when nothing else is asked; ``bucket_seconds`` 0: no rounding but to
        seconds. With ``cloudfront``, URLs lead there and not to the bucket."""
        self._bucket = bucket
        self._seconds = seconds
        self._max_seconds = max_seconds
        self._bucket_seconds = bucket_seconds
        self._clock = clock
        self._cloudfront = cloudfront
        # Replaced as a whole: no lock that a fork could leave taken.
        self._kept: tuple[int, dict[tuple[str, Method], Batch]] = (0, {})

    @property
    def bind_method(self) -> bool:
        """Whether a URL signed for HEAD is good for that only: CloudFront's are good for GET too."""
        return self._cloudfront is None

    def archive(self, dataset: str, sha256: str, *, method: Method, filename: str) -> Signed:
        """A URL of an archive for this method, which a browser saves as ``filename``; good for the default time.

        Raises:
            StoreRefusedError, StoreUnavailableError: there are no credentials to sign with.
        """
        # All of one second sign alike. Not all of one bucket: the credentials may be replaced in it.
        second = int(self._clock())
        kept, batches = self._kept
        if kept != second:
            batches = {}
            self._kept = (second, batches)
        batch = batches.get((dataset, method))
        if batch is None:
            batch = batches[dataset, method] = self.batch(dataset, method=method)
        return Signed(batch.url(sha256, filename), batch.expires_at)

    def batch(self, dataset: str, *, expires_in: int | None = None, method: Method = "GET") -> Batch:
        """Sign many, good for ``expires_in`` seconds, or for less where that is more than anybody gets.

        Raises:
            ValueError: ``expires_in`` is less than a second.
            StoreRefusedError, StoreUnavailableError: there are no credentials to sign with.
        """
        if expires_in is not None and expires_in < 1:
            raise ValueError(f"expires_in: {expires_in} s is no time")
        asked = min(self._seconds if expires_in is None else expires_in, self._max_seconds)
        bucket_seconds = max(1, min(self._bucket_seconds, asked // 4))
        now = int(self._clock())
        signed_at = now - now % bucket_seconds
        life = min(asked + bucket_seconds, self._max_seconds, MAX_SECONDS)
        if self._cloudfront is not None:
            return Batch(self._cloudfront.until(signed_at + life), dataset, signed_at + life)
        credentials = self._bucket.credentials()
        if credentials.ends is not None:
            life = min(life, int(credentials.ends) - signed_at)
            if signed_at + life <= now:
                raise StoreRefusedError("the S3 credentials have ended, and there are no new ones")
        presigner = Presigner(self._bucket.place(), credentials, method=method, signed_at=signed_at, expires_in=life)
        return Batch(presigner.url, dataset, signed_at + life)
