"""Reads a release's catalogue. Safe for threads, not to be shared across a fork."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from pyroaring import BitMap

from gygo_server.catalogue import frame_runs
from gygo_server.catalogue.connections import Connections, values
from gygo_server.catalogue.documents import BEFORE_LINK
from gygo_server.catalogue.frame_runs import RUN
from gygo_server.catalogue.kept import kept
from gygo_server.catalogue.lineage import GONE
from gygo_server.catalogue.schema import SCHEMA_VERSION, SORTS
from gygo_server.catalogue.video_query import Sets, VideoFilter, select
from gygo_server.catalogue.words import LAST
from gygo_server.model import FrameFiles, MaskKind, Member

#: Rows read at a time where all are wanted.
ROWS = 1000


class Change(NamedTuple):
    """A video that is not as it was: the key that a cursor needs, its id, and what became of it."""

    key: tuple[int, str]
    id: str
    kind: str


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
    frame_count: int
    mask_count: int


class Catalogue:
    """One release's catalogue file, with so many connections: more readers than that wait for one."""

    def __init__(self, path: Path, connections: int = 4) -> None:
        self._db = Connections(path, connections)
        with self._db.borrow() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"catalogue schema {version}, this software reads {SCHEMA_VERSION}")
        # A release never changes: what is asked again and again is kept.
        self._selected = kept(32, self._select)
        self._sets = kept(64, self._read_sets)  # of a million videos, 8 MB at most
        self.frame_counts = kept(8, self._frame_counts)
        self._archive_sizes = kept(4, self._read_archive_sizes)  # of a million videos, 8 MB each
        self.archive = kept(4096, self._archive)
        self.image = kept(8192, self._image)
        self.mask = kept(8192, self._mask)
        self._run = kept(16, self._read_run)

    def close(self) -> None:
        """Close the connections. Only for when nobody reads any more."""
        self._db.close()

    @cached_property
    def release(self) -> dict[str, Any]:
        """The release's own document, as it was written at publication."""
        document: dict[str, Any] = orjson.loads(self._db.row("SELECT document FROM release")[0])
        return document

    @cached_property
    def lineage(self) -> dict[str, int]:
        """The releases that this one comes from, and itself, oldest first; each with its position."""
        return dict(self._db.rows("SELECT release, position FROM lineage ORDER BY position"))

    # Lists of videos

    def ranks(
        self,
        question: VideoFilter,
        *,
        sort: str = "name",
        after: int | None = None,
        limit: int,
        among: BitMap | None = None,
    ) -> Sequence[int]:
        """Where up to ``limit`` videos stand in an order: those behind the rank ``after``, from the first when None.

        ``sort`` is one of SORTS, ``-`` before it turns it round. ``among``: only videos at these ranks.
        """
        order, descending = sort.removeprefix("-"), sort.startswith("-")
        if order not in SORTS:
            raise ValueError(f"there is no order {sort!r}")
        found = _both(self._selected(question, order), among)
        count = self.release["counts"]["videos"]
        last = count if found is None else len(found)
        after = after if after is None else min(after, count + 1)
        if after is None:
            begin = last if descending else 0
        elif found is None:
            begin = min(max(after - descending, 0), last)
        else:
            begin = found.rank(max(after - descending, 0))
        low, high = (max(begin - limit, 0), begin) if descending else (begin, min(begin + limit, last))
        ranks: Sequence[int] = range(low + 1, high + 1) if found is None else list(found[low:high])
        return ranks[::-1] if descending else ranks

    @cached_property
    def links(self) -> dict[str, str]:
        """The links that the videos' JSON has: names, and paths below a video's URL."""
        links: dict[str, str] = orjson.loads(self._db.row("SELECT links FROM release")[0])
        return links

    def videos(self, sort: str, ranks: Sequence[int]) -> list[tuple[str, str]]:
        """Id and JSON of the videos at these ranks of an order."""
        return self._db.rows(
            "SELECT v.id, v.document FROM json_each(?) AS j CROSS JOIN videos AS v ON v.n = j.value",
            [values(self.numbers(sort, ranks))],
        )

    def page(self, sort: str, ranks: Sequence[int], base: bytes) -> bytes:
        """The JSON of the videos at these ranks of an order, with commas between; ``base`` is put before their links.

        SQLite puts it together: a row each would take longer than all else that makes a page.
        """
        joined = "SELECT CAST(coalesce(group_concat(v.document), '') AS BLOB) FROM"
        numbers = self.numbers(sort, ranks)
        if sort == "name" and isinstance(numbers, range):
            row = self._db.row(f"{joined} videos AS v WHERE v.n BETWEEN ? AND ?", [numbers.start, numbers.stop - 1])
        else:
            row = self._db.row(f"{joined} json_each(?) AS j CROSS JOIN videos AS v ON v.n = j.value", [values(numbers)])
        page: bytes = row[0].replace(BEFORE_LINK, b'"' + base)
        return page

    def count(self, question: VideoFilter, *, among: BitMap | None = None) -> int:
        """How many videos the filter selects, among those of these numbers."""
        found = _both(self._selected(question, "name"), among)
        return int(self.release["counts"]["videos"]) if found is None else len(found)

    def having(self, resolution: str) -> BitMap:
        """The numbers of the videos that have this resolution."""
        return self._selected(VideoFilter(resolution=resolution), "name") or BitMap()

    def numbers_of(self, videos: Sequence[str]) -> list[int | None]:
        """The numbers of videos by their ids, None for those that there are not."""
        # SQLite's JSON ends a text at NUL; no id holds a slash.
        rows = self._db.rows(
            "SELECT v.n FROM json_each(?) AS j LEFT JOIN videos AS v ON v.id = j.value",
            [values([video.replace("\0", "/") for video in videos])],
        )
        return [row[0] for row in rows]

    @cached_property
    def alike(self) -> BitMap:
        """The numbers of the videos of which an archive would have the same file name as another's."""
        return self._set("name", "alike", "")

    def ids(self, split: str) -> Iterator[str]:
        """Ids of a split's videos, in order."""
        question, after = VideoFilter(split=(split,)), 0
        while ranks := self.ranks(question, after=after, limit=ROWS):
            after = ranks[-1]
            yield from (
                row[0]
                for row in self._db.rows(
                    "SELECT v.id FROM json_each(?) AS j CROSS JOIN videos AS v ON v.n = j.value",
                    [values(ranks)],
                )
            )

    def _frame_counts(self, question: VideoFilter) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of the videos that the filter selects, in order, and how many frames each has."""
        with self._db.borrow() as db:
            rows = db.execute("SELECT n, value FROM orders WHERE sort='frames'")
            both = np.fromiter(chain.from_iterable(rows), np.int64).reshape(-1, 2)
        frames = np.empty(len(both) + 1, np.int64)
        frames[both[:, 0]] = both[:, 1]
        found = self._selected(question, "name")
        numbers = np.arange(1, len(frames)) if found is None else np.array(found, np.int64)
        return numbers, frames[numbers]

    # One video

    def id_of(self, n: int) -> str:
        """The id of the video with this number."""
        return str(self._db.row("SELECT id FROM videos WHERE n=?", [n])[0])

    def video(self, video: str) -> str | None:
        """A video's JSON, None when there is no such video."""
        row = self._db.first("SELECT document FROM videos WHERE id=?", [video])
        return None if row is None else row[0]

    def fps(self, video: str) -> float | None:
        """Frames a second, None when the source did not say."""
        row = self._db.first("SELECT document->>'fps' FROM videos WHERE id=?", [video])
        return None if row is None else row[0]

    # Changes

    def changes(self, since: str) -> dict[str, int]:
        """How many videos were ``added``, have ``changed`` and were ``removed`` since an earlier release."""
        row = self._db.row("SELECT added, changed, removed FROM lineage WHERE release=?", [since])
        return dict(zip(("added", "changed", "removed"), row, strict=True))

    def changed(self, since: str, kind: str | None, after: tuple[int, str] | None, limit: int) -> list[Change]:
        """Up to ``limit`` videos that are not as they were in an earlier release, behind the key of the last one shown.

        First those that are there, then those that are gone. ``kind``: only `added`, `changed` or `removed`.
        """
        found: list[Change] = []
        last, gone = after or (0, "")
        if kind != "removed" and not gone:
            found = self._changed(since, kind, last, limit)
        if len(found) < limit and kind in (None, "removed"):
            found += self._removed(since, gone, limit - len(found))
        return found

    def _changed(self, since: str, kind: str | None, after: int, limit: int) -> list[Change]:
        added, both = (self._set("name", facet, since) for facet in ("added_since", "changed_since"))
        among = {"added": added, "changed": both - added}.get(kind or "", both)
        numbers = self.ranks(VideoFilter(), after=after, limit=limit, among=among)
        rows = self._db.rows(
            "SELECT v.n, v.id FROM json_each(?) AS j CROSS JOIN videos AS v ON v.n = j.value", [values(numbers)]
        )
        return [Change((n, ""), video, "added" if n in added else "changed") for n, video in rows]

    def _removed(self, since: str, after: str, limit: int) -> list[Change]:
        # By their ids alone: when they went says something of releases that not everybody may see.
        rows = self._db.rows(
            f"{GONE} AND id > :id ORDER BY id LIMIT :limit",
            {"at": self.lineage[since], "id": after, "limit": limit},
        )
        return [Change((0, video), video, "removed") for (video,) in rows]

    # Archives and frames

    def _archive(self, video: str, resolution: str) -> ArchiveRow | None:
        """A video's archive at one resolution."""
        row = self._db.first(f"{_ARCHIVES} WHERE v.id=? AND r.resolution=?", [video, resolution])
        return None if row is None else _archive_row(row)

    def archives(self) -> Iterator[tuple[str, ArchiveRow]]:
        """Every video's id with each of its archives, in order."""
        with self._db.borrow() as db:
            for row in db.execute(f"{_ARCHIVES} ORDER BY r.a"):
                yield row[-1], _archive_row(row)

    def archives_at(self, numbers: Sequence[int], resolution: str) -> list[tuple[str, str, str, int]]:
        """An archive of each of these videos: its id, the resolution, the archive's SHA-256 and its bytes.

        At this resolution, or else the first that the video has.
        """
        return self._db.rows(
            "SELECT v.id, r.resolution, lower(hex(r.sha256)), r.size "
            "FROM json_each(?) AS j CROSS JOIN videos AS v ON v.n = j.value CROSS JOIN archives AS r "
            "ON r.a = coalesce((SELECT a FROM archives WHERE n = v.n AND resolution = ?), "
            "(SELECT min(a) FROM archives WHERE n = v.n))",
            [values(numbers), resolution],
        )

    def bytes_of_archives(self, question: VideoFilter, resolution: str | None, *, among: BitMap | None = None) -> int:
        """Bytes of the archives, as :meth:`archives_at` chooses them, of the videos that the filter selects; at this
        resolution or, None, the default one. The first time, all sizes are read: of a million videos, a second."""
        sizes = self._archive_sizes(resolution or self.release["default_resolution"])
        found = _both(self._selected(question, "name"), among)
        return int(sizes.sum() if found is None else sizes[np.frombuffer(found.to_array(), np.uint32)].sum())

    def _read_archive_sizes(self, resolution: str) -> NDArray[np.int64]:
        """By the numbers of the videos, the size of each one's archive; 0 for the number 0, which none has."""
        with self._db.borrow() as db:
            # SQLite's own: beside min() or max(), other columns are of the row that has it.
            rows = db.execute(
                "SELECT n, size, max(CASE resolution WHEN ? THEN 1 ELSE -a END) FROM archives GROUP BY n", [resolution]
            )
            read = np.fromiter(chain.from_iterable((n, size) for n, size, _ in rows), np.int64).reshape(-1, 2)
        sizes = np.zeros(self.release["counts"]["videos"] + 1, np.int64)
        sizes[read[:, 0]] = read[:, 1]
        return sizes

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
        found: list[FrameFiles] = []
        count = archive.frame_count
        first = after if after is not None else (count if descending else -1)
        # Whole runs, from the one that holds the next frame on.
        ahead = range(min(first, count) - 1, -1, -1) if descending else range(max(first + 1, 0), count)
        for run in dict.fromkeys(index // RUN for index in (*ahead[::RUN], *ahead[-1:])):
            frames = self._run(archive.a, run)
            for frame in reversed(frames) if descending else frames:
                if frame.index in ahead and _shows(frame, object_id, has_mask):
                    found.append(frame)
                    if len(found) == limit:
                        return found
        return found

    def clip(self, archive: ArchiveRow, start: int, length: int, step: int) -> list[FrameFiles]:
        """The frames ``start``, ``start + step``, … of an archive, as many of ``length`` as it has."""
        wanted = range(start, min(start + length * step, archive.frame_count), step)
        return [self._run(archive.a, index // RUN)[index % RUN] for index in wanted]

    def frame(self, archive: ArchiveRow, index: int) -> FrameFiles | None:
        """One frame by its index."""
        if not 0 <= index < archive.frame_count:
            return None
        return self._run(archive.a, index // RUN)[index % RUN]

    def count_frames(self, archive: ArchiveRow, object_id: int | None = None, has_mask: bool | None = None) -> int:
        """How many frames :meth:`frames` gives in all."""
        frames, masks = archive.frame_count, archive.mask_count
        if object_id is None:
            return frames if has_mask is None else masks if has_mask else frames - masks
        runs = (self._run(archive.a, run) for run in range(-(-frames // RUN)))
        return sum(_shows(frame, object_id, has_mask) for run in runs for frame in run)

    def _image(self, archive: ArchiveRow, index: int) -> Member | None:
        """Where a frame's picture is."""
        frame = self.frame(archive, index)
        return None if frame is None else frame.image

    def _mask(self, archive: ArchiveRow, index: int) -> Member | None:
        """Where a frame's mask is; None when the frame has none."""
        frame = self.frame(archive, index)
        return None if frame is None else frame.mask

    def _read_run(self, a: int, run: int) -> list[FrameFiles]:
        return frame_runs.unpack(self._db.row("SELECT frames FROM runs WHERE id=?", [frame_runs.run_id(a, run)])[0])

    # Sets

    @cached_property
    def _everything(self) -> BitMap:
        return BitMap(range(1, self.release["counts"]["videos"] + 1))

    def _select(self, question: VideoFilter, order: str) -> BitMap | None:
        def beginning(word: str) -> BitMap:
            known = self._sets(order, "facet='beginning' AND value=?", word)
            few = known or self._sets(order, "facet='word' AND value >= ? AND value < ?", word, word + LAST)
            return BitMap.union(BitMap(), *few)

        return select(
            question,
            Sets(
                everything=self._everything,
                of=lambda facet, value: self._set(order, facet, value),
                beginning=beginning,
                bits=lambda number: self._sets(order, "facet=?", f"{number} bit"),
            ),
        )

    def _set(self, order: str, facet: str, value: str) -> BitMap:
        found = self._sets(order, "facet=? AND value=?", facet, value)
        return found[0] if found else BitMap()

    def _read_sets(self, order: str, condition: str, *parameters: str) -> list[BitMap]:
        rows = self._db.rows(f'SELECT "{order}" FROM sets WHERE {condition} ORDER BY value', parameters)  # noqa: S608  # nosec B608 # names of ours
        return [BitMap.deserialize(row[0]) for row in rows]

    def numbers(self, sort: str, ranks: Sequence[int]) -> Sequence[int]:
        """The numbers of the videos at these ranks."""
        order = sort.removeprefix("-")
        if order == "name":
            return ranks
        rows = self._db.rows(
            "SELECT o.n FROM json_each(?) AS j CROSS JOIN orders AS o ON o.sort=? AND o.rank = j.value",
            [values(ranks), order],
        )
        return [n for (n,) in rows]


_ARCHIVES = (
    "SELECT r.a, r.resolution, r.folder, r.sha256, r.size, r.width, r.height, r.mask_kind, r.frames, r.masks, v.id "
    "FROM archives AS r JOIN videos AS v ON v.n = r.n"
)


def _both(one: BitMap | None, other: BitMap | None) -> BitMap | None:
    """What is in both, where None is everything."""
    if one is None or other is None:
        return one if other is None else other
    return one & other


def _archive_row(row: Any) -> ArchiveRow:
    a, resolution, folder, sha256, size, width, height, mask_kind, frames, masks = row[:10]
    return ArchiveRow(a, resolution, folder, sha256.hex(), size, width, height, MaskKind(mask_kind), frames, masks)


def _shows(frame: FrameFiles, object_id: int | None, has_mask: bool | None) -> bool:
    """Whether the frame shows the object and has a mask, or has none, as far as that is asked."""
    if has_mask is not None and has_mask != (frame.mask is not None):
        return False
    return object_id is None or any(region.object_id == object_id for region in frame.regions)
