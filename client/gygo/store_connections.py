"""Kept connections to the store, for the one thing that training does all day: a range of an object, in one request.

By `http.client`, which reads straight into the buffer that the clip is cut from: urllib3 takes twice the processor time
for a clip of 350 KB (0.8 ms against 0.4), and processor time is what a reader on the store's own machine is short of.
"""

from __future__ import annotations

import os
import ssl
import weakref
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection, IncompleteRead
from typing import NamedTuple
from urllib.parse import urlsplit

#: What goes wrong between two machines, when it is not the other one that says so.
FAILURES = (OSError, HTTPException)

Idle = dict[tuple[str, str], deque[HTTPConnection]]


class StoreAnswer(NamedTuple):
    """An answer of the store, read to its end."""

    status: int
    headers: HTTPMessage
    content: memoryview


class StoreConnections:
    """Connections by host; as many as there are requests at the same time. Safe for threads and across forks."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._pid = os.getpid()
        self._idle: Idle = defaultdict(deque)
        weakref.finalize(self, _close, self._idle)

    def __reduce__(self) -> tuple[type[StoreConnections], tuple[float]]:
        return StoreConnections, (self._timeout,)

    def get(self, url: str, headers: Mapping[str, str]) -> StoreAnswer:
        """The answer to a GET.

        Raises:
            OSError, HTTPException: there is none, or it is shorter than it says.
        """
        parts = urlsplit(url)
        idle = self._of(parts.scheme, parts.netloc)
        try:
            connection = idle.pop()
        except IndexError:
            connection = self._connect(parts.scheme, parts.netloc)
        try:
            connection.request("GET", f"{parts.path}?{parts.query}", headers=dict(headers))
            answer = connection.getresponse()
            content = _read(answer)
        except BaseException:
            connection.close()
            _close(self._idle)  # what was kept beside it is no better
            raise
        if answer.will_close:
            connection.close()
        else:
            idle.append(connection)
        return StoreAnswer(answer.status, answer.headers, content)

    def _of(self, scheme: str, host: str) -> deque[HTTPConnection]:
        if self._pid != os.getpid():  # a fork: the connections are the parent's
            _close(self._idle)
            self._pid = os.getpid()
        return self._idle[scheme, host]

    def _connect(self, scheme: str, host: str) -> HTTPConnection:
        if scheme == "https":
            return HTTPSConnection(host, timeout=self._timeout, context=ssl.create_default_context())
        return HTTPConnection(host, timeout=self._timeout)


def _read(answer: HTTPResponse) -> memoryview:
    if answer.length is None:
        return memoryview(answer.read())
    view, done = memoryview(bytearray(answer.length)), 0
    while answer.length and (read := answer.readinto(view[done:])):
        done += read
    if answer.length:
        raise IncompleteRead(b"", answer.length)
    answer.read()  # marks it as done, and the connection as free
    return view


def _close(idle: Idle) -> None:
    """Close the connections. This end of a parent's connection, after a fork, is closed without a word to the store."""
    for connections in list(idle.values()):
        while connections:
            with suppress(IndexError):
                connections.pop().close()
