"""The catalogue: a release as one SQLite file, built once, then only read.

Videos have a number ``n``, from 1, in the order of their names. Each carries its API description as finished JSON
(``document``), whose links only lack their beginning (`documents.with_links`): SQLite itself puts a page together.

What a list costs does not grow with its depth, and hardly with the release, by three things:

* *Orders.* In each order that a list may have (`SORTS`) a video has a rank, from 1; by name it is ``n``. A page is a
  run of ranks, and a cursor is one.
* *Sets.* For each thing that a list may be filtered by, the videos it holds for are kept as a Roaring bitmap (Lemire et
  al., "Roaring Bitmaps", 2018; its portable serialization) of ranks, once an order. A filter is an intersection of
  these; how many it selects, and where a page of them begins, is read off the bitmap.
* *Runs.* An archive's frames are kept in runs of 256 (`frame_runs`), one row each.
"""

from __future__ import annotations

#: Raised when a reader of the old layout could not read the new one.
SCHEMA_VERSION = 2

#: Orders of a videos list. All but the order of names are by a number, and by name where that is equal.
SORTS = ("name", "frames", "objects", "bytes")

TABLES = """
CREATE TABLE release (
    document TEXT NOT NULL,
    links TEXT NOT NULL            -- those that the videos' documents have: names and paths
);

CREATE TABLE videos (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    since INTEGER NOT NULL,        -- position in the lineage of the release from which on it has been as it is
    digest BLOB NOT NULL,          -- SHA-256 of all that is said of it: tells changed videos apart
    document TEXT NOT NULL
);

CREATE TABLE orders (              -- all but the order of names
    sort TEXT NOT NULL,
    rank INTEGER NOT NULL,
    n INTEGER NOT NULL,
    value INTEGER NOT NULL,        -- what the order goes by
    PRIMARY KEY (sort, rank)
) WITHOUT ROWID;

CREATE TABLE sets (                -- Roaring bitmaps of ranks, a column an order
    facet TEXT NOT NULL,
    value TEXT NOT NULL,
    name BLOB NOT NULL,
    frames BLOB NOT NULL,
    objects BLOB NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (facet, value)
) WITHOUT ROWID;

CREATE TABLE lineage (             -- the releases that this one comes from, oldest first, and itself
    position INTEGER PRIMARY KEY,
    release TEXT NOT NULL,
    added INTEGER NOT NULL,        -- videos that are new since that release, that have changed, that are gone
    changed INTEGER NOT NULL,
    removed INTEGER NOT NULL
);

CREATE TABLE past (                -- what videos were in earlier releases of the lineage, from `first` to `last`
    last INTEGER NOT NULL,
    id TEXT NOT NULL,
    first INTEGER NOT NULL,
    digest BLOB NOT NULL,
    gone INTEGER NOT NULL,         -- 1: this release has no such video
    PRIMARY KEY (last, id)
) WITHOUT ROWID;

CREATE TABLE archives (
    a INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    resolution TEXT NOT NULL,
    folder TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    size INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    mask_kind TEXT NOT NULL,
    frames INTEGER NOT NULL,
    masks INTEGER NOT NULL
);

CREATE TABLE runs (                -- of frames
    id INTEGER PRIMARY KEY,        -- of the archive and the run (`run_id`)
    frames BLOB NOT NULL
);
"""

#: Made after the rows are in: faster, and denser pages.
INDEXES = """
CREATE UNIQUE INDEX videos_id ON videos (id);
CREATE UNIQUE INDEX archives_video ON archives (n, resolution);
CREATE INDEX videos_since ON videos (since);
CREATE INDEX past_id ON past (id);
"""
