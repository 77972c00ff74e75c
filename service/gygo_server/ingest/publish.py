"""A publication: source → checks → archives → catalogue → the name in ``dataset.json``, last and conditionally.

Killed at any moment it leaves only content-addressed objects that nothing names; run again it goes on from its
journal. A reader sees the release whole or not at all.
"""

from __future__ import annotations

import hashlib
import shutil
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gygo_server.catalogue.connections import schema_of
from gygo_server.catalogue.schema import SCHEMA_VERSION
from gygo_server.errors import (
    AlreadyPublishedError,
    FaultySourceError,
    PublicationError,
)
from gygo_server.formats.davis import read_davis
from gygo_server.formats.findings import OF_LISTS
from gygo_server.formats.source import SourceVideo
from gygo_server.ingest.catalogues import (
    Before,
    Content,
    build_catalogue,
    fetch_unless_lost,
    find_before,
    require_equal,
    upload_catalogue,
)
from gygo_server.ingest.check import check_source
from gygo_server.ingest.datasets import change_dataset, read_dataset
from gygo_server.ingest.journal import SCRATCH, Journal, state_folder
from gygo_server.ingest.progress import Progress
from gygo_server.ingest.publication import Publication, Report
from gygo_server.ingest.upload import upload
from gygo_server.ingest.workers import Processes, Workers
from gygo_server.model import Dataset, ReleaseEntry
from gygo_server.store.bucket import Bucket, S3Settings
from gygo_server.store.small_objects import RACES


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
            content, built = Content(publication, report, videos, journal), scratch / "catalogue.sqlite"
            published = fetch_unless_lost(bucket, publication.dataset, entry, scratch) if entry else None
            # One that is there and sound is only compared; what it comes from it knows.
            sound = published is not None and schema_of(published) == SCHEMA_VERSION
            before = None if sound else find_before(publication, bucket, dataset, scratch)
            build_catalogue(content, built, before, progress)
            if entry:
                require_equal(built, published, entry)
            # Also for a release that is there: what the bucket has lost since is brought again.
            report.transfer = upload(publication.dataset, publication.files, videos, journal, bucket, workers, progress)
            if entry is None:
                _publish_catalogue(content, built, before, bucket, progress)
                report.published = True
            else:
                report.described = _describe_anew(publication, bucket)
                if not sound:
                    _renew(publication, bucket, entry, built)
                    report.renewed = True
        shutil.rmtree(folder)
    return report


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


def _renew(publication: Publication, bucket: Bucket, entry: ReleaseEntry, built: Path) -> None:
    """Bring a catalogue back that the bucket has lost, or put one of this version in the place of an older one."""
    sent = upload_catalogue(built, publication, bucket, again=True)
    renewed = replace(entry, catalogue_sha256=sent.catalogue_sha256, catalogue_size=sent.catalogue_size)
    if renewed == entry:
        return

    def change(dataset: Dataset | None) -> Dataset:
        if dataset is None or dataset.release(entry.id) not in (entry, renewed):
            raise PublicationError(f"{entry.id}: changed by somebody else in the meantime; run the command again")
        return replace(dataset, releases=tuple(renewed if each == entry else each for each in dataset.releases))

    change_dataset(bucket, publication.dataset, change)


def _publish_catalogue(
    content: Content, built: Path, before: Before | None, bucket: Bucket, progress: Progress
) -> None:
    """Upload the catalogue and name the release; build it anew when another was published in the meantime."""
    publication = content.publication
    for _ in range(RACES):
        entry = upload_catalogue(built, publication, bucket)
        try:
            _name_release(publication, bucket, entry, before.entry if before else None)
        except _OvertakenError:
            progress.say("another release was published in the meantime: working out what has changed since that one")
            dataset, _ = read_dataset(bucket, publication.dataset)
            before = find_before(publication, bucket, dataset, built.parent)
            build_catalogue(content, built, before, progress)
            continue
        return
    raise PublicationError(f"{publication.dataset}: others publish all the time; try again")


class _OvertakenError(Exception):
    """The newest release is no longer the one that the catalogue was compared with."""


def _name_release(publication: Publication, bucket: Bucket, entry: ReleaseEntry, before: ReleaseEntry | None) -> None:
    """The one step that readers see: add the release to ``dataset.json`` unless somebody else has.

    Raises:
        _OvertakenError: ``before`` is not the newest release, or not as it was.
    """

    def add(dataset: Dataset | None) -> Dataset:
        dataset = dataset or Dataset(publication.dataset, publication.title or publication.dataset)
        if dataset.release(publication.release) == entry:
            return dataset  # our own write went through, but its answer was lost
        if dataset.release(publication.release):
            raise AlreadyPublishedError(
                f"release {publication.release!r} was published by somebody else in the meantime; nothing was changed"
            )
        if dataset.latest != before:
            raise _OvertakenError
        return replace(dataset, releases=(*dataset.releases, entry), **_told(publication))

    change_dataset(bucket, publication.dataset, add)


def _told(publication: Publication) -> dict[str, Any]:
    """What the publication says of the dataset."""
    told = {name: getattr(publication, name) for name in ("title", "description", "license", "homepage")}
    told["visibility"] = publication.dataset_visibility
    return {name: value for name, value in told.items() if value is not None}


def _describe_anew(publication: Publication, bucket: Bucket) -> bool:
    """Bring the dataset's title and so on, and who may see what, up to what the publication says; whether anything
    changed."""

    def describe(dataset: Dataset) -> Dataset:
        releases = tuple(
            replace(entry, visibility=publication.visibility or entry.visibility)
            if entry.id == publication.release
            else entry
            for entry in dataset.releases
        )
        return replace(dataset, releases=releases, **_told(publication))

    found = read_dataset(bucket, publication.dataset)[0]
    if found is None or describe(found) == found:
        return False
    change_dataset(bucket, publication.dataset, lambda now: describe(now or found))
    return True
