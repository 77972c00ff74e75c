"""Writes a catalogue's orders and sets, once all videos are in."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby, repeat
from operator import itemgetter
from os.path import commonprefix

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from gygo_server.catalogue.schema import SORTS

#: A beginning that so many words or fewer have needs no set of its own: theirs are united when it is asked for.
FEW_WORDS = 16

#: Rows that are Python's at a time.
ROWS = 10_000

#: Of each video, the numbers that orders go by.
NUMBERS = SORTS[1:]

Numbers = NDArray[np.uint32]

#: A facet, a value of it, and the videos that have it.
Set = tuple[str, str, Numbers]


class SetWriter:
    """Gathers what each video may be found by: in memory three numbers a video, in a temporary file all else."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._numbers = {sort: array("Q") for sort in NUMBERS}

    def begin(self) -> None:
        """Once the file's page size is set, before the first video."""
        self._db.executescript(
            "PRAGMA temp_store=FILE; CREATE TEMP TABLE found_by (facet TEXT, value TEXT, n INTEGER);"
        )

    def add(self, n: int, numbers: dict[str, int], facets: Iterable[tuple[str, str]], words: Iterable[str]) -> None:
        """The next video, whose number is ``n``."""
        for sort, number in numbers.items():
            self._numbers[sort].append(number)
        rows = {*facets, *zip(repeat("word"), words)}
        self._db.executemany("INSERT INTO found_by VALUES (?,?,?)", ((*row, n) for row in rows))

    def write(self, more: Iterable[Set]) -> None:
        """Write all of it, and ``more`` sets."""
        numbers = {sort: np.frombuffer(held, np.uint64) for sort, held in self._numbers.items()}
        ranks = self._write_orders(numbers)
        for facet, value, found in chain(more, self._gathered(numbers)):
            blobs = (_bitmap(found), *(_bitmap(ranks[sort][found - 1]) for sort in NUMBERS))
            self._db.execute("INSERT INTO sets VALUES (?,?,?,?,?,?)", (facet, value, *blobs))

    def _write_orders(self, numbers: dict[str, NDArray[np.uint64]]) -> dict[str, Numbers]:
        """The rank of each video, in each order."""
        ranks = {}
        for sort, values in numbers.items():
            order = np.argsort(values, kind="stable")  # equal ones stay in the order of names
            counted = np.arange(1, len(order) + 1, dtype=np.uint32)
            for start in range(0, len(order), ROWS):
                lot = slice(start, start + ROWS)
                rows = zip(repeat(sort), counted[lot].tolist(), (order[lot] + 1).tolist(), values[order[lot]].tolist())
                self._db.executemany("INSERT INTO orders VALUES (?,?,?,?)", rows)
            ranks[sort] = np.empty(len(order), np.uint32)
            ranks[sort][order] = counted
        return ranks

    def _gathered(self, numbers: dict[str, NDArray[np.uint64]]) -> Iterator[Set]:
        for number in ("frames", "objects"):
            for bit in range(int(numbers[number].max(initial=0)).bit_length()):
                having = np.flatnonzero(numbers[number] >> np.uint64(bit) & np.uint64(1))
                yield f"{number} bit", f"{bit:02}", (having + 1).astype(np.uint32)
        rows = self._db.execute("SELECT facet, value, n FROM found_by ORDER BY facet, value, n")
        beginnings = _Beginnings()
        for (facet, value), group in groupby(rows, itemgetter(0, 1)):
            found = np.fromiter((row[2] for row in group), np.uint32)
            yield facet, value, found
            if facet == "word":
                yield from beginnings.after(value, found)
        yield from beginnings.after("", np.array([], np.uint32))


@dataclass(slots=True)
class _Beginning:
    """What has been found of the words that begin alike, and how many words they are."""

    words: int = 0
    found: BitMap = field(default_factory=BitMap)


class _Beginnings:
    """From words in order, the beginnings that more than a few of them have, each as soon as it has seen the last."""

    def __init__(self) -> None:
        self._word = ""
        self._open: list[_Beginning] = []  # of the word's first letter, first two, …

    def after(self, word: str, found: Numbers) -> Iterator[Set]:
        """Those that the word before had and ``word`` has not."""
        shared = len(commonprefix([word, self._word]))  # noqa: RUF071  (words are no paths)
        while len(self._open) > shared:
            ended = self._open.pop()
            if ended.words > FEW_WORDS:
                beginning = self._word[: len(self._open) + 1]
                yield "beginning", beginning, np.frombuffer(ended.found.to_array(), np.uint32)
        self._open += [_Beginning() for _ in word[shared:]]
        more = BitMap(found)
        for each in self._open:
            each.words += 1
            each.found |= more
        self._word = word


def _bitmap(ranks: Numbers) -> bytes:
    found = BitMap(ranks)
    found.run_optimize()
    return bytes(found.serialize())
