"""The published datasets as a replica sees them: ``dataset.json`` kept fresh, catalogues fetched, verified and opened.

Nothing here is state. What was read last is also kept on local disk, so that a worker that starts while the store is
away serves what the one before it served.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TypeVar
from uuid import uuid4

import structlog

from gygo.disk_cache import DiskCache
from gygo.errors import CacheUnavailableError
from gygo_server.access.api_key import Action
from gygo_server.access.caller import Caller
from gygo_server.catalogue.reader import Catalogue
from gygo_server.errors import (
    CorruptObjectError,
    NotFoundError,
    ObjectNotFoundError,
    ReleaseComingError,
    ScopeMissingError,
    StoreError,
    StoreUnavailableError,
    WithdrawnError,
)
from gygo_server.model import Dataset, ReleaseEntry
from gygo_server.store import dataset_file, keys
from gygo_server.store.bucket import Bucket

log = structlog.get_logger()

T = TypeVar("T")

#: A dataset or release that is not known is looked up in the bucket at once, but not more often than this.
MISS_SECONDS = 1.0

OPEN_CATALOGUES = 64

#: Seconds that a request waits for a catalogue to be fetched: more than a small one takes.
FETCH_SECONDS = 5.0


@dataclass(frozen=True)
class Release:
    """A release that a caller can read: its dataset, as they see it, its entry there, its catalogue."""

    dataset: Dataset
    entry: ReleaseEntry
    catalogue: Catalogue
    caller: Caller

    @cached_property
    def public(self) -> bool:
        """Whether everybody may see it."""
        return bool(self._everybody.actions(self.dataset, self.entry))

    @cached_property
    def public_lineage(self) -> bool:
        """Whether everybody may see it, and all releases that it comes from."""
        seen = {each.id for each in self.dataset.releases if self._everybody.actions(self.dataset, each)}
        return seen.issuperset(self.catalogue.lineage)

    @property
    def _everybody(self) -> Caller:
        return Caller(None, self.caller.at)

    @cached_property
    def lineage(self) -> list[str]:
        """The releases that it comes from, as far as the caller may know of them, and itself, oldest first."""
        return [release for release in self.catalogue.lineage if self.dataset.release(release)]

    def require(self, action: Action) -> None:
        """Raises ScopeMissingError unless the caller may do this."""
        if action not in self.caller.actions(self.dataset, self.entry):
            where = f"{self.dataset.id}:{self.entry.id}"
            raise ScopeMissingError(f"the key may see {where}, but not {action} it: it has no scope {where}={action}")


class Library:
    """The datasets of one bucket. Safe for threads; make one a process."""

    def __init__(
        self, bucket: Bucket, folder: Path, *, catalogue_bytes: int, refresh_seconds: float, connections: int
    ) -> None:
        self._bucket = bucket
        self._folder = folder / "datasets"
        self._files = DiskCache(folder / "catalogues", catalogue_bytes)
        self._refresh_seconds = refresh_seconds
        self._connections = connections
        self._datasets: dict[str, Dataset] | None = None
        self._etags: dict[str, str] = {}
        self._tried_at = 0.0  # when the last reading ended
        self._read_from = 0.0  # when it began: what was published before then is known
        self._away: StoreError | None = None
        self._refreshing = threading.Lock()
        self._catalogues: OrderedDict[str, Catalogue] = OrderedDict()
        self._coming: dict[str, Future[Catalogue]] = {}
        self._opening = threading.Lock()

    def datasets(self, caller: Caller) -> list[Dataset]:
        """All datasets that the caller may see, in order of ids.

        Raises:
            StoreError: as :meth:`known`.
        """
        return [seen for found in self.known().values() if (seen := caller.view(found))]

    def known(self) -> dict[str, Dataset]:
        """All datasets by id, in order of ids, whoever may see them: at most ``refresh_seconds`` old while the store
        answers.

        Raises:
            StoreError: the store gives no answer, and nothing is known from before.
        """
        if self._datasets is None:
            with self._refreshing:
                if self._datasets is None:
                    self._read()
        elif self._age() > self._refresh_seconds and self._refreshing.acquire(blocking=False):
            if self._away is None:
                self._refresh()
            else:  # a store that is away must not slow down metadata: answered from what is known
                self._refresh_beside()
        assert self._datasets is not None  # noqa: S101  (_read sets it or raises)
        return self._datasets

    def dataset(self, dataset: str, caller: Caller) -> Dataset:
        """One dataset, as the caller sees it.

        Raises:
            NotFoundError: there is none with this id, or the caller may not see it.
        """
        found = self._look_up(lambda: self._dataset(dataset, caller))
        if found is None:
            raise NotFoundError("dataset", f"there is no dataset {dataset!r}")
        return found

    def entry(self, dataset: str, release: str, caller: Caller) -> tuple[Dataset, ReleaseEntry]:
        """A dataset and one of its releases, without opening it.

        Raises:
            NotFoundError: no such dataset or release, or the caller may not see it.
            WithdrawnError: the release was withdrawn.
        """
        seen = self.dataset(dataset, caller)
        entry = seen.release(release)
        found = (seen, entry) if entry else self._look_up(lambda: self._entry(dataset, release, caller))
        if found is None:
            raise NotFoundError("release", f"dataset {dataset!r} has no release {release!r}")
        entry = found[1]
        if entry.withdrawn_at is not None:
            reason = f": {entry.withdrawn_reason}" if entry.withdrawn_reason else ""
            raise WithdrawnError(f"release {release!r} of {dataset!r} was withdrawn at {entry.withdrawn_at}{reason}")
        return found

    def release(self, dataset: str, release: str, caller: Caller) -> Release:
        """A release with its catalogue open.

        Raises:
            NotFoundError, WithdrawnError: as :meth:`entry`.
            StoreError: the catalogue is not on this disk and the store does not give it.
            ReleaseComingError: it is so large that it is still on its way.
        """
        found, entry = self.entry(dataset, release, caller)
        return Release(found, entry, self._catalogue(dataset, entry), caller)

    # Looked up alike whether it is not there or may not be seen, so that neither the answer nor its time tells.

    def _dataset(self, dataset: str, caller: Caller) -> Dataset | None:
        found = self.known().get(dataset)
        return caller.view(found) if found else None

    def _entry(self, dataset: str, release: str, caller: Caller) -> tuple[Dataset, ReleaseEntry] | None:
        found = self._dataset(dataset, caller)
        entry = found.release(release) if found else None
        return (found, entry) if found and entry else None

    # Catalogues

    def _catalogue(self, dataset: str, entry: ReleaseEntry) -> Catalogue:
        sha256 = entry.catalogue_sha256
        catalogue = self._held(sha256)
        if catalogue is not None:
            return catalogue
        with self._opening:
            coming = self._coming.get(sha256)
            if coming is None:
                catalogue = self._held(sha256)
                if catalogue is not None:
                    return catalogue
                coming = Future()
                try:
                    # In a thread of its own: a large one takes longer than a request waits.
                    threading.Thread(target=self._fetch, args=(dataset, entry, coming), daemon=True).start()
                except RuntimeError as error:
                    raise StoreUnavailableError(f"there is no room here to fetch a catalogue: {error}") from error
                self._coming[sha256] = coming
        try:
            return coming.result(FETCH_SECONDS)
        except TimeoutError:
            size = f"{entry.catalogue_size / 1e6:,.0f} MB"
            raise ReleaseComingError(f"the catalogue of {dataset}/{entry.id} ({size}) is on its way here") from None

    def _held(self, sha256: str) -> Catalogue | None:
        with suppress(KeyError):
            self._catalogues.move_to_end(sha256)  # used last, it goes last
        return self._catalogues.get(sha256)

    def _fetch(self, dataset: str, entry: ReleaseEntry, coming: Future[Catalogue]) -> None:
        sha256 = entry.catalogue_sha256
        try:
            catalogue = self._open(dataset, entry)
        except BaseException as error:  # noqa: BLE001  (raised again in whoever waits)
            with self._opening:
                del self._coming[sha256]
            coming.set_exception(error)
            return
        with self._opening:
            self._catalogues[sha256] = catalogue
            if len(self._catalogues) > OPEN_CATALOGUES:
                # Not closed here: a thread may be reading it. It closes when the last reference goes.
                self._catalogues.popitem(last=False)
            del self._coming[sha256]
        coming.set_result(catalogue)

    def _open(self, dataset: str, entry: ReleaseEntry) -> Catalogue:
        key = keys.catalogue(dataset, entry.id, entry.catalogue_sha256)

        def fetch(target: BinaryIO) -> None:
            self._bucket.download(key, target, entry.catalogue_sha256)

        try:
            with self._files.open(entry.catalogue_sha256, entry.catalogue_size, fetch) as file:
                catalogue = Catalogue(Path(file.name), self._connections)
                named = (catalogue.release.get("dataset"), catalogue.release.get("id"))
        except (CacheUnavailableError, sqlite3.OperationalError) as error:
            raise StoreUnavailableError(f"the catalogue of {dataset}/{entry.id} has no room here: {error}") from error
        except sqlite3.DatabaseError as error:  # no database, or one of another version of this software
            self._files.discard(entry.catalogue_sha256)  # should it be this disk's fault, the next try mends it
            raise CorruptObjectError(f"{key}: cannot be read: {error}") from error
        if named != (dataset, entry.id):
            raise CorruptObjectError(f"{key}: is the catalogue of another release")
        return catalogue

    # dataset.json

    def _age(self) -> float:
        return time.monotonic() - self._tried_at

    def _look_up(self, find: Callable[[], T | None]) -> T | None:
        found = find()
        if found is None:
            missed_at = time.monotonic()
            with self._refreshing:  # and so after the reading that may be under way
                if self._read_from < missed_at - MISS_SECONDS:
                    self._read()
            found = find()
        if found is None and self._away is not None:
            # It may have been published since the store went away: "there is none" would be a guess.
            raise StoreUnavailableError(f"not known here, and {self._away}") from self._away
        return found

    def _refresh_beside(self) -> None:
        try:
            threading.Thread(target=self._refresh, daemon=True).start()
        except RuntimeError:  # no more threads: somebody else will
            self._refreshing.release()

    def _refresh(self) -> None:
        """Read, and release the lock that the caller has taken."""
        try:
            self._read()
        finally:
            self._refreshing.release()

    def _read(self) -> None:
        """Read every ``dataset.json`` that changed; keep what is known when the store does not answer."""
        began = time.monotonic()
        known = self._datasets if self._datasets is not None else {}
        try:
            prefixes = self._bucket.prefixes()
            ids = sorted(filter(None, map(keys.dataset_of_prefix, prefixes)))
            read = {dataset: self._read_one(dataset, known.get(dataset)) for dataset in ids}
        except StoreError as error:
            self._away = error
            log.warning("datasets not refreshed", reason=str(error))
            if self._datasets is None:
                self._datasets = self._read_kept() or None
                if self._datasets is None:
                    raise
            return
        finally:
            # From the end: a store that hangs is not asked again at once.
            self._tried_at, self._read_from = time.monotonic(), began
        self._away = None
        self._datasets = {dataset: found for dataset, found in read.items() if found is not None}

    def _read_one(self, dataset: str, known: Dataset | None) -> Dataset | None:
        try:
            stored = self._bucket.get_if_changed(
                keys.dataset_file(dataset), self._etags.get(dataset) if known else None
            )
        except ObjectNotFoundError:
            return None  # a publication on its way: archives, but no release yet
        if stored is None:
            return known
        try:
            found = dataset_file.decode(stored.content, dataset)
        except CorruptObjectError as error:
            # One spoilt file must not take the other datasets away.
            log.warning("dataset.json not understood", dataset=dataset, reason=str(error))
            return known or self._read_kept().get(dataset)
        self._etags[dataset] = stored.etag
        self._keep(dataset, stored.content)
        return found

    def _keep(self, dataset: str, content: bytes) -> None:
        partial = self._folder / f".{dataset}-{uuid4().hex}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(self._folder / f"{dataset}.json")
        except OSError as error:
            log.warning("dataset.json not kept on disk", dataset=dataset, reason=error.strerror)

    def _read_kept(self) -> dict[str, Dataset]:
        kept: dict[str, Dataset] = {}
        for file in sorted(self._folder.glob("[!.]*.json")):
            try:
                kept[file.stem] = dataset_file.decode(file.read_bytes(), file.stem)
            except (CorruptObjectError, OSError) as error:
                log.warning("kept dataset.json not understood", dataset=file.stem, reason=str(error))
        return kept
