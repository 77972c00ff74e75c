"""A publication: source → checks → archives → catalogue → the name in ``dataset.json``, last and conditionally.

Killed at any moment it leaves only content-addressed objects that nothing names; run again it goes on from its
journal. A reader sees the release whole or not at all.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import takewhile, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from gygo_server.catalogue.builder import CatalogueBuilder
from gygo_server.catalogue.connections import digests, schema_of
from gygo_server.catalogue.reader import Catalogue
from gygo_server.catalogue.schema import SCHEMA_VERSION
from gygo_server.errors import (
    AlreadyPublishedError,
    FaultySourceError,
    PreconditionFailedError,
    PublicationError,
)
from gygo_server.formats.davis import read_davis
from gygo_server.formats.files import LocalFiles, SourceFiles
from gygo_server.formats.findings import OF_LISTS
from gygo_server.formats.source import SourceVideo
from gygo_server.ingest.check import check_source
from gygo_server.ingest.journal import SCRATCH, Journal, state_folder
from gygo_server.ingest.progress import Progress
from gygo_server.ingest.upload import Transfer, upload
from gygo_server.ingest.workers import Processes, Workers
from gygo_server.model import RESERVED_RELEASES, SLUG, Dataset, Finding, MaskKind, ReleaseEntry, Severity, Video
from gygo_server.store import dataset_file, keys
from gygo_server.store.bucket import Bucket, S3Settings

SQLITE = "application/vnd.sqlite3"

#: Lost races for ``dataset.json`` before a publication gives up.
RACES = 20


@dataclass(frozen=True, slots=True)
class Publication:
    """What to publish, and as what. ``title`` and the three after it are the data set's: None keeps what it has.

    ``source`` is a folder here or the files of a source elsewhere; the work is done by ``workers`` processes here, or
    by those of the Dask cluster whose ``scheduler`` is named.
    """

    source: Path | SourceFiles
    dataset: str
    release: str
    title: str | None = None
    description: str | None = None
    license: str | None = None
    homepage: str | None = None
    labels: Path | None = None
    masks: MaskKind | None = None
    fps: float | None = None
    workers: int = 2
    scheduler: str | None = None
    leave_out_faulty: bool = False

    def __post_init__(self) -> None:
        for kind, value in (("dataset", self.dataset), ("release", self.release)):
            if not SLUG.fullmatch(value):
                raise PublicationError(
                    f"{kind} {value!r}: use 1 to 64 of a-z, 0-9, '.', '_', '-', and begin with a letter or digit"
                )
        if self.release in RESERVED_RELEASES:
            raise PublicationError(f"release {self.release!r}: this word stands for the newest release in URLs")
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise PublicationError(f"fps {self.fps}: a number of frames a second is needed")
        for name in ("title", "description", "license", "homepage"):
            require_unicode(name, getattr(self, name))

    @property
    def files(self) -> SourceFiles:
        # Workers on other machines have another working directory.
        return LocalFiles(self.source.absolute()) if isinstance(self.source, Path) else self.source


@dataclass(slots=True)
class Report:
    """What a publication found and did.

    ``published`` is False after a dry run, or when the release was there before; ``described``: the dataset's title
    and so on were changed to what was told; ``renewed``: its catalogue is now one of this version.
    """

    findings: list[Finding] = field(default_factory=list)
    videos: int = 0
    left_out: list[str] = field(default_factory=list)
    splits: dict[str, str] = field(default_factory=dict)
    transfer: Transfer = field(default_factory=Transfer)
    published: bool = False
    described: bool = False
    renewed: bool = False

    @property
    def faults(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity is Severity.FAULT]


def publish(publication: Publication, bucket: Bucket, state: Path, progress: Progress) -> Report:
    """Publish a source as a release.

    Raises:
        FaultySourceError: the source has faults, all of them in it; nothing was published.
        AlreadyPublishedError: the release exists with other content, or somebody else published it meanwhile.
        PublicationError: anything else that stopped it; what was done stays done.
        StoreError: the bucket.
    """
    dataset = read_dataset(bucket, publication.dataset)[0]
    entry = dataset.release(publication.release) if dataset else None
    if entry and entry.withdrawn_at:
        raise AlreadyPublishedError(
            f"release {publication.release!r} was withdrawn; its id stays taken, since caches may still hold it"
        )
    if entry:
        progress.say(f"{publication.release} was published at {entry.published_at}; comparing the source with it")
    if dataset and publication.license is None:
        publication = replace(publication, license=dataset.license)
    with state_folder(state, _state_name(publication, bucket)) as folder:
        with (
            closing(Journal(folder)) as journal,
            TemporaryDirectory(dir=folder, prefix=SCRATCH) as name,
            _workers(publication, Path(name), bucket.settings, progress) as workers,
        ):
            scratch = Path(name)
            report, videos = _check(publication, journal, workers, progress)
            content = _Content(publication, report, videos, journal)
            built, before = scratch / "catalogue.sqlite", _before(publication, bucket, dataset, scratch, progress)
            _build_catalogue(content, built, before, progress)
            published = _fetch_catalogue(bucket, publication.dataset, entry, scratch) if entry else None
            if published:
                _require_equal(built, published, publication.release)
            # Also for a release that is there: what the bucket has lost since is brought again.
            report.transfer = upload(publication.dataset, publication.files, videos, journal, bucket, workers, progress)
            if entry and published:
                report.described = _describe_anew(publication, bucket)
                if schema_of(published) != SCHEMA_VERSION:
                    _renew(publication, bucket, entry, built)
                    report.renewed = True
            else:
                _publish_catalogue(content, built, before, bucket, progress)
                report.published = True
        shutil.rmtree(folder)
    return report


def require_unicode(name: str, text: str | None) -> None:
    """Refuse text that JSON cannot hold: a command line's bytes that are not UTF-8.

    Raises:
        PublicationError: it is not.
    """
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise PublicationError(f"{name}: not UTF-8 text") from None


def dry_run(publication: Publication, state: Path, progress: Progress) -> Report:
    """Check a source, all of it, and publish nothing. Faults are in the report."""
    with state_folder(state, f"{publication.dataset}+{publication.release}+dry-run") as folder:
        with (
            closing(Journal(folder)) as journal,
            TemporaryDirectory(dir=folder, prefix=SCRATCH) as name,
            _workers(publication, Path(name), None, progress) as workers,
        ):
            report, _ = _check(replace(publication, leave_out_faulty=True), journal, workers, progress)
        shutil.rmtree(folder)
    return report


def read_dataset(bucket: Bucket, dataset: str) -> tuple[Dataset | None, str | None]:
    """The dataset as the bucket has it now and its entity tag; two Nones when there is none yet."""
    stored = bucket.find(keys.dataset_file(dataset))
    if stored is None:
        return None, None
    return dataset_file.decode(stored.content, dataset), stored.etag


def open_catalogue(bucket: Bucket, dataset: str, entry: ReleaseEntry, folder: Path) -> Catalogue:
    """A published catalogue, fetched into ``folder`` and verified."""
    return Catalogue(_fetch_catalogue(bucket, dataset, entry, folder), connections=2)


def is_current(bucket: Bucket, dataset: str, entry: ReleaseEntry) -> bool:
    """Whether a release's catalogue is of the schema that this version reads; if not, publishing it again renews it."""
    with TemporaryDirectory(prefix="gygo-") as folder:
        return schema_of(_fetch_catalogue(bucket, dataset, entry, Path(folder))) == SCHEMA_VERSION


