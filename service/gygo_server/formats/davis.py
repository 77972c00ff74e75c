"""The DAVIS layout, as DAVIS 2016 and 2017, GyGO and most later sets have it.

    JPEGImages/<resolution>/<video>/<frame>.jpg
    Annotations/<resolution>/<video>/<frame>.png
    ImageSets/[<folder>/]<split>.txt

Source: DAVIS 2016 and 2017 and GyGO as published; GyGO's sequences are nested (``batch-00002/cool-car-gray``).
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gygo_server.formats.files import SourceFiles
from gygo_server.formats.findings import Code, Report, reason, shown
from gygo_server.formats.folders import Folder, read_folder
from gygo_server.formats.imagesets import read_imagesets
from gygo_server.formats.labels import NO_LABEL, read_labels
from gygo_server.formats.names import RESOLUTION, is_litter, resolution_of, video_name_fault
from gygo_server.formats.sequences import Known, read_sequence, report_different_frames, some
from gygo_server.formats.source import SourceSequence, SourceTree, SourceVideo

IMAGES, MASKS, LISTS = "JPEGImages", "Annotations", "ImageSets"
_LAYOUT = f"{IMAGES}/<resolution>/<video>/<frame>.jpg"

#: Folders with pictures in them: resolution's folder → video's name → its folder.
VideoFolders = Mapping[str, Mapping[str, Folder]]


def read_davis(files: SourceFiles, labels: Path | None = None) -> SourceTree:
    """Everything in a tree of the DAVIS layout, with all that is wrong with its names; no picture is opened.

    A source that is none has no videos and a fault. ``labels`` is the categories file, if not the source's own.
    """
    report = Report()
    tops = _top_folders(files, report)
    if IMAGES not in tops:
        _report_no_images(files, report)
        return SourceTree((), {}, tuple(report.findings))
    images = _video_folders(files, tops[IMAGES], IMAGES, report)
    masks = _video_folders(files, tops[MASKS], MASKS, report) if MASKS in tops else {}
    videos = _videos(tops[IMAGES], images, masks, report)
    if not videos:
        report.fault(Code.NO_VIDEOS, tops[IMAGES], f"there are no videos; expected {_LAYOUT}")
    _report_lost_folders(images, masks, report)
    splits = read_imagesets(files, tops.get(LISTS), videos, report)
    labelled = read_labels(files, labels, videos, report)
    known = []
    for video in videos:
        label = labelled.get(video.name, NO_LABEL)
        known.append(
            replace(
                video,
                splits=splits.of_video.get(video.name, ()),
                category=label.category,
                attributes=label.attributes,
                object_categories=dict(label.object_categories),
            )
        )
    # A name that cannot be kept cannot be written down either: it is in the findings, escaped, and nowhere else.
    sound = tuple(video for video in known if _is_sound_name(video, images, report))
    _report_similar_names(sound, images, report)
    return SourceTree(sound, splits.lists, tuple(report.findings))


def _top_folders(files: SourceFiles, report: Report) -> dict[str, str]:
    try:
        names = files.scan("").folders
    except OSError as error:
        report.fault(Code.UNREADABLE, ".", f"the source cannot be read: {reason(error)}")
        return {}
    tops: dict[str, str] = {}
    for top in (IMAGES, MASKS, LISTS):
        found = [name for name in names if name.lower() == top.lower()]
        if len(found) > 1:
            report.fault(Code.AMBIGUOUS_FOLDER, found[0], f"{some(found)} are the same to a reader: keep one")
        if found:
            tops[top] = top if top in found else found[0]
    return tops


def _report_no_images(files: SourceFiles, report: Report) -> None:
    if report.findings:
        return
    listing = files.scan("")
    names = sorted(name for name in (*listing.files, *listing.folders) if not is_litter(name))
    inner = [name for name in listing.folders if _holds_images(files, name)]
    hint = f"; {some(inner)} has one: give that folder" if inner else ""
    there = f"there is {some(names)}" if names else "the folder is empty"
    report.fault(Code.NO_JPEGIMAGES, ".", f"expected {_LAYOUT}, but {there}{hint}")


def _holds_images(files: SourceFiles, folder: str) -> bool:
    try:
        return any(name.lower() == IMAGES.lower() for name in files.scan(folder).folders)
    except OSError:  # not ours to read
        return False


def _video_folders(files: SourceFiles, path: str, top: str, report: Report) -> dict[str, dict[str, Folder]]:
    tree = read_folder(files, path, report)
    if tree is None:
        return {}
    _report_files(tree, top, report)
    found: dict[str, dict[str, Folder]] = {}
    resolutions: dict[str, str] = {}
    for folder in tree.folders:
        name = folder.own_name
        if not RESOLUTION.fullmatch(name):
            message = "a resolution's name has letters, digits, '.', '_' and '-' only, a letter or digit first"
            report.fault(Code.BAD_RESOLUTION_NAME, folder.relative, message)
            continue
        resolution = resolution_of(name).lower()
        if resolution in resolutions:
            message = f"{resolutions[resolution]} and {name} stand for the same resolution: keep one"
            report.fault(Code.DUPLICATE_RESOLUTION, folder.relative, message)
            continue
        resolutions[resolution] = name
        found[name] = dict(_videos_below(folder, top, report))
    return found


def _videos_below(resolution: Folder, top: str, report: Report) -> Iterator[tuple[str, Folder]]:
    for folder in (resolution, *resolution.below()):
        _report_files(folder, top, report)
        if folder.name and folder.pictures:
            yield folder.name, folder
            if top == IMAGES:
                _report_nested(folder, report)
        elif not folder.pictures and not folder.folders:
            report.warning(Code.EMPTY_FOLDER, folder.relative, "the folder holds no pictures", folder.name or None)


def _report_files(folder: Folder, top: str, report: Report) -> None:
    """Files that have no business in a folder: all but pictures, and pictures too above the videos' folders."""
    pictures = set(folder.pictures)
    for file in folder.files:
        if file not in pictures:
            message = "neither a frame nor a mask: passed over"
            report.warning(Code.STRAY_FILE, f"{folder.relative}/{file}", message, folder.name or None)
    if pictures and not folder.name:
        layout = _LAYOUT.replace(IMAGES, top).replace("jpg", "jpg" if top == IMAGES else "png")
        where = f"directly in {folder.relative}" if folder.name is None else "directly in a resolution folder"
        what = "frames" if top == IMAGES else "masks"
        message = f"{len(pictures)} {what} {where}; expected {layout}"
        report.fault(Code.MISPLACED_PICTURES, folder.relative, message)


