"""What a reader of a layout says of a data set. Reading it decides nothing about its pictures.

All of it is in memory at once, for a million videos too: names only, packed, and what videos have alike is shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gygo_server.formats.names import frame_number, stem_of, unpack
from gygo_server.model import Finding


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """A frame of a source: its stem, the number in it, its picture's file and its mask's if it has one."""

    name: str
    number: int
    image: str
    mask: str | None


@dataclass(frozen=True, slots=True)
class SourceSequence:
    """A video's frames at one resolution.

    ``folder`` is the folder's name below ``JPEGImages``, ``resolution`` what the API calls it. The frames' files lie in
    ``images`` and ``masks``, paths below the source; ``files`` packs, for each frame in order, its picture's name and
    its mask's, or "".
    """

    resolution: str
    folder: str
    images: str
    masks: str | None
    files: str

    @property
    def frames(self) -> tuple[SourceFrame, ...]:
        """The frames in the order of their numbers. They are made anew each time."""
        names = unpack(self.files)
        return tuple(
            SourceFrame(stem_of(image), frame_number(stem_of(image)) or 0, image, mask or None)
            for image, mask in zip(names[::2], names[1::2], strict=True)
        )

    def image_path(self, frame: SourceFrame) -> str:
        """A frame's picture, below the source."""
        return f"{self.images}/{frame.image}"

    def mask_path(self, frame: SourceFrame) -> str | None:
        """A frame's mask, below the source."""
        return f"{self.masks}/{frame.mask}" if frame.mask else None

    def paths(self) -> Iterator[str]:
        """All files, frame, mask, frame, mask …, below the source."""
        for frame in self.frames:
            yield self.image_path(frame)
            if mask := self.mask_path(frame):
                yield mask


@dataclass(frozen=True, slots=True)
class SourceVideo:
    """A video, with what the source says about it."""

    name: str
    sequences: tuple[SourceSequence, ...]
    splits: tuple[str, ...] = ()
    category: str | None = None
    attributes: tuple[str, ...] = ()
    object_categories: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceTree:
    """A whole data set: videos by name, splits (name → the list's path below the source), findings."""

    videos: tuple[SourceVideo, ...]
    splits: dict[str, str]
    findings: tuple[Finding, ...]
