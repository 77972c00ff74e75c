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
