"""WebDataset over the videos' archives by signed URL: whole videos, frame after frame, eight of them a clip.

It cannot begin in the middle of a tar, so its clips are not drawn: they are frames 0 to 7, 8 to 15 and so on.
"""

from __future__ import annotations

import json
import queue
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

import webdataset

import gygo
from benchmarks.peers.job import LENGTH, RESOLUTION, Job, Read, as_wanted


def side(job: Job) -> Callable[[], Iterator[Read]]:
    release = gygo.connect(job.world.service).release(job.world.dataset)
    query = f"?include=archive_url&resolution={RESOLUTION}&limit=1000"
    with urllib.request.urlopen(f"{job.world.service}{release.path}/videos{query}") as answer:
        urls = [each["archive_url"] for each in json.load(answer)["items"]]
    # As many whole videos as hold the job's clips.
    mean = sum(job.world.frames.values()) / LENGTH / len(urls)
    urls = urls[: max(1, round(len(job.wanted) / mean))]

    def clips() -> Iterator[Read]:
        given: queue.SimpleQueue[Read | None] = queue.SimpleQueue()
        threads = [
            threading.Thread(target=_read, args=(job, urls[number :: job.threads], given))
            for number in range(job.threads)
        ]
        for thread in threads:
            thread.start()
        for _ in threads:
            while (clip := given.get()) is not None:
                yield clip

    return clips


def _read(job: Job, urls: list[str], given: queue.SimpleQueue[Read | None]) -> None:
    """The clips of some archives. Its groups are one file each, as frame and mask lie in folders of their own."""
    images: list[bytes] = []
    masks: list[bytes] = []
    try:
        for sample in webdataset.WebDataset(urls, shardshuffle=False) if urls else ():
            if "jpg" in sample:
                images.append(sample["jpg"])
                key = PurePosixPath(sample["__key__"])
                video, index = key.parent.name, int(key.name)
            else:
                masks.append(sample["png"])
            if len(masks) == LENGTH:
                given.put(as_wanted(job, video, index - LENGTH + 1, images, masks))
                images, masks = [], []
            elif index == job.world.frames[video] - 1 and len(masks) == len(images):
                images, masks = [], []  # what is left of the video is shorter than a clip
    finally:
        given.put(None)