def _fetch_catalogue(bucket: Bucket, dataset: str, entry: ReleaseEntry, folder: Path) -> Path:
    path = folder / f"{entry.catalogue_sha256}.sqlite"
    with path.open("wb") as file:
        bucket.download(keys.catalogue(dataset, entry.id, entry.catalogue_sha256), file, entry.catalogue_sha256)
    return path


def _state_name(publication: Publication, bucket: Bucket) -> str:
    store = hashlib.sha256(f"{bucket.settings.endpoint} {bucket.settings.bucket}".encode()).hexdigest()[:8]
    # A plus is in no id, so that no two releases have one name.
    return f"{publication.dataset}+{publication.release}+{store}"


def _workers(
    publication: Publication, scratch: Path, bucket: S3Settings | None, progress: Progress
) -> AbstractContextManager[Workers]:
    """Who checks and packs: processes here, or a cluster that was found able to. ``bucket`` is where they are to write.

    Raises:
        PublicationError: it is not, or Dask is not installed.
    """
    if publication.scheduler is None:
        return nullcontext(Processes(publication.workers, scratch))
    try:
        from gygo_server.ingest.cluster import Cluster, Needs
    except ModuleNotFoundError as error:
        raise PublicationError(f"a Dask cluster needs pip install 'gygo-server[cluster]' ({error})") from None
    return Cluster(publication.scheduler, Needs(publication.files, bucket), progress)


