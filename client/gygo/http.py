"""HTTP: pooled connections, retries with backoff, problems (RFC 9457) as exceptions, transfers that go on.

Connections are made on first use, and again in each process after a fork. The API key goes to the service and to
nobody else: signed URLs of the store must not carry it.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from gygo.errors import (
    CorruptDataError,
    GygoError,
    InvalidRequestError,
    NotFoundError,
    ServerError,
    UnreachableError,
    WithdrawnError,
)
from gygo.patience import LATER, persist
from gygo.store_connections import StoreConnections
from gygo.stream import CHUNK, Stream

USER_AGENT = "gygo/0.1.0"
#: Seconds, about, that a service which has not answered yet is tried.
FIRST_PATIENCE = 8.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KINDS: dict[int, type[ServerError]] = {404: NotFoundError, 410: WithdrawnError}

#: An answer of the service is at most so long; and it redirects at most so often.
MAX_ANSWER = 256 << 20
MAX_REDIRECTS = 5

_KEY = re.compile(r"[!-~]+")

#: URLs that can be sent as they are.
_URL = re.compile(r"https?://[!-~]+")

Query = Mapping[str, Any]

Answer = TypeVar("Answer")


class Writable(Protocol):
    """What a download is written to."""

    def write(self, content: bytes, /) -> object: ...


class RefusedUrlError(GygoError):
    """The store refuses a signed URL: most often it has expired."""


class Whole(NamedTuple):
    """An answer of the service, read to its end."""

    status: int
    headers: Mapping[str, str]
    content: bytes


Followed = TypeVar("Followed", Whole, urllib3.BaseHTTPResponse)


class Timed(NamedTuple):
    """An answer, when it came (`time.monotonic`), and what the service's clock said then."""

    document: Any
    received: float
    served_at: datetime

    def deadline(self, expires_at: str) -> float:
        """`time.monotonic` at a time that the answer names, whatever this machine's clock says."""
        return self.received + (datetime.fromisoformat(expires_at) - self.served_at).total_seconds()


