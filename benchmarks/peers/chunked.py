"""Peers that pack samples into chunks: MosaicML Streaming and LitData. A sample is a frame and its mask."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.by_file import client
from benchmarks.peers.job import Job, Read, Wanted, by_threads

#: Both peers' own choice of a chunk's size.
CHUNK_BYTES = 1 << 26


def prepare_mosaicml(job: Job) -> None:
    from streaming import MDSWriter

    folder = Path(job.world.folder) / "mosaicml"
    columns = {"image": "bytes", "mask": "bytes"}
    with MDSWriter(out=str(folder), columns=columns, size_limit=CHUNK_BYTES) as writer:
        for sample in _samples(job):
            writer.write(sample)
    _upload(job, folder)


def mosaicml_side(job: Job) -> Callable[[], Iterator[Read]]:
    os.environ["S3_ENDPOINT_URL"] = job.world.endpoint
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    remote = f"s3://{job.world.bucket}/mosaicml"
    return _numbered(job, StreamingDataset(remote=remote, local=job.cache, batch_size=1, shuffle=False))


def prepare_litdata(job: Job) -> None:
    from litdata.streaming import Cache

    folder = Path(job.world.folder) / "litdata"
    cache = Cache(str(folder), chunk_bytes=CHUNK_BYTES)
    for number, sample in enumerate(_samples(job)):
        cache[number] = sample
    cache.done()
    cache.merge()
    _upload(job, folder)


def litdata_side(job: Job) -> Callable[[], Iterator[Read]]:
    from litdata import StreamingDataset
    from litdata.streaming import downloader

    # It reads chunks by obstore, which takes no plain HTTP without being told, and has no setting for that.
    downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True
    dataset = StreamingDataset(
        f"s3://{job.world.bucket}/litdata",
        cache_dir=job.cache,
        storage_options={"endpoint_url": job.world.endpoint},
    )
    dataset[0]  # its cache is made at the first sample
    # Cold is its own way for ``dataset[i]``: ranges of the chunk, nothing kept. Warm reads chunks from its folder.
    dataset.on_demand_bytes = not job.warm
    return _numbered(job, dataset)


def _numbered(job: Job, dataset: Any) -> Callable[[], Iterator[Read]]:
    firsts = {video: job.world.first_sample(video) for video in job.world.frames}

    def fetch(wanted: Wanted) -> tuple[list[bytes], list[bytes]]:
        samples = [dataset[firsts[wanted.video] + index] for index in wanted.indices]
        return [each["image"] for each in samples], [each["mask"] for each in samples]

    return by_threads(job, fetch)


def _samples(job: Job) -> Iterator[dict[str, bytes]]:
    for video, frames in job.world.frames.items():
        for index in range(frames):
            yield {
                "image": job.world.image(video, index).read_bytes(),
                "mask": job.world.mask(video, index).read_bytes(),
            }


def _upload(job: Job, folder: Path) -> None:
    s3 = client(job, 1)
    for path in sorted(folder.iterdir()):
        s3.upload_file(str(path), job.world.bucket, f"{folder.name}/{path.name}")