def _check(
    publication: Publication, journal: Journal, workers: Workers, progress: Progress
) -> tuple[Report, list[SourceVideo]]:
    """Check the whole source; the videos to publish."""
    progress.say(f"reading {publication.source}")
    files = publication.files
    tree = read_davis(files, publication.labels)
    check_source(files, tree, publication.masks, journal, workers, progress)
    report = Report(findings=list(tree.findings))
    for video in tree.videos:
        report.findings += journal.findings(video.name)
    if report.faults and not publication.leave_out_faulty:
        raise FaultySourceError(report.findings)
    # A list that names what is not there is no fault of the video, whose other lines count.
    faulty = {finding.video for finding in report.faults if finding.code not in OF_LISTS}
    if None in faulty:
        raise FaultySourceError(report.findings)
    videos = [video for video in tree.videos if video.name not in faulty]
    if not videos:
        raise FaultySourceError(report.findings)
    report.videos = len(videos)
    report.left_out = sorted(name for name in faulty if name is not None)
    report.splits = tree.splits
    return report, videos


class _Content(NamedTuple):
    """What a release is made of."""

    publication: Publication
    report: Report
    videos: list[SourceVideo]
    journal: Journal


class _Before(NamedTuple):
    """The release that a new one comes from, and its catalogue; None for one that cannot be read any more."""

    release: str
    catalogue: Path | None


def _build_catalogue(content: _Content, path: Path, before: _Before | None, progress: Progress) -> None:
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


def _before(
    publication: Publication, bucket: Bucket, dataset: Dataset | None, folder: Path, progress: Progress
) -> _Before | None:
    """The newest release that was published before this one, if any is served."""
    releases = dataset.releases if dataset else ()
    earlier = takewhile(lambda entry: entry.id != publication.release, releases)
    entry = next((entry for entry in reversed(list(earlier)) if entry.withdrawn_at is None), None)
    if entry is None:
        return None
    path = _fetch_catalogue(bucket, publication.dataset, entry, folder)
    if schema_of(path) != SCHEMA_VERSION:
        progress.say(f"{entry.id} was published by an older version: what has changed since is not worked out")
        return _Before(entry.id, None)
    return _Before(entry.id, path)


def _require_equal(built: Path, published: Path, release: str) -> None:
    with closing(digests(published)) as theirs, closing(digests(built)) as ours:
        if any(one != other for one, other in zip_longest(theirs, ours)):
            raise AlreadyPublishedError(
                f"release {release!r} is published with other content, and a release never changes: "
                "publish this source as a new release"
            )


