"""What a publication has checked so far, on local disk, so that one that was killed goes on where it was."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

import orjson

from gygo_server.errors import PublicationError
from gygo_server.formats.files import FileState
from gygo_server.model import Archive, Box, Finding, FrameFiles, MaskKind, Member, Region, Severity

#: Raised whenever a check changes its mind, so that results of older software are not taken for ours.
CHECKS_VERSION = 1

#: How folders for files in the making begin; what is in them is of no use to a later run.
SCRATCH = "scratch-"

_AS_LISTS = orjson.OPT_PASSTHROUGH_DATACLASS


class Journal:
    """Checked videos by name, each with the fingerprint of its files. A crash loses at most the video in hand."""

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "journal.sqlite", isolation_level=None)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS checked "
            "(video TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, findings BLOB NOT NULL, archives BLOB NOT NULL)"
        )

    def close(self) -> None:
        self._db.close()

    def fingerprint(self, video: str) -> str | None:
        """That of a video which was checked before; None also where it had a fault, which may have been mended."""
        row = self._db.execute("SELECT fingerprint FROM checked WHERE video=? AND archives<>x''", [video]).fetchone()
        return None if row is None else str(row[0])

    def record(self, video: str, fingerprint: str, findings: list[Finding], archives: list[Archive]) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO checked VALUES (?,?,?,?)",
            [
                video,
                fingerprint,
                orjson.dumps([astuple(finding) for finding in findings]),
                _encode(archives) if archives else b"",
            ],
        )

    def findings(self, video: str) -> list[Finding]:
        (content,) = self._db.execute("SELECT findings FROM checked WHERE video=?", [video]).fetchone()
        return [
            Finding(code, path, message, video, Severity(severity))
            for code, path, message, video, severity in orjson.loads(content)
        ]

    def archives(self, video: str) -> list[Archive]:
        (content,) = self._db.execute("SELECT archives FROM checked WHERE video=?", [video]).fetchone()
        return [_decode(fields) for fields in orjson.loads(zlib.decompress(content))] if content else []


def fingerprint(states: Mapping[str, FileState], told: MaskKind | None) -> str:
    """Changes when any file of a video does (names, sizes, tags), or the way its masks are read."""
    digest = hashlib.sha256(f"{CHECKS_VERSION} {told}".encode())
    for path, (size, tag) in states.items():
        digest.update(f"{path}\0{size}\0{tag}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


@contextmanager
def state_folder(parent: Path, name: str) -> Iterator[Path]:
    """A folder for one publication, locked while it is used.

    Raises:
        PublicationError: another process on this machine is publishing the same release.
    """
    folder = parent / name
    folder.mkdir(parents=True, exist_ok=True)
    with (parent / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PublicationError("another process on this machine is publishing this release; let it end") from None
        for left in folder.glob(f"{SCRATCH}*"):  # of one that was killed
            shutil.rmtree(left, ignore_errors=True)
        yield folder


def _encode(archives: list[Archive]) -> bytes:
    content = orjson.dumps([_fields(archive) for archive in archives], default=_fields, option=_AS_LISTS)
    return zlib.compress(content, 1)  # to a half, which is the room that hashes in hex take: disk of a million videos


def _fields(value: Any) -> list[Any]:
    """A value of the model as the list of its fields: smaller than a dict, and read back by position."""
    return list(value) if isinstance(value, tuple) else [getattr(value, name) for name in value.__slots__]


def _decode(fields: list[Any]) -> Archive:
    resolution, folder, sha256, size, width, height, kind, frames = fields
    read = tuple(_decode_frame(*frame) for frame in frames)
    return Archive(resolution, folder, sha256, size, width, height, MaskKind(kind), read)


def _decode_frame(
    index: int, name: str, start: int, end: int, image: list[Any], mask: list[Any] | None, regions: list[Any]
) -> FrameFiles:
    return FrameFiles(
        index,
        name,
        start,
        end,
        Member(*image),
        Member(*mask) if mask else None,
        tuple(Region(object_id, Box(*box), area) for object_id, box, area in regions),
    )
