"""Where the audit trail's lines go: standard output or a file here, the bucket by way of `spool.py`.

A line that cannot be written is lost, and the request that it tells of goes on. The log says so once, and the first
line that can be written again is one that tells how many were lost.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from gygo_server.audit.line import Clock, Event, encode

#: A file that was moved away is noticed within so many seconds.
LOOK_SECONDS = 1.0

log = structlog.get_logger()


class Trail(ABC):
    """Takes lines. Safe for threads; nothing is opened before the first line, or a check."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._written = Clock()
        self._lost = 0
        self._torn = False

    def write(self, event: Mapping[str, Any]) -> None:
        """Write a line, which begins with the time."""
        encoded = encode(event)
        with self._lock:
            now = self._clock()
            line = self._line(now, encoded)
            if self._lost:
                line = self._line(now, encode({"event": Event.LOST, "lines": self._lost})) + line
            try:
                self._append(line, now)
            except OSError as error:
                self._lost += 1
                if self._lost == 1:
                    log.error("audit lines are lost", reason=error.strerror, where=str(self))  # noqa: TRY400  (no traceback)
                return
            if self._lost:
                log.warning("audit lines are written again", lost=self._lost)
                self._lost = 0

    @abstractmethod
    def check(self) -> None:
        """Open what lines are written to.

        Raises:
            OSError: none could be.
        """

    @abstractmethod
    def _append(self, line: bytes, now: float, /) -> None:
        """Write one line or more. Called by one thread at a time."""

    def _line(self, now: float, encoded: bytes) -> bytes:
        return b'{"time":"%b",%b\n' % (self._written.text(now).encode(), encoded[1:])

    def _write(self, file: int, line: bytes) -> None:
        """Write a line to a descriptor, in one call where the system lets us."""
        if self._torn:  # what is left of a line on a full disk must not spoil this one
            line = b"\n" + line
        written = os.write(file, line)
        while written < len(line):
            self._torn = True
            written += os.write(file, line[written:])
        self._torn = False


class FileTrail(Trail):
    """A file that workers share, each line appended by one write(2); opened anew when it was moved away."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._path = path
        self._file: int | None = None
        self._looked_at = 0.0

    def __str__(self) -> str:
        return str(self._path)

    def check(self) -> None:
        with self._lock:
            self._open()

    def _append(self, line: bytes, _now: float, /) -> None:
        if self._file is None or time.monotonic() - self._looked_at > LOOK_SECONDS:
            self._open()
        assert self._file is not None  # noqa: S101
        self._write(self._file, line)

    def _open(self) -> None:
        """Open the file, unless it is the one that is open."""
        self._looked_at = time.monotonic()
        try:
            opened = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError:
            if self._file is None or os.fstat(self._file).st_nlink == 0:
                raise
            return  # what is open is a file still, wherever it was moved
        if self._file is None:
            self._file = opened
            return
        if not os.path.samestat(os.fstat(opened), os.fstat(self._file)):
            os.dup2(opened, self._file, inheritable=False)
        os.close(opened)


class OutputTrail(Trail):
    """Standard output, which workers share. A pipe takes no more than 4 KiB in one piece, so they take turns."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._turns = folder / "stdout.lock"
        self._turn: int | None = None

    def __str__(self) -> str:
        return "standard output"

    def check(self) -> None:
        with self._lock:
            self._open()

    def _append(self, line: bytes, _now: float, /) -> None:
        turn = self._open()
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            self._write(1, line)
        finally:
            fcntl.flock(turn, fcntl.LOCK_UN)

    def _open(self) -> int:
        if self._turn is None:
            self._turns.parent.mkdir(parents=True, exist_ok=True)
            self._turn = os.open(self._turns, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._turn
