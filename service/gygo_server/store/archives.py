"""Files inside archives: from the disk cache, or, where that cannot hold the archive, by a ranged GET."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO

from gygo_server.errors import CacheUnavailableError, CorruptObjectError
from gygo_server.model import Member
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket
from gygo_server.store.disk_cache import DiskCache


class ArchiveReader:
    """Opens members of archives. The cache holds whole archives, each verified by its hash when it is fetched."""

    def __init__(self, bucket: Bucket, cache: DiskCache) -> None:
        self._bucket = bucket
        self._cache = cache

    def open_member(self, dataset: str, archive_sha256: str, archive_size: int, member: Member) -> tuple[BinaryIO, int]:
        """A file that holds the member's bytes, and the offset at which they begin in it.

        Raises:
            StoreError: the archive is not cached and the bucket does not give it, or gives other bytes.
        """
        key = keys.archive(dataset, archive_sha256)

        def fetch(target: BinaryIO) -> None:
            self._bucket.download(key, target, archive_sha256)

        try:
            return self._cache.open(archive_sha256, archive_size, fetch), member.offset
        except CacheUnavailableError:
            content = self._bucket.get_range(key, member.offset, member.size)
            if hashlib.sha256(content).hexdigest() != member.sha256:
                raise CorruptObjectError(f"{key}: bytes at {member.offset} are not those published") from None
            return io.BytesIO(content), 0
