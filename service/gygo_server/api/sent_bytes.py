"""How many bytes of an answer were sent, as far as can be known here: what the server took, or the kernel for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Told once, at the end: the bytes, and whether it came too early.
Ended = Callable[[int, bool], None]


def count_sent(
    body: Iterable[bytes],
    environ: WSGIEnvironment,
    size: int | None,
    ended: Ended,
    taken: Callable[[], None] = lambda: None,
) -> Iterable[bytes]:
    """The body of an answer, ``size`` bytes long if that is known; to be given to the server in place of it.

    ``taken`` is called before each chunk is given to be sent. A chunk counts from then on: of one that was cut, nobody
    knows how much went out.
    """
    # What the server sends by sendfile(2) must stay what it is.
    is_file = isinstance(body, environ.get("wsgi.file_wrapper", ()))
    if is_file and size is not None:
        _count_file(body, size, ended)
        return body
    return _Counted(body, ended, taken)


class _Counted:
    def __init__(self, body: Iterable[bytes], ended: Ended, taken: Callable[[], None]) -> None:
        self._body = body
        self._next = iter(body).__next__
        self._ended: Ended | None = ended
        self._taken = taken
        self._sent = 0
        self._whole = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = self._next()
        except StopIteration:
            self._whole = True
            raise
        self._sent += len(chunk)
        self._taken()
        return chunk

    def close(self) -> None:
        close: Callable[[], None] | None = getattr(self._body, "close", None)
        ended, self._ended = self._ended, None
        try:
            if close is not None:
                close()
        finally:
            if ended is not None:
                ended(self._sent, not self._whole)


def _count_file(body: Any, size: int, ended: Ended) -> None:
    """Where socket.sendfile fails, it leaves the file after the last byte that went out."""
    file, close = body.filelike, body.close
    first = file.tell()

    def end() -> None:
        cut = sys.exc_info()[0] is not None
        sent = file.tell() - first if cut else size
        try:
            close()
        finally:
            ended(sent, cut)

    body.close = end
