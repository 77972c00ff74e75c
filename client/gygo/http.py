"""HTTP: pooled connections, retries with backoff, problems (RFC 9457) as exceptions, transfers that go on.

Connections are made on first use, and again in each process after a fork. The API key goes to the service and to
nobody else: signed URLs of the store must not carry it.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, NamedTuple, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.util import Retry, Timeout

from gygo.errors import (
    CorruptDataError,
    GygoError,
    InvalidRequestError,
    NotFoundError,
    ServerError,
    UnreachableError,
    WithdrawnError,
)
from gygo.store_connections import FAILURES, StoreAnswer, StoreConnections

USER_AGENT = "gygo/0.1.0"
CHUNK = 1 << 20

#: Seconds, about, that a service which has not answered yet is tried.
FIRST_PATIENCE = 8.0

#: Times that something is asked for again which breaks off without a byte gained.
TRIES = 5

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Seconds: half of the first pause before another attempt, and the longest one.
_PAUSE = 0.1
_LONGEST_PAUSE = 5.0

_LATER = (429, 500, 502, 503, 504)
_KINDS: dict[int, type[ServerError]] = {404: NotFoundError, 410: WithdrawnError}

#: URLs that can be sent as they are.
_URL = re.compile(r"https?://[!-~]+")

Query = Mapping[str, Any]

Answer = TypeVar("Answer", urllib3.BaseHTTPResponse, StoreAnswer)


class RefusedUrlError(GygoError):
    """The store refuses a signed URL: most often it has expired."""


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
        self.base_url = base_url.rstrip("/")
        self._origin = (parts.scheme, parts.netloc)
        self._key = key
        self._timeout = Timeout(connect=min(5.0, timeout), read=timeout)
        self._retries = _retries(patience)
        # An address that never answered is more likely wrong than away.
        self._first_retries = _retries(min(patience, FIRST_PATIENCE))
        self._reached = False
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
        served = answer.headers.get("Date")
        at = parsedate_to_datetime(served) if served else datetime.now(UTC)
        try:
            return Timed(json.loads(answer.data), time.monotonic(), at)
        except ValueError:
            raise ServerError(
                f"{_without_query(url)} answers something that is not JSON: is this a GyGO server?",
                status=answer.status,
            ) from None

    def get_bytes(self, url: str, query: Query | None = None) -> bytes:
        """The bytes at a path or URL of the service."""
        return self._service("GET", url, query).data

    def post_stream(self, url: str, body: Any) -> Stream:
        """The bytes that the service answers a question with, to be read as they come; goes on when it breaks off."""
        return Stream(self, self._url(url, None), json.dumps(body).encode())

    def location(self, url: str, query: Query | None = None) -> str:
        """Where the service sends those who ask for this path: to another path, on this host or on the store's."""
        target = self._url(url, query)
        for _ in range(5):
            answer = self._try("GET", target, self._headers(target))
            if answer.status >= 400:
                raise problem(answer.status, answer.data, target)
            if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                break
            following = urljoin(target, answer.headers["Location"])
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
        content = memoryview(bytearray(end - start))
        done = 0
        while done < len(content):
            at, rest = start + done, content[done:]
            answer = self._persist(url, lambda at=at, rest=rest: self._store.read(url, at, rest))  # type: ignore[misc]
            _accept_store(answer.status, url)
            if not answer.done:
                raise CorruptDataError(f"{_without_query(url)}: the store answers with other bytes than asked for")
            done += answer.done
        return content

    def download(self, url: str, target: BinaryIO, offset: int = 0) -> int:
        """Write what a signed URL names to ``target`` from ``offset`` on, until the end or until it breaks off.

        Returns how many bytes were written; ask again from there when they are too few.
        """
        headers = {"User-Agent": USER_AGENT, **({"Range": f"bytes={offset}-"} if offset else {})}
        answer = self._try("GET", url, headers, preload_content=False)
        written = 0
        try:
            _accept_store(answer.status, url)
            if offset and answer.status != 206:
                raise CorruptDataError(f"{_without_query(url)}: the store does not know ranges")
            while chunk := answer.read1(CHUNK):  # not read(): it keeps what came before it broke off
                target.write(chunk)
                written += len(chunk)
        except HTTPError:
            pass  # broken off: what is here is good, and the caller asks for the rest
        finally:
            answer.close()
        return written

    def open(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """An answer of the service whose bytes have not been read yet. It is the caller's to close."""
        sent = {**self._headers(url), **headers}
        answer = self._try(method, url, sent, body=body, preload_content=False)
        if answer.status in _REDIRECTS:
            target = urljoin(url, answer.headers.get("Location", ""))
            answer.close()
            return self.open(method, target, body, headers)
        if answer.status >= 400:
            content = answer.read(CHUNK)
            answer.close()
            raise problem(answer.status, content, url)
        return answer

    def _service(self, method: str, url: str, query: Query | None, body: Any = None) -> urllib3.BaseHTTPResponse:
        target = self._url(url, query)
        content = None if body is None else json.dumps(body).encode()
        for _ in range(5):
            headers = self._headers(target)
            if content is not None:
                headers["Content-Type"] = "application/json"
            answer = self._try(method, target, headers, body=content)
            if answer.status not in _REDIRECTS:
                if answer.status >= 400:
                    raise problem(answer.status, answer.data, target)
                return answer
            target = urljoin(target, answer.headers.get("Location", ""))
        raise ServerError(f"{_without_query(target)} redirects again and again")

    def _headers(self, url: str) -> dict[str, str]:
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"}
        if self._key is not None and self._is_ours(url):
            headers["Authorization"] = f"Bearer {self._key}"
        return headers

    def _is_ours(self, url: str) -> bool:
        parts = urlsplit(url)
        return (parts.scheme, parts.netloc) == self._origin

    def _url(self, url: str, query: Query | None) -> str:
        absolute = url if "://" in url else self.base_url + url
        given = [(name, value) for name, value in (query or {}).items() if value is not None]
        return absolute + ("?" + urlencode([(n, _text(v)) for n, v in given], doseq=True) if given else "")

    def _try(self, method: str, url: str, headers: Mapping[str, str], **more: Any) -> urllib3.BaseHTTPResponse:
        def attempt() -> urllib3.BaseHTTPResponse:
            answer = self._pool().request(
                method, url, headers=headers, timeout=self._timeout, redirect=False, retries=False, **more
            )
            if answer.status in _LATER:
                answer.drain_conn()
            return answer

        return self._persist(url, attempt)

    def _persist(self, url: str, attempt: Callable[[], Answer]) -> Answer:
        # Not urllib3's own loop: it writes each URL that it tries again to the log, and signed ones are secrets.
        ours = self._is_ours(url)
        retries = self._retries if self._reached or not ours else self._first_retries
        while True:
            answer: Answer | None = None
            failure: Exception | None = None
            try:
                answer = attempt()
            except (HTTPError, *FAILURES) as error:
                failure = error
            else:
                if answer.status not in _LATER:
                    self._reached = self._reached or ours
                    return answer
            try:
                retries = retries.increment("GET", error=failure)
            except MaxRetryError:
                if answer is not None:
                    return answer
                why = type(failure).__name__
                raise UnreachableError(f"{_without_query(url)}: no answer ({why}), however often tried") from failure
            retries.sleep(answer)  # type: ignore[arg-type]  # only its headers are looked at

    def _pool(self) -> urllib3.PoolManager:
        pid = os.getpid()
        pool = self._pools.get(pid)
        if pool is None:
            pool = self._pools[pid] = urllib3.PoolManager(num_pools=16, maxsize=self._connections, block=False)
        return pool


class Stream:
    """An answer that is read as it comes. When it breaks off, it goes on where it was, if it still is the same."""

    def __init__(self, http: Http, url: str, body: bytes) -> None:
        self._http = http
        self._url = url
        self._body = body
        self._answer: urllib3.BaseHTTPResponse | None = None
        self._etag: str | None = None
        self._total: int | None = None
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, less only at the end; all that is left when negative."""
        parts: list[bytes] = []
        wanted = size if size >= 0 else 1 << 62
        idle = 0
        while wanted and self._position != self._total:
            part = self._read_some(min(wanted, CHUNK))
            parts.append(part)
            wanted -= len(part)
            idle = 0 if part else idle + 1
            if idle == TRIES:
                raise UnreachableError(f"{self._url}: breaks off again and again")
        return b"".join(parts)

    def close(self) -> None:
        """Hang up."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _read_some(self, size: int) -> bytes:
        if self._answer is None:
            self._answer = self._open()
        try:
            content = self._answer.read1(size)  # not read(): it keeps what came before it broke off
        except HTTPError:
            self.close()
            return b""
        if not content:
            self.close()
        self._position += len(content)
        return content

    def _open(self) -> urllib3.BaseHTTPResponse:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self._position and self._etag:
            headers |= {"Range": f"bytes={self._position}-", "If-Range": self._etag}
        answer = self._http.open("POST", self._url, self._body, headers)
        if self._position and answer.status != 206:
            answer.close()
            raise CorruptDataError(f"{self._url}: broke off, and has changed since")
        if not self._position:
            self._etag = answer.headers.get("ETag")
            length = answer.headers.get("Content-Length", "")
            if not length.isdecimal():
                answer.close()
                raise ServerError(f"{self._url}: the answer does not say how long it is", status=answer.status)
            self._total = int(length)
        return answer


def problem(status: int, content: bytes, url: str) -> ServerError:
    """The exception for an error's status and body."""
    kind = _KINDS.get(status) or (InvalidRequestError if status < 500 else ServerError)
    try:
        document = json.loads(content)
        fields = "; ".join(f"{error['field']}: {error['message']}" for error in document.get("errors", ()))
        return kind(fields or document["detail"], status=status, type=document["type"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return kind(f"{_without_query(url)} answers {status}", status=status)


def _retries(patience: float) -> Retry:
    """As many attempts, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, … seconds apart, as the patience pays for."""
    attempts, waited = 0, 0.0
    while waited < patience:
        attempts += 1
        waited += min(_LONGEST_PAUSE, _PAUSE * 2**attempts)
    return Retry(
        total=attempts,
        redirect=False,
        status_forcelist=_LATER,
        allowed_methods=None,  # all our questions may be asked twice
        backoff_factor=_PAUSE,
        backoff_max=_LONGEST_PAUSE,
        backoff_jitter=_PAUSE,
        raise_on_status=False,
    )


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
