"""Archives from the store to disk: in parallel, resumed where they broke off, verified before anybody looks at them."""

from __future__ import annotations

import hashlib
import os
import queue
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import BinaryIO, TypeVar

from gygo.client import Archive, Video
from gygo.daemon_pool import DaemonPool
from gygo.errors import CorruptDataError, UnreachableError
from gygo.http import Http, RefusedUrlError
from gygo.stream import CHUNK, TRIES

_SHA256 = re.compile(r"[0-9a-f]{64}")

Advance = Callable[[int], None]
J = TypeVar("J")
R = TypeVar("R")


class StoppedError(Exception):
    """The pull has ended for another reason."""


class Downloader:
    """Fetches archives to files. Safe for threads; :meth:`stop` makes them end soon."""

    def __init__(self, http: Http, advance: Advance) -> None:
        self._http = http
        self._advance = advance
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make all downloads raise StoppedError."""
        self._stopped.set()

    def fetch(self, video: Video, archive: Archive, partial: Path) -> None:
        """Fetch the rest of an archive to ``partial`` and verify all of it; what is wrong does not stay.

        Raises:
            CorruptDataError: the store does not hold what was published.
            UnreachableError: it does not come, however often it is asked for.
        """
        if not _SHA256.fullmatch(archive.sha256):
            raise CorruptDataError(f"the service gives no SHA-256 for the archive of {video.name}")
        with partial.open("ab") as file:
            resumed = file.tell()
            if resumed > archive.bytes:
                file.truncate(0)
                resumed = 0
            self._advance(resumed)
            self._complete(video, archive, file)
            if self._digest(partial) == archive.sha256:
                return
            file.truncate(0)
            self._advance(-archive.bytes)
            if resumed:  # what an earlier pull left may have suffered since, in a power cut
                self._complete(video, archive, file)
                if self._digest(partial) == archive.sha256:
                    return
        partial.unlink()
        raise CorruptDataError("what the store holds is not what was published (the SHA-256 differs)")

    def _complete(self, video: Video, archive: Archive, file: BinaryIO) -> None:
        vain = 0
        while (have := os.fstat(file.fileno()).st_size) < archive.bytes:
            target = _Counted(file, self._advance, self._stopped)
            try:
                url = self._http.location(f"{video.path}/archive", {"resolution": archive.resolution})
                written = self._http.download(url, target, have, archive.bytes - have)
            except RefusedUrlError as error:  # it may have ended while it was used
                if vain + 1 == TRIES:
                    raise UnreachableError(str(error)) from error
                written = 0
            finally:
                file.flush()
            vain = 0 if written else vain + 1
            if vain == TRIES:
                raise UnreachableError("it breaks off again and again before anything comes")

    def _digest(self, partial: Path) -> str:
        digest = hashlib.sha256()
        with partial.open("rb") as file:
            while content := file.read(CHUNK):
                if self._stopped.is_set():
                    raise StoppedError
                digest.update(content)
        return digest.hexdigest()


class _Counted:
    """Takes bytes, counts them, and ends when it is told to."""

    def __init__(self, file: BinaryIO, advance: Advance, stopped: threading.Event) -> None:
        self._file, self._advance, self._stopped = file, advance, stopped

    def write(self, content: bytes) -> int:
        if self._stopped.is_set():
            raise StoppedError
        self._file.write(content)
        self._advance(len(content))
        return len(content)


def as_done(work: Callable[[J], R], jobs: Sequence[J], workers: int) -> Iterator[tuple[J, R | BaseException]]:
    """Each job with what came of it, as they are done by so many threads."""
    done: queue.SimpleQueue[tuple[J, Future[R]]] = queue.SimpleQueue()
    # What is done waits for the tree: no more than this many unpacked videos.
    room = threading.Semaphore(2 * workers)

    def run(job: J) -> R:
        room.acquire()
        return work(job)

    def tell(job: J) -> Callable[[Future[R]], None]:
        return lambda future: done.put((job, future))

    pool = DaemonPool(min(workers, len(jobs)), "gygo-pull")
    try:
        for job in jobs:
            pool.submit(run, job).add_done_callback(tell(job))
        for _ in jobs:
            job, future = done.get()
            yield job, future.exception() or future.result()
            room.release()
    finally:
        pool.close()
