"""Lists of the service: pages, and sequences that fetch them as they are walked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar, overload

from gygo.http import Http, Query, understood

T = TypeVar("T")


class Page(NamedTuple):
    """One page: the number of items on all pages, this one's items, the URL of the next."""

    total: int
    items: list[dict[str, Any]]
    next: str | None


def read_page(http: Http, url: str, query: Query | None, seen: int) -> Page:
    """The page at ``url``, of a list of which ``seen`` items came before.

    Raises:
        ServerError: it is no page, or one of a list that does not end.
    """
    document = http.get_json(url, query)
    with understood(url):
        page = Page(int(document["total"]), list(document["items"]), document["next"])
        if page.next is not None and (not page.items or seen + len(page.items) > page.total):
            raise ValueError("pages without end")
        return page


class Listing(Sequence[T], Generic[T]):
    """A list that comes page by page as it is walked. What was fetched is kept; ``len()`` asks for one page."""

    def __init__(self, http: Http, url: str, query: dict[str, Any], make: Callable[[dict[str, Any]], T]) -> None:
        self._http, self._url, self._make = http, url, make
        self._query: dict[str, Any] | None = query
        self._next: str | None = url
        self._items: list[T] = []
        self._total: int | None = None

    def __len__(self) -> int:
        if self._total is None:
            self._fetch()
        return self._total or 0

    def __iter__(self) -> Iterator[T]:
        at = 0
        while at < len(self._items) or self._fetch():
            yield self._items[at]
            at += 1

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            chosen = range(len(self))[index]
            last = max(chosen, default=-1)
            known = list(islice(self, last + 1))
            return [known[each] for each in chosen]
        wanted = range(len(self))[index]
        while len(self._items) <= wanted and self._fetch():
            pass
        return self._items[wanted]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._url}>"

    def _fetch(self) -> bool:
        """Get the next page; False at the end."""
        if self._next is None:
            return False
        page = read_page(self._http, self._next, self._query, len(self._items))
        with understood(self._next):
            self._items += list(map(self._make, page.items))
        self._total, self._next, self._query = page.total, page.next, None  # `next` holds the query
        return bool(page.items)
