"""Data sets in the DAVIS layout made of tiny pictures, told in a few words so that tests know what is in them."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

from tiny_pictures import SIZE, jpeg, mask


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
                self.write(f"Annotations/{stem}.png", mask(ids, size=clip.size))

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