def _renew(publication: Publication, bucket: Bucket, entry: ReleaseEntry, built: Path) -> None:
    """Put a catalogue of this version in the place of one of an older version, which says the same."""
    renewed = replace(_upload_catalogue(built, publication, bucket), published_at=entry.published_at)

    def change(dataset: Dataset | None) -> Dataset:
        if dataset is None or dataset.release(entry.id) not in (entry, renewed):
            raise PublicationError(f"{entry.id}: changed by somebody else in the meantime; run the command again")
        return replace(dataset, releases=tuple(renewed if each == entry else each for each in dataset.releases))

    change_dataset(bucket, publication.dataset, change)


def _publish_catalogue(
    content: _Content, built: Path, before: _Before | None, bucket: Bucket, progress: Progress
) -> None:
    """Upload the catalogue and name the release; build it anew when another was published in the meantime."""
    publication = content.publication
    for _ in range(RACES):
        entry = _upload_catalogue(built, publication, bucket)
        try:
            _name_release(publication, bucket, entry, before.release if before else None)
        except _OvertakenError:
            progress.say("another release was published in the meantime: working out what has changed since that one")
            dataset, _ = read_dataset(bucket, publication.dataset)
            before = _before(publication, bucket, dataset, built.parent, progress)
            _build_catalogue(content, built, before, progress)
            continue
        return
    raise PublicationError(f"{publication.dataset}: others publish all the time; try again")


def _upload_catalogue(path: Path, publication: Publication, bucket: Bucket) -> ReleaseEntry:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    key = keys.catalogue(publication.dataset, publication.release, sha256)
    if not bucket.holds(key, size, sha256):
        bucket.put_file(key, path, sha256, SQLITE)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return ReleaseEntry(publication.release, now, sha256, size)


class _OvertakenError(Exception):
    """The newest release is no longer the one that the catalogue was compared with."""


def _name_release(publication: Publication, bucket: Bucket, entry: ReleaseEntry, before: str | None) -> None:
    """The one step that readers see: add the release to ``dataset.json`` unless somebody else has.

    Raises:
        _OvertakenError: another release is newer than ``before``.
    """

    def add(dataset: Dataset | None) -> Dataset:
        dataset = dataset or Dataset(publication.dataset, publication.title or publication.dataset)
        if dataset.release(publication.release) == entry:
            return dataset  # our own write went through, but its answer was lost
        if dataset.release(publication.release):
            raise AlreadyPublishedError(
                f"release {publication.release!r} was published by somebody else in the meantime; nothing was changed"
            )
        if (dataset.latest.id if dataset.latest else None) != before:
            raise _OvertakenError
        return replace(dataset, releases=(*dataset.releases, entry), **_told(publication))

    change_dataset(bucket, publication.dataset, add)


def _told(publication: Publication) -> dict[str, Any]:
    """What the publication says of the dataset."""
    told = {name: getattr(publication, name) for name in ("title", "description", "license", "homepage")}
    return {name: value for name, value in told.items() if value is not None}


def _describe_anew(publication: Publication, bucket: Bucket) -> bool:
    """Bring the dataset's title and so on up to what the publication says; whether anything changed."""
    told = _told(publication)
    found = read_dataset(bucket, publication.dataset)[0]
    if found is None or all(getattr(found, name) == value for name, value in told.items()):
        return False
    change_dataset(bucket, publication.dataset, lambda now: replace(now or found, **told))
    return True


def change_dataset(bucket: Bucket, dataset: str, change: Callable[[Dataset | None], Dataset]) -> None:
    """Write ``dataset.json`` anew if nobody else has since it was read; otherwise read it again and try again."""
    for _ in range(RACES):
        found, etag = read_dataset(bucket, dataset)
        try:
            bucket.put(keys.dataset_file(dataset), dataset_file.encode(change(found)), replaces=etag)
        except PreconditionFailedError:
            continue
        return
    raise PublicationError(f"{dataset}: dataset.json is written by others all the time; try again")
