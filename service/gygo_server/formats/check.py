"""Whether a video's pictures are what a release may hold: each file is read once, hashed, decoded and let go."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gygo_server.formats.findings import Code, Report, reason
from gygo_server.formats.source import SourceFrame, SourceSequence, SourceVideo
from gygo_server.media.masks import MaskDecision, MaskReading, mask_kind, read_mask, regions_of
from gygo_server.media.pictures import Frame, PictureFault, read_frame
from gygo_server.model import Finding, MaskKind, Region

#: Largest file that is read, in bytes: one picture is in memory at a time, and no frame or mask comes near.
MAX_FILE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class CheckedFrame:
    """A frame whose files were read: paths, sizes in bytes, hashes, and the objects on it in order of id."""

    name: str
    image: Path
    image_size: int
    image_sha256: str
    mask: Path | None
    mask_size: int | None
    mask_sha256: str | None
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class CheckedSequence:
    """A video at one resolution, whose frames all have ``width`` and ``height`` pixels.

    ``mask_kind`` is the video's, or ``none`` for a sequence without any mask.
    """

    resolution: str
    folder: str
    width: int
    height: int
    mask_kind: MaskKind
    frames: tuple[CheckedFrame, ...]


@dataclass(frozen=True, slots=True)
class CheckedVideo:
    """A video and what is wrong with its pictures. With any fault there are no sequences."""

    name: str
    sequences: tuple[CheckedSequence, ...]
    findings: tuple[Finding, ...]


def check_video(video: SourceVideo, root: Path, told: MaskKind | None = None) -> CheckedVideo:
    """Read every picture of ``video``, whose files lie in ``root``. ``told`` is the kind of its masks, if known.

    Meant for worker processes: it needs and gives only what can be pickled.
    """
    check = _Check(video.name, root)
    read = [(sequence, [check.read(sequence, frame) for frame in sequence.frames]) for sequence in video.sequences]
    with_masks = [frame for _, frames in read for frame in frames if frame.mask]
    decision = mask_kind([frame.mask.reading for frame in with_masks if frame.mask], told)
    check.report_kinds(decision, with_masks)
    for _, frames in read:
        check.report_sizes(frames)
    if check.is_faulty():
        return CheckedVideo(video.name, (), tuple(check.report.findings))
    sequences = tuple(_checked(sequence, frames, decision) for sequence, frames in read if frames)
    return CheckedVideo(video.name, sequences, tuple(check.report.findings))


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Image(_File):
    reading: Frame


@dataclass(frozen=True, slots=True)
class _Mask(_File):
    reading: MaskReading


@dataclass(frozen=True, slots=True)
class _ReadFrame:
    """What is left of a frame's files once they are read: None for what is absent or at fault."""

    name: str
    image: _Image | None
    mask: _Mask | None


class _Check:
    """Reads one video's files and gathers what is wrong with them."""

    def __init__(self, video: str, root: Path) -> None:
        self.report = Report()
        self._video = video
        self._root = root

    def is_faulty(self) -> bool:
        return self.report.has_faults()

    def read(self, sequence: SourceSequence, frame: SourceFrame) -> _ReadFrame:
        mask_path = sequence.mask_path(frame)
        image = self._image(self._root / sequence.image_path(frame))
        mask = self._mask(self._root / mask_path) if mask_path else None
        if image and mask:
            of_image = f"{image.reading.width}x{image.reading.height}"
            of_mask = f"{mask.reading.width}x{mask.reading.height}"
            if of_image != of_mask:
                self._fault(Code.MASK_SIZE_DIFFERS, mask.path, f"the mask is {of_mask}, its frame {of_image}")
        return _ReadFrame(frame.name, image, mask)

    def report_sizes(self, frames: Sequence[_ReadFrame]) -> None:
        """A fault for the first frame of a sequence whose size is not that of the frames before it."""
        images = [frame.image for frame in frames if frame.image]
        for image in images[1:]:
            first, size = images[0].reading, image.reading
            if (size.width, size.height) != (first.width, first.height):
                message = f"the frame is {size.width}x{size.height}, those before it {first.width}x{first.height}"
                self._fault(Code.FRAME_SIZES_DIFFER, image.path, message)
                return

    def report_kinds(self, decision: MaskDecision, frames: Sequence[_ReadFrame]) -> None:
        masks = [frame.mask for frame in frames if frame.mask]
        for note in decision.soft:
            path = self._relative(masks[note.reading].path)
            self.report.warning(Code.SOFT_MASK, path, note.message, self._video)
        for note in decision.mixed:
            self._fault(Code.MIXED_MASK_KINDS, masks[note.reading].path, note.message)

    def _image(self, path: Path) -> _Image | None:
        content = self._content(path)
        if content is None:
            return None
        try:
            reading = read_frame(content)
        except PictureFault as fault:
            self._fault(fault.code, path, fault.message)
            return None
        if reading.orientation != 1:
            message = f"EXIF orientation {reading.orientation}: some loaders will turn the frame and not its mask"
            self.report.warning(Code.EXIF_ORIENTATION, self._relative(path), message, self._video)
        return _Image(path, len(content), hashlib.sha256(content).hexdigest(), reading)

    def _mask(self, path: Path) -> _Mask | None:
        content = self._content(path)
        if content is None:
            return None
        try:
            reading = read_mask(content)
        except PictureFault as fault:
            self._fault(fault.code, path, fault.message)
            return None
        return _Mask(path, len(content), hashlib.sha256(content).hexdigest(), reading)

    def _content(self, path: Path) -> bytes | None:
        try:
            size = path.stat().st_size
            if size > MAX_FILE_BYTES:
                message = f"the file has {size:,} bytes, more than {MAX_FILE_BYTES:,}"
                self._fault(Code.PICTURE_TOO_LARGE, path, message)
                return None
            return path.read_bytes()
        except OSError as error:
            self._fault(Code.UNREADABLE, path, f"the file cannot be read: {reason(error)}")
            return None

    def _fault(self, code: str, path: Path, message: str) -> None:
        self.report.fault(code, self._relative(path), message, self._video)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def _checked(sequence: SourceSequence, frames: Sequence[_ReadFrame], decision: MaskDecision) -> CheckedSequence:
    images = [frame.image for frame in frames if frame.image]
    size = images[0].reading
    has_masks = any(frame.mask for frame in frames)
    return CheckedSequence(
        sequence.resolution,
        sequence.folder,
        size.width,
        size.height,
        decision.kind if has_masks else MaskKind.NONE,
        tuple(
            _checked_frame(frame.name, image, frame.mask, decision) for frame, image in zip(frames, images, strict=True)
        ),
    )


def _checked_frame(name: str, image: _Image, mask: _Mask | None, decision: MaskDecision) -> CheckedFrame:
    return CheckedFrame(
        name,
        image.path,
        image.size,
        image.sha256,
        mask.path if mask else None,
        mask.size if mask else None,
        mask.sha256 if mask else None,
        regions_of(mask.reading, decision) if mask else (),
    )
