"""The trail in the bucket: lines go to a file on this disk, and from time to time the file goes to the bucket.

Each worker writes a file of its own below the cache folder, locked (flock) for as long as it writes there. A file that
nobody has locked is finished, or its worker is dead: whoever locks it then sends it, under a key that its name says,
and removes it. So what a killed worker wrote is sent by the next, once, and a store that is away delays, no more.
"""

from __future__ import annotations

import atexit
import fcntl
import gzip
import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

import structlog

from gygo_server.audit.trail import Trail
from gygo_server.errors import PreconditionFailedError, StoreError
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

#: A file is sent when it has so many bytes, if not before.
FULL_BYTES = 16 << 20

DAY_SECONDS = 86400

_SUFFIX = ".jsonl"
_NAME = re.compile(r"[0-9]{8}T[0-9]{9}Z-[0-9a-f]{16}")

log = structlog.get_logger()


class SpooledTrail(Trail):
    """Lines that are sent to the bucket every ``seconds``, by a thread that never holds a request up.

    ``bucket`` is its own: what it meets there must not make requests think that the store is silent.
    """

    def __init__(self, folder: Path, bucket: Bucket, *, seconds: float, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._folder = folder
        self._bucket = bucket
        self._seconds = seconds
        self._file: int | None = None
        self._day, self._size = 0, 0
        self._due = threading.Event()
        self._ends = False
        self._sending = threading.Lock()
        self._away = False

    def __str__(self) -> str:
        return str(self._folder)

    def check(self) -> None:
        with self._lock:
            self._begin(self._clock())
            self._finish()

    def start(self) -> None:
        """Send what dead workers left, and from now on what comes; the rest when the process ends."""
        threading.Thread(target=self._run, daemon=True, name="audit").start()
        atexit.register(self.close)

    def close(self) -> None:
        """Send what there is, if the store takes it now."""
        self._ends = True
        self._due.set()
        self.send()

    def send(self) -> None:
        """Send all finished files, and then, if that went well, what was written until now."""
        with self._sending:
            try:
                self._send_finished()
                with self._lock:
                    self._finish()
                self._send_finished()
            except StoreError as error:
                if not self._away:
                    log.warning("audit not sent, kept here until it is", reason=str(error), folder=str(self._folder))
                self._away = True
            except OSError as error:
                log.error("audit not sent", reason=error.strerror, folder=str(self._folder))  # noqa: TRY400
            else:
                if self._away:
                    log.info("audit sent again")
                self._away = False

    def _run(self) -> None:
        while not self._ends:
            self.send()
            self._due.wait(self._seconds)
            self._due.clear()

    def _append(self, line: bytes, now: float, /) -> None:
        # A file is of one day, so that the key tells which: readers look into the days they are asked for.
        if self._file is None or self._day != now // DAY_SECONDS:
            self._begin(now)
        assert self._file is not None  # noqa: S101
        self._write(self._file, line)
        self._size += len(line)
        if self._size >= FULL_BYTES:
            self._finish()
            self._due.set()

    def _begin(self, now: float) -> None:
        self._finish()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        second, millisecond = divmod(int(now * 1000), 1000)
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(second))}{millisecond:03}Z-{token_hex(8)}{_SUFFIX}"
        opened = os.open(self._folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(opened, fcntl.LOCK_EX)
        if os.fstat(opened).st_nlink == 0:  # taken, in between, for one that a dead worker left empty
            os.close(opened)
            self._begin(now)
            return
        self._file, self._day, self._size, self._torn = opened, int(now // DAY_SECONDS), 0, False

    def _finish(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _send_finished(self) -> None:
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if _NAME.fullmatch(path.stem):
                # Sent by another in between, or still written.
                with suppress(FileNotFoundError, BlockingIOError):
                    self._send_file(path)

    def _send_file(self, path: Path) -> None:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_nlink == 0:
                return
            content = file.read()
            if content:
                with suppress(PreconditionFailedError):  # it went there before; only the file was not removed
                    packed = gzip.compress(content, mtime=0)
                    self._bucket.put(
                        keys.audit_lines(path.stem), packed, replaces=None, content_type="application/gzip"
                    )
            path.unlink()
