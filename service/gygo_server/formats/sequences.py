"""A video's folder of frames and its folder of masks, made into one sequence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gygo_server.formats.findings import Code, Report, shown
from gygo_server.formats.folders import Folder
from gygo_server.formats.names import (
    FRAME_SUFFIXES,
    MASK_SUFFIXES,
    frame_name_fault,
    frame_number,
    pack,
    resolution_of,
    stem_of,
    suffix_of,
)
from gygo_server.formats.source import SourceSequence

_NAMED = 5  # how many names a message lists before it only counts


#: Frames' files, packed, by the names of the pictures and of the masks that they were made of.
Known = dict[tuple[str, str | None], str]


def read_sequence(folder: str, images: Folder, masks: Folder | None, known: Known, report: Report) -> SourceSequence:
    """The sequence in ``images``, whose resolution's folder is ``folder``. Files at fault are reported and left out.

    ``known`` are those without findings so far: most videos name their files as others do.
    """
    names = images.packed, masks.packed if masks else None
    files = known.get(names)
    if files is None:
        before = len(report.findings)
        files = pack(_files(images, masks, report))
        if len(report.findings) == before:
            known[names] = files
    return SourceSequence(resolution_of(folder), folder, images.relative, masks.relative if masks else None, files)


def _files(images: Folder, masks: Folder | None, report: Report) -> list[str]:
    video = images.name
    masks_by_stem = _masks_by_stem(masks, video, report) if masks else {}
    files: list[str] = []
    for _, file in sorted(_frames_by_number(images, report).items()):
        files += [file, masks_by_stem.get(stem_of(file), "")]
    if masks:
        # Against every picture, also those at fault: one fault a file is enough.
        _report_lost_masks(masks, masks_by_stem, {stem_of(file) for file in images.pictures}, video, report)
    return files


def report_different_frames(video: str, sequences: Sequence[SourceSequence], report: Report, top: str) -> None:
    """A fault for each of a video's resolutions that lacks frames which another one has."""
    stems = {sequence.folder: {frame.name for frame in sequence.frames} for sequence in sequences}
    everywhere = set[str]().union(*stems.values())
    for sequence in sequences:
        missing = sorted(everywhere - stems[sequence.folder])
        if missing:
            message = f"{len(missing)} frames of its other resolutions are missing: {some(missing)}"
            report.fault(Code.RESOLUTIONS_DIFFER, f"{top}/{sequence.folder}/{video}", message, video)


def some(names: Iterable[str]) -> str:
    """The first few of ``names``, and how many more there are."""
    listed = [shown(name) for name in names]
    more = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _frames_by_number(images: Folder, report: Report) -> dict[int, str]:
    by_number: dict[int, str] = {}
    long_suffixes: list[str] = []
    for file in images.pictures:
        path, stem = f"{images.relative}/{file}", stem_of(file)
        number = frame_number(stem)
        if suffix_of(file) not in FRAME_SUFFIXES:
            message = f"frames are .jpg files, this is {suffix_of(file)}: convert it"
            report.fault(Code.WRONG_PICTURE_KIND, path, message, images.name)
        elif why := frame_name_fault(stem):
            report.fault(Code.BAD_FRAME_NAME, path, f"the frame's name cannot be kept: {why}", images.name)
        elif number is None:
            message = "the frame's name does not end in a number, as 00012 or frame_000012 do"
            report.fault(Code.NO_FRAME_NUMBER, path, message, images.name)
        elif number in by_number:
            message = f"{shown(by_number[number])} and {shown(file)} are both frame number {number}: keep one"
            report.fault(Code.DUPLICATE_FRAME_NUMBER, path, message, images.name)
        else:
            by_number[number] = file
            long_suffixes.extend([file] if suffix_of(file) == ".jpeg" else [])
    if long_suffixes:
        message = f"{len(long_suffixes)} frames end in .jpeg; some loaders (Cutie, XMem) take only three letters"
        report.warning(Code.JPEG_SUFFIX, f"{images.relative}/{long_suffixes[0]}", message, images.name)
    return by_number


def _masks_by_stem(masks: Folder, video: str | None, report: Report) -> dict[str, str]:
    by_stem: dict[str, str] = {}
    for file in masks.pictures:
        path, stem = f"{masks.relative}/{file}", stem_of(file)
        if suffix_of(file) not in MASK_SUFFIXES:
            message = f"masks are .png files, this is {suffix_of(file)}: convert it without loss"
            report.fault(Code.WRONG_PICTURE_KIND, path, message, video)
        elif stem in by_stem:
            message = f"{shown(by_stem[stem])} and {shown(file)} are masks of one frame: keep one"
            report.fault(Code.DUPLICATE_MASK, path, message, video)
        else:
            by_stem[stem] = file
    return by_stem


def _report_lost_masks(
    masks: Folder, masks_by_stem: dict[str, str], stems: set[str], video: str | None, report: Report
) -> None:
    for stem, file in masks_by_stem.items():
        if stem not in stems:
            message = f"the mask has no frame: there is no {shown(stem)}.jpg in the video"
            report.fault(Code.MASK_WITHOUT_FRAME, f"{masks.relative}/{file}", message, video)
