"""A client's connection that bounds how long we wait for the client, whatever it is that we wait for.

gunicorn's threads read and write blocking sockets without a limit: one byte a second holds a thread for as long as the
client likes. Here a request has a time in which it must come, and an answer goes on for as long as the client takes it.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import select
import socket
import struct
import termios
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import structlog
from gunicorn.http.errors import LimitRequestHeaders
from werkzeug.exceptions import RequestTimeout

#: Request line and headers, with a rest that was read along, are at most so long; gunicorn limits each by itself.
MAX_HEAD_BYTES = 64 << 10

#: A request that comes at this pace, in bytes a second, has all the time it needs.
LEAST_PACE = 16 << 10

#: A client has its time once, and again for each so many bytes on their way to it: 16 KiB/s at the usual 20 seconds.
#: Its system tells only now and then that it reads: when a sixteenth of its buffer is free, and that may be 2 MiB.
MORE_TIME_BYTES = 320 << 10

#: But it has no more than so many seconds.
MAX_TIME = 600.0

#: Seconds that a thread waits before another one takes its place: most clients need less.
_GRACE = 0.01

#: Closing sends a reset and drops what was not sent (SO_LINGER: on, 0 seconds).
_RESET = struct.pack("ii", 1, 0)

log = structlog.get_logger()


class ClientSocket(socket.socket):
    """An accepted connection. It waits ``seconds`` for a request, and as long for a sign that an answer is read, or
    longer when much of it is on its way.

    The time of a request counts only while we wait for it, and each byte buys what it takes at LEAST_PACE. Whoever
    waits does so within ``waiting``. The socket does not block: waiting is done here, with one system call less for
    all that is there already.
    """

    def __init__(
        self, accepted: socket.socket, seconds: float, waiting: Callable[[], AbstractContextManager[None]]
    ) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        super().setblocking(False)
        self._seconds = seconds
        self._waiting = waiting
        self._timeout: float | None = None
        self._patience = seconds
        self._allowed: float = MAX_HEAD_BYTES
        self._give_up: Callable[[], None] | None = None

    def expect_head(self) -> None:
        """A request begins."""
        self._timeout = None
        self._patience = self._seconds
        self._allowed = MAX_HEAD_BYTES
        self._give_up = None

    def expect_body(self, give_up: Callable[[], None]) -> None:
        """The head is there. ``give_up`` is called when the body does not come in its time."""
        self._patience = self._seconds
        self._allowed = math.inf
        self._give_up = give_up

    def setblocking(self, flag: bool) -> None:
        """Nothing: gunicorn turns it on and off around each request, at a system call each."""

    def settimeout(self, value: float | None) -> None:
        """Wait ``value`` seconds for whatever is read next, then raise TimeoutError; None: as for a request."""
        self._timeout = value

    def gettimeout(self) -> float | None:
        return self._timeout

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """What has come, at most ``bufsize`` bytes.

        Raises:
            RequestTimeout: the request takes too long.
            LimitRequestHeaders: its head is too long.
            TimeoutError: nothing has come in the time of ``settimeout``.
        """
        while True:
            try:
                received = super().recv(bufsize, flags)
            except BlockingIOError:
                self._wait_to_read()
                continue
            self._patience += len(received) / LEAST_PACE
            self._allowed -= len(received)
            if self._allowed < 0:
                raise LimitRequestHeaders("limit request head size")
            return received

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send what the system takes of ``data``; how many bytes that is.

        Raises:
            BrokenPipeError: the client does not read. The connection is closed.
        """
        while True:
            try:
                return super().send(data, flags)
            except BlockingIOError:
                self._wait_to_write()

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all of ``data``. Raises as `send`."""
        sent = self.send(data, flags)
        if sent < len(data):
            rest = memoryview(data)
            while sent < len(rest):
                sent += self.send(rest[sent:], flags)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send ``count`` bytes of a file from ``offset`` by sendfile(2); how many were sent. Raises as `send`.

        The file is left after the last byte that was sent, as by Python's own.
        """
        stop = offset + (os.fstat(file.fileno()).st_size - offset if count is None else count)
        at = offset
        try:
            while at < stop:
                try:
                    sent = os.sendfile(self.fileno(), file.fileno(), at, stop - at)
                except BlockingIOError:
                    self._wait_to_write()
                    continue
                if not sent:
                    break
                at += sent
        finally:
            file.seek(at)
        return at - offset

    def _wait_to_read(self) -> None:
        if self._timeout is not None:
            if not self._wait(select.POLLIN, self._timeout):
                raise TimeoutError(errno.ETIMEDOUT, "nothing came from the client")
            return
        began = time.monotonic()
        ready = self._wait(select.POLLIN, self._patience)
        self._patience -= time.monotonic() - began
        if not ready:
            if self._give_up is not None:
                self._give_up()
            raise RequestTimeout(f"the request did not come within {self._seconds:g} seconds")

    def _wait_to_write(self) -> None:
        """Until there is room, for as long as the client takes something in its time.

        There is room when a third of the buffer is free, which a slow client may need minutes for. So it is asked what
        the client has not acknowledged.
        """
        least, since = self._unacknowledged(), time.monotonic()
        while not self._wait(select.POLLOUT, self._seconds):
            left, now = self._unacknowledged(), time.monotonic()
            if left < least:
                least, since = left, now
            elif now - since >= max(self._seconds, min(self._seconds * (1 + left / MORE_TIME_BYTES), MAX_TIME)):
                log.warning("connection cut", reason="the client does not read its answer", client=self._peer())
                self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self.close()
                raise BrokenPipeError(errno.EPIPE, "the client does not read its answer")

    def _wait(self, event: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self, event)
        if poll.poll(1000 * max(0.0, min(seconds, _GRACE))):
            return True
        if seconds <= _GRACE:
            return False
        with self._waiting():
            return bool(poll.poll(1000 * (seconds - _GRACE)))

    def _unacknowledged(self) -> int:
        """Bytes that were sent, but that the client's system has not taken; 0 where the system does not tell."""
        try:
            (left,) = struct.unpack("i", fcntl.ioctl(self.fileno(), termios.TIOCOUTQ, bytes(4)))
        except OSError:
            return 0
        return int(left)

    def _peer(self) -> str | None:
        try:
            name = self.getpeername()
        except OSError:
            return None
        return str(name[0]) if isinstance(name, tuple) else None
