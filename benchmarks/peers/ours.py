"""Our sides: ``gygo.Clips``, ``gygo.torch.Clips`` in a DataLoader, and the API's batch endpoint."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator

import gygo
from benchmarks.peers.job import EPOCH, LENGTH, RESOLUTION, SEED, Job, Read, Wanted, as_wanted
from gygo.client import Release

#: Clips that one question to the batch endpoint asks for.
BATCH = 32


def clips_side(job: Job) -> Callable[[], Iterator[Read]]:
    clips = gygo.Clips(
        _release(job, job.threads),
        length=LENGTH,
        seed=SEED,
        resolution=RESOLUTION,
        decode=job.decode,
        connections=job.threads,
        cache_dir=job.cache if job.warm or job.options.get("keep") else None,
    )
    _go_to_tail(clips, job)

    def read() -> Iterator[Read]:
        for clip in clips:
            if job.decode:
                yield Read(clip.video, clip.request.start, clip.images, clip.masks)
            else:
                yield Read(clip.video, clip.request.start, clip.image_files, clip.mask_files)

    return read


def torch_side(job: Job) -> Callable[[], Iterator[Read]]:
    """Its workers are started, and have read a few clips of the epoch before, when the clock starts.

    Workers do not take a place in an epoch that they did not begin with, so fewer clips are one rank's of several.
    """
    from torch.utils.data import DataLoader

    import gygo.torch

    workers = job.options["workers"]
    clips = gygo.torch.Clips(
        _release(job, 16),
        length=LENGTH,
        seed=SEED,
        resolution=RESOLUTION,
        cache_dir=job.cache if job.warm else None,
        connections=max(1, job.threads // workers),
        rank=0,
        world=len(job.epoch) // len(job.wanted),
    )
    loader = DataLoader(clips, batch_size=None, num_workers=workers, persistent_workers=True)
    clips.set_epoch(EPOCH - 1)
    clips.load_state_dict(clips.state_dict(taken=max(0, len(clips) - 2 * workers)))
    for _ in loader:
        pass
    clips.set_epoch(EPOCH)

    def read() -> Iterator[Read]:
        for sample in loader:
            images = sample["images"].permute(0, 2, 3, 1).numpy()
            yield Read(sample["video"], sample["start"], images, sample["masks"].numpy())

    return read


def batch_side(job: Job) -> Callable[[], Iterator[Read]]:
    """``POST …/clips`` as a tar, ``BATCH`` clips at once, read as it comes by Python's tarfile."""
    from concurrent.futures import ThreadPoolExecutor

    release = _release(job, job.threads)
    lots = [job.wanted[at : at + BATCH] for at in range(0, len(job.wanted), BATCH)]

    def clips() -> Iterator[Read]:
        with ThreadPoolExecutor(job.threads) as pool:
            for lot in pool.map(lambda lot: list(_batch(job, release, lot)), lots):
                yield from lot

    return clips


def _batch(job: Job, release: Release, lot: list[Wanted]) -> Iterator[Read]:
    asked = [{"video": each.video, "start": each.start, "length": LENGTH, "step": each.step} for each in lot]
    body = {"clips": asked, "resolution": RESOLUTION, "on_error": "fail"}
    stream = release.http.post_stream(f"{release.path}/clips", body)
    with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20) as tar:
        for wanted in lot:
            files = [tar.extractfile(tar.next()).read() for _ in range(2 * LENGTH)]
            yield as_wanted(job, wanted.video, wanted.start, files[::2], files[1::2])


def _release(job: Job, connections: int) -> Release:
    return gygo.connect(job.world.service, connections=connections).release(job.world.dataset)


def _go_to_tail(clips: gygo.Clips, job: Job) -> None:
    """Turn to the benchmark's epoch, and to its last clips, as if the others had been read."""
    clips.set_epoch(EPOCH)
    clips.load_state_dict(clips.state_dict(taken=len(clips) - len(job.wanted)))
