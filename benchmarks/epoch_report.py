"""The table and the ratios of ``make bench-epoch``."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.epoch_rows import Row
from benchmarks.peers.job import LENGTH, RESOLUTION, Wanted, World
from benchmarks.peers.sides import SIDES

#: The peers that draw any clip, as ours does, and keep no loose files as (a) does.
DRAWING = ("s3torchconnector", "mosaicml", "litdata")
#: The lines of the first clips of an epoch.
FIRST, MOSAICML_FIRST = "gygo.Clips, 60 clips", "MosaicML Streaming, 60 clips"


@dataclass(frozen=True)
class Report:
    """All that was measured: rates by the rows' keys, a rate a round."""

    rows: Sequence[Row]
    measured: Mapping[str, list[float]]
    left_out: Mapping[str, str]
    about: str

    def document(self) -> dict[str, Any]:
        """For the JSON file."""
        medians = {key: round(statistics.median(rates), 1) for key, rates in self.measured.items()}
        return {"ratios": self.ratios(), "medians": medians, "about": self.about}

    def ratios(self) -> dict[str, float | None]:
        """Medians over the rounds of ours / theirs; None without the other side."""
        cold = [row for row in self.rows if row.part == "undecoded, cold"]
        ours = next(row.key for row in cold if row.side == "gygo")
        best = self._best(row.key for row in cold if row.side == "gygo" and not row.clips)
        decoded = [row for row in self.rows if row.part == "decoded, cold" and row.side.startswith("gygo")]
        fast = self._best(row.key for row in decoded if row.options["fast"])
        slow = self._best(row.key for row in decoded if not row.options["fast"])
        wrk = self._best(row.key for row in self.rows if row.side == "wrk")
        pillow = self._best(row.key for row in self.rows if row.side == "pillow")
        return {
            "cold_vs_boto3": self._ratio(ours, self._best(row.key for row in cold if row.side == "boto3")),
            "cold_vs_best_peer": self._ratio(best, self._best(row.key for row in cold if row.side in DRAWING)),
            "first_60_vs_mosaicml": self._ratio(f"{cold[0].part}: {FIRST}", f"{cold[0].part}: {MOSAICML_FIRST}"),
            "cold_vs_webdataset": self._ratio(ours, self._best(row.key for row in cold if row.side == "webdataset")),
            "cold_vs_limit": self._ratio(ours, wrk),
            "decoded_vs_pillow": self._ratio(slow, pillow),
            "decoded_fast_vs_pillow": self._ratio(fast, pillow),
        }

    def markdown(self) -> str:
        """The page with the table."""
        return "\n".join([_HEAD, self.about, *self._table(), "", *self._ratio_lines(), "", _NOTES])

    def _table(self) -> Iterator[str]:
        part = ""
        for row in self.rows:
            if row.part != part:
                part = row.part
                yield from ("", f"| {part} | clips/s | least | most |", "| --- | ---: | ---: | ---: |")
            rates = self.measured.get(row.key)
            if rates:
                yield f"| {row.name} | {statistics.median(rates):,.1f} | {min(rates):,.1f} | {max(rates):,.1f} |"
            else:
                yield f"| {row.name} | {self.left_out.get(row.side, 'not measured')} | | |"

    def _ratio_lines(self) -> Iterator[str]:
        yield from ("| ratio, median over the rounds | |", "| --- | ---: |")
        for name, ratio in self.ratios().items():
            yield f"| `{name}` | {'not measured' if ratio is None else f'{ratio:.2f}'} |"

    def _best(self, keys: Iterator[str]) -> str | None:
        """The fastest of them."""
        there = [key for key in keys if key in self.measured]
        return max(there, key=lambda key: statistics.median(self.measured[key]), default=None)

    def _ratio(self, ours: str | None, theirs: str | None) -> float | None:
        if ours not in self.measured or theirs not in self.measured:
            return None
        return round(load.median_ratio(self.measured[ours], self.measured[theirs]), 3)


