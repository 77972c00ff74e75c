"""Catalogues of made-up releases, each built by a process of its own, whose time and memory are measured."""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gygo_server.catalogue
from benchmarks import catalogues, scale_memory
from benchmarks.published import publish_catalogue
from gygo_server.catalogue.builder import CatalogueBuilder
from gygo_server.model import Video
from gygo_server.store.bucket import Bucket

#: The releases of a dataset that comes out in parts, as shares of the last one.
SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)
#: Seconds between two looks at a build's memory, and between two lines of its progress.
LOOK, SAY = 0.1, 15.0


class Scale(NamedTuple):
    """How big a dataset is: videos of its last release, and frames a video on average."""

    dataset: str
    videos: int
    frames: int

    @property
    def sizes(self) -> list[int]:
        return [max(1, round(self.videos * share)) for share in SHARES]


@dataclass(frozen=True, slots=True)
class Built:
    """A catalogue, and what building and publishing it took. Seconds, bytes; ``memory`` is anonymous, as in
    :mod:`benchmarks.scale_memory`."""

    release: str
    videos: int
    frames: int
    making_seconds: float  # of the videos, by the generator
    adding_seconds: float
    finishing_seconds: float
    publishing_seconds: float
    size: int
    tables: dict[str, int]
    memory_before: int  # when everything is loaded, before the first video
    memory_peak: int


def folder_of(scale: Scale, keep: Path) -> Path:
    """Where ``keep`` has what was made of this size by this software; what is there is used again."""
    sources = [Path(catalogues.__file__), *sorted(Path(gygo_server.catalogue.__path__[0]).glob("*.py"))]
    made_by = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    folder = keep / f"{scale.videos}x{scale.frames}-{made_by}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def build_and_publish(scale: Scale, folder: Path, bucket: Bucket) -> list[Built]:
    """The dataset's releases, in order. Of their catalogues only the last one stays in ``folder``: :func:`path_of`."""
    releases = []
    for number in range(len(SHARES)):
        kept = folder / f"{scale.dataset}-{number}.json"
        if not kept.exists():
            print(f"{scale.dataset}, release {number + 1} of {len(SHARES)}", flush=True)
            kept.write_text(json.dumps(asdict(_build_and_publish(scale, number, folder, bucket))))
        path_of(scale, folder, number - 1).unlink(missing_ok=True)
        releases.append(Built(**json.loads(kept.read_text())))
    return releases


def release_id(number: int) -> str:
    return f"part-{number + 1}"


def path_of(scale: Scale, folder: Path, number: int = len(SHARES) - 1) -> Path:
    """The catalogue of a release, the last one without ``number``, while it is there."""
    return folder / f"{scale.dataset}-{release_id(number)}.sqlite"


def _build_and_publish(scale: Scale, number: int, folder: Path, bucket: Bucket) -> Built:
    """One release, built in a process of its own: the most memory it has is seen from outside."""
    path = path_of(scale, folder, number)
    command = [sys.executable, "-m", "benchmarks.scale_build", *map(str, scale), str(number), str(path)]
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, scale_memory.anonymous(process.pid))
            time.sleep(LOOK)
        assert process.stdout is not None
        printed = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{scale.dataset}, release {number + 1}: the build ended with {process.returncode}")
    told: dict[str, Any] = json.loads(printed)
    began = time.perf_counter()
    entry = publish_catalogue(bucket, scale.dataset, release_id(number), path, f"{scale.videos:,} made-up videos")
    seconds = time.perf_counter() - began
    tables = _table_sizes(path)
    return Built(**told, size=entry.catalogue_size, tables=tables, publishing_seconds=seconds, memory_peak=peak)


def _table_sizes(path: Path) -> dict[str, int]:
    """Bytes of each table and index, the biggest first (https://sqlite.org/dbstat.html)."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        # Page by page: its own sums end at 2 GiB.
        sizes = db.execute("SELECT name, sum(pgsize) AS bytes FROM dbstat GROUP BY name ORDER BY bytes DESC")
        return dict(sizes.fetchall())
    finally:
        db.close()


class _Timed:
    """An iterator that counts the seconds it takes to give its values."""

    def __init__(self, values: Iterator[Video]) -> None:
        self._values = values
        self.seconds = 0.0

    def __iter__(self) -> _Timed:
        return self

    def __next__(self) -> Video:
        began = time.perf_counter()
        try:
            return next(self._values)
        finally:
            self.seconds += time.perf_counter() - began


def _build_here(scale: Scale, number: int, path: Path) -> dict[str, Any]:
    """Build a release's catalogue in this process, with lines about its progress on standard error."""
    memory_before = scale_memory.anonymous()
    size = scale.sizes[number]
    began = said = time.perf_counter()
    part = catalogues.part_of(scale.sizes, number)
    videos = _Timed(catalogues.make_videos(part, frames=scale.frames, of=scale.videos))
    before = path_of(scale, path.parent, number - 1) if number else None
    with CatalogueBuilder(path, before) as builder:
        for count, video in enumerate(videos, 1):
            builder.add(video)
            if time.perf_counter() - said > SAY:
                said = time.perf_counter()
                sys.stderr.write(f"  {count:,} of {size:,} videos, {said - began:,.0f} s\n")
        counted = builder.tally({split: f"{split}.txt" for split in catalogues.SPLITS})
        added = time.perf_counter()
        release = {"dataset": scale.dataset, "id": release_id(number), "license": None, "default_resolution": "480p"}
        builder.finish({**release, **counted, "left_out": []})
    return {
        "release": release_id(number),
        "videos": counted["counts"]["videos"],
        "frames": counted["counts"]["frames"],
        "making_seconds": videos.seconds,
        "adding_seconds": added - began - videos.seconds,
        "finishing_seconds": time.perf_counter() - added,
        "memory_before": memory_before,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description="Build one catalogue, in this process.")
    arguments.add_argument("dataset")
    for name in ("videos", "frames", "number"):
        arguments.add_argument(name, type=int)
    arguments.add_argument("path", type=Path)
    options = arguments.parse_args()
    scale = Scale(options.dataset, options.videos, options.frames)
    print(json.dumps(_build_here(scale, options.number, options.path)))


if __name__ == "__main__":
    main()
