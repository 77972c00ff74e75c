"""First half of a publication: read every picture of the source and work out every archive, writing nothing out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from gygo_server.formats.archive import SourceChangedError, write_archive
from gygo_server.formats.check import check_video
from gygo_server.formats.findings import Code
from gygo_server.formats.source import SourceTree, SourceVideo
from gygo_server.ingest import workers
from gygo_server.ingest.journal import Journal, fingerprint
from gygo_server.ingest.progress import Progress
from gygo_server.model import Archive, Finding, MaskKind, Severity


class Checked(NamedTuple):
    """What is known of one video once its pictures were read. No archives where there is a fault."""

    video: str
    fingerprint: str
    findings: list[Finding]
    archives: list[Archive]


def check_source(tree: SourceTree, told: MaskKind | None, journal: Journal, count: int, progress: Progress) -> None:
    """Check the videos that the journal does not have yet, in ``count`` processes, and note them there."""
    progress.stage("checking videos", len(tree.videos))
    todo: list[tuple[SourceVideo, Path, MaskKind | None]] = []
    for video in tree.videos:
        if journal.has(video, fingerprint(video, told)):
            progress.advance()
        else:
            todo.append((video, tree.root, told))
    if len(todo) < len(tree.videos):
        progress.say(f"{len(tree.videos) - len(todo)} of {len(tree.videos)} videos were checked before")
    for checked in workers.run(min(count, max(1, len(todo))), check_one, todo) if todo else ():
        journal.record(*checked)
        progress.advance()


def check_one(video: SourceVideo, root: Path, told: MaskKind | None) -> Checked:
    """Runs in a worker: check one video, and lay its archives out to know their hashes."""
    mark = fingerprint(video, told)
    checked = check_video(video, root, told)
    findings = list(checked.findings)
    archives: list[Archive] = []
    if not any(finding.severity is Severity.FAULT for finding in findings):
        with Path(os.devnull).open("wb") as nowhere:
            try:
                archives = [write_archive(video.name, sequence, nowhere) for sequence in checked.sequences]
            except (SourceChangedError, OSError) as error:
                findings.append(Finding(str(Code.SOURCE_CHANGED), video.name, str(error), video.name))
                archives = []
    return Checked(video.name, mark, findings, archives)
