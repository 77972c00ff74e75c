"""Builds a release's catalogue: videos in, in the order of their names; one immutable file out."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import orjson

from gygo_server.catalogue import frame_runs
from gygo_server.catalogue.documents import (
    LINKS,
    Document,
    ReleaseTally,
    annotated_archive,
    categories_of,
    describe_video,
    with_links,
)
from gygo_server.catalogue.lineage import Lineage
from gygo_server.catalogue.schema import INDEXES, SCHEMA_VERSION, TABLES
from gygo_server.catalogue.sets import Set, SetWriter
from gygo_server.catalogue.words import words_of
from gygo_server.model import Archive, Video


class CatalogueBuilder:
    """Writes one catalogue file. Equal videos, an equal release document and an equal past give equal bytes.

    ``before`` is the catalogue of the release that this one comes from: what has changed is worked out from it.
    Use it as a context manager; the file is finished by :meth:`finish`, and is of no use before. What it keeps in
    memory is some tens of bytes a video, whatever the number of frames.
    """

    def __init__(self, path: Path, before: Path | None = None) -> None:
        path.unlink(missing_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._tally = ReleaseTally()
        self._sets = SetWriter(self._db)
        self._lineage = Lineage(self._db, before)
        self._n = 0
        self._a = 0

    def __enter__(self) -> Self:
        # The file is built privately and uploaded whole: no journal, no waiting for the disk.
        self._db.executescript("PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")
        self._db.executescript(TABLES)
        self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self._sets.begin()
        self._lineage.begin()
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
        since = self._lineage.since(video.id, digest)
        self._db.execute(
            "INSERT INTO videos VALUES (?,?,?,?,?)",
            (self._n, video.id, since, digest, with_links(text, video.id).decode()),
        )
        self._sets.add(
            self._n,
            {
                "frames": len(annotated_archive(video).frames),
                "objects": len(document["objects"]),
                "bytes": sum(archive.size for archive in video.archives),
            },
            [*facets, *(("resolution", archive.resolution) for archive in video.archives)],
            words_of(" ".join([video.name, *categories_of(video), *video.attributes])),
        )
        for archive in video.archives:
            self._add_archive(archive)
        return digest

    def tally(self, splits: dict[str, str]) -> Document:
        """Counts over the videos added so far; ``splits`` maps a split's name to its list's path."""
        return self._tally.describe(splits)

    def finish(self, release: Document) -> None:
        """Write the release's own document, what it may be searched by and what has changed, and close the file.

        The document's ``changes`` are written here: None for the first release of a lineage.
        """
        self._db.execute("COMMIT")
        self._db.executescript(INDEXES)
        self._db.execute("BEGIN")
        self._sets.write([*self._lineage.write(str(release.get("id"))), *self._find_alike()])
        document = {**release, "changes": self._lineage.changes()}
        texts = (orjson.dumps(document).decode(), orjson.dumps(LINKS).decode())
        self._db.execute("INSERT INTO release VALUES (?,?)", texts)
        self._db.execute("COMMIT")
        self._db.close()

    def _find_alike(self) -> Iterator[Set]:
        """The videos of which an archive would have another's file name, which has ``-`` for the slash of a name."""
        found = [n for (n,) in self._db.execute(_ALIKE)]
        if found:
            yield "alike", "", np.array(found, np.uint32)

    def _add_archive(self, archive: Archive) -> None:
        self._a += 1
        frames = archive.frames
        self._db.execute(
            "INSERT INTO archives VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (
                self._a,
                self._n,
                archive.resolution,
                archive.folder,
                bytes.fromhex(archive.sha256),
                archive.size,
                archive.width,
                archive.height,
                archive.mask_kind,
                len(frames),
                sum(frame.mask is not None for frame in frames),
            ),
        )
        runs = enumerate(range(0, len(frames), frame_runs.RUN))
        self._db.executemany(
            "INSERT INTO runs VALUES (?,?)",
            (
                (frame_runs.run_id(self._a, run), frame_runs.pack(frames[start : start + frame_runs.RUN]))
                for run, start in runs
            ),
        )


_ALIKE = """
WITH files AS (
    SELECT v.n, replace(v.id, ':', '-') || '-' || r.resolution AS file FROM videos AS v JOIN archives AS r ON r.n = v.n
)
SELECT DISTINCT n FROM files WHERE file IN (SELECT file FROM files GROUP BY file HAVING count(*) > 1)
"""
