"""A tree of folders, read once: links are followed, loops and unreadable places are findings."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gygo_server.formats.findings import Code, Report, reason
from gygo_server.formats.names import is_litter, is_picture

#: Deepest nesting that is read. Links may fan out without a loop; this bounds what they can cost.
MAX_DEPTH = 16

#: Largest list or table that is read: a million videos with long names come nowhere near.
MAX_TEXT_BYTES = 256 << 20


def read_small(path: Path) -> bytes:
    """A list's or table's content.

    Raises:
        OSError: it cannot be read, or is too large to be one.
    """
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return path.read_bytes()


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder without its litter. ``relative`` is its path below the source's root.

    ``name`` is its path below its resolution's folder, as videos are named: "" for the resolution's own folder, None
    for JPEGImages and Annotations.
    """

    path: Path
    relative: str
    name: str | None
    files: tuple[str, ...]
    folders: tuple[Folder, ...]

    @property
    def pictures(self) -> tuple[str, ...]:
        return tuple(file for file in self.files if is_picture(file))

    def below(self) -> Iterator[Folder]:
        """All folders below this one, each before its own."""
        for folder in self.folders:
            yield folder
            yield from folder.below()


def read_folder(path: Path, relative: str, report: Report) -> Folder | None:
    """JPEGImages or Annotations with all that is below; None, and a finding, when it cannot be read."""
    return _Reader(report).read(path, relative, None, ())


@dataclass(frozen=True, slots=True)
class _Reader:
    report: Report

    def read(self, path: Path, relative: str, name: str | None, above: tuple[tuple[int, int], ...]) -> Folder | None:
        try:
            status = path.stat()
            with os.scandir(path) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            self.report.fault(Code.UNREADABLE, relative, f"the folder cannot be read: {reason(error)}", name or None)
            return None
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            self.report.warning(Code.FOLDER_LOOP, relative, "the link leads back to a folder above it", name or None)
            return None
        if len(above) > MAX_DEPTH:
            self.report.fault(Code.TOO_DEEP, relative, f"more than {MAX_DEPTH} folders deep", name or None)
            return None
        files: list[str] = []
        folders: list[Folder] = []
        for entry in entries:
            below = f"{relative}/{entry.name}"
            match None if is_litter(entry.name) else self._kind(entry, below, name):
                case "file":
                    files.append(entry.name)
                case "folder":
                    folder = self.read(path / entry.name, below, _name_below(name, entry.name), (*above, identity))
                    folders.extend([folder] if folder else [])
        return Folder(path, relative, name, tuple(files), tuple(folders))

    def _kind(self, entry: os.DirEntry[str], relative: str, name: str | None) -> str | None:
        video = name or None
        try:
            if entry.is_dir():
                return "folder"
            if entry.is_file():
                return "file"
        except OSError as error:
            self.report.fault(Code.UNREADABLE, relative, f"cannot be read: {reason(error)}", video)
            return None
        if is_picture(entry.name):
            self.report.fault(Code.UNREADABLE, relative, "neither a file nor a folder; a broken link?", video)
        else:
            self.report.warning(Code.STRAY_FILE, relative, "neither a file nor a folder; a broken link?", video)
        return None


def _name_below(name: str | None, entry: str) -> str:
    if name is None:
        return ""
    return f"{name}/{entry}" if name else entry
