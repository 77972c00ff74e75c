"""Where a data set's files lie: a folder on disk here, objects in a bucket elsewhere. Paths are below the source.

What a reader of a layout holds on to is names; what a file is now is asked when its video's turn comes, by the process
that checks or packs it, which may run on another machine.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from gygo_server.errors import PublicationError
from gygo_server.formats.findings import reason

#: Largest list or table that is read: a million videos with long names come nowhere near.
MAX_TEXT_BYTES = 256 << 20


class Odd(NamedTuple):
    """What lies in a folder and is neither a file nor a folder, and why; ``is_error`` when nobody can tell."""

    name: str
    why: str
    is_error: bool = False


class Listing(NamedTuple):
    """A folder's names, each kind in order. ``identity`` is the folder's, whatever links lead to it."""

    identity: Hashable
    files: list[str]
    folders: list[str]
    odd: list[Odd]


class FileState(NamedTuple):
    """A file's size in bytes, and a tag that changes when the file does."""

    size: int
    tag: str


class SourceFiles(Protocol):
    """The files of a source. It can be pickled, and used by any process that reaches the source."""

    def check(self) -> None:
        """Whether this process reaches the source at all.

        Raises:
            PublicationError: it does not.
        """

    def scan(self, folder: str) -> Listing:
        """A folder; "" is the source itself.

        Raises:
            OSError: it is not there, or cannot be read.
        """

    def scanner(self, folder: str) -> Callable[[str], Listing]:
        """`scan` for whoever goes on to ask for every folder below ``folder``, each once."""

    def read(self, path: str) -> bytes:
        """A list's or table's content.

        Raises:
            OSError: it is not there, cannot be read, or is too large to be one.
        """

    def name_of(self, path: Path) -> str:
        """How findings name a file of this machine: by its path below the source where it lies there."""

    def states(self, paths: Iterable[str]) -> dict[str, FileState]:
        """What some files are now; those that cannot be told are left out.

        Raises:
            PublicationError: none of them is there.
        """

    def on_disk(self, states: Mapping[str, FileState], scratch: Path) -> AbstractContextManager[Path]:
        """The files as they were when they were told, below the folder that is given for a while.

        ``scratch`` is a folder that may be used for it. Files that are not there any more are not there either.

        Raises:
            SourceChangedError: a file is another by now, as far as is seen.
        """


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """A folder on a disk of this machine, or on one that several machines share."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def check(self) -> None:
        if not self.root.is_dir():
            raise PublicationError(
                f"{self.root} is no folder on {socket.gethostname()}: "
                "the source must lie on a disk that all workers share, or in S3"
            )

    def scan(self, folder: str) -> Listing:
        path = self.root / folder
        status = path.stat()
        listing = Listing((status.st_dev, status.st_ino), [], [], [])
        with os.scandir(path) as scan:
            for entry in sorted(scan, key=lambda entry: entry.name):
                _sort_in(entry, listing)
        return listing

    def scanner(self, folder: str) -> Callable[[str], Listing]:  # noqa: ARG002 (a bucket is listed at once)
        return self.scan

    def read(self, path: str) -> bytes:
        return read_small(self.root / path)

    def name_of(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()

    def states(self, paths: Iterable[str]) -> dict[str, FileState]:
        found: dict[str, FileState] = {}
        path = None
        for path in paths:
            try:
                stat = (self.root / path).stat()
            except OSError:  # the check itself will say what is wrong with it
                continue
            # ctime too: copying a file can keep its time of modification, but not that of its change here.
            found[path] = FileState(stat.st_size, f"{stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}")
        if path is not None and not found:
            raise PublicationError(
                f"{(self.root / path).parent}: its files are not there on {socket.gethostname()}: did they go, "
                "or is the source on no disk that all workers share?"
            )
        return found

    @contextmanager
    def on_disk(self, states: Mapping[str, FileState], scratch: Path) -> Iterator[Path]:  # noqa: ARG002 (it is there)
        yield self.root


def read_small(path: Path) -> bytes:
    """A list's or table's content.

    Raises:
        OSError: it cannot be read, or is too large to be one.
    """
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return path.read_bytes()


def _sort_in(entry: os.DirEntry[str], listing: Listing) -> None:
    try:
        if entry.is_dir():
            listing.folders.append(entry.name)
        elif entry.is_file():
            listing.files.append(entry.name)
        else:
            listing.odd.append(Odd(entry.name, "neither a file nor a folder; a broken link?"))
    except OSError as error:
        listing.odd.append(Odd(entry.name, f"cannot be read: {reason(error)}", is_error=True))
