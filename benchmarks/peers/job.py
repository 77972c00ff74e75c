"""What a side of the benchmark is told, and what all sides share: the clips, their bytes, and how they are decoded.

A side is measured in a process of its own (:mod:`benchmarks.peers.run`), so a job is plain JSON.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LENGTH = 8
RESOLUTION = "480p"
#: The epoch that is read. The one before is for sides that have to start their workers first.
EPOCH = 1
SEED = 20

Arrays = NDArray[np.uint8]


class Wanted(NamedTuple):
    """A clip of the epoch: its video's name (which is its id too: no name has a slash), its first frame, the step."""

    video: str
    start: int
    step: int

    @property
    def indices(self) -> range:
        return range(self.start, self.start + LENGTH * self.step, self.step)


class Read(NamedTuple):
    """A clip as a side gives it: files as published, or T×H×W×3 and T×H×W arrays."""

    video: str
    start: int
    images: Sequence[bytes] | Arrays
    masks: Sequence[bytes] | Arrays


@dataclass(frozen=True)
class World:
    """Where everything is that was set up once for all sides."""

    service: str
    endpoint: str
    bucket: str
    dataset: str
    folder: str
    #: frames of each video, by its name, in the order of names
    frames: dict[str, int]

    @property
    def tree(self) -> Path:
        return Path(self.folder) / "tree"

    def first_sample(self, video: str) -> int:
        """Where a video's frames begin, in stores that number all frames in the order of videos' names."""
        first = 0
        for name, count in self.frames.items():
            if name == video:
                return first
            first += count
        raise KeyError(video)

    def image(self, video: str, index: int) -> Path:
        return self.tree / "JPEGImages" / RESOLUTION / video / f"{index:05d}.jpg"

    def mask(self, video: str, index: int) -> Path:
        return self.tree / "Annotations" / RESOLUTION / video / f"{index:05d}.png"


@dataclass(frozen=True)
class Job:
    """One measurement of one side."""

    world: World
    side: str
    decode: bool
    warm: bool
    threads: int
    #: clips to read: the last so many of the epoch; 0: all
    clips: int
    epoch: list[Wanted]
    #: an empty folder, or with ``warm`` one that this side has filled before
    cache: str
    check: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def wanted(self) -> list[Wanted]:
        return self.epoch[-self.clips :]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Job:
        document = json.loads(path.read_text())
        world = World(**document.pop("world"))
        epoch = [Wanted(*each) for each in document.pop("epoch")]
        return cls(world=world, epoch=epoch, **document)


#: A side: told its job, it connects, and gives what then reads the job's clips.
Side = Callable[[Job], Callable[[], Iterator[Read]]]
#: Gives a clip's JPEG and PNG files.
Fetch = Callable[[Wanted], tuple[list[bytes], list[bytes]]]


def by_threads(job: Job, fetch: Fetch) -> Callable[[], Iterator[Read]]:
    """Clips one by one, each fetched, and decoded if that is the job, by one of the job's threads."""

    def read(wanted: Wanted) -> Read:
        return as_wanted(job, wanted.video, wanted.start, *fetch(wanted))

    def clips() -> Iterator[Read]:
        with ThreadPoolExecutor(job.threads) as pool:
            yield from pool.map(read, job.wanted)

    return clips


def as_wanted(job: Job, video: str, start: int, images: list[bytes], masks: list[bytes]) -> Read:
    """The clip from its files: as they are, or decoded."""
    if not job.decode:
        return Read(video, start, images, masks)
    return Read(video, start, np.stack([rgb(each) for each in images]), np.stack([labels(each) for each in masks]))


def rgb(content: bytes) -> Arrays:
    """A JPEG as H×W×3, by Pillow."""
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB"))


def labels(content: bytes) -> Arrays:
    """A palette mask as H×W, by Pillow."""
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture)
