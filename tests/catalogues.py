"""Videos made up for tests of catalogues: everything but the pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from gygo_server.catalogue.builder import CatalogueBuilder
from gygo_server.model import Archive, Box, FrameFiles, MaskKind, Member, Region, Video


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_archive(
    name: str,
    resolution: str = "480p",
    *,
    frames: int = 4,
    objects: Sequence[int] = (1,),
    kind: MaskKind = MaskKind.PALETTE,
) -> Archive:
    """An archive with a mask for each frame, and each object on each frame."""
    made = []
    for index in range(frames):
        start, seed = index * 4096, f"{name} {resolution} {index}"
        regions = tuple(Region(each, Box(index, each, 10, 20), 150 + each) for each in objects)
        mask = None if kind is MaskKind.NONE else Member(start + 3072, 300, sha256(f"{seed} mask"))
        image = Member(start + 512, 2000, sha256(f"{seed} image"))
        made.append(FrameFiles(index, f"{index:05}", start, start + 4096, image, mask, regions))
    size = frames * 4096 + 1024
    digest = sha256(f"{name} {resolution} {frames} {objects}")
    return Archive(resolution, resolution, digest, size, 854, 480, kind, tuple(made))


def make_video(name: str, **more: object) -> Video:
    """A video with one archive; keyword arguments are a Video's, ``frames`` and ``objects`` the archive's."""
    shape = {key: more.pop(key) for key in ("frames", "objects", "kind") if key in more}
    return Video(name, (make_archive(name, **shape),), **more)  # type: ignore[arg-type]


def build(path: Path, videos: Iterable[Video], **release: object) -> Path:
    """A catalogue of the videos, in the order of their names as a publication adds them."""
    ordered = sorted(videos, key=lambda video: video.name)
    splits = {split: f"{split}.txt" for video in ordered for split in video.splits}
    with CatalogueBuilder(path) as builder:
        for video in ordered:
            builder.add(video)
        builder.finish({"id": "r1", "default_resolution": "480p", **builder.tally(splits), **release})
    return path
