"""A long answer that is read as it comes, and gone on with where it broke off."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import urllib3
from urllib3.exceptions import HTTPError

from gygo.errors import CorruptDataError, ServerError, UnreachableError

CHUNK = 1 << 20

#: Times that something is asked for again which breaks off without a byte gained.
TRIES = 5

#: Method, URL, body and headers; an answer that has not been read.
Ask = Callable[[str, str, bytes | None, Mapping[str, str]], urllib3.BaseHTTPResponse]


class Stream:
    """An answer that is read as it comes. When it breaks off, it goes on where it was, if it still is the same."""

    def __init__(self, ask: Ask, url: str, body: bytes) -> None:
        self._ask = ask
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
        answer = self._ask("POST", self._url, self._body, headers)
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
