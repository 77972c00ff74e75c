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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gygo_server.catalogue.builder import CatalogueBuilder
from gygo_server.catalogue.reader import Catalogue
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
    and so on were changed to what was told.
    """

    findings: list[Finding] = field(default_factory=list)
    videos: int = 0
    left_out: list[str] = field(default_factory=list)
    splits: dict[str, str] = field(default_factory=dict)
    transfer: Transfer = field(default_factory=Transfer)
    published: bool = False
    described: bool = False

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
            path = scratch / "catalogue.sqlite"
            progress.stage("building the catalogue", len(videos))
            _build_catalogue(path, publication, report, videos, journal, _latest(bucket, dataset, scratch), progress)
            if entry:
                _require_equal(path, bucket, publication, entry, scratch)
            # Also for a release that is there: what the bucket has lost since is brought again.
            report.transfer = upload(publication.dataset, publication.files, videos, journal, bucket, workers, progress)
            catalogue = None if entry else _upload_catalogue(path, publication, bucket)
        if catalogue:
            _name_release(publication, bucket, catalogue)
            report.published = True
        else:
            report.described = _describe_anew(publication, bucket)
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
    path = folder / f"{entry.catalogue_sha256}.sqlite"
    with path.open("wb") as file:
        bucket.download(keys.catalogue(dataset, entry.id, entry.catalogue_sha256), file, entry.catalogue_sha256)
    return Catalogue(path, connections=2)


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


def _build_catalogue(
    path: Path,
    publication: Publication,
    report: Report,
    videos: list[SourceVideo],
    journal: Journal,
    before: tuple[str, Catalogue] | None,
    progress: Progress,
) -> None:
    digests: dict[str, bytes] = {}
    with CatalogueBuilder(path) as builder:
        for source in videos:
            video = _video(source, journal, publication.fps)
            digests[video.id] = builder.add(video)
            progress.advance()
        counted = builder.tally(report.splits)
        faults = [fault for fault in report.faults if fault.video is not None]
        builder.finish(
            {
                "dataset": publication.dataset,
                "id": publication.release,
                "license": publication.license,
                "default_resolution": _default_resolution(counted["resolutions"]),
                **counted,
                "changes": _changes(digests, before),
                "left_out": [
                    {"video": fault.video, "code": fault.code, "path": fault.path, "message": fault.message}
                    for fault in faults
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


def _changes(digests: dict[str, bytes], before: tuple[str, Catalogue] | None) -> dict[str, Any] | None:
    """How many videos are new, other or gone since the release before; None for the first."""
    if before is None:
        return None
    since, catalogue = before
    old = dict(catalogue.digests())
    return {
        "since": since,
        "added": len(digests.keys() - old.keys()),
        "changed": sum(digests[video] != old[video] for video in digests.keys() & old.keys()),
        "removed": len(old.keys() - digests.keys()),
    }


def _latest(bucket: Bucket, dataset: Dataset | None, folder: Path) -> tuple[str, Catalogue] | None:
    entry = dataset.latest if dataset else None
    if dataset is None or entry is None:
        return None
    return entry.id, open_catalogue(bucket, dataset.id, entry, folder)


def _require_equal(path: Path, bucket: Bucket, publication: Publication, entry: ReleaseEntry, folder: Path) -> None:
    published = open_catalogue(bucket, publication.dataset, entry, folder)
    if dict(published.digests()) != dict(Catalogue(path).digests()):
        raise AlreadyPublishedError(
            f"release {entry.id!r} is published with other content, and a release never changes: "
            "publish this source as a new release"
        )


def _upload_catalogue(path: Path, publication: Publication, bucket: Bucket) -> tuple[str, int]:
    """Its SHA-256 and its size in bytes."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    key = keys.catalogue(publication.dataset, publication.release, sha256)
    if not bucket.holds(key, size, sha256):
        bucket.put_file(key, path, sha256, SQLITE)
    return sha256, size


def _name_release(publication: Publication, bucket: Bucket, catalogue: tuple[str, int]) -> None:
    """The one step that readers see: add the release to ``dataset.json`` unless somebody else has."""
    entry = ReleaseEntry(publication.release, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), *catalogue)

    def add(dataset: Dataset | None) -> Dataset:
        dataset = dataset or Dataset(publication.dataset, publication.title or publication.dataset)
        if dataset.release(publication.release) == entry:
            return dataset  # our own write went through, but its answer was lost
        if dataset.release(publication.release):
            raise AlreadyPublishedError(
                f"release {publication.release!r} was published by somebody else in the meantime; nothing was changed"
            )
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
