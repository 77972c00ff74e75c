"""Reads a release's catalogue. Opened read-only and immutable; safe for threads, not to be shared across a fork."""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from gygo_server.catalogue.schema import INDEX_MASK, SCHEMA_VERSION
from gygo_server.catalogue.video_query import SORTS, Condition, VideoFilter, condition, ranges_after
from gygo_server.model import Box, FrameFiles, MaskKind, Member, Region


class VideoRow(NamedTuple):
    """A video in a listing: the key that a cursor needs, its id, and its JSON."""

    key: list[int | str]
    id: str
    document: str


class ArchiveRow(NamedTuple):
    """An archive of a video, without its frames."""

    a: int
    resolution: str
    folder: str
    sha256: str
    size: int
    width: int
    height: int
    mask_kind: MaskKind


class Catalogue:
    """One release's catalogue file, with so many connections: more readers than that wait for one.

    All are opened at once, so that the file may be evicted from the disk cache while it is read.
    """

    def __init__(self, path: Path, connections: int = 4) -> None:
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        for _ in range(connections):
            self._idle.put(_connect(uri))
        with self._connection() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"catalogue schema {version}, this software reads {SCHEMA_VERSION}")
        # A release never changes: what is asked again and again is kept.
        self._count_where = lru_cache(maxsize=1024)(self._count_where_uncached)
        self.frame_counts = lru_cache(maxsize=8)(self._frame_counts)
        self.archive = lru_cache(maxsize=4096)(self._archive)
        self.image = lru_cache(maxsize=8192)(self._image)
        self.mask = lru_cache(maxsize=8192)(self._mask)

    def close(self) -> None:
        """Close the connections. Only for when nobody reads any more."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    @cached_property
    def release(self) -> dict[str, Any]:
        """The release's own document, as it was written at publication."""
        document: dict[str, Any] = orjson.loads(self._row("SELECT document FROM release")[0])
        return document

    # Videos

    def videos(
        self, question: VideoFilter, *, sort: str = "name", after: list[Any] | None = None, limit: int
    ) -> list[VideoRow]:
        """Up to ``limit`` videos in order. ``sort`` is one of SORTS, ``-`` before it turns it round."""
        column, descending = SORTS[sort.removeprefix("-")], sort.startswith("-")
        keys = ["n"] if column == "n" else [column, "n"]
        where = self._condition(question)
        direction = " DESC" if descending else ""
        order = ", ".join(f"v.{key}{direction}" for key in keys)
        columns = ", ".join(f"v.{key}" for key in keys)
        rows: list[Any] = []
        for part in ranges_after(keys, after, descending):
            if len(rows) < limit:
                rows += self._rows(
                    f"SELECT v.id, v.document, {columns} FROM videos AS v "  # noqa: S608
                    f"WHERE {where.sql} AND {part.sql} ORDER BY {order} LIMIT ?",
                    [*where.parameters, *part.parameters, limit - len(rows)],
                )
        return [VideoRow(list(key), video, document) for video, document, *key in rows]

    def count(self, question: VideoFilter) -> int:
        """How many videos the filter selects; known beforehand for none and for one facet value."""
        if question == VideoFilter():
            return int(self.release["counts"]["videos"])
        facet = question.only_facet()
        if facet is not None:
            return self._facet_count(facet[0], (facet[1],))
        return self._count_where(question)

    def _frame_counts(self, question: VideoFilter) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row numbers and numbers of frames of the videos that the filter selects, in the order of names."""
        where = self._condition(question)
        with self._connection() as db:
            rows = db.execute(f"SELECT v.n, v.frames FROM videos AS v WHERE {where.sql} ORDER BY v.n", where.parameters)  # noqa: S608
            both = np.fromiter((number for row in rows for number in row), np.int64).reshape(-1, 2)
        return both[:, 0], both[:, 1].copy()

    def id_of(self, n: int) -> str:
        """The id of the video with this row number."""
        return str(self._row("SELECT id FROM videos WHERE n=?", [n])[0])

    def video(self, video: str) -> str | None:
        """A video's JSON, None when there is no such video."""
        row = self._first("SELECT document FROM videos WHERE id=?", [video])
        return None if row is None else row[0]

    def fps(self, video: str) -> float | None:
        """Frames a second, None when the source did not say."""
        row = self._first("SELECT document->>'fps' FROM videos WHERE id=?", [video])
        return None if row is None else row[0]

    def ids(self, split: str) -> Iterator[str]:
        """Ids of a split's videos, in order."""
        sql = "SELECT v.id FROM facets f JOIN videos v USING (n) WHERE f.facet='split' AND f.value=? ORDER BY f.n"
        return (row[0] for row in self._rows(sql, [split]))

    def digests(self) -> Iterator[tuple[str, bytes]]:
        """Each video's id and the digest of all that is said of it, in order of ids."""
        with self._connection() as db:
            yield from db.execute("SELECT id, digest FROM videos ORDER BY id")

    # Archives and frames

    def _archive(self, video: str, resolution: str) -> ArchiveRow | None:
        """A video's archive at one resolution."""
        row = self._first(f"{_ARCHIVES} WHERE v.id=? AND r.resolution=?", [video, resolution])
        return None if row is None else _archive_row(row)

    def archives(self) -> Iterator[tuple[str, ArchiveRow]]:
        """Every video's id with each of its archives, in order."""
        with self._connection() as db:
            for row in db.execute(f"{_ARCHIVES} ORDER BY v.n, r.a"):
                yield row[-1], _archive_row(row)

    def frames(
        self,
        archive: ArchiveRow,
        *,
        after: int | None = None,
        limit: int,
        descending: bool = False,
        object_id: int | None = None,
        has_mask: bool | None = None,
    ) -> list[FrameFiles]:
        """Up to ``limit`` frames by index, each with its files and objects; only those that show an object, …"""
        a = archive.a
        where = _frame_condition(archive, object_id, has_mask)
        first = after if after is not None else (1 << 62 if descending else -1)
        sign, order = ("<", "DESC") if descending else (">", "ASC")
        rows = self._rows(
            f"SELECT {_FRAME} FROM frames AS f WHERE {where.sql} AND f.idx {sign} ? ORDER BY f.idx {order} LIMIT ?",  # noqa: S608
            [*where.parameters, first, limit],
        )
        if not rows:
            return []
        low, high = min(rows[0][0], rows[-1][0]), max(rows[0][0], rows[-1][0])
        masks = {
            row[0]: Member(row[1], row[2], row[3].hex())
            for row in self._rows(
                'SELECT idx, "offset", size, sha256 FROM masks WHERE a=? AND idx BETWEEN ? AND ? AND object_id=?',
                [a, low, high, INDEX_MASK],
            )
        }
        regions: dict[int, list[Region]] = {}
        for index, object_id, x, y, width, height, area in self._rows(
            "SELECT idx, object_id, x, y, width, height, area FROM regions WHERE a=? AND idx BETWEEN ? AND ?",
            [a, low, high],
        ):
            regions.setdefault(index, []).append(Region(object_id, Box(x, y, width, height), area))
        return [_frame(row, masks.get(row[0]), tuple(regions.get(row[0], ()))) for row in rows]

    def clip(self, archive: ArchiveRow, start: int, length: int, step: int) -> list[FrameFiles]:
        """The frames ``start``, ``start + step``, … of an archive, as many of ``length`` as it has; without objects."""
        rows = self._rows(
            f'SELECT {_FRAME}, m."offset", m.size, m.sha256 '  # noqa: S608
            "FROM frames AS f LEFT JOIN masks AS m ON m.a=f.a AND m.idx=f.idx AND m.object_id=? "
            "WHERE f.a=? AND f.idx BETWEEN ? AND ? AND (f.idx - ?) % ? = 0 ORDER BY f.idx",
            [INDEX_MASK, archive.a, start, start + (length - 1) * step, start, step],
        )
        return [_frame(row[:7], None if row[7] is None else Member(row[7], row[8], row[9].hex()), ()) for row in rows]

    def frame(self, archive: ArchiveRow, index: int) -> FrameFiles | None:
        """One frame by its index."""
        found = self.frames(archive, after=index - 1, limit=1)
        return found[0] if found and found[0].index == index else None

    def count_frames(self, archive: ArchiveRow, object_id: int | None = None, has_mask: bool | None = None) -> int:
        """How many frames :meth:`frames` gives in all."""
        where = _frame_condition(archive, object_id, has_mask)
        return int(self._row(f"SELECT count(*) FROM frames AS f WHERE {where.sql}", where.parameters)[0])  # noqa: S608

    def _image(self, archive: ArchiveRow, index: int) -> Member | None:
        """Where a frame's picture is."""
        row = self._first(
            "SELECT image_offset, image_size, image_sha256 FROM frames WHERE a=? AND idx=?", [archive.a, index]
        )
        return None if row is None else Member(row[0], row[1], row[2].hex())

    def _mask(self, archive: ArchiveRow, index: int) -> Member | None:
        """Where a frame's index mask is; None when the frame has none."""
        row = self._first(
            'SELECT "offset", size, sha256 FROM masks WHERE a=? AND idx=? AND object_id=?',
            [archive.a, index, INDEX_MASK],
        )
        return None if row is None else Member(row[0], row[1], row[2].hex())

    # Below: SQLite

    def _condition(self, question: VideoFilter) -> Condition:
        return condition(question, self.release["counts"]["videos"], self._facet_count)

    def _facet_count(self, facet: str, values: tuple[str, ...]) -> int:
        """Videos with any of the values, each counted as often as it has one."""
        marks = ",".join("?" * len(values))
        sql = f"SELECT coalesce(sum(videos), 0) FROM facet_counts WHERE facet=? AND value IN ({marks})"  # noqa: S608
        return int(self._row(sql, [facet, *values])[0])

    def _count_where_uncached(self, question: VideoFilter) -> int:
        where = self._condition(question)
        return int(self._row(f"SELECT count(*) FROM videos AS v WHERE {where.sql}", where.parameters)[0])  # noqa: S608

    def _rows(self, sql: str, parameters: list[Any] | None = None) -> list[Any]:
        with self._connection() as db:
            return db.execute(sql, parameters or []).fetchall()

    def _first(self, sql: str, parameters: list[Any] | None = None) -> Any | None:
        with self._connection() as db:
            return db.execute(sql, parameters or []).fetchone()

    def _row(self, sql: str, parameters: list[Any] | None = None) -> Any:
        row = self._first(sql, parameters)
        if row is None:
            raise sqlite3.DatabaseError("the catalogue lacks a row that every catalogue has")
        return row

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        db = self._idle.get()
        try:
            yield db
        finally:
            self._idle.put(db)


