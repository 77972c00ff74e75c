"""Data sets in the DAVIS layout made of tiny pictures, told in a few words so that tests know what is in them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (16, 12)


@cache
def jpeg(seed: int = 0, size: tuple[int, int] = SIZE, quality: int = 80) -> bytes:
    """A picture of noise: no two seeds give the same bytes, and it hardly compresses."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    target = io.BytesIO()
    Image.fromarray(noise).save(target, "JPEG", quality=quality)
    return target.getvalue()


@cache
def mask(ids: tuple[int, ...] = (1,), size: tuple[int, int] = SIZE) -> bytes:
    """A palette mask whose columns show these objects in turn, beside a column of background."""
    width, height = size
    picture = Image.fromarray(np.resize(np.array([0, *ids], np.uint8), width)[None, :].repeat(height, axis=0))
    picture.putpalette([value for index in range(256) for value in (index, 255 - index, index // 2)])
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


@dataclass(frozen=True)
class Clip:
    """A video to write. ``shown`` are the objects of each frame, None where the frame has no mask."""

    name: str
    shown: tuple[tuple[int, ...] | None, ...]
    category: str | None = None
    attributes: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    size: tuple[int, int] = SIZE
    resolutions: tuple[str, ...] = ("480p",)

    @property
    def id(self) -> str:
        return self.name.replace("/", ":")

    @property
    def objects(self) -> set[int]:
        return {each for ids in self.shown for each in ids or ()}


@dataclass
class Tree:
    """A source folder with these clips, and the bytes of each file in it."""

    root: Path
    clips: list[Clip]
    quality: int = 80
    seed: int = 0
    files: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, clip in enumerate(self.clips):
            for resolution in clip.resolutions:
                self._write_clip(clip, resolution, self.seed + 1000 * number)
        for split in sorted({split for clip in self.clips for split in clip.splits}):
            names = [clip.name for clip in self.clips if split in clip.splits]
            self.write(f"ImageSets/2017/{split}.txt", "".join(f"{name}\n" for name in sorted(names)).encode())
        with (self.root / "categories.csv").open("w", encoding="utf-8", newline="") as file:
            rows = [[clip.name, clip.category or "", ";".join(clip.attributes)] for clip in self.clips]
            csv.writer(file).writerows([["video", "category", "attributes"], *rows])

    def _write_clip(self, clip: Clip, resolution: str, seed: int) -> None:
        for index, ids in enumerate(clip.shown):
            stem = f"{resolution}/{clip.name}/{index:05d}"
            self.write(f"JPEGImages/{stem}.jpg", jpeg(seed + index, clip.size, self.quality))
            if ids is not None:
                self.write(f"Annotations/{stem}.png", mask(ids, clip.size))

    def write(self, path: str, content: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        self.files[path] = content


def files_of(root: Path, *tops: str) -> dict[str, bytes]:
    """Every file below these folders of a tree, by its path."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for top in tops or ("JPEGImages", "Annotations")
        for path in sorted((root / top).rglob("*"))
        if path.is_file()
    }
