"""One measurement, in a process of its own: ``python -m benchmarks.peers.run JOB.json`` prints a rate as JSON."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.peers.job import LENGTH, Arrays, Job, Read, labels, rgb
from benchmarks.peers.sides import SIDES


def main() -> None:
    job = Job.read(Path(sys.argv[1]))
    if not job.options.get("fast", True):
        sys.modules["simplejpeg"] = None  # type: ignore[assignment]  # as where the extra is not installed
    side = SIDES[job.side]
    if job.options.get("prepare"):
        if side.prepare is not None:
            side.function(side.prepare)(job)
        result = {"clips": 0, "rate": 0.0}
    elif side.limit:
        result = {"clips": len(job.wanted), "rate": side.function(side.read)(job)}
    else:
        result = _measure(job)
    sys.stdout.flush()
    print(json.dumps(result))
    sys.stdout.flush()
    # Some peers' threads do not end by themselves; nothing here is left to be cleaned up.
    os._exit(0)


def _measure(job: Job) -> dict[str, float]:
    side = SIDES[job.side]
    read = side.function(side.read)(job)
    clips = size = 0
    given: set[tuple[str, int]] = set()
    begin, busy = time.perf_counter(), time.process_time()
    for clip in read():
        if job.check:
            _check(job, clip)
            given.add((clip.video, clip.start))
        clips += 1
        size += sum(map(len, clip.images))
    seconds, busy = time.perf_counter() - begin, time.process_time() - busy
    if not clips or not size:
        raise SystemExit(f"{job.side} gave nothing")
    asked = {(each.video, each.start) for each in job.epoch}
    if job.check and side.drawn and (len(given) < len(job.wanted) or not given <= asked):
        raise SystemExit(f"{job.side} gave other clips than it was asked for")
    return {"clips": clips, "seconds": seconds, "rate": clips / seconds, "busy": busy}


def _check(job: Job, clip: Read) -> None:
    """That a clip is what was published: the files byte for byte, or what Pillow decodes of them."""
    if len(clip.images) != LENGTH or len(clip.masks) != LENGTH:
        raise SystemExit(f"{job.side}: {clip.video} from {clip.start} is no clip of {LENGTH}")
    for at in range(LENGTH):
        image = job.world.image(clip.video, clip.start + at).read_bytes()
        mask = job.world.mask(clip.video, clip.start + at).read_bytes()
        same = (
            _same(clip.images[at], rgb(image)) and _same(clip.masks[at], labels(mask))
            if job.decode
            else _digest(clip.images[at]) == _digest(image) and _digest(clip.masks[at]) == _digest(mask)
        )
        if not same:
            raise SystemExit(f"{job.side}: frame {clip.start + at} of {clip.video} is not what was published")


def _same(given: Arrays, published: Arrays) -> bool:
    return given.dtype == np.uint8 and np.array_equal(given, published)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
