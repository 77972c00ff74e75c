"""What a reader of a layout says of a data set on disk. Reading it decides nothing about its pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gygo_server.model import Finding


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """A frame on disk: its stem, the number in it, its picture and its mask if it has one."""

    name: str
    number: int
    image: Path
    mask: Path | None


@dataclass(frozen=True, slots=True)
class SourceSequence:
    """A video's frames at one resolution, in the order of their numbers.

    ``folder`` is the folder's name below ``JPEGImages``, ``resolution`` what the API calls it.
    """

    resolution: str
    folder: str
    frames: tuple[SourceFrame, ...]


@dataclass(frozen=True, slots=True)
class SourceVideo:
    """A video on disk, with what the source says about it."""

    name: str
    sequences: tuple[SourceSequence, ...]
    splits: tuple[str, ...] = ()
    category: str | None = None
    attributes: tuple[str, ...] = ()
    object_categories: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceTree:
    """A whole data set on disk: videos by name, splits (name → the list's path below the root), findings."""

    root: Path
    videos: tuple[SourceVideo, ...]
    splits: dict[str, str]
    findings: tuple[Finding, ...]
