"""The words of the service as values: no I/O, nothing here opens, reads or sends anything.

A *dataset* has *releases*; a release has *videos*; a video is stored, at each *resolution*, as one *archive*: an
uncompressed tar whose members are frame, mask, frame, mask …. ``index`` counts frames from 0 in a video; a frame's
``name`` is its published stem (``00005``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple, Self

#: Ids of datasets and releases: they are path segments of URLs and of object keys.
SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

#: Names that a release may not take: ``latest`` stands for the newest one.
RESERVED_RELEASES = frozenset({"latest"})

#: Mask value of "no object here".
BACKGROUND = 0
#: Mask value of "do not count this pixel" in palette masks (DAVIS 2017, YouTube-VOS).
VOID = 255
#: The id of the one object of a binary mask, whose pixels have the value 255.
BINARY_OBJECT = 1


class MaskKind(StrEnum):
    """How a video's masks are to be read.

    ``binary``: one object, id 1, at mask values 128…255 (DAVIS 2016, GyGO). ``palette``: the value is the object's id
    and 255 is void (DAVIS 2017 and later). ``none``: the video has no mask at all.
    """

    BINARY = "binary"
    PALETTE = "palette"
    NONE = "none"


class Box(NamedTuple):
    """Smallest rectangle around an object, in pixels from the top left corner, as in COCO."""

    x: int
    y: int
    width: int
    height: int


class Region(NamedTuple):
    """One object on one frame: its id, its box and its number of pixels."""

    object_id: int
    box: Box
    area: int


class Member(NamedTuple):
    """Where a file's bytes are inside its archive (not its tar header), and what they hash to."""

    offset: int
    size: int
    sha256: str


class Piece(NamedTuple):
    """A file of an archive with its tar header and its padding: the bytes ``[start, end)``."""

    start: int
    end: int
    member: Member


@dataclass(frozen=True, slots=True)
class FrameFiles:
    """One frame of one archive.

    ``start`` is the offset of the frame's first tar header and ``end`` the first byte after its last member, so that
    frames ``i`` to ``j`` with their masks are the bytes ``[frames[i].start, frames[j].end)``.
    """

    index: int
    name: str
    start: int
    end: int
    image: Member
    mask: Member | None
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class Archive:
    """One video at one resolution, as it is stored: ``<dataset>/videos/<sha256>.tar``, ``size`` bytes long.

    ``folder`` is the resolution's folder as published, the same as ``resolution`` but for old names.
    """

    resolution: str
    folder: str
    sha256: str
    size: int
    width: int
    height: int
    mask_kind: MaskKind
    frames: tuple[FrameFiles, ...]


class Severity(StrEnum):
    """A fault keeps a video (or the whole source) from being published; a warning does not."""

    FAULT = "fault"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found in a source: which file, a stable code, what is wrong and what to do about it.

    ``video`` is the name of the video at fault, or None when it concerns the source as a whole.
    """

    code: str
    path: str
    message: str
    video: str | None = None
    severity: Severity = Severity.FAULT


def video_id(name: str) -> str:
    """The id of a video, for URLs: its name with ``:`` for ``/`` (names hold no ``:``)."""
    return name.replace("/", ":")


@dataclass(frozen=True, slots=True)
class Video:
    """One video of a release, with all its archives. ``object_categories`` maps an object's id to its category."""

    name: str
    archives: tuple[Archive, ...]
    splits: tuple[str, ...] = ()
    category: str | None = None
    attributes: tuple[str, ...] = ()
    object_categories: dict[int, str] = field(default_factory=dict)
    fps: float | None = None

    @property
    def id(self) -> str:
        return video_id(self.name)


def time_of(text: str) -> datetime:
    """A time as RFC 3339 writes it, or a date, which begins at 0:00 UTC.

    Raises:
        ValueError: it is neither.
    """
    try:
        found = datetime.fromisoformat(text)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return found.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no date or time such as 2026-12-01 or 2026-12-01T09:00:00Z") from None


def time_text(time: datetime) -> str:
    """A time as RFC 3339 writes it, in UTC."""
    # Not strftime: its %Y writes the year 1 as "1", which cannot be read again.
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


class Audience(StrEnum):
    """Who sees something without a key that names it: all, whoever has any key, all from a time on, or nobody."""

    PUBLIC = "public"
    REGISTERED = "registered"
    EMBARGOED = "embargoed"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class Visibility:
    """Who may see a dataset or release without a key that names it; ``until`` is the end of an embargo."""

    audience: Audience
    until: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The visibility that ``public``, ``registered``, ``embargoed until <time>`` or ``private`` says.

        Raises:
            ValueError: it says none of these.
        """
        name, _, until = text.strip().partition(" until ")
        known = {each.value for each in Audience}
        if name not in known or (name == Audience.EMBARGOED) != bool(until):
            raise ValueError(f"{text!r} is none of public, registered, embargoed until 2026-12-01, private")
        return cls(Audience(name), time_of(until) if until else None)

    def __str__(self) -> str:
        return f"{self.audience} until {time_text(self.until)}" if self.until else str(self.audience)

    def allows(self, *, registered: bool, at: datetime) -> bool:
        """Whether one may see it at this time without a key that names it; ``registered``: one who has a key."""
        if self.until is not None:
            return at >= self.until
        return self.audience is Audience.PUBLIC or (registered and self.audience is Audience.REGISTERED)


PUBLIC = Visibility(Audience.PUBLIC)


@dataclass(frozen=True, slots=True)
class ReleaseEntry:
    """A release as ``dataset.json`` names it; times are RFC 3339, UTC."""

    id: str
    published_at: str
    catalogue_sha256: str
    catalogue_size: int
    visibility: Visibility = PUBLIC
    withdrawn_at: str | None = None
    withdrawn_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as ``dataset.json`` describes it, with its releases in the order of their publication.

    A release is seen by those whom its own visibility and the dataset's both allow.
    """

    id: str
    title: str
    description: str | None = None
    license: str | None = None
    homepage: str | None = None
    releases: tuple[ReleaseEntry, ...] = ()
    visibility: Visibility = PUBLIC

    def release(self, release: str) -> ReleaseEntry | None:
        """The release with this id, withdrawn or not."""
        return next((entry for entry in self.releases if entry.id == release), None)

    @property
    def latest(self) -> ReleaseEntry | None:
        """The newest release that has not been withdrawn."""
        return next((entry for entry in reversed(self.releases) if entry.withdrawn_at is None), None)
