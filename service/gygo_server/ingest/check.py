"""First half of a publication: read every picture of the source and work out every archive, writing nothing out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gygo_server.formats.archive import SourceChangedError, write_archive
from gygo_server.formats.check import check_video
from gygo_server.formats.files import SourceFiles
from gygo_server.formats.findings import Code
from gygo_server.formats.source import SourceTree, SourceVideo
from gygo_server.ingest.journal import Journal, fingerprint
from gygo_server.ingest.progress import Progress
from gygo_server.ingest.workers import Task, Workers
from gygo_server.model import Archive, Finding, MaskKind, Severity


class Checked(NamedTuple):
    """What is known of one video once its pictures were read. No archives where there is a fault."""

    video: str
    fingerprint: str
    findings: list[Finding]
    archives: list[Archive]


def check_source(
    files: SourceFiles,
    tree: SourceTree,
    told: MaskKind | None,
    journal: Journal,
    workers: Workers,
    progress: Progress,
) -> None:
    """Check the videos that the journal does not have as they are now, and note them there."""
    progress.stage("checking videos", len(tree.videos))
    before = sum(journal.fingerprint(video.name) is not None for video in tree.videos)
    if before:
        progress.say(f"{before} of {len(tree.videos)} videos were checked before")
    for checked in workers.run(check_one, _tasks(files, tree, told, journal)):
        if checked:
            journal.record(*checked)
        progress.advance()


def check_one(
    scratch: Path, files: SourceFiles, video: SourceVideo, told: MaskKind | None, before: str | None
) -> Checked | None:
    """Runs in a worker: check one video, and lay its archives out to know their hashes.

    None when its fingerprint is still the one ``before``. It is found out here, as asking for every file takes long.
    """
    states = files.states(path for sequence in video.sequences for path in sequence.paths())
    mark = fingerprint(states, told)
    if mark == before:
        return None
    try:
        with files.on_disk(states, scratch) as root:
            return Checked(video.name, mark, *_check(video, root, told))
    except SourceChangedError as error:
        return Checked(video.name, mark, [_changed(video, error)], [])


def _check(video: SourceVideo, root: Path, told: MaskKind | None) -> tuple[list[Finding], list[Archive]]:
    checked = check_video(video, root, told)
    findings = list(checked.findings)
    if any(finding.severity is Severity.FAULT for finding in findings):
        return findings, []
    with Path(os.devnull).open("wb") as nowhere:
        try:
            return findings, [write_archive(video.name, sequence, nowhere) for sequence in checked.sequences]
        except (SourceChangedError, OSError) as error:
            return [*findings, _changed(video, error)], []


def _changed(video: SourceVideo, error: Exception) -> Finding:
    return Finding(str(Code.SOURCE_CHANGED), video.name, str(error), video.name)


def _tasks(files: SourceFiles, tree: SourceTree, told: MaskKind | None, journal: Journal) -> Iterator[Task]:
    for video in tree.videos:
        yield Task(video.name, (files, video, told, journal.fingerprint(video.name)))
