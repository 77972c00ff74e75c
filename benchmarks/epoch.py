"""``make bench-epoch``: an epoch of training clips, from our client and from its peers, in one run on the same frames.

Every measurement is a process of its own; the sides take turns within a round. See ``benchmarks/RESULTS.md``.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from benchmarks import epoch_report, servers
from benchmarks.epoch_rows import FILES, Row, rows_of
from benchmarks.peers import world as worlds
from benchmarks.peers.job import Job, Wanted, World
from benchmarks.peers.sides import SIDES
from benchmarks.results_page import PAGE, write_section

REPOSITORY = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results") / "epoch.json"
PEERS = ("boto3", "urllib3", "s3torchconnector", "webdataset", "mosaicml", "litdata")
#: A measurement that takes longer hangs.
SECONDS = 180
CHECKED = 4


_EXCEPTION = re.compile(r"[\w.]+(Error|Exception)\b")


def main() -> None:
    options = _arguments()
    servers.require("wrk")
    left_out = _left_out(options)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="gygo-epoch-")))
        print("drawing and publishing", flush=True)
        frames = worlds.draw(
            folder, source=options.source, videos=options.videos, frames=options.frames, scale=options.scale
        )
        world = worlds.start(stack, folder, frames)
        bench = Bench(world, worlds.epoch(frames), folder, options.require_peers, left_out)
        rows = [row for row in rows_of(options.threads, options.workers) if row.side in ("urllib3", *_chosen(options))]
        print("preparing and comparing bytes", flush=True)
        bench.prepare(rows)
        bench.measure(rows, options.rounds)
        about = epoch_report.about(world, bench.epoch, options.rounds)
    report = epoch_report.Report(rows, bench.measured, bench.left_out, about)
    print(report.markdown())
    write_section(options.markdown, report.markdown())
    options.results.parent.mkdir(exist_ok=True)
    options.results.write_text(json.dumps(report.document(), indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--source", type=Path, help="a tree with 480p in the DAVIS layout, instead of drawing one")
    arguments.add_argument("--videos", type=int, default=8, help="to draw")
    arguments.add_argument("--frames", type=int, default=40, help="of each drawn video")
    arguments.add_argument("--scale", type=int, default=20, help="times that each video is published")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=8, help="of each side")
    arguments.add_argument(
        "--workers", default="1,4,16", help="numbers of connections and of DataLoader workers to try"
    )
    arguments.add_argument("--peers", default=",".join(PEERS), help=f"some of {','.join(PEERS)}")
    arguments.add_argument("--require-peers", action="store_true", help="a peer that is missing or fails is an error")
    arguments.add_argument("--results", type=Path, default=RESULTS, help="file for the ratios")
    arguments.add_argument("--markdown", type=Path, default=PAGE, help="file for the table")
    options = arguments.parse_args()
    options.workers = [int(each) for each in options.workers.split(",")]
    options.peers = options.peers.split(",")
    if unknown := set(options.peers) - set(PEERS):
        arguments.error(f"no such peer: {', '.join(sorted(unknown))}")
    return options


def _chosen(options: argparse.Namespace) -> set[str]:
    """The sides that take part: ours, the limits, the chosen peers."""
    return {*(set(SIDES) - set(PEERS)), *options.peers}


def _left_out(options: argparse.Namespace) -> dict[str, str]:
    """The sides that cannot take part, with the reason."""
    missing = {name: "not installed" for name in _chosen(options) if SIDES[name].version() is None}
    if missing and options.require_peers:
        raise SystemExit(f"not installed: {', '.join(sorted(missing))} (pip install -r benchmarks/peers.txt)")
    return missing


@dataclass
class Bench:
    """Runs measurements, and keeps what was measured, by the rows' keys, and which sides dropped out, and why."""

    world: World
    epoch: list[Wanted]
    folder: Path
    require_peers: bool
    left_out: dict[str, str]
    measured: dict[str, list[float]] = field(default_factory=dict)

    def prepare(self, rows: list[Row]) -> None:
        """Each side's own copy of the data, a look at its bytes and arrays, and what is warm when it is measured."""
        makers = {(SIDES[row.side].module, SIDES[row.side].prepare): row.side for row in rows if row.side in PEERS}
        for side in makers.values():
            self._run(Row("", "", side, 8, clips=FILES if SIDES[side].module == "by_file" else 0), prepare=True)
        checks = {(row.side, row.decode, row.warm, row.options.get("fast")): row for row in rows}
        for row in checks.values():
            if row.warm or row.side == "batch":  # what it will read, to fill its folder, or the service's
                self._run(replace(row, decode=False, clips=row.clips if row.side == "litdata" else 0))
            if not SIDES[row.side].limit:
                self._run(row, check=True)

    def measure(self, rows: list[Row], rounds: int) -> None:
        """All rows, round by round, each round beginning with another."""
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", flush=True)
            turn = number * len(rows) // rounds
            for row in rows[turn:] + rows[:turn]:
                rate = self._run(row)
                if rate is not None:
                    self.measured.setdefault(row.key, []).append(rate)

    def _run(self, row: Row, *, check: bool = False, prepare: bool = False) -> float | None:
        """One measurement in a process of its own; None when the side has dropped out."""
        if row.side in self.left_out:
            return None
        cache = self.folder / "warm" / row.side if row.warm else Path(mkdtemp(dir=self.folder))
        clips = min(CHECKED if check else row.clips or len(self.epoch), len(self.epoch))
        job = Job(
            world=self.world,
            side=row.side,
            decode=row.decode,
            warm=row.warm,
            threads=row.threads,
            clips=clips,
            epoch=self.epoch,
            cache=str(cache),
            check=check,
            options={**row.options, "prepare": prepare},
        )
        path = self.folder / "job.json"
        job.write(path)
        try:
            return _rate(path)
        except RuntimeError as error:
            if self.require_peers or row.side not in PEERS:
                raise SystemExit(f"{row.side}: {error}") from error
            print(f"{row.side} drops out: {error}")
            self.left_out[row.side] = _reason(str(error))
            return None
        finally:
            if not row.warm:
                shutil.rmtree(cache, ignore_errors=True)


def _reason(printed: str) -> str:
    """The line of a traceback that says why."""
    lines = printed.strip().splitlines()
    return next((line for line in reversed(lines) if _EXCEPTION.match(line)), lines[-1])[:200]


def _rate(job: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.peers.run", str(job)]
    try:
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not done after {SECONDS} s") from None
    if ended.returncode:
        raise RuntimeError(ended.stderr or f"ended with {ended.returncode}")
    rate: float = json.loads(ended.stdout.splitlines()[-1])["rate"]
    return rate


if __name__ == "__main__":
    main()
