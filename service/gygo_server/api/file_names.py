"""Names under which downloads are saved: they say where a file is from when it lies among others."""

from __future__ import annotations

import re
from hashlib import sha256

#: Bytes that a file system takes are 255 almost everywhere; programs add to a name while they download.
MAX_BYTES = 240

#: Nearly all names: there is nothing to look at more closely.
_PLAIN = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_BYTES}}}").fullmatch

#: What Windows takes in no name, and ``&``, which aria2c leaves escaped as it stands in a Metalink.
_NOT_IN_NAMES = str.maketrans(dict.fromkeys('"&*/<>?\\|', "_"))


def archive_name(dataset: str, release: str, video: str, resolution: str, *, alike: bool = False) -> str:
    """That of a video's archive; ``alike``: another video would have the same, so tell them apart."""
    return _name(dataset, release, video, f"-{resolution}.tar", alike=alike)


def clip_name(dataset: str, release: str, video: str, resolution: str, first: int, frames: int) -> str:
    """That of a clip: of so many frames, from the one with the index ``first``."""
    return _name(dataset, release, video, f"-{resolution}-{first}-{frames}.tar")


def _name(dataset: str, release: str, video: str, end: str, *, alike: bool = False) -> str:
    """A name that can be seen and that every file system takes; with a digest of the video's id where that leaves
    something out."""
    whole = f"{dataset}-{release}-{video.replace(':', '-')}"
    if not alike and _PLAIN(f"{whole}{end}"):
        return f"{whole}{end}"
    name = whole.translate(_NOT_IN_NAMES)
    if not name.isprintable():
        name = "".join(each if each.isprintable() else "_" for each in name)
    if name == whole and not alike and len(f"{name}{end}".encode()) <= MAX_BYTES:
        return f"{name}{end}"
    end = f"-{sha256(video.encode()).hexdigest()[:8]}{end}"
    return name.encode()[: max(0, MAX_BYTES - len(end))].decode(errors="ignore") + end
