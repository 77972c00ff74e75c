"""Files inside archives: from the disk cache, or, where that cannot hold the archive, by a ranged GET."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from gygo.disk_cache import DiskCache
from gygo.errors import CacheUnavailableError
from gygo_server.errors import CorruptObjectError, StoreError
from gygo_server.model import Member, Piece
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

#: Bytes read at a time.
CHUNK = 256 << 10

#: Gives what stands for a file that is spoilt: for so many bytes (its second argument), from one on (its third).
Instead = Callable[[StoreError, int, int], Iterator[bytes]]


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
        try:
            return self._open(dataset, archive_sha256, archive_size), member.offset
        except CacheUnavailableError:
            content = self._bucket.get_range(keys.archive(dataset, archive_sha256), member.offset, member.size)
            _verify(content, member)
            return io.BytesIO(content), 0

    def read(
        self,
        dataset: str,
        archive_sha256: str,
        archive_size: int,
        pieces: Iterable[Piece],
        skip: int = 0,
        instead: Instead | None = None,
    ) -> Iterator[bytes]:
        """The bytes of these pieces, one after the other, from the ``skip``-th on, in chunks.

        Without a cache, a spoilt file is found when its turn comes, too late to say that the archive cannot be had:
        ``instead`` gives other bytes for it. So the same come whatever the ``skip``, and a reader may go on with them.

        Raises:
            StoreError: as :meth:`open_member`, before the first chunk; without a cache, at any of them, but for a
                spoilt file where there is ``instead``.
        """
        try:
            file = self._open(dataset, archive_sha256, archive_size)
        except CacheUnavailableError:
            yield from self._read_apart(dataset, archive_sha256, pieces, skip, instead)
            return
        with file:
            for start, end in _spans(pieces):
                if skip >= end - start:
                    skip -= end - start
                    continue
                file.seek(start + skip)
                left, skip = end - start - skip, 0
                while left:
                    chunk = file.read(min(CHUNK, left))
                    if not chunk:
                        raise CorruptObjectError(f"archive {archive_sha256} ends before its members do")
                    left -= len(chunk)
                    yield chunk

    def _open(self, dataset: str, archive_sha256: str, archive_size: int) -> BinaryIO:
        def fetch(target: BinaryIO) -> None:
            self._bucket.download(keys.archive(dataset, archive_sha256), target, archive_sha256)

        return self._cache.open(archive_sha256, archive_size, fetch)

    def _read_apart(
        self, dataset: str, archive_sha256: str, pieces: Iterable[Piece], skip: int, instead: Instead | None
    ) -> Iterator[bytes]:
        """Without a cache: a file at a time, each verified, so that no more than one is held."""
        key = keys.archive(dataset, archive_sha256)
        for piece in pieces:
            size = piece.end - piece.start
            if skip >= size:
                skip -= size
                continue
            try:
                content = self._bucket.get_range(key, piece.start, size)
                _verify_piece(content, piece)
            except CorruptObjectError as error:
                if instead is None:
                    raise
                yield from instead(error, size, skip)
            else:
                yield content[skip:]
            skip = 0


def _spans(pieces: Iterable[Piece]) -> Iterator[tuple[int, int]]:
    """The pieces, those that touch as one."""
    start, end = 0, 0
    for piece in pieces:
        if piece.start != end and end > start:
            yield start, end
        start, end = (piece.start, piece.end) if piece.start != end else (start, piece.end)
    if end > start:
        yield start, end


def _verify_piece(content: bytes, piece: Piece) -> None:
    begin = piece.member.offset - piece.start
    _verify(content[begin : begin + piece.member.size], piece.member)
    if len(content) != piece.end - piece.start:  # cut short in the padding
        raise CorruptObjectError(f"the archive ends within the file at {piece.member.offset}")


def _verify(content: bytes, member: Member) -> None:
    if hashlib.sha256(content).hexdigest() != member.sha256:
        raise CorruptObjectError(f"bytes at {member.offset} of an archive are not those published")
