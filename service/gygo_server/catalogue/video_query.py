"""From the filters of a videos list to SQL whose cost does not grow with depth."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Orders of a videos list, and the column that each sorts by. `n` is the order of names.
SORTS = {"name": "n", "frames": "frames", "objects": "objects", "bytes": "bytes"}

#: A facet value that more than one video in so many has is checked row by row; a rarer one is looked up first.
COMMON = 50

#: What FTS5's unicode61 takes for a word too: letters and digits of any script, accents with their letters, no "_".
_WORD = re.compile(r"[^\W_](?:[^\W_]|[\u0300-\u036f])*")

CountOf = Callable[[str, tuple[str, ...]], int]


@dataclass(frozen=True, slots=True)
class VideoFilter:
    """Which videos. Values of one facet are alternatives, except attributes: a video must have all of them."""

    category: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    attribute: tuple[str, ...] = ()
    min_frames: int | None = None
    max_frames: int | None = None
    min_objects: int | None = None
    q: str | None = None
    resolution: str | None = None

    def only_facet(self) -> tuple[str, str] | None:
        """The one facet value this filter is, if that is all it is: its count is known beforehand."""
        facets = [
            (facet, values)
            for facet, values in (("category", self.category), ("split", self.split), ("attribute", self.attribute))
            if values
        ]
        bounds = (self.min_frames, self.max_frames, self.min_objects, self.q, self.resolution)
        if len(facets) == 1 and len(facets[0][1]) == 1 and all(bound is None for bound in bounds):
            return facets[0][0], facets[0][1][0]
        return None


@dataclass(frozen=True, slots=True)
class Condition:
    """A WHERE clause and its parameters."""

    sql: str
    parameters: list[Any]


def condition(question: VideoFilter, videos: int, count_of: CountOf) -> Condition:
    """The filter as SQL over ``videos AS v``, for a release of so many videos."""
    clauses: list[str] = []
    parameters: list[Any] = []

    def facet(name: str, values: tuple[str, ...]) -> None:
        marks = ",".join("?" * len(values))
        match = f"facet=? AND value IN ({marks})"
        if count_of(name, values) * COMMON > videos:
            clauses.append(f"EXISTS (SELECT 1 FROM facets WHERE {match} AND n=v.n)")  # noqa: S608
        else:
            clauses.append(f"v.n IN (SELECT n FROM facets WHERE {match})")  # noqa: S608
        parameters.extend([name, *values])

    if question.category:
        facet("category", question.category)
    if question.split:
        facet("split", question.split)
    for attribute in question.attribute:
        facet("attribute", (attribute,))
    for sql, bound in (
        ("v.frames >= ?", question.min_frames),
        ("v.frames <= ?", question.max_frames),
        ("v.objects >= ?", question.min_objects),
    ):
        if bound is not None:
            clauses.append(sql)
            parameters.append(bound)
    if question.resolution is not None:
        clauses.append("EXISTS (SELECT 1 FROM archives WHERE n=v.n AND resolution=?)")
        parameters.append(question.resolution)
    if question.q is not None:
        clauses.append("v.n IN (SELECT rowid FROM words WHERE words MATCH ?)")
        parameters.append(_match(question.q))
    return Condition(" AND ".join(clauses) or "1", parameters)


def _match(q: str) -> str:
    """All words, each as the beginning of a word of the name, category or attributes (FTS5 query syntax)."""
    words = _WORD.findall(q)
    return " AND ".join(f'"{word}"*' for word in words) if words else '""'


def ranges_after(columns: list[str], after: list[Any] | None, descending: bool) -> list[Condition]:
    """Where a list by these columns goes on after a key: ranges of an index, to be read one after the other.

    Not one comparison of rows, ``(frames, n) > (?, ?)``: SQLite looks up only its first column when the second is the
    rowid, and would walk through all videos with as many frames.
    """
    if after is None:
        return [Condition("1", [])]
    sign = "<" if descending else ">"
    ranges = []
    for last in reversed(range(len(columns))):
        equal = [f"v.{column}=?" for column in columns[:last]]
        ranges.append(Condition(" AND ".join([*equal, f"v.{columns[last]}{sign}?"]), after[: last + 1]))
    return ranges
