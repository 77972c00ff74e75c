"""Which frames a clip has, and why it cannot be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gygo_server.api.videos import find_archive
from gygo_server.catalogue.reader import ArchiveRow
from gygo_server.errors import FieldError, InvalidQuestionError
from gygo_server.formats import clips
from gygo_server.library import Release
from gygo_server.model import FrameFiles, Piece, video_id

#: Frames of one clip, at most.
MAX_LENGTH = 10_000


class ClipQuestion(NamedTuple):
    """One clip as it is asked for; ``length`` None: all frames that follow."""

    video: str
    start: int
    length: int | None
    step: int


class Wanted(NamedTuple):
    """What of a clip is wanted; ``resolution`` None: the release's default one."""

    resolution: str | None
    images: bool
    masks: bool


@dataclass(frozen=True, slots=True)
class FoundClip:
    """A clip that can be had."""

    video: str
    start: int
    step: int
    archive: ArchiveRow
    wanted: Wanted
    frames: Sequence[FrameFiles]

    def pieces(self) -> list[Piece]:
        """Its files, in the order of the archive."""
        return list(clips.pieces(self.frames, images=self.wanted.images, masks=self.wanted.masks))

    def describe(self) -> dict[str, Any]:
        """What it is."""
        return {
            "video": self.video,
            "start": self.start,
            "length": len(self.frames),
            "step": self.step,
            "resolution": self.archive.resolution,
            "mask_kind": self.archive.mask_kind,
        }


def find_clip(release: Release, asked: ClipQuestion, wanted: Wanted) -> FoundClip:
    """The clip's frames.

    Raises:
        NotFoundError: there is no such video, or not at this resolution.
        InvalidQuestionError: the video has no such frames; names the field.
    """
    if not (wanted.images or wanted.masks):
        raise _wrong("images", "without images and without masks, nothing is left of a clip")
    video = video_id(asked.video)
    archive = find_archive(release, video, wanted.resolution)
    frames = release.catalogue.clip(archive, asked.start, asked.length or MAX_LENGTH + 1, asked.step)
    if len(frames) > MAX_LENGTH:
        raise _wrong("length", f"more than {MAX_LENGTH:,} frames follow: say how many")
    if not frames or (asked.length is not None and len(frames) < asked.length):
        count = release.catalogue.count_frames(archive)
        last = asked.start + ((asked.length or 1) - 1) * asked.step
        if asked.start >= count:
            raise _wrong("start", f"the video has {count} frames, from 0 to {count - 1}")
        raise _wrong("length", f"the clip ends with frame {last}, but the video's last one is {count - 1}")
    return FoundClip(video, asked.start, asked.step, archive, wanted, frames)


def _wrong(field: str, message: str) -> InvalidQuestionError:
    return InvalidQuestionError([FieldError("query", field, message)])
