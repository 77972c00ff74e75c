"""Whole archives and catalogues on local disk: bounded in bytes, least recently used out first, shared by processes.

Any number of processes use one folder: gunicorn workers, DataLoader workers. A file is fetched once however many ask
for it at the same time (a lock a file), is complete and verified before it has its name, and stays readable for whoever
has it open when it is evicted. Nothing here is state: the folder may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from gygo.errors import CacheUnavailableError

if TYPE_CHECKING:
    _TemporaryFile = tempfile._TemporaryFileWrapper[bytes]

#: A file's time of last use is written at most this often: a hot file costs no write a request.
USE_RESOLUTION_SECONDS = 60
PARTIAL = ".partial-"

_SHA256 = re.compile(r"[0-9a-f]{64}")


class DiskCache:
    """A folder of content-addressed files of at most ``limit`` bytes in all."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._prefix = f"{folder}/"

    def open(self, sha256: str, size: int, fetch: Callable[[BinaryIO], None]) -> BinaryIO:
        """The file with this hash, open for reading at 0; ``fetch`` writes it when it is not there.

        ``fetch`` must verify what it writes and raise otherwise; its exceptions pass through, and nothing is kept.

        Raises:
            CacheUnavailableError: the file is larger than the cache, or than what parallel fetches leave of it, or the
                disk does not take it.
        """
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"not a SHA-256: {sha256!r}")  # it becomes a file's name
        path = self._path(sha256)
        held = _open_whole(path, size)
        if held is not None:
            return held
        if size > self.limit:
            raise CacheUnavailableError(f"{size} bytes are more than the disk cache holds ({self.limit})")
        with _disk_errors(), self._locked(sha256) as lock:
            held = _open_whole(path, size)
            if held is None:
                held = _fill(self._reserve(sha256, size), path, size, fetch)
            # Whoever waits on the unlinked lock looks for the finished file first: a lock too few does no harm.
            lock.unlink(missing_ok=True)
            return held

    def discard(self, sha256: str) -> None:
        """Forget a file that turned out not to be what it was when it was fetched."""
        Path(self._path(sha256)).unlink(missing_ok=True)

    def bytes_held(self) -> int:
        """Bytes on disk, partial files included."""
        return sum(size for _, size, _ in self._files())

    def _path(self, sha256: str) -> str:
        return f"{self._prefix}{sha256[:2]}/{sha256}"

    @contextmanager
    def _locked(self, name: str) -> Iterator[Path]:
        locks = self.folder / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = locks / name
        with lock.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield lock
            finally:
                # Not left to close(): a child that was forked in the meantime has the file open, and would hold it.
                fcntl.flock(file, fcntl.LOCK_UN)

    def _reserve(self, sha256: str, size: int) -> _TemporaryFile:
        """Make room, and take it at once, so that parallel fetches cannot promise the same bytes twice."""
        with self._locked("room"):
            if self._evict(self.limit - size) > self.limit - size:
                raise CacheUnavailableError("what is being fetched just now takes up the disk cache")
            folder = Path(self._path(sha256)).parent
            folder.mkdir(parents=True, exist_ok=True)
            partial = tempfile.NamedTemporaryFile(prefix=PARTIAL, dir=folder, delete=False)  # noqa: SIM115
            try:
                # Held while it is open: a partial file that can be locked belongs to a process that died.
                fcntl.flock(partial, fcntl.LOCK_EX)
                if size and hasattr(os, "posix_fallocate"):  # macOS has none
                    os.posix_fallocate(partial.fileno(), 0, size)
            except OSError:
                with partial:
                    Path(partial.name).unlink()
                raise
            return partial

    def _evict(self, target: int) -> int:
        """Delete what died, and what was used least recently until ``target`` bytes are left; the bytes left."""
        files = sorted((not path.name.startswith(PARTIAL), used, size, path) for used, size, path in self._files())
        held = sum(size for _, _, size, _ in files)
        for whole, _, size, path in files:
            if held > target if whole else _is_abandoned(path):
                with suppress(FileNotFoundError):
                    path.unlink()
                    held -= size
        return held

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Time of last use, bytes and path of each file."""
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            with suppress(FileNotFoundError):
                stat = path.stat()
                yield stat.st_mtime, stat.st_size, path


def _open_whole(path: str, size: int) -> BinaryIO | None:
    try:
        file = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115  (pathlib's costs twice as much)
    except OSError:
        return None
    stat = os.fstat(file.fileno())
    if stat.st_size != size:  # a crash of the machine between write and rename
        file.close()
        return None
    if time.time() - stat.st_mtime > USE_RESOLUTION_SECONDS:
        with suppress(OSError):
            os.utime(path)
    return file


def _is_abandoned(partial: Path) -> bool:
    try:
        with partial.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):  # complete by now, or being written
        return False
    return True


def _fill(partial: _TemporaryFile, path: str, size: int, fetch: Callable[[BinaryIO], None]) -> BinaryIO:
    with partial:
        try:
            fetch(cast(BinaryIO, partial))
            partial.truncate()
            partial.flush()
            # Before it has its name: after a power cut a file of the right size could be all zeros.
            os.fsync(partial.fileno())
            Path(partial.name).replace(path)
        except BaseException:
            Path(partial.name).unlink(missing_ok=True)
            raise
    held = _open_whole(path, size)
    if held is None:
        raise CacheUnavailableError("the file was evicted as soon as it was fetched: the disk cache is too small")
    return held


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CacheUnavailableError(f"the disk cache cannot be written: {error.strerror}") from error