class Http:
    """Requests to one service and to the store behind it. Safe for threads and across forks.

    ``patience`` is about how many seconds a request is tried again when there is no answer (fewer before the service
    has answered for the first time), ``timeout`` how many one attempt may be silent.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        timeout: float = 15,
        patience: float = 120,
        connections: int = 16,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not the address of a service: {base_url!r}")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a service's address holds no user and no password; give the key as key=")
        key = key.strip() if key is not None else None
        if key is not None and not _KEY.fullmatch(key):
            raise ValueError("what is given as key holds characters that no key has")
        self.base_url = base_url.rstrip("/")
        self._origin = _origin_of(base_url)
        self._key = key
        self._timeout = Timeout(connect=min(5.0, timeout), read=timeout)
        self._patience = patience
        self._reached = False  # an address that never answered is more likely wrong than away
        self._connections = connections
        self._store = StoreConnections(timeout)
        self._pools: dict[int, urllib3.PoolManager] = {}

    def __repr__(self) -> str:
        return f"Http({self.base_url!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pools": {}}

    def get_json(self, url: str, query: Query | None = None) -> Any:
        """The JSON at a path or URL of the service."""
        return self.ask("GET", url, query).document

    def ask(self, method: str, url: str, query: Query | None = None, body: Any = None) -> Timed:
        """A question to the service and its answer as JSON."""
        answer = self._service(method, url, query, body)
        try:
            return Timed(json.loads(answer.content), time.monotonic(), _date_of(answer))
        except (ValueError, RecursionError):
            raise ServerError(
                f"{_without_query(url)} answers something that is not JSON: is this a GyGO server?",
                status=answer.status,
            ) from None

    def get_bytes(self, url: str, query: Query | None = None) -> bytes:
        """The bytes at a path or URL of the service."""
        return self._service("GET", url, query).content

    def post_stream(self, url: str, body: Any) -> Stream:
        """The bytes that the service answers a question with, to be read as they come; goes on when it breaks off."""
        return Stream(self.open, self._url(url, None), json.dumps(body).encode())

    def location(self, url: str, query: Query | None = None) -> str:
        """Where the service sends those who ask for this path: to another path, on this host or on the store's."""
        target = self._url(url, query)
        for _ in range(MAX_REDIRECTS):
            answer = self._whole("GET", target, self._headers(target))
            if answer.status >= 400:
                raise problem(answer.status, answer.content, target)
            if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                break
            following = _redirected(target, answer.headers)
            if urlsplit(following).path != urlsplit(target).path:
                return following
            target = following  # the service itself, by https or another name
        raise ServerError(f"{_without_query(target)} does not lead to the store", status=answer.status)

    def get_range(self, url: str, start: int, end: int) -> memoryview:
        """Bytes ``[start, end)`` of what a signed URL of the store names.

        Raises:
            RefusedUrlError: the store refuses the URL; it may have expired.
            CorruptDataError: the store has no such bytes.
            UnreachableError: no answer for as long as we were to try.
        """
        if not _URL.fullmatch(url):
            raise ServerError(f"the service gives a URL that is none: {_without_query(url)!r}")
        try:
            content = memoryview(bytearray(end - start))
        except (MemoryError, OverflowError, ValueError):
            raise ServerError(f"{_without_query(url)}: bytes {start} to {end} are too many, or none") from None
        done, where = 0, _without_query(url)
        while done < len(content):
            at, rest = start + done, content[done:]
            answer = persist(where, lambda at=at, rest=rest: self._store.read(url, at, rest), self._patience)  # type: ignore[misc]
            _accept_store(answer.status, url)
            if not answer.done:
                raise CorruptDataError(f"{_without_query(url)}: the store answers with other bytes than asked for")
            done += answer.done
        return content

    def download(self, url: str, target: Writable, offset: int = 0, limit: int | None = None) -> int:
        """Write what a signed URL names to ``target`` from ``offset`` on, until the end or until it breaks off.

        Returns how many bytes were written; ask again from there when they are too few.

        Raises:
            CorruptDataError: there are more than ``limit`` bytes.
        """
        headers = {"User-Agent": USER_AGENT, **({"Range": f"bytes={offset}-"} if offset else {})}
        answer = self._try("GET", url, headers, preload_content=False)
        written = 0
        try:
            _accept_store(answer.status, url)
            if offset and answer.status != 206:
                raise CorruptDataError(f"{_without_query(url)}: the store does not know ranges")
            while chunk := answer.read1(CHUNK):  # not read(): it keeps what came before it broke off
                written += len(chunk)
                if limit is not None and written > limit:
                    raise CorruptDataError(f"{_without_query(url)}: the store holds more than was published")
                target.write(chunk)
        except HTTPError:
            pass  # broken off: what is here is good, and the caller asks for the rest
        finally:
            answer.close()
        return written

    def open(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """An answer of the service whose bytes have not been read yet. It is the caller's to close."""

        def ask(target: str) -> urllib3.BaseHTTPResponse:
            sent = {**self._headers(target), **headers}
            answer = self._try(method, target, sent, body=body, preload_content=False)
            if answer.status in _REDIRECTS:
                answer.close()
            return answer

        url, answer = self._follow(url, ask)
        if answer.status >= 400:
            content = answer.read(CHUNK)
            answer.close()
            raise problem(answer.status, content, url)
        return answer

    def _service(self, method: str, url: str, query: Query | None, body: Any = None) -> Whole:
        content = None if body is None else json.dumps(body).encode()
        told = {} if body is None else {"Content-Type": "application/json"}
        target, answer = self._follow(
            self._url(url, query),
            lambda target: self._whole(method, target, {**self._headers(target), **told}, content),
        )
        if answer.status >= 400:
            raise problem(answer.status, answer.content, target)
        return answer

    def _follow(self, url: str, ask: Callable[[str], Followed]) -> tuple[str, Followed]:
        """The first answer that is no redirect, and where it came from."""
        for _ in range(MAX_REDIRECTS):
            answer = ask(url)
            if answer.status not in _REDIRECTS:
                return url, answer
            url = _redirected(url, answer.headers)
        raise ServerError(f"{_without_query(url)} redirects again and again")

    def _whole(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Whole:
        def attempt() -> Whole:
            answer = self._ask(method, url, headers, body=body, preload_content=False)
            try:
                return Whole(answer.status, answer.headers, _read_bounded(answer, url))
            finally:
                answer.release_conn()

        return self._persist(url, attempt)

    def _headers(self, url: str) -> dict[str, str]:
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"}
        if self._key is not None and self._is_ours(url):
            headers["Authorization"] = f"Bearer {self._key}"
        return headers

    def _is_ours(self, url: str) -> bool:
        return _origin_of(url) == self._origin

    def _url(self, url: str, query: Query | None) -> str:
        absolute = url if "://" in url else self.base_url + url
        given = [(name, value) for name, value in (query or {}).items() if value is not None]
        return absolute + ("?" + urlencode([(n, _text(v)) for n, v in given], doseq=True) if given else "")

    def _try(self, method: str, url: str, headers: Mapping[str, str], **more: Any) -> urllib3.BaseHTTPResponse:
        def attempt() -> urllib3.BaseHTTPResponse:
            answer = self._ask(method, url, headers, **more)
            if answer.status in LATER:
                answer.drain_conn()
            return answer

        return self._persist(url, attempt)

    def _ask(self, method: str, url: str, headers: Mapping[str, str], **more: Any) -> urllib3.BaseHTTPResponse:
        return self._pool().request(
            method, url, headers=headers, timeout=self._timeout, redirect=False, retries=False, **more
        )

    def _persist(self, url: str, attempt: Callable[[], Answer]) -> Answer:
        ours = self._is_ours(url)
        first = ours and not self._reached
        answer = persist(_without_query(url), attempt, min(self._patience, FIRST_PATIENCE) if first else self._patience)
        self._reached = self._reached or ours
        return answer

    def _pool(self) -> urllib3.PoolManager:
        pid = os.getpid()
        pool = self._pools.get(pid)
        if pool is None:
            pool = self._pools[pid] = urllib3.PoolManager(num_pools=16, maxsize=self._connections, block=False)
        return pool


def problem(status: int, content: bytes, url: str) -> ServerError:
    """The exception for an error's status and body."""
    kind = _KINDS.get(status) or (InvalidRequestError if status < 500 else ServerError)
    try:
        document = json.loads(content)
        fields = "; ".join(f"{error['field']}: {error['message']}" for error in document.get("errors", ()))
        return kind(fields or document["detail"], status=status, type=document["type"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return kind(f"{_without_query(url)} answers {status}", status=status)


@contextmanager
def understood(where: str) -> Iterator[None]:
    """Around what reads an answer of the service: one that is not as it should be is a ServerError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"[:200]
        raise ServerError(f"{_without_query(where)} answers something that this client cannot read ({why})") from None


def _origin_of(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port, however they are spelt; None of what is no address."""
    try:
        parts = urlsplit(url)
        return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None


def _redirected(url: str, headers: Mapping[str, str]) -> str:
    try:
        return urljoin(url, headers.get("Location", ""))
    except ValueError:
        raise ServerError(f"{_without_query(url)} redirects to what is no address") from None


def _date_of(answer: Whole) -> datetime:
    """What the server's clock says; this machine's when it does not say."""
    try:
        at = parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return datetime.now(UTC)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _read_bounded(answer: urllib3.BaseHTTPResponse, url: str) -> bytes:
    """The body, unpacked.

    Raises:
        ServerError: it is longer than any answer of a service.
    """
    parts, size = [], 0
    while part := answer.read(CHUNK):
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER:
            answer.close()
            raise ServerError(f"{_without_query(url)} answers more than {MAX_ANSWER >> 20} MiB")
    return b"".join(parts)


def _accept_store(status: int, url: str) -> None:
    if status in (200, 206):
        return
    where = _without_query(url)
    if status in (400, 401, 403):
        raise RefusedUrlError(f"{where}: the store refuses the signed URL ({status})")
    if status in (404, 416):
        raise CorruptDataError(f"{where}: the store does not hold what was published ({status})")
    raise UnreachableError(f"{where}: the store answers {status}, however often it was asked")


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return list(value) if isinstance(value, (tuple, set, frozenset)) else value


def _without_query(url: str) -> str:
    """A URL as it may be shown: what is signed stays out of errors and logs."""
    return url.split("?", 1)[0]
