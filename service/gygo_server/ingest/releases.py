"""Published releases after the fact: verify every byte, withdraw."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from gygo_server.catalogue.reader import ArchiveRow, Catalogue
from gygo_server.errors import CorruptObjectError, NotFoundError, ObjectNotFoundError, PublicationError
from gygo_server.ingest.catalogues import open_catalogue
from gygo_server.ingest.datasets import change_dataset, read_dataset
from gygo_server.ingest.progress import Progress
from gygo_server.ingest.publication import require_unicode
from gygo_server.model import PUBLIC, Dataset, Member, ReleaseEntry, Visibility, time_text
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

#: Archives read at a time; each is streamed, so this bounds connections, not memory.
STREAMS = 4

PAGE = 1000


class Difference(NamedTuple):
    """Something in the bucket that is not what was published: the object, and what of it."""

    key: str
    message: str


def find_release(bucket: Bucket, dataset: str, release: str) -> tuple[Dataset, ReleaseEntry]:
    """A release as the bucket names it now, withdrawn ones too.

    Raises:
        NotFoundError: no such dataset or release; says which there are.
    """
    found, _ = read_dataset(bucket, dataset)
    return _require_release(found, dataset, release)


def verify(bucket: Bucket, dataset: str, release: str, progress: Progress) -> Iterator[Difference]:
    """Read every object of a release and compare it with the hash it was published with.

    An archive with other bytes is read once more, to name the frames and masks that differ.
    """
    _, entry = find_release(bucket, dataset, release)
    with TemporaryDirectory(prefix="gygo-verify-") as folder, ThreadPoolExecutor(STREAMS) as pool:
        try:
            catalogue = open_catalogue(bucket, dataset, entry, Path(folder))
        except (ObjectNotFoundError, CorruptObjectError) as error:
            yield Difference(keys.catalogue(dataset, release, entry.catalogue_sha256), str(error))
            return
        archives = list(catalogue.archives())
        progress.stage("verifying archives", len(archives))
        for found in pool.map(lambda each: _verify_archive(bucket, dataset, catalogue, *each), archives):
            yield from found
            progress.advance()


def withdraw(bucket: Bucket, dataset: str, release: str, reason: str | None) -> None:
    """Take a release back: it is no longer served, its id stays taken, and its objects stay in the bucket.

    Raises:
        NotFoundError: no such release.
        PublicationError: it was withdrawn before, or the reason cannot be written down.
    """
    require_unicode("reason", reason)

    def change(found: Dataset | None) -> Dataset:
        current, entry = _require_release(found, dataset, release)
        if entry.withdrawn_at:
            raise PublicationError(f"release {release!r} was withdrawn at {entry.withdrawn_at}")
        now = time_text(datetime.now(UTC))
        gone = replace(entry, withdrawn_at=now, withdrawn_reason=reason)
        return replace(current, releases=tuple(gone if each.id == release else each for each in current.releases))

    change_dataset(bucket, dataset, change)


def show_to(bucket: Bucket, dataset: str, release: str | None, visibility: Visibility) -> Visibility:
    """Say who may see a release, or (None) the dataset as a whole; what it was before.

    Raises:
        NotFoundError: no such dataset or release.
    """
    before = PUBLIC

    def change(found: Dataset | None) -> Dataset:
        nonlocal before
        if release is None:
            if found is None:
                raise NotFoundError("dataset", f"there is no dataset {dataset!r} in the bucket")
            before = found.visibility
            return replace(found, visibility=visibility)
        current, entry = _require_release(found, dataset, release)
        before = entry.visibility
        other = replace(entry, visibility=visibility)
        return replace(current, releases=tuple(other if each.id == release else each for each in current.releases))

    change_dataset(bucket, dataset, change)
    return before


def _require_release(found: Dataset | None, dataset: str, release: str) -> tuple[Dataset, ReleaseEntry]:
    if found is None:
        raise NotFoundError("dataset", f"there is no dataset {dataset!r} in the bucket")
    entry = found.release(release)
    if entry is None:
        known = ", ".join(each.id for each in found.releases) or "none"
        raise NotFoundError("release", f"dataset {dataset!r} has no release {release!r}; it has: {known}")
    return found, entry


def _verify_archive(
    bucket: Bucket, dataset: str, catalogue: Catalogue, video: str, archive: ArchiveRow
) -> list[Difference]:
    key = keys.archive(dataset, archive.sha256)
    where = f"{video} at {archive.resolution}"
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in bucket.chunks(key):
            digest.update(chunk)
            size += len(chunk)
    except ObjectNotFoundError:
        return [Difference(key, f"{where}: the archive is not in the bucket")]
    if digest.hexdigest() == archive.sha256:
        return []
    if size != archive.size:
        return [Difference(key, f"{where}: {size} bytes, published with {archive.size}")]
    faults = [
        Difference(key, f"{where}: {kind} {name} differs")
        for kind, name, member in _members(catalogue, archive)
        if hashlib.sha256(bucket.get_range(key, member.offset, member.size)).hexdigest() != member.sha256
    ]
    return faults or [Difference(key, f"{where}: a tar header or padding differs")]


def _members(catalogue: Catalogue, archive: ArchiveRow) -> Iterator[tuple[str, str, Member]]:
    after = None
    while frames := catalogue.frames(archive, after=after, limit=PAGE):
        for frame in frames:
            yield "frame", frame.name, frame.image
            if frame.mask:
                yield "mask", frame.name, frame.mask
        after = frames[-1].index
