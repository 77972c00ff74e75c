"""Names under which a browser saves what it downloads: they say where a file is from when it lies among others."""

from __future__ import annotations


def archive_name(dataset: str, release: str, video: str, resolution: str) -> str:
    """That of a video's archive."""
    return f"{dataset}-{release}-{video.replace(':', '-')}-{resolution}.tar"


def clip_name(dataset: str, release: str, video: str, resolution: str, first: int, frames: int) -> str:
    """That of a clip: of so many frames, from the one with the index ``first``."""
    return f"{dataset}-{release}-{video.replace(':', '-')}-{resolution}-{first}-{frames}.tar"
