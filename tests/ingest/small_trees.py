"""Small data sets in the DAVIS layout, for publications: every video's pictures differ, by its seed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (24, 16)


@cache
def jpeg(seed: int = 0, size: tuple[int, int] = SIZE) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    target = io.BytesIO()
    Image.fromarray(noise).save(target, "JPEG")
    return target.getvalue()


@cache
def png(values: tuple[int, ...] = (0, 1, 2), size: tuple[int, int] = SIZE, mode: str = "L") -> bytes:
    """A mask whose columns take ``values`` in turn."""
    row = np.resize(np.array(values, np.uint8), size[0])
    target = io.BytesIO()
    Image.fromarray(np.tile(row, (size[1], 1))).convert(mode).save(target, "PNG")
    return target.getvalue()


def put(root: Path, path: str, content: bytes | str) -> Path:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return target


def write_video(root: Path, name: str, *, seed: int | None = None, frames: int = 3, resolution: str = "480p") -> None:
    """A video with a mask on every frame, whose pictures depend on ``seed`` (its name, if it is not given)."""
    start = int(hashlib.sha256(name.encode()).hexdigest()[:6], 16) if seed is None else seed
    for index in range(frames):
        put(root, f"JPEGImages/{resolution}/{name}/{index:05d}.jpg", jpeg(start + index))
        put(root, f"Annotations/{resolution}/{name}/{index:05d}.png", png((0, 1, 1 + index)))


def write_tree(root: Path, videos: Iterable[str] = ("bear", "cat", "dog"), **more: int) -> Path:
    """A data set of ``videos``, all of them in the split ``train``."""
    names = list(videos)
    for name in names:
        write_video(root, name, **more)  # type: ignore[arg-type]
    put(root, "ImageSets/2017/train.txt", "".join(f"{name}\n" for name in names))
    return root


def write_faults(root: Path) -> dict[str, str]:
    """A tree with every kind of fault that a command can meet; the path of each by its code."""
    good, mask = jpeg(), png()
    for video in ("v01", "v02", "v03", "v04", "v05", "v06", "v07", "v08", "v09", "v10"):
        write_video(root, video)
    faults: dict[str, tuple[str, bytes | str]] = {
        "truncated": ("JPEGImages/480p/v01/00001.jpg", good[:-200]),
        "empty-file": ("JPEGImages/480p/v02/00001.jpg", b""),
        "git-lfs-pointer": (
            "JPEGImages/480p/v03/00001.jpg",
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n",
        ),
        "not-a-jpeg": ("JPEGImages/480p/v04/00001.jpg", mask),
        "not-a-png": ("Annotations/480p/v04/00000.png", good),
        "frame-sizes-differ": ("JPEGImages/480p/v05/00001.jpg", jpeg(1, (16, 24))),
        "mask-size-differs": ("Annotations/480p/v06/00001.png", png(size=(23, 16))),
        "mixed-mask-kinds": ("Annotations/480p/v07/00001.png", png((0, 255))),
        "mask-has-colours": ("Annotations/480p/v08/00001.png", png(mode="RGB")),
        "mask-without-frame": ("Annotations/480p/v09/00009.png", mask),
        "wrong-picture-kind": ("JPEGImages/480p/v10/00003.bmp", good),
        "no-frame-number": ("JPEGImages/480p/v10/cover.jpg", good),
        "duplicate-frame-number": ("JPEGImages/480p/v10/0.jpg", good),
        "bad-frame-name": ("JPEGImages/480p/v10/a\x1b[31m7.jpg", good),
        "bad-video-name": ("JPEGImages/480p/a:b/00000.jpg", good),
        "nested-video": ("JPEGImages/480p/v10/inner/00000.jpg", good),
        "bad-resolution-name": ("JPEGImages/-480p/v10/00000.jpg", good),
        "misplaced-pictures": ("JPEGImages/480p/00000.jpg", good),
        "split-names-missing-video": ("ImageSets/train.txt", "v01\nyeti\n"),
        "unreadable-list": ("ImageSets/val.txt", b"caf\xe9\n"),
        "bad-split-name": ("ImageSets/my split.txt", "v01\n"),
        "bad-object-id": ("categories.csv", "video,object,category,attributes\nv01,300,toys,\n"),
    }
    for path, content in faults.values():
        put(root, path, content)
    shown = {code: path for code, (path, _) in faults.items()}
    for code in ("bad-video-name", "nested-video", "misplaced-pictures"):
        shown[code] = shown[code].rpartition("/")[0]
    shown["bad-resolution-name"] = "JPEGImages/-480p"
    shown["duplicate-frame-number"] = "JPEGImages/480p/v10/00000.jpg"
    shown["bad-frame-name"] = "JPEGImages/480p/v10/a\\x1b[31m7.jpg"
    return shown
