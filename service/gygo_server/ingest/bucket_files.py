"""A source in S3: objects below a prefix, as files. Keys that are no path of a file are told of and never used."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from gygo_server.errors import ObjectNotFoundError, PublicationError, StoreRefusedError
from gygo_server.formats.archive import SourceChangedError
from gygo_server.formats.check import MAX_FILE_BYTES
from gygo_server.formats.files import MAX_TEXT_BYTES, FileState, Listing, Odd
from gygo_server.formats.names import pack, unpack
from gygo_server.ingest.workers import bucket_of
from gygo_server.store.bucket import Bucket, S3Settings

SCHEME = "s3://"

#: A video's files that are fetched at a time: S3 takes long to answer, and does so for many at once.
THREADS = 8

_LONGEST_NAME = 255  # bytes, of a file's name on Linux


@dataclass(frozen=True, slots=True)
class BucketFiles:
    """The objects whose keys begin with ``prefix``, which is empty or ends with a slash, in the store's bucket."""

    store: S3Settings
    prefix: str

    @classmethod
    def from_url(cls, url: str, store: S3Settings) -> Self:
        """``s3://bucket/prefix`` at the endpoint, and with the credentials, of our own bucket.

        Raises:
            PublicationError: it is no such URL.
        """
        bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
        if not url.startswith(SCHEME) or not bucket:
            raise PublicationError(f"{url}: expected s3://bucket/prefix")
        return cls(replace(store, bucket=bucket), f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else "")

    def __str__(self) -> str:
        return f"{SCHEME}{self.store.bucket}/{self.prefix}"

    def check(self) -> None:
        try:
            self._bucket.check()
        except StoreRefusedError as error:
            raise PublicationError(f"{self}: {error}") from error

    def scan(self, folder: str) -> Listing:
        if not folder:
            self.check()
        below = f"{folder}/" if folder else ""
        found = KeyFolders(folder)
        entries = list(self._bucket.entries(self.prefix + below, delimiter="/"))
        for each in entries:
            found.add(each.key.removeprefix(self.prefix))
        if not entries:
            raise FileNotFoundError(errno.ENOENT, f"there are no objects below {self}{below}")
        return found.take(folder)

    def scanner(self, folder: str) -> Callable[[str], Listing]:
        # A thousand keys a request, rather than a request a folder.
        found = KeyFolders(folder)
        for each in self._bucket.entries(f"{self.prefix}{folder}/"):
            found.add(each.key.removeprefix(self.prefix))
        return found.take

    def read(self, path: str) -> bytes:
        key = self.prefix + path
        try:
            if (self._bucket.size(key) or 0) > MAX_TEXT_BYTES:
                raise OSError(errno.EFBIG, "the object is too large")
            return self._bucket.get(key).content
        except ObjectNotFoundError:
            raise FileNotFoundError(errno.ENOENT, "there is no such object") from None

    def name_of(self, path: Path) -> str:
        return path.as_posix()

    def states(self, paths: Iterable[str]) -> dict[str, FileState]:
        asked = list(paths)
        there: dict[str, FileState] = {}
        for folder in dict.fromkeys(path.rpartition("/")[0] for path in asked):
            for key, size, etag in self._bucket.entries(f"{self.prefix}{folder}/", delimiter="/"):
                there[key.removeprefix(self.prefix)] = FileState(size, etag or "")
        found = {path: there[path] for path in asked if path in there}
        if asked and not found:
            raise PublicationError(f"{self}{asked[0].rpartition('/')[0]}: its objects went away")
        return found

    @contextmanager
    def on_disk(self, states: Mapping[str, FileState], scratch: Path) -> Iterator[Path]:
        with TemporaryDirectory(dir=scratch) as name, ThreadPoolExecutor(THREADS) as pool:
            root = Path(name)
            for folder in {path.rpartition("/")[0] for path in states}:
                (root / folder).mkdir(parents=True, exist_ok=True)
            fetching = [pool.submit(self._fetch, path, state, root / path) for path, state in states.items()]
            try:
                for future in fetching:
                    future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
            yield root

    def _fetch(self, path: str, state: FileState, target: Path) -> None:
        if state.size > MAX_FILE_BYTES:  # a hole, which is refused by its size as the object would be
            with target.open("wb") as file:
                file.truncate(state.size)
            return
        try:
            content, etag = self._bucket.get(self.prefix + path)
        except ObjectNotFoundError:
            return
        if etag != state.tag:
            raise SourceChangedError(f"{path}: changed while it was being published; run the command again")
        target.write_bytes(content)

    @property
    def _bucket(self) -> Bucket:
        return bucket_of(self.store)


@dataclass(slots=True)
class _Names:
    """A folder in the making, its files' names packed."""

    files: str = ""
    folders: list[str] = field(default_factory=list)
    odd: list[Odd] = field(default_factory=list)


class KeyFolders:
    """Folders made from keys, which come in order: nearly all of a folder's files one after the other.

    What they hold is safe to make files of; every other key is in ``odd``, once.
    """

    def __init__(self, top: str) -> None:
        self._made = {top: _Names()}
        self._depth = len(top.split("/")) if top else 0
        self._current = top
        self._files: list[str] = []
        self._shared: dict[str, str] = {}

    def add(self, path: str) -> None:
        """A key, or a common prefix, below the source and below the top folder."""
        folder, _, file = path.rpartition("/")
        if (folder not in self._made or path.startswith("/")) and not self._make(path):
            return
        if folder != self._current:
            self._close()
            self._current = folder
        if not file:  # what marks an empty folder, or a common prefix
            return
        if why := _name_fault(file):
            self._made[folder].odd.append(Odd(file, why))
        else:
            self._files.append(file)

    def take(self, folder: str) -> Listing:
        """A folder's names; they are forgotten here."""
        self._close()
        names = self._made.pop(folder, _Names())
        return Listing(folder, sorted(unpack(names.files)), sorted(names.folders), sorted(names.odd))

    def _close(self) -> None:
        if self._files:
            names = self._made[self._current]
            files = names.files + pack(self._files)
            names.files = self._shared.setdefault(files, files)
            self._files = []

    def _make(self, path: str) -> bool:
        """Make the folders above a file, from the top; False where a part of its path cannot be a folder's name."""
        parts = path.split("/")
        for depth in range(self._depth, len(parts) - 1):
            above, name = "/".join(parts[:depth]), parts[depth]
            if why := _name_fault(name):
                self._made[above].odd.append(Odd("/".join(parts[depth:]), why))
                return False
            folder = f"{above}/{name}" if above else name
            if folder not in self._made:
                self._made[folder] = _Names()
                self._made[above].folders.append(name)
        return True


def _name_fault(name: str) -> str | None:
    """Why a part of a key can be no file's or folder's name."""
    if name in ("", ".", ".."):
        return f"the object's key has a part {name!r}, so that it is no path of a file"
    if "\0" in name:
        return "the object's key holds a NUL, so that it is no path of a file"
    if len(name.encode()) > _LONGEST_NAME:
        return f"a part of the object's key has more than {_LONGEST_NAME} bytes, so that it is no path of a file"
    return None
