"""The catalogue: a release as one SQLite file, built once, then only read.

Videos have a row number ``n`` in the order of their names, so the default order of a listing is the order of rows.
Each video carries its API description as finished JSON (``document``): a page costs one lookup a video, and no join.
A frame has no mask, one index mask (``object_id`` 0), or one mask an object (overlapping masks).
"""

from __future__ import annotations

#: Raised when a reader of the old layout could not read the new one.
SCHEMA_VERSION = 1

#: `masks.object_id` of a mask that holds all objects of its frame.
INDEX_MASK = 0

TABLES = """
CREATE TABLE release (document TEXT NOT NULL);

CREATE TABLE videos (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    frames INTEGER NOT NULL,
    objects INTEGER NOT NULL,
    bytes INTEGER NOT NULL,        -- of all its archives
    digest BLOB NOT NULL,          -- SHA-256 of all that is said of it: tells changed videos apart
    document TEXT NOT NULL
);

CREATE TABLE facets (              -- split, category, attribute
    facet TEXT NOT NULL,
    value TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (facet, value, n)
) WITHOUT ROWID;

CREATE TABLE facet_counts (
    facet TEXT NOT NULL,
    value TEXT NOT NULL,
    videos INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    PRIMARY KEY (facet, value)
) WITHOUT ROWID;

CREATE VIRTUAL TABLE words USING fts5(text, content='');

CREATE TABLE archives (
    a INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    resolution TEXT NOT NULL,
    folder TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    size INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    mask_kind TEXT NOT NULL
);

CREATE TABLE frames (
    a INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    name TEXT NOT NULL,
    "start" INTEGER NOT NULL,      -- first byte of the frame's first tar header
    "end" INTEGER NOT NULL,        -- first byte after its last member
    image_offset INTEGER NOT NULL,
    image_size INTEGER NOT NULL,
    image_sha256 BLOB NOT NULL,
    PRIMARY KEY (a, idx)
) WITHOUT ROWID;

CREATE TABLE masks (
    a INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    object_id INTEGER NOT NULL,    -- 0: one index mask for all objects
    "offset" INTEGER NOT NULL,
    size INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    PRIMARY KEY (a, idx, object_id)
) WITHOUT ROWID;

CREATE TABLE regions (
    a INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    object_id INTEGER NOT NULL,
    x INTEGER NOT NULL,
    y INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    area INTEGER NOT NULL,
    PRIMARY KEY (a, idx, object_id)
) WITHOUT ROWID;
"""

#: Made after the rows are in: faster, and denser pages.
INDEXES = """
CREATE UNIQUE INDEX videos_id ON videos (id);
CREATE INDEX videos_frames ON videos (frames, n);
CREATE INDEX videos_objects ON videos (objects, n);
CREATE INDEX videos_bytes ON videos (bytes, n);
CREATE UNIQUE INDEX archives_video ON archives (n, resolution);
"""
