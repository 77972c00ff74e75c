"""One message sent to one receiver: to an address that was checked, within a time, and whatever it answers."""

from __future__ import annotations

import http.client
import io
import math
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, NamedTuple, Self

from gygo_server.errors import HookTargetError
from gygo_server.webhooks.target import Networks, Resolve, Target, addresses_of, read_target, resolve

#: All of an attempt: the name's addresses, the connection, and the answer to its end.
SECONDS = 15.0

#: No more of an answer is read, its headers included.
MAX_ANSWER_BYTES = 64 << 10

#: So many characters of an answer that is a failure are kept.
SHOWN = 200

GONE = 410
#: Answers whose ``Retry-After`` is believed.
_BUSY = frozenset({429, 503})

#: Seconds to wait for one of a host's addresses while there are others.
_CONNECT_SECONDS = 5.0


class Answer(NamedTuple):
    """What came of an attempt: ``status`` None when there was no answer; ``retry_after`` in seconds."""

    status: int | None
    text: str
    seconds: float
    retry_after: int | None = None

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Sends messages to URLs, if they lead to public addresses or into ``networks``. Safe for threads.

    No proxy of the environment is used and no redirect followed: either would lead to addresses that were not checked.
    Certificates are verified with the system's authorities, or those of ``SSL_CERT_FILE``.
    """

    def __init__(self, networks: Networks, resolve: Resolve = resolve) -> None:
        self._networks = networks
        self._resolve = resolve

    def check(self, url: str) -> None:
        """Refuse a URL that nothing would be sent to.

        Raises:
            HookTargetError: why.
        """
        self._addresses(read_target(url), time.monotonic() + SECONDS)

    def post(self, url: str, headers: Mapping[str, str], body: bytes, seconds: float = SECONDS) -> Answer:
        """Send a message, and give what came of it; a failure of any kind is an answer too."""
        began = time.monotonic()
        ends = began + seconds
        try:
            target = read_target(url)
            addresses = self._addresses(target, ends)
            status, text, retry_after = self._exchange(target, addresses, headers, body, ends)
        except HookTargetError as error:
            status, text, retry_after = None, f"not sent: {error}", None
        except Exception as error:  # noqa: BLE001  (what http.client makes of an odd answer may raise anything)
            late = time.monotonic() >= ends
            status, text, retry_after = None, f"no answer within {seconds:g} s" if late else _reason(error), None
        return Answer(status, text, time.monotonic() - began, retry_after)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _addresses(self, target: Target, ends: float) -> list[str]:
        """The addresses of a host, in the time there is: a resolver cannot be interrupted, but left alone."""
        found: Future[list[str]] = Future()

        def look() -> None:
            try:
                found.set_result(addresses_of(target, self._networks, self._resolve))
            except Exception as error:  # noqa: BLE001  (raised again by who waits for it)
                found.set_exception(error)

        threading.Thread(target=look, daemon=True).start()
        try:
            return found.result(max(0.0, ends - time.monotonic()))
        except TimeoutError:
            raise HookTargetError(f"{target.host} has no address: nobody told in time") from None

    def _exchange(
        self, target: Target, addresses: Sequence[str], headers: Mapping[str, str], body: bytes, ends: float
    ) -> tuple[int, str, int | None]:
        context = self._context if target.is_encrypted else None
        with _CheckedConnection(target, addresses, context, ends) as connection:
            connection.request("POST", target.path, body, {**headers, "Host": target.host_header})
            with connection.getresponse() as response:
                if time.monotonic() >= ends:
                    raise TimeoutError  # http.client takes a head that breaks off for a whole one
                content = b""
                # The status is what counts: an answer that breaks off after it is one.
                # ValueError: a chunk of less than no bytes.
                with suppress(OSError, http.client.HTTPException, ValueError):
                    content = response.read(MAX_ANSWER_BYTES)
        status = response.status
        text = f"{status} {_cleaned(response.reason)}".strip()
        if 300 <= status < 400:
            text += ": redirects are not followed"
        elif not 200 <= status < 300 and content:
            text += f": {_cleaned(content[: 4 * SHOWN].decode(errors='replace'))}"
        return status, text, _retry_after(response.headers.get("Retry-After")) if status in _BUSY else None


class _FirstBytes(io.RawIOBase):
    """A stream that ends after ``MAX_ANSWER_BYTES``."""

    def __init__(self, source: io.RawIOBase) -> None:
        self._source = source
        self._left = MAX_ANSWER_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count: int = self._source.readinto(memoryview(buffer)[: self._left]) or 0
        self._left -= count
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


class _ShortResponse(http.client.HTTPResponse):
    """An answer of which no more than ``MAX_ANSWER_BYTES`` is read: http.client takes 6 MB for headers alone."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.fp: io.BufferedReader = io.BufferedReader(_FirstBytes(self.fp.detach()))


class _CheckedConnection(http.client.HTTPConnection):
    """A connection to one of the addresses given, whatever the host's name may stand for by now. A context manager.

    It is cut at the time ``ends``, whatever it is doing then: time-outs of a socket are for one operation each, and a
    receiver that sends a byte now and then would never meet them.
    """

    response_class = _ShortResponse

    def __init__(self, target: Target, addresses: Sequence[str], context: ssl.SSLContext | None, ends: float) -> None:
        super().__init__(target.host, target.port)
        self._target = target
        self._addresses = addresses
        self._tls = context
        self._ends = ends
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._undo.close()

    def connect(self) -> None:
        """Connect, and have it cut when the time is over."""
        plain = self._reach()
        # TLS takes the socket over; a second handle on the connection remains good to cut it.
        handle = self._undo.enter_context(plain.dup())
        timer = threading.Timer(self._left(), _cut, [handle])
        timer.daemon = True
        timer.start()
        self._undo.callback(timer.cancel)
        self.sock: socket.socket = plain
        if self._tls:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self._target.host)

    def _reach(self) -> socket.socket:
        *others, last = self._addresses
        for address in others:
            with suppress(OSError):
                return self._connect_to(address, min(self._left(), _CONNECT_SECONDS))
        return self._connect_to(last, self._left())

    def _connect_to(self, address: str, seconds: float) -> socket.socket:
        # The address is a literal: nothing is resolved here.
        connected = socket.create_connection((address, self._target.port), seconds)
        connected.settimeout(self._left())
        return connected

    def _left(self) -> float:
        return max(0.001, self._ends - time.monotonic())


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {_cleaned(error.verify_message)}"
    strerror = error.strerror if isinstance(error, OSError) else None
    return f"no answer: {_cleaned(strerror or str(error) or type(error).__name__)}"


def _cleaned(text: str) -> str:
    """The beginning of what a receiver said, fit for a terminal."""
    return "".join(each if each.isprintable() else " " for each in text[:SHOWN]).strip()


def _retry_after(value: str | None) -> int | None:
    """Seconds that a receiver asks to wait (RFC 9110, 10.2.3: a number or a date); None when it asks for none."""
    if value is None:
        return None
    if value.isascii() and value.isdecimal() and len(value) < 19:
        return int(value)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # OverflowError: a number of any length in it
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0, math.ceil((at - datetime.now(UTC)).total_seconds()))
