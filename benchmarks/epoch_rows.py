"""What ``make bench-epoch`` measures: the lines of its table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

#: Clips whose files are there one object each: the most that a peer reads of them.
FILES = 120


@dataclass(frozen=True)
class Row:
    """A line of the table: one side in one configuration. ``clips``: only the epoch's last so many, for the slow."""

    part: str
    name: str
    side: str
    threads: int
    decode: bool = False
    warm: bool = False
    clips: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.part}: {self.name}"


def rows_of(threads: int, workers: list[int]) -> Iterator[Row]:
    """What is measured in each round. The slow read fewer clips: it is their rate that counts."""
    yield from _undecoded(threads, workers)
    yield from _decoded(threads, workers)
    part = "limits"
    for number in (1, 2):
        yield Row(part, f"wrk, the same ranges, {number} threads", "wrk", threads, options={"wrk_threads": number})
    yield Row(part, "Pillow, 2 processes", "pillow", 2, decode=True, clips=120, options={"processes": True})
    yield Row(part, "Pillow, 2 threads", "pillow", 2, decode=True, clips=120, options={"processes": False})
    yield Row(
        part, f"Pillow, {threads} threads", "pillow", threads, decode=True, clips=120, options={"processes": False}
    )
    yield Row(part, "simplejpeg and Pillow, 2 threads", "simplejpeg", 2, decode=True, clips=160)


def _undecoded(threads: int, workers: list[int]) -> Iterator[Row]:
    cold, warm = "undecoded, cold", "undecoded, warm"
    yield Row(cold, "gygo.Clips", "gygo", threads)
    yield Row(cold, "gygo.Clips, an empty cache_dir", "gygo", threads, options={"keep": True})
    yield Row(cold, "gygo.Clips, 60 clips", "gygo", threads, clips=60)
    for number in workers:
        yield Row(cold, f"gygo.Clips, {number} connections", "gygo", number, clips=0 if number > 1 else 240)
    for number in workers:
        yield Row(cold, f"POST clips, a tar, {number} at once", "batch", number, clips=0 if number > 1 else 240)
    yield Row(cold, "boto3 get_object a file", "boto3", threads, clips=60)
    yield Row(cold, "urllib3, signed URL a file", "urllib3", threads, clips=120)
    yield Row(cold, "s3torchconnector, object a file", "s3torchconnector", threads, clips=120)
    yield Row(cold, "WebDataset, tars by signed URL", "webdataset", threads)
    yield Row(cold, "MosaicML Streaming, ds[i]", "mosaicml", threads)
    yield Row(cold, "MosaicML Streaming, 60 clips", "mosaicml", threads, clips=60)
    yield Row(cold, "LitData, ds[i]", "litdata", threads, clips=60)
    yield Row(warm, "gygo.Clips", "gygo", threads, warm=True)
    yield Row(warm, "MosaicML Streaming, ds[i]", "mosaicml", threads, warm=True)
    # By one thread: its reader holds one chunk at a time, so several threads make each other open theirs anew.
    yield Row(warm, "LitData, ds[i], 1 thread", "litdata", 1, warm=True, clips=40)


def _decoded(threads: int, workers: list[int]) -> Iterator[Row]:
    cold, warm = "decoded, cold", "decoded, warm"
    for fast in (True, False):
        extra = "" if fast else ", without simplejpeg"
        yield Row(cold, f"gygo.Clips{extra}", "gygo", threads, True, clips=200, options={"fast": fast})
        for number in workers if fast else workers[1:2]:
            name = f"gygo.torch.Clips, {number} workers{extra}"
            yield Row(cold, name, "gygo.torch", threads, True, clips=240, options={"workers": number, "fast": fast})
    yield Row(cold, "boto3 get_object a file", "boto3", threads, True, clips=40)
    yield Row(cold, "s3torchconnector, object a file", "s3torchconnector", threads, True, clips=100)
    yield Row(cold, "WebDataset, tars by signed URL", "webdataset", threads, True, clips=160)
    yield Row(cold, "MosaicML Streaming, ds[i]", "mosaicml", threads, True)
    yield Row(cold, "LitData, ds[i]", "litdata", threads, True, clips=40)
    yield Row(warm, "gygo.Clips", "gygo", threads, True, True, clips=200)
    yield Row(warm, "MosaicML Streaming, ds[i]", "mosaicml", threads, True, True, clips=160)
    yield Row(warm, "LitData, ds[i], 1 thread", "litdata", 1, True, True, clips=40)
