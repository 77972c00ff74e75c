"""Second half of a publication: bring the archives that the bucket does not have yet."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gygo_server.formats.archive import SourceChangedError, write_archive
from gygo_server.formats.check import CheckedFrame, CheckedSequence
from gygo_server.formats.source import SourceSequence, SourceVideo
from gygo_server.ingest import workers
from gygo_server.ingest.journal import Journal
from gygo_server.ingest.progress import Progress
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
    videos: list[SourceVideo],
    journal: Journal,
    bucket: Bucket,
    scratch: Path,
    count: int,
    progress: Progress,
) -> Transfer:
    """Upload the archives of ``videos``, in ``count`` processes; each is packed in ``scratch`` while it is sent."""
    total = sum(len(video.sequences) for video in videos)
    progress.stage("uploading archives", total)
    done = Transfer()
    for size, was_sent in workers.run(count, upload_one, _tasks(dataset, videos, journal, bucket.settings, scratch)):
        sent, sent_bytes, shared, shared_bytes = done
        done = (
            Transfer(sent + 1, sent_bytes + size, shared, shared_bytes)
            if was_sent
            else Transfer(sent, sent_bytes, shared + 1, shared_bytes + size)
        )
        progress.advance()
    return done


def upload_one(
    dataset: str, video: str, source: SourceSequence, archive: Archive, settings: S3Settings, scratch: Path
) -> tuple[int, bool]:
    """Runs in a worker: send one archive unless the bucket has it; its bytes, and whether they were sent.

    Raises:
        SourceChangedError: the source is not what was checked.
    """
    bucket = _bucket(settings)
    key = keys.archive(dataset, archive.sha256)
    if bucket.holds(key, archive.size, archive.sha256):
        return archive.size, False
    with tempfile.NamedTemporaryFile(dir=scratch, suffix=".tar") as file:
        written = write_archive(video, _as_checked(source, archive), file)
        file.flush()
        if written.sha256 != archive.sha256:
            raise SourceChangedError(f"{video}: changed while it was being published; run the command again")
        bucket.put_file(key, Path(file.name), archive.sha256, TAR)
    return archive.size, True


def _tasks(
    dataset: str, videos: list[SourceVideo], journal: Journal, settings: S3Settings, scratch: Path
) -> Iterator[tuple[str, str, SourceSequence, Archive, S3Settings, Path]]:
    for video in videos:
        archives = {archive.resolution: archive for archive in journal.archives(video.name)}
        for sequence in video.sequences:
            yield dataset, video.name, sequence, archives[sequence.resolution], settings, scratch


def _as_checked(source: SourceSequence, archive: Archive) -> CheckedSequence:
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
                image=frame.image,
                image_size=files.image.size,
                image_sha256=files.image.sha256,
                mask=frame.mask if files.mask else None,
                mask_size=files.mask.size if files.mask else None,
                mask_sha256=files.mask.sha256 if files.mask else None,
                regions=files.regions,
            )
            for frame, files in zip(source.frames, archive.frames, strict=True)
        ),
    )


_buckets: dict[S3Settings, Bucket] = {}


def _bucket(settings: S3Settings) -> Bucket:
    # One connection pool a worker process, not one an archive.
    return _buckets.setdefault(settings, Bucket(settings))