_ARCHIVES = (
    "SELECT r.a, r.resolution, r.folder, r.sha256, r.size, r.width, r.height, r.mask_kind, v.id "
    "FROM archives AS r JOIN videos AS v ON v.n = r.n"
)
_FRAME = 'f.idx, name, "start", "end", image_offset, image_size, image_sha256'


def _connect(uri: str) -> sqlite3.Connection:
    db = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
    # The page cache is the kernel's: mapped once, whatever the number of connections and workers.
    db.execute(f"PRAGMA mmap_size={1 << 40}")
    db.execute("PRAGMA cache_size=-256")
    return db


def _archive_row(row: Any) -> ArchiveRow:
    a, resolution, folder, sha256, size, width, height, mask_kind = row[:8]
    return ArchiveRow(a, resolution, folder, sha256.hex(), size, width, height, MaskKind(mask_kind))


def _frame_condition(archive: ArchiveRow, object_id: int | None, has_mask: bool | None) -> Condition:
    clauses, parameters = ["f.a=?"], [archive.a]
    if object_id is not None:
        clauses.append("EXISTS (SELECT 1 FROM regions WHERE a=f.a AND idx=f.idx AND object_id=?)")
        parameters.append(object_id)
    if has_mask is not None:
        clauses.append(f"{'' if has_mask else 'NOT '}EXISTS (SELECT 1 FROM masks WHERE a=f.a AND idx=f.idx)")  # noqa: S608
    return Condition(" AND ".join(clauses), parameters)


def _frame(row: Any, mask: Member | None, regions: tuple[Region, ...]) -> FrameFiles:
    index, name, start, end, offset, size, sha256 = row
    return FrameFiles(index, name, start, end, Member(offset, size, sha256.hex()), mask, regions)