def about(world: World, epoch: Sequence[Wanted], rounds: int) -> str:
    """What was read, and on what machine."""
    sizes = [
        path.stat().st_size
        for wanted in epoch
        for index in wanted.indices
        for path in (world.image(wanted.video, index), world.mask(wanted.video, index))
    ]
    versions = [
        f"{known.distribution} {known.version()}" for known in SIDES.values() if known.distribution and known.version()
    ]
    return (
        f"An epoch of {len(epoch)} clips of {LENGTH} frames with masks at {RESOLUTION}, of {len(world.frames)} videos; "
        f"{sum(sizes) / len(epoch) / 1e3:,.0f} KB a clip. Medians of {rounds} rounds, the sides one after the other in "
        f"each. Machine: {os.cpu_count()} cores ({_processor()}), {platform.machine()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}; client, service and SeaweedFS together on it, over loopback. "
        f"Versions: {', '.join(versions)}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


_HEAD = "# An epoch of training clips\n\nWritten by `make bench-epoch`; the ratios count, not the figures.\n"

_NOTES = """What the lines mean:

* *Clips* are drawn by `gygo.sampling`: random videos, random starts, each frame about once an epoch. All sides read the
  same ones in the same number of threads (8 when not said otherwise); the slow read only the last 40 to 240 of them, as
  it is the rate that counts. Every side is a process of its own, and its files or arrays were compared with what was
  published before it was measured. The clock starts when the side is connected and its code loaded, DataLoader workers
  too.
* *Undecoded* is the bytes of each JPEG and PNG, *decoded* an array T×H×W×3 and one T×H×W. The peers decode by Pillow,
  ours by Pillow or, with its extra `fast`, by simplejpeg.
* *Cold* and *warm* are about the reader's disk; the store's pages are in memory in both.
  `gygo.Clips`: cold without `cache_dir`, all bytes from the store by one ranged GET a clip; warm with a `cache_dir`
  that holds the archives; with an empty one, archives are fetched whole, verified and kept.
  MosaicML Streaming: `local` empty or full; cold it fetches the whole shard (64 MB) of each sample that it is asked for
  and keeps it, so an epoch takes the dataset's size of disk, and the first few random clips (the line "60 clips") wait
  for most of the dataset.
  LitData: cold its own way for `ds[i]`, two ranged GETs a sample and nothing kept; warm `on_demand_bytes = False` and a
  `cache_dir` that holds the chunks. The others keep nothing and have no warm line.
* `POST clips`: 32 clips a request, the tar read by `tarfile`; the service has the archives in its own disk cache.
* `gygo.torch.Clips, n workers`: a DataLoader with n processes and 8 / n connections (at least 1) in each.
* WebDataset reads whole archives by `curl`, from their beginning: its clips are frames 0 to 7, 8 to 15 and so on of
  each video, not drawn ones. So it is not among the peers of `cold_vs_best_peer`; it has a ratio of its own.
* The limits: `wrk` asks for the same byte ranges on as many connections and throws them away; Pillow decodes the same
  files from memory.
* `decoded_vs_pillow` is ours with Pillow too, `decoded_fast_vs_pillow` ours with simplejpeg; both against the best of
  the Pillow lines, and both the best of our cold lines.
* `cold_vs_best_peer` is the best of our cold lines, of a whole epoch, against the best of the peers that draw clips;
  `first_60_vs_mosaicml` compares the lines "60 clips". The other ratios of cold are of the first line.
* Why not three times the best peer: MosaicML Streaming fetches shards of 64 MB, which costs the store 0.5 ms a clip,
  where a ranged GET costs it 1.9, and an epoch reads all of them in the end; `wrk` itself, with nothing done to the
  bytes, is only a quarter faster than it. With an empty `cache_dir` ours does the same by whole archives. What random
  ranges give instead is the first clips at once (`first_60_vs_mosaicml`) and no disk. Tried on the way to the limit:
  urllib3 (0.23 ms of processor time for 313 KB), `http.client` (0.14), reading into the clip's buffer (0.10); signed
  URLs used again; more clips ahead; as many decoding threads as cores.
* Ratios are medians of the rounds' ratios, so they need not be the ratios of the medians.
"""
