"""Second half of a publication: bring the archives that the bucket does not have yet."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gygo_server.formats.archive import SourceChangedError, write_archive
from gygo_server.formats.check import CheckedFrame, CheckedSequence
from gygo_server.formats.files import SourceFiles
from gygo_server.formats.source import SourceSequence, SourceVideo
from gygo_server.ingest.journal import Journal
from gygo_server.ingest.progress import Progress
from gygo_server.ingest.workers import Task, Workers, bucket_of
from gygo_server.model import Archive
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket, S3Settings

TAR = "application/x-tar"


class Transfer(NamedTuple):
    """What an upload came to: archives and bytes sent, and those that were there already."""

    sent: int = 0
    sent_bytes: int = 0
    shared: int = 0
    shared_bytes: int = 0


def upload(
    dataset: str,
    files: SourceFiles,
    videos: list[SourceVideo],
    journal: Journal,
    bucket: Bucket,
    workers: Workers,
    progress: Progress,
) -> Transfer:
    """Upload the archives of ``videos``, whose files are ``files``; each is packed where it is sent from."""
    total = sum(len(video.sequences) for video in videos)
    progress.stage("uploading archives", total)
    done = Transfer()
    for size, was_sent in workers.run(upload_one, _tasks(dataset, files, videos, journal, bucket.settings)):
        sent, sent_bytes, shared, shared_bytes = done
        done = (
            Transfer(sent + 1, sent_bytes + size, shared, shared_bytes)
            if was_sent
            else Transfer(sent, sent_bytes, shared + 1, shared_bytes + size)
        )
        progress.advance()
    return done


def upload_one(
    scratch: Path,
    dataset: str,
    files: SourceFiles,
    video: str,
    source: SourceSequence,
    archive: Archive,
    settings: S3Settings,
) -> tuple[int, bool]:
    """Runs in a worker: send one archive unless the bucket has it; its bytes, and whether they were sent.

    Raises:
        SourceChangedError: the source is not what was checked.
    """
    bucket = bucket_of(settings)
    key = keys.archive(dataset, archive.sha256)
    if bucket.holds(key, archive.size, archive.sha256):
        return archive.size, False
    on_disk = files.on_disk(files.states(source.paths()), scratch)
    with on_disk as root, tempfile.NamedTemporaryFile(dir=scratch, suffix=".tar") as file:
        written = write_archive(video, _as_checked(root, source, archive), file)
        file.flush()
        if written.sha256 != archive.sha256:
            raise SourceChangedError(f"{video}: changed while it was being published; run the command again")
        bucket.put_file(key, Path(file.name), archive.sha256, TAR)
    return archive.size, True


def _tasks(
    dataset: str, files: SourceFiles, videos: list[SourceVideo], journal: Journal, settings: S3Settings
) -> Iterator[Task]:
    for video in videos:
        archives = {archive.resolution: archive for archive in journal.archives(video.name)}
        for sequence in video.sequences:
            archive = archives[sequence.resolution]
            yield Task(video.name, (dataset, files, video.name, sequence, archive, settings))


def _as_checked(root: Path, source: SourceSequence, archive: Archive) -> CheckedSequence:
    """The sequence as it was when it was checked, from what the journal kept of it."""
    return CheckedSequence(
        resolution=archive.resolution,
        folder=archive.folder,
        width=archive.width,
        height=archive.height,
        mask_kind=archive.mask_kind,
        frames=tuple(
            CheckedFrame(
                name=frame.name,
                image=root / source.image_path(frame),
                image_size=files.image.size,
                image_sha256=files.image.sha256,
                mask=root / mask if (mask := source.mask_path(frame)) and files.mask else None,
                mask_size=files.mask.size if files.mask else None,
                mask_sha256=files.mask.sha256 if files.mask else None,
                regions=files.regions,
            )
            for frame, files in zip(source.frames, archive.frames, strict=True)
        ),
    )
