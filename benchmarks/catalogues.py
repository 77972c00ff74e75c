"""Videos made up for catalogues of any size: everything but the pictures, always the same ones, in the order of names.

They are drawn a batch of a thousand at a time, each batch from a seed of its own, so that memory does not grow with
their number and any release can be made without those before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gygo_server.formats.archive import BLOCK, END_OF_ARCHIVE
from gygo_server.model import Archive, Box, FrameFiles, MaskKind, Member, Region, Video

SEED = 2017
BATCH = 1000

#: Of a release's videos, those that the next one drops, and those whose masks it corrects.
DROPPED, CHANGED = 0.001, 0.01

#: Categories with what is seen in their videos, in the order of their frequency, which goes with 1 / rank.
NOUNS = {
    "toys": ("toy-car", "teddy", "puzzle", "doll"),
    "clothes": ("jacket", "shirt", "scarf"),
    "shoes": ("sneaker", "boot", "sandal"),
    "models": ("ship-model", "plane-model"),
    "office-items": ("stapler", "lamp", "keyboard"),
    "bags": ("backpack", "handbag"),
    "kitchen": ("kettle", "pan", "mug"),
    "furniture": ("chair", "stool"),
    "electronics": ("phone", "headset", "drone"),
    "tools": ("drill", "hammer"),
    "books": ("book", "atlas"),
    "plants": ("cactus", "fern"),
    "bottles": ("bottle", "flask"),
    "watches": ("watch",),
    "jewellery": ("ring", "necklace"),
    "hats": ("hat", "cap"),
    "balls": ("ball",),
    "instruments": ("guitar", "ukulele"),
    "glasses": ("sunglasses",),
}
#: The one that about 50 videos of the biggest release have, whatever its size.
RARE, RARE_VIDEOS = "telescopes", 50
COLOURS = ("black", "blue", "brown", "green", "grey", "pink", "red", "silver", "white", "yellow")
ATTRIBUTES = {"occlusion": 0.3, "motion-blur": 0.2, "scale-variation": 0.15, "clutter": 0.08, "transparent": 0.05}
#: A common category and a common attribute that few videos have together.
APART, APART_VIDEOS = ("clothes", "transparent"), 100
SPLITS = {"train": 0.85, "val": 0.1, "test-dev": 0.05}
#: Number of objects, and how often it occurs.
OBJECTS = {1: 0.6, 2: 0.28, 3: 0.12}
ORIGINAL = 0.04

_INDICES = tuple(f"{index:05}" for index in range(10_000))
_ZIPF = 1 / np.arange(1, len(NOUNS) + 1)

Numbers = NDArray[np.int64]


class Part(NamedTuple):
    """A release of a dataset that comes out in parts: which of all videos it has, how often each was corrected."""

    present: NDArray[np.bool_]
    versions: NDArray[np.uint8]


def part_of(sizes: Sequence[int], number: int) -> Part:
    """Release ``number``, from 0, when releases have ``sizes`` videos: what the one before has and more."""
    made = math.ceil(sizes[-1] * (1 + 2 * DROPPED * len(sizes))) + BATCH
    present, versions = np.zeros(made, np.bool_), np.zeros(made, np.uint8)
    come = 0
    for each, size in enumerate(sizes[: number + 1]):
        drawn = np.random.default_rng([SEED, each]).random(made, np.float32)
        present &= drawn >= DROPPED
        versions += present & (drawn < DROPPED + CHANGED)
        new = size - int(present.sum())
        present[come : come + new] = True
        come += new
    return Part(present, versions)


def make_videos(part: Part, *, frames: int, of: int) -> Iterator[Video]:
    """The part's videos, of ``frames`` frames on average; ``of``: how many the biggest release has."""
    for batch in range(math.ceil(len(part.present) / BATCH)):
        span = slice(batch * BATCH, (batch + 1) * BATCH)
        if part.present[span].any():
            yield from _make_batch(batch, Part(part.present[span], part.versions[span]), frames, of)


