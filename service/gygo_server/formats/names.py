"""What names on disk mean, and which of them a release can keep."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

#: What a resolution may be called: it is a folder, a member's path and a query parameter.
RESOLUTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

FRAME_SUFFIXES = frozenset({".jpg", ".jpeg"})
MASK_SUFFIXES = frozenset({".png"})
PICTURE_SUFFIXES = (
    FRAME_SUFFIXES
    | MASK_SUFFIXES
    | frozenset({".jpe", ".jfif", ".jp2", ".jxl", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif"})
    | frozenset({".ppm", ".pgm", ".pbm", ".tga", ".exr"})
)

_MAX_VIDEO_NAME = 512  # bytes of UTF-8
_TRAILING_DIGITS = re.compile(r"[0-9]+\Z")
#: What operating systems, NAS boxes and archivers leave in folders, besides names that begin with a dot.
_LITTER = frozenset(
    {
        "__macosx",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "@eadir",
        "#recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
    }
)
_OLD_RESOLUTIONS = {"OriginalFrames": "original"}


def is_litter(name: str) -> bool:
    """Whether a file or folder is nobody's: passed over without a word."""
    hidden = name.startswith(".") and name.partition("/")[0] not in (".", "..")  # keys of objects may hold these
    return hidden or name.casefold() in _LITTER


def is_control(character: str) -> bool:
    """Whether a character is no text: C0, C1, line separators, and the surrogates that stand for broken UTF-8."""
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def suffix_of(file: str) -> str:
    """A file's suffix in lower case, with its dot."""
    return PurePosixPath(file).suffix.lower()


def pack(names: Iterable[str]) -> str:
    """Names of files as one text, a fifth of their size: a slash is in none of them."""
    return "".join(f"{name}/" for name in names)


def unpack(packed: str) -> list[str]:
    return packed.split("/")[:-1]


def stem_of(file: str) -> str:
    """A file's name without its suffix."""
    return file.removesuffix(PurePosixPath(file).suffix)


def is_picture(file: str) -> bool:
    return suffix_of(file) in PICTURE_SUFFIXES


def resolution_of(folder: str) -> str:
    """What the API calls a resolution: its folder's name, but for an old proposal's ``OriginalFrames``."""
    return _OLD_RESOLUTIONS.get(folder, folder)


def frame_number(stem: str) -> int | None:
    """The number that a frame's stem ends in: ``00012`` and ``frame_000012`` are 12."""
    digits = _TRAILING_DIGITS.search(stem)
    return int(digits.group()) if digits else None


def video_name_fault(name: str) -> str | None:
    """Why a release cannot hold a video of this name (parts joined by ``/``), or None when it can."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return "it is not UTF-8"
    if length > _MAX_VIDEO_NAME:
        return f"it has {length} bytes, more than {_MAX_VIDEO_NAME}"
    if ":" in name:
        return "it holds ':', which stands for '/' in a video's id"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return f"it has a part {part!r}"
        if fault := _part_fault(part):
            return fault
    return None


def frame_name_fault(stem: str) -> str | None:
    """Why a release cannot hold a frame of this stem, or None when it can."""
    try:
        stem.encode()
    except UnicodeEncodeError:
        return "it is not UTF-8"
    return _part_fault(stem)


def _part_fault(part: str) -> str | None:
    if "\\" in part:
        return "it holds a backslash"
    if any(is_control(character) for character in part):
        return "it holds control characters"
    if part != part.strip():
        return "it begins or ends with blanks"
    return None
