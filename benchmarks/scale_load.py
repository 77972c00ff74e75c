"""How long answers take and how many come a second, from wrk, which hardly takes time itself."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Self

from benchmarks import load

SCRIPT = Path(__file__).with_name("ask.lua")


@dataclass(frozen=True, slots=True)
class Answers:
    """What one measurement gave: answers a second, bytes an answer, and how many answers took so many microseconds."""

    rate: float
    size: float
    times: Counter[int]

    @classmethod
    def together(cls, parts: Iterable[Answers]) -> Self:
        """Of rounds that followed each other, or of clients that asked at the same time (their rates to be added)."""
        parts = list(parts)
        times = sum((part.times for part in parts), Counter[int]())
        count = len(parts)
        return cls(sum(part.rate for part in parts) / count, sum(part.size for part in parts) / count, times)

    def percentile(self, percent: float) -> float:
        """Milliseconds within which so many percent of the answers came."""
        wanted = self.times.total() * percent / 100
        seen = 0
        for microseconds, count in sorted(self.times.items()):
            seen += count
            if seen >= wanted:
                return microseconds / 1000
        raise SystemExit("nothing was answered")


def ask(base: str, paths: Sequence[str], *, clients: int, seconds: float, first: int = 0) -> Answers:
    """What ``clients`` get that ask ``base`` for the paths in turn, each client when it has its answer.

    Anything but 2xx and 3xx answers stops the benchmark. ``first``: where in ``paths`` to begin.
    """
    processes = min(load.CLIENTS, clients)
    with NamedTemporaryFile("w", suffix=".paths") as file:
        file.write("\n".join(paths))
        file.flush()
        started = []
        for number in range(processes):
            connections = clients // processes + (number < clients % processes)
            begin = str((first + number * len(paths) // processes) % len(paths))
            command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout=60s"]
            command += ["-s", str(SCRIPT), base, "--", file.name, begin]
            started.append((subprocess.Popen(command, stdout=subprocess.PIPE, text=True), connections))
            time.sleep(load.STAGGER if processes > 1 else 0)
        parts = [_read(base + paths[0], process.communicate()[0], connections) for process, connections in started]
    together = Answers.together(parts)
    if not together.times:
        return ask(base, paths, clients=clients, seconds=4 * seconds, first=first)
    return Answers(together.rate * len(parts), together.size, together.times)


def _read(url: str, printed: str, connections: int) -> Answers:
    lines = [line for line in printed.splitlines() if line.startswith('{"requests"')]
    told: dict[str, Any] = json.loads(lines[0]) if lines else {"faults": 1}
    if told["faults"]:
        raise SystemExit(f"{url} and others: {printed}")
    requests, microseconds = told["requests"], told["microseconds"]
    times = Counter(dict(told["times"]))
    if requests >= connections:
        times = _measured(times, microseconds // (requests // connections))
    if times.total() != requests:
        raise SystemExit(f"{url} and others: {requests} answers, but {times.total()} times; is this wrk 4.1 or 4.2?")
    count = max(1, requests)  # none: an answer takes longer than was measured
    return Answers(requests / microseconds * 1e6, told["bytes"] / count, times)


def _measured(times: Counter[int], interval: int) -> Counter[int]:
    """What wrk measured, without what it adds to it (`stats_correct` in wrk's stats.c).

    It counts an answer that took longer than twice the usual ``interval`` again for each request that could have been
    sent meanwhile. Our clients wait for their answers, and one stall of 100 ms would be taken for fifty.
    """
    measured = Counter(times)
    for slow in sorted(times, reverse=True):
        if slow < 2 * interval:
            break
        for added in range(slow - interval, interval, -interval):
            measured[added] -= measured[slow]
    return +measured
