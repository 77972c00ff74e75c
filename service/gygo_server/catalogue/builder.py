"""Builds a release's catalogue: videos in, in the order of their names; one immutable file out."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from gygo_server.catalogue.documents import Document, ReleaseTally, annotated_archive, categories_of, describe_video
from gygo_server.catalogue.schema import INDEX_MASK, INDEXES, SCHEMA_VERSION, TABLES
from gygo_server.model import Archive, Video


class CatalogueBuilder:
    """Writes one catalogue file. Equal videos and an equal release document give equal bytes.

    Use it as a context manager; the file is finished by :meth:`finish`, and is of no use before.
    """

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._tally = ReleaseTally()
        self._n = 0
        self._a = 0

    def __enter__(self) -> Self:
        # The file is built privately and uploaded whole: no journal, no waiting for the disk.
        self._db.executescript("PRAGMA page_size=8192; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")
        self._db.executescript(TABLES)
        self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self._db.execute("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def add(self, video: Video) -> bytes:
        """Add the next video; the digest of all that is said of it."""
        self._n += 1
        document = describe_video(video)
        text = orjson.dumps(document)
        facets = [
            *(("split", value) for value in video.splits),
            *(("category", value) for value in categories_of(video)),
            *(("attribute", value) for value in video.attributes),
        ]
        self._tally.add(document, facets)
        digest = hashlib.sha256(text).digest()
        self._db.execute(
            "INSERT INTO videos VALUES (?,?,?,?,?,?,?)",
            (
                self._n,
                video.id,
                len(annotated_archive(video).frames),
                len(document["objects"]),
                sum(archive.size for archive in video.archives),
                digest,
                text.decode(),
            ),
        )
        self._db.executemany("INSERT INTO facets VALUES (?,?,?)", ((*facet, self._n) for facet in facets))
        words = " ".join([video.name, *categories_of(video), *video.attributes])
        self._db.execute("INSERT INTO words (rowid, text) VALUES (?,?)", (self._n, words))
        for archive in video.archives:
            self._add_archive(archive)
        return digest

    def tally(self, splits: dict[str, str]) -> Document:
        """Counts over the videos added so far; ``splits`` maps a split's name to its list's path."""
        return self._tally.describe(splits)

    def finish(self, release: Document) -> None:
        """Write the release's own document, the counts and the indexes, and close the file."""
        self._db.execute("INSERT INTO release VALUES (?)", (orjson.dumps(release).decode(),))
        counts = ((*facet, *count) for facet, count in sorted(self._tally.facets.items()))
        self._db.executemany("INSERT INTO facet_counts VALUES (?,?,?,?)", counts)
        self._db.execute("INSERT INTO words (words) VALUES ('optimize')")
        self._db.execute("COMMIT")
        self._db.executescript(INDEXES)
        self._db.execute("ANALYZE")
        self._db.close()

    def _add_archive(self, archive: Archive) -> None:
        self._a += 1
        a = self._a
        self._db.execute(
            "INSERT INTO archives VALUES (?,?,?,?,?,?,?,?,?)",
            (
                a,
                self._n,
                archive.resolution,
                archive.folder,
                bytes.fromhex(archive.sha256),
                archive.size,
                archive.width,
                archive.height,
                archive.mask_kind,
            ),
        )
        frames = archive.frames
        self._many(
            "frames",
            8,
            (
                (a, f.index, f.name, f.start, f.end, f.image.offset, f.image.size, bytes.fromhex(f.image.sha256))
                for f in frames
            ),
        )
        self._many(
            "masks",
            6,
            (
                (a, f.index, INDEX_MASK, f.mask.offset, f.mask.size, bytes.fromhex(f.mask.sha256))
                for f in frames
                if f.mask is not None
            ),
        )
        self._many("regions", 8, ((a, f.index, r.object_id, *r.box, r.area) for f in frames for r in f.regions))

    def _many(self, table: str, columns: int, rows: Iterable[tuple[object, ...]]) -> None:
        marks = ",".join("?" * columns)
        self._db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608  (table names are ours)