def _report_nested(folder: Folder, report: Report) -> None:
    inner = [below for below in folder.below() if below.pictures]
    if inner:
        message = f"the folder holds pictures and also folders of pictures: {some(below.own_name for below in inner)}"
        report.fault(Code.NESTED_VIDEO, folder.relative, message, folder.name)
    for below in inner:
        message = f"the folder lies in another video's folder, {shown(folder.relative)}"
        report.fault(Code.NESTED_VIDEO, below.relative, message, below.name)


def _videos(top: str, images: VideoFolders, masks: VideoFolders, report: Report) -> list[SourceVideo]:
    sequences: dict[str, list[SourceSequence]] = defaultdict(list)
    known: Known = {}
    for folder, videos in images.items():
        for name, frames in videos.items():
            sequence = read_sequence(folder, frames, masks.get(folder, {}).get(name), known, report)
            sequences[name].extend([sequence] if sequence.files else [])
    for name, found in sorted(sequences.items()):
        report_different_frames(name, found, report, top)
    return [
        SourceVideo(name, tuple(sorted(found, key=lambda sequence: sequence.resolution)))
        for name, found in sorted(sequences.items())
    ]


def _report_lost_folders(images: VideoFolders, masks: VideoFolders, report: Report) -> None:
    """A fault for each folder of masks that no folder of frames corresponds to."""
    known = {name for videos in images.values() for name in videos}
    for resolution, videos in masks.items():
        frames = images.get(resolution, {})
        for name, folder in videos.items():
            if name not in frames:
                message = f"{len(folder.pictures)} masks without frames: no {IMAGES}/{resolution}/{shown(name)}"
                report.fault(Code.MASK_WITHOUT_FRAME, folder.relative, message, _owner(name, known))


def _owner(name: str, videos: set[str]) -> str:
    """The video whose masks these are: leaving it out must leave them out, also where they lie one folder too deep."""
    above = name
    while above not in videos and "/" in above:
        above = above.rpartition("/")[0]
    return above if above in videos else name


def _is_sound_name(video: SourceVideo, images: VideoFolders, report: Report) -> bool:
    why = video_name_fault(video.name)
    if why:
        message = f"a release cannot hold a video of this name: {why}"
        report.fault(Code.BAD_VIDEO_NAME, _first_folder(video.name, images), message, video.name)
    return why is None


def _report_similar_names(videos: Iterable[SourceVideo], images: VideoFolders, report: Report) -> None:
    first: dict[str, str] = {}
    for video in videos:
        path = _first_folder(video.name, images)
        if "." in video.name:
            message = "the video's name holds a dot, which SAM 2's loader does not take"
            report.warning(Code.DOT_IN_VIDEO_NAME, path, message, video.name)
        other = first.setdefault(unicodedata.normalize("NFC", video.name).casefold(), video.name)
        if other != video.name:
            message = f"{other} and {video.name} are one name on macOS and Windows"
            report.warning(Code.SIMILAR_VIDEO_NAMES, path, message, video.name)


def _first_folder(video: str, images: VideoFolders) -> str:
    return next(videos[video].relative for videos in images.values() if video in videos)