def _make_batch(batch: int, part: Part, frames: int, of: int) -> Iterator[Video]:
    rng = np.random.default_rng([SEED, 1 << 32, batch])
    described = _draw_descriptions(rng, batch, of)
    objects = rng.choice(list(OBJECTS), BATCH, p=list(OBJECTS.values()))
    counts = np.clip(rng.gamma(2.0, frames / 2, BATCH), frames * 0.16, frames * 4).astype(np.int64)
    originals = np.flatnonzero(rng.random(BATCH) < ORIGINAL)
    masked = np.array([video.splits != ("test-dev",) for video in described])  # of those, only the first frame is
    versions = np.resize(part.versions, BATCH)
    small = _Columns(rng, _Shape("480p", 854, 480), counts, objects, masked, versions)
    big = _Columns(
        rng,
        _Shape("original", 1920, 1080),
        counts[originals],
        objects[originals],
        masked[originals],
        versions[originals],
    )
    place = {int(n): at for at, n in enumerate(originals)}
    for n in sorted(np.flatnonzero(part.present).tolist(), key=lambda n: described[n].name):
        archives = [small.archive(n), *([big.archive(place[n])] if n in place else [])]
        others = {each: described[n - each].category or "" for each in range(2, int(objects[n]) + 1)}
        named = {1: described[n].category or "", **others} if others else {}
        yield replace(described[n], archives=tuple(archives), object_categories=named)


