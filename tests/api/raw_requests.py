"""Requests as bytes over a socket, for what no HTTP client would send."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any, NamedTuple

#: A client's receive buffer, so that little of an answer hides in it.
SMALL_BUFFER = 16 << 10


class Answer(NamedTuple):
    status: int
    headers: Any
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The answer, which must be a problem in the shape of all others."""
        assert self.headers["Content-Type"] == "application/problem+json"
        assert self.headers["Cache-Control"] == "no-store"
        found: dict[str, Any] = json.loads(self.body)
        assert set(found) - {"errors"} == {"type", "title", "status", "detail", "instance", "request_id"}
        assert found["status"] == self.status
        assert found["request_id"] == self.headers["X-Request-Id"]
        return found


def connect(port: int, sent: bytes = b"") -> socket.socket:
    """A connection over which these bytes were sent."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", port))
    connection.sendall(sent)
    return connection


@contextlib.contextmanager
def connections(port: int, number: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """As many connections, all open at once."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(port, sent)) for _ in range(number)]


def answer_on(connection: socket.socket) -> Answer:
    """The next answer on a connection, read to its end."""
    with HTTPResponse(connection) as response:
        response.begin()
        return Answer(response.status, response.headers, response.read())


def ask(port: int, sent: bytes) -> Answer:
    """The answer to these bytes, after which nothing more is sent."""
    with connect(port, sent) as connection:
        return answer_on(connection)


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side ends the connection, once all that it sent is read."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


def trickle(connection: socket.socket, sent: bytes, seconds: float) -> int:
    """Send byte by byte, one every so many seconds, until there is an answer; how many bytes were sent."""
    connection.settimeout(seconds)
    try:
        for count in range(len(sent)):
            connection.sendall(sent[count : count + 1])
            with contextlib.suppress(TimeoutError):
                connection.recv(1, socket.MSG_PEEK)
                return count + 1
    except OSError:
        return count
    finally:
        connection.settimeout(30)
    return len(sent)
