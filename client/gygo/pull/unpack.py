"""From an archive to a video's files, in a folder that is not part of the tree yet.

The archive is not trusted: nothing is extracted under a name that it gives. It must hold the video's frames and masks
and nothing else.
"""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from gygo.client import Archive, Video
from gygo.errors import CorruptDataError, GygoError
from gygo.pictures import decode_mask
from gygo.pull.layouts import IMAGES, MASKS, Rules, is_safe_part
from gygo.pull.masks import fit_mask

_SUFFIXES = {IMAGES: (".jpg", ".jpeg"), MASKS: (".png",)}
_TAR_ERRORS = (tarfile.TarError, EOFError, OverflowError, ValueError, RecursionError)


@dataclass
class Unpacked:
    """What came of a video: files and bytes by folder, what the loader will not do with it, stems by object."""

    images: int = 0
    masks: int = 0
    bytes: int = 0
    left_out: int = 0
    renamed: bool = False
    rewritten: int = 0
    late_objects: list[int] = field(default_factory=list)
    object_stems: dict[int, list[str]] = field(default_factory=dict)


@dataclass
class _Frame:
    stem: str
    image: tarfile.TarInfo
    mask: tarfile.TarInfo | None = None


def unpack(source: IO[bytes], video: Video, archive: Archive, rules: Rules, target: Path) -> Unpacked:
    """Write a video's files as the rules say to the new folders ``JPEGImages`` and ``Annotations`` of ``target``.

    Raises:
        CorruptDataError: the archive is no tar, or holds something else than the video's frames and masks.
        UnreadablePictureError: a mask cannot be decoded.
    """
    try:
        with tarfile.open(fileobj=source, mode="r:") as tar:
            frames = _frames(tar, video, archive)
            return _write(tar, frames, video, archive, rules, target)
    except _TAR_ERRORS as error:
        raise CorruptDataError(f"the archive of {video.name} cannot be read: {error}") from error


def _frames(tar: tarfile.TarFile, video: Video, archive: Archive) -> list[_Frame]:
    """The archive's frames in order, each with its mask."""
    frames: dict[str, _Frame] = {}
    for member in tar:
        top, stem = _place(member, video, archive)
        if top == IMAGES and stem not in frames:
            frames[stem] = _Frame(stem, member)
        elif top == MASKS and stem in frames and frames[stem].mask is None:
            frames[stem].mask = member
        else:
            raise _stranger(member, video)
    if len(frames) != video.frame_count:
        raise CorruptDataError(f"the archive of {video.name} holds {len(frames)} frames, not {video.frame_count}")
    return list(frames.values())


def _place(member: tarfile.TarInfo, video: Video, archive: Archive) -> tuple[str, str]:
    """Whether a member is an image or a mask, and its stem."""
    top, _, rest = member.name.partition("/")
    resolution, _, path = rest.partition("/")
    folder, _, file = path.rpartition("/")
    stem, dot, suffix = file.rpartition(".")
    if (
        not member.isreg()
        or member.issparse()
        or member.size > archive.bytes
        or folder != video.name
        or not is_safe_part(resolution)
        or not is_safe_part(file)
        or not stem.strip(".")
        or (dot + suffix).lower() not in _SUFFIXES.get(top, ())
    ):
        raise _stranger(member, video)
    return top, stem


def _stranger(member: tarfile.TarInfo, video: Video) -> CorruptDataError:
    return CorruptDataError(f"the archive of {video.name} holds {member.name[:200]!r}, which does not belong there")


def _write(
    tar: tarfile.TarFile, frames: list[_Frame], video: Video, archive: Archive, rules: Rules, target: Path
) -> Unpacked:
    layout = rules.layout
    has_mask = [frame.mask is not None for frame in frames]
    chosen = layout.chosen(has_mask, all_frames=rules.all_frames)
    stems = layout.stems([frame.stem for frame in frames])
    result = Unpacked(left_out=len(frames) - len(chosen), renamed=stems != [frame.stem for frame in frames])
    result.late_objects = _late_objects(video, has_mask) if layout.first_mask_counts else []
    for top in (IMAGES, MASKS):
        (target / top).mkdir(parents=True)
    for index in chosen:
        frame, stem = frames[index], stems[index]
        with _member(tar, frame.image, video) as content, (target / IMAGES / f"{stem}.jpg").open("xb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
        result.images += 1
        result.bytes += frame.image.size
        if frame.mask is not None:
            _write_mask(tar, frame.mask, stem, video, archive, rules, target, result)
    return result


def _write_mask(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    stem: str,
    video: Video,
    archive: Archive,
    rules: Rules,
    target: Path,
    result: Unpacked,
) -> None:
    with _member(tar, member, video) as file:
        published = file.read()
    try:
        content = fit_mask(published, archive.mask_kind, rules.layout.mask_form, rules.void)
    except GygoError as error:
        raise type(error)(f"{member.name}: {error}") from error
    (target / MASKS / f"{stem}.png").write_bytes(content)
    result.masks += 1
    result.bytes += len(content)
    result.rewritten += content is not published
    if not rules.layout.meta:
        return
    known = {each["id"] for each in video.objects}
    ids = decode_mask(content)
    for value in np.flatnonzero(np.bincount(ids.ravel(), minlength=256)):
        if int(value) in known:
            result.object_stems.setdefault(int(value), []).append(stem)


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo, video: Video) -> IO[bytes]:
    file = tar.extractfile(member)
    if file is None:
        raise _stranger(member, video)
    return file


def _late_objects(video: Video, has_mask: list[bool]) -> list[int]:
    """Objects that a reader drops which counts them by the largest id in the first mask."""
    first = has_mask.index(True) if any(has_mask) else 0
    largest = max((each["id"] for each in video.objects if each["first_frame"] <= first), default=0)
    return sorted(each["id"] for each in video.objects if each["id"] > largest)