def _draw_descriptions(rng: np.random.Generator, batch: int, of: int) -> list[Video]:
    """Names, splits, categories and attributes; without archives."""
    numbers = range(batch * BATCH, (batch + 1) * BATCH)
    rare_every, apart_every = max(1, of // RARE_VIDEOS), max(1, of // APART_VIDEOS)
    names = list(NOUNS)
    drawn: dict[str, list[Any]] = {
        "category": rng.choice(names, BATCH, p=_ZIPF / _ZIPF.sum()).tolist(),
        "colour": rng.choice(COLOURS, BATCH).tolist(),
        "split": rng.choice(list(SPLITS), BATCH, p=list(SPLITS.values())).tolist(),
        "noun": rng.integers(0, 12, BATCH).tolist(),
        "attributes": (rng.random((BATCH, len(ATTRIBUTES))) < list(ATTRIBUTES.values())).tolist(),
    }
    videos = []
    for number, usual, colour, split, noun, has in zip(numbers, *drawn.values(), strict=True):
        rare, apart = number % rare_every == rare_every // 2, number % apart_every == apart_every // 3
        category = RARE if rare else APART[0] if apart else usual
        attributes = {name for name, there in zip(ATTRIBUTES, has, strict=True) if there}
        if apart:
            attributes.add(APART[1])
        elif category == APART[0]:
            attributes.discard(APART[1])
        nouns = NOUNS.get(category, ("telescope",))
        videos.append(
            Video(
                name=f"batch-{batch:05}/{colour}-{nouns[noun % len(nouns)]}-{number:07}",
                archives=(),
                splits=(split,),
                category=category,
                attributes=tuple(sorted(attributes)),
                fps=5.0,
            )
        )
    return videos


class _Shape(NamedTuple):
    """A resolution, and its pictures in pixels."""

    resolution: str
    width: int
    height: int


@dataclass(slots=True)
class _Object:
    """An object's regions, in columns; ``there`` where a frame shows it."""

    box: list[list[int]]  # x, y, width, height
    area: list[int]
    there: NDArray[np.bool_]


class _Columns:
    """The archives of a batch at one resolution, in columns of all their frames one after the other.

    An archive's bytes are as ``formats.archive`` lays them out: header, picture, header, mask, each in whole blocks.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        shape: _Shape,
        counts: Numbers,
        objects: Numbers,
        masked: NDArray[np.bool_],
        versions: NDArray[np.uint8],
    ) -> None:
        self._shape, self._objects = shape, objects.tolist()
        ends = np.cumsum(counts)
        self._first, self._end = (ends - counts).tolist(), ends.tolist()
        video = np.repeat(np.arange(len(counts)), counts)
        total = len(video)
        index = np.arange(total) - (ends - counts)[video]
        self._has_mask = masked[video] | (index == 0)
        pixels = shape.width * shape.height
        image = _sizes(rng, video, len(counts), pixels / 8)
        mask = np.where(self._has_mask, _sizes(rng, video, len(counts), pixels / 120), 0)
        image_span = BLOCK + image + -image % BLOCK
        span = image_span + np.where(self._has_mask, BLOCK + mask + -mask % BLOCK, 0)
        end = np.cumsum(span)
        start = end - span
        base = start[ends - counts] if total else start
        start, end = start - base[video], end - base[video]
        self._sizes = (end[ends - 1] + len(END_OF_ARCHIVE)).tolist()
        self._starts, self._ends = start.tolist(), end.tolist()
        self._image_offsets, self._image_sizes = (start + BLOCK).tolist(), image.tolist()
        self._mask_offsets, self._mask_sizes = (start + image_span + BLOCK).tolist(), mask.tolist()
        self._image_hashes = rng.bytes(32 * total).hex()
        self._mask_hashes = _hashes(rng, versions[video])
        self._archive_hashes = _hashes(rng, versions)
        drawn = range(max(self._objects, default=0))
        self._regions = [_draw_object(rng, shape, video, index, len(counts)) for _ in drawn]

    def archive(self, n: int) -> Archive:
        """The archive of the batch's ``n``-th video at this resolution."""
        a, b = self._first[n], self._end[n]
        span = slice(a, b)
        images = map(Member, self._image_offsets[span], self._image_sizes[span], _hex(self._image_hashes, a, b))
        masks: Any = map(Member, self._mask_offsets[span], self._mask_sizes[span], _hex(self._mask_hashes, a, b))
        regions: Any = self._regions_of(self._objects[n], a, b)
        if not self._has_mask[b - 1]:
            masks, regions = (_only_first(each, empty) for each, empty in ((masks, None), (regions, ())))
        return Archive(
            self._shape.resolution,
            self._shape.resolution,
            self._archive_hashes[64 * n : 64 * n + 64],
            self._sizes[n],
            self._shape.width,
            self._shape.height,
            MaskKind.BINARY if self._objects[n] == 1 else MaskKind.PALETTE,
            tuple(
                map(
                    FrameFiles,
                    range(b - a),
                    _INDICES,
                    self._starts[span],
                    self._ends[span],
                    images,
                    masks,
                    regions,
                )
            ),
        )

    def _regions_of(self, objects: int, a: int, b: int) -> Iterator[tuple[Region, ...]]:
        chosen = self._regions[:objects]
        drawn = zip(
            *(
                map(Region, repeat(each), map(Box, *(column[a:b] for column in one.box)), one.area[a:b])
                for each, one in enumerate(chosen, 1)
            ),
            strict=True,
        )
        if all(one.there[a:b].all() for one in chosen):
            return drawn
        there = zip(*(one.there[a:b].tolist() for one in chosen), strict=True)
        return (
            tuple(region for region, seen in zip(regions, shown, strict=True) if seen)
            for regions, shown in zip(drawn, there, strict=True)
        )


def _sizes(rng: np.random.Generator, video: Numbers, videos: int, typical: float) -> Numbers:
    """File sizes in bytes: videos differ much, the frames of one little."""
    of_video = typical * rng.lognormal(0, 0.35, videos)
    return (of_video[video] * rng.uniform(0.95, 1.05, len(video))).astype(np.int64)


def _hashes(rng: np.random.Generator, versions: NDArray[np.uint8]) -> str:
    """As many SHA-256 in hex; those of a later version differ from those of the first."""
    drawn = np.frombuffer(rng.bytes(32 * len(versions)), np.uint8).reshape(-1, 32).copy()
    drawn[:, 0] ^= versions
    return drawn.tobytes().hex()


def _hex(hashes: str, a: int, b: int) -> Iterator[str]:
    return (hashes[at : at + 64] for at in range(64 * a, 64 * b, 64))


def _draw_object(rng: np.random.Generator, shape: _Shape, video: Numbers, index: Numbers, videos: int) -> _Object:
    """An object that drifts through the picture, and in one video of five comes later than the first frame."""
    limit = np.array([shape.width, shape.height])
    size = rng.uniform(0.1, 0.4, (videos, 2)) * limit
    at, drift = rng.uniform(0, 0.5, (videos, 2)) * limit, rng.normal(0, 0.002, (videos, 2)) * limit
    jitter = partial(rng.integers, -4, 5, (len(video), 2))
    sides = np.clip(size[video] + jitter(), 8, limit).astype(np.int64)
    corner = np.clip(at[video] + drift[video] * index[:, None] + jitter(), 0, limit - sides).astype(np.int64)
    area = (sides[:, 0] * sides[:, 1] * rng.uniform(0.5, 0.8, len(video))).astype(np.int64)
    comes = np.where(rng.random(videos) < 0.2, 3, 0)
    return _Object(np.hstack([corner, sides]).T.tolist(), area.tolist(), index >= comes[video])


def _only_first(each: Iterator[Any], empty: Any) -> Iterator[Any]:
    yield next(each)
    yield from repeat(empty)
