"""A release's catalogue between the journal and the bucket: built, fetched, compared, uploaded."""

from __future__ import annotations

import hashlib
from contextlib import closing
from datetime import UTC, datetime
from itertools import takewhile, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from gygo_server.catalogue.builder import CatalogueBuilder
from gygo_server.catalogue.connections import digests, schema_of
from gygo_server.catalogue.reader import Catalogue
from gygo_server.catalogue.schema import SCHEMA_VERSION
from gygo_server.errors import AlreadyPublishedError, CorruptObjectError, ObjectNotFoundError, PublicationError
from gygo_server.formats.source import SourceVideo
from gygo_server.ingest.journal import Journal
from gygo_server.ingest.progress import Progress
from gygo_server.ingest.publication import Publication, Report
from gygo_server.model import PUBLIC, Dataset, ReleaseEntry, Video
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

SQLITE = "application/vnd.sqlite3"


class Content(NamedTuple):
    """What a release is made of."""

    publication: Publication
    report: Report
    videos: list[SourceVideo]
    journal: Journal


class Before(NamedTuple):
    """The release that a new one comes from, and its catalogue."""

    entry: ReleaseEntry
    catalogue: Path


def build_catalogue(content: Content, path: Path, before: Before | None, progress: Progress) -> None:
    publication, report = content.publication, content.report
    progress.stage("building the catalogue", len(content.videos))
    with CatalogueBuilder(path, before.catalogue if before else None) as builder:
        for source in content.videos:
            builder.add(_video(source, content.journal, publication.fps))
            progress.advance()
        counted = builder.tally(report.splits)
        builder.finish(
            {
                "dataset": publication.dataset,
                "id": publication.release,
                "license": publication.license,
                "default_resolution": _default_resolution(counted["resolutions"]),
                **counted,
                "left_out": [
                    {"video": fault.video, "code": fault.code, "path": fault.path, "message": fault.message}
                    for fault in report.faults
                    if fault.video is not None
                ],
            }
        )


def _video(source: SourceVideo, journal: Journal, fps: float | None) -> Video:
    return Video(
        name=source.name,
        archives=tuple(journal.archives(source.name)),
        splits=source.splits,
        category=source.category,
        attributes=source.attributes,
        object_categories=source.object_categories,
        fps=fps,
    )


def _default_resolution(resolutions: list[dict[str, Any]]) -> str:
    """480p where there is one, as everybody trains on it; else the resolution that most videos have."""
    names = {each["resolution"]: each["videos"] for each in resolutions}
    return "480p" if "480p" in names else max(sorted(names), key=lambda name: names[name])


def find_before(publication: Publication, bucket: Bucket, dataset: Dataset | None, folder: Path) -> Before | None:
    """The newest release that was published before this one, if any is served.

    Raises:
        PublicationError: it cannot be compared with; says what to do.
    """
    releases = dataset.releases if dataset else ()
    earlier = takewhile(lambda entry: entry.id != publication.release, releases)
    entry = next((entry for entry in reversed(list(earlier)) if entry.withdrawn_at is None), None)
    if entry is None:
        return None
    path = fetch_unless_lost(bucket, publication.dataset, entry, folder)
    if path is None:
        why = f"the catalogue of {entry.id!r} is not in the bucket as it was published"
        raise PublicationError(f"{why}: {_WAY_OUT.format(entry.id, 'brings it back')}")
    if schema_of(path) != SCHEMA_VERSION:
        why = f"{entry.id!r} was published by an older version"
        raise PublicationError(f"{why}: {_WAY_OUT.format(entry.id, 'renews its catalogue')}")
    return Before(entry, path)


#: A new release must know what it comes from: this one would for ever miss what had changed.
_WAY_OUT = "publish {0!r} again from its source, which {1}, or withdraw it"


def require_equal(built: Path, published: Path | None, entry: ReleaseEntry) -> None:
    """Refuse a catalogue that says something else than the one published, of which only the hash may be left.

    Raises:
        AlreadyPublishedError: it does.
    """
    if published is None:
        if _sha256(built) != entry.catalogue_sha256:
            raise AlreadyPublishedError(
                f"the catalogue of {entry.id!r} is lost, and this source gives another one: "
                "publish it as a new release, and withdraw this one"
            )
        return
    with closing(digests(published)) as theirs, closing(digests(built)) as ours:
        if any(one != other for one, other in zip_longest(theirs, ours)):
            raise AlreadyPublishedError(
                f"release {entry.id!r} is published with other content, and a release never changes: "
                "publish this source as a new release"
            )


def upload_catalogue(path: Path, publication: Publication, bucket: Bucket, *, again: bool = False) -> ReleaseEntry:
    """Upload a catalogue unless the bucket has it (``again``: in any case); the entry that names it."""
    sha256 = _sha256(path)
    size = path.stat().st_size
    key = keys.catalogue(publication.dataset, publication.release, sha256)
    if again or not bucket.holds(key, size, sha256):
        bucket.put_file(key, path, sha256, SQLITE)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return ReleaseEntry(publication.release, now, sha256, size, publication.visibility or PUBLIC)


def open_catalogue(bucket: Bucket, dataset: str, entry: ReleaseEntry, folder: Path) -> Catalogue:
    """A published catalogue, fetched into ``folder`` and verified.

    Raises:
        PublicationError: it is of another version's schema.
        StoreError: the bucket does not have it as it was published.
    """
    path = fetch_catalogue(bucket, dataset, entry, folder)
    if schema_of(path) != SCHEMA_VERSION:
        raise PublicationError(f"{entry.id!r} was published by another version; publishing it again renews it")
    return Catalogue(path, connections=2)


def is_current(bucket: Bucket, dataset: str, entry: ReleaseEntry) -> bool:
    """Whether a release's catalogue is there, and of this version's schema; if not, publishing it again renews it."""
    with TemporaryDirectory(prefix="gygo-") as folder:
        path = fetch_unless_lost(bucket, dataset, entry, Path(folder))
        return path is not None and schema_of(path) == SCHEMA_VERSION


def fetch_unless_lost(bucket: Bucket, dataset: str, entry: ReleaseEntry, folder: Path) -> Path | None:
    """A published catalogue, of any schema; None when the bucket does not have it as it was published."""
    try:
        return fetch_catalogue(bucket, dataset, entry, folder)
    except (ObjectNotFoundError, CorruptObjectError):
        return None


def fetch_catalogue(bucket: Bucket, dataset: str, entry: ReleaseEntry, folder: Path) -> Path:
    path = folder / f"{entry.catalogue_sha256}.sqlite"
    with path.open("wb") as file:
        bucket.download(keys.catalogue(dataset, entry.id, entry.catalogue_sha256), file, entry.catalogue_sha256)
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
