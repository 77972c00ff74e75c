"""Kept connections to the store, for the one thing that training does all day: a range of an object, in one request.

HTTP/1.1 (RFC 9112) of our own, as little of it as that takes: a GET whose answer has a Content-Length is read straight
into the buffer that clips are cut from. Processor time for 313 KB is 0.10 ms so, 0.14 by `http.client`, whose parser of
headers is the one of e-mail, and 0.23 by urllib3; and it is what a reader is short of, beside its decoder.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import weakref
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from http.client import HTTPException
from typing import BinaryIO, NamedTuple
from urllib.parse import SplitResult, urlsplit

#: What goes wrong between two machines, when it is not the other one that says so.
FAILURES = (OSError, HTTPException)

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?\r?\n")
_MAX_LINE = 65_536
_MAX_HEADERS = 100
_CONTENT_RANGE = re.compile(r"bytes (\d{1,20})-\d{1,20}/(?:\d{1,20}|\*)")


class StoreAnswer(NamedTuple):
    """An answer of the store, and how many bytes of its body were read. Names of headers are as in ``Retry-After``."""

    status: int
    headers: Mapping[str, str]
    done: int


class _Connection:
    """A connection to one host."""

    def __init__(self, address: SplitResult, timeout: float) -> None:
        host = address.hostname or ""
        secure = address.scheme == "https"
        self.socket = socket.create_connection((host, address.port or (443 if secure else 80)), timeout)
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if secure:
                self.socket = _trust().wrap_socket(self.socket, server_hostname=host)
            self.reader: BinaryIO = self.socket.makefile("rb")
        except BaseException:
            self.socket.close()
            raise

    def close(self) -> None:
        with suppress(OSError):
            self.reader.close()
        self.socket.close()


Idle = dict[tuple[str, str], deque[_Connection]]


class StoreConnections:
    """Connections by host; as many as there are requests at the same time. Safe for threads and across forks."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._pid = os.getpid()
        self._idle: Idle = defaultdict(deque)
        weakref.finalize(self, _close, self._idle)

    def __reduce__(self) -> tuple[type[StoreConnections], tuple[float]]:
        return StoreConnections, (self._timeout,)

    def read(self, url: str, start: int, target: memoryview) -> StoreAnswer:
        """Bytes from ``start`` on of what ``url`` names into ``target``: all it takes, or those before it broke off.

        Only an answer of status 206 that begins at ``start`` is read; others have no bytes.

        Raises:
            OSError, HTTPException: there was not a single byte.
        """
        parts = urlsplit(url)
        idle = self._of(parts.scheme, parts.netloc)
        connection: _Connection | None = None
        try:
            connection = _taken(idle) or _Connection(parts, self._timeout)
            connection.socket.sendall(
                f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\n"
                f"Range: bytes={start}-{start + len(target) - 1}\r\nAccept-Encoding: identity\r\n\r\n".encode("ascii")
            )
            status, headers = _head(connection.reader)
            announced = headers.get("Content-Length", "")
            length = int(announced) if announced.isdecimal() and len(announced) < 20 else -1
            done = 0
            if status == 206 and _begins_at(headers, start) and length == len(target):
                done = _fill(connection.reader, target)
        except BaseException:
            if connection is not None:
                connection.close()
            _close(self._idle)  # what was kept beside it is no better
            raise
        if done == length and headers.get("Connection", "").lower() != "close":
            idle.append(connection)
        else:
            connection.close()
        return StoreAnswer(status, headers, done)

    def _of(self, scheme: str, host: str) -> deque[_Connection]:
        if self._pid != os.getpid():  # a fork: the connections are the parent's
            _close(self._idle)
            self._pid = os.getpid()
        return self._idle[scheme, host]


@cache
def _trust() -> ssl.SSLContext:
    """Whom to trust: read from disk once, and not for each connection."""
    return ssl.create_default_context()


def _taken(idle: deque[_Connection]) -> _Connection | None:
    with suppress(IndexError):
        return idle.pop()
    return None


def _head(reader: BinaryIO) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer."""
    line = reader.readline(_MAX_LINE)
    status = _STATUS.fullmatch(line)
    if status is None:
        raise HTTPException("the store hung up" if not line else "what came is no HTTP")
    headers: dict[str, str] = {}
    for _ in range(_MAX_HEADERS):
        line = reader.readline(_MAX_LINE)
        if line in (b"\r\n", b"\n"):
            return int(status[1]), headers
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            break
        headers[name.strip().title()] = value.strip()
    raise HTTPException("the store's headers are not whole")


def _begins_at(headers: Mapping[str, str], start: int) -> bool:
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == start


def _fill(reader: BinaryIO, target: memoryview) -> int:
    """Read until the target is full or it breaks off; how many bytes came.

    Raises:
        OSError: it broke off before the first byte.
    """
    done = 0
    try:
        while done < len(target) and (read := reader.readinto(target[done:])):  # type: ignore[attr-defined]
            done += read
    except OSError:
        if not done:
            raise
    if not done and len(target):
        raise HTTPException("the store hung up before the first byte")
    return done


def _close(idle: Idle) -> None:
    """Close the connections. This end of a parent's connection, after a fork, is closed without a word to the store."""
    for connections in list(idle.values()):
        while (connection := _taken(connections)) is not None:
            connection.close()
