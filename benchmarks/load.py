"""Load from wrk, the sides interleaved, and medians of the rounds."""

from __future__ import annotations

import re
import statistics
import subprocess
import time
from collections.abc import Mapping

#: wrk processes a measurement, and seconds between their starts. Connections that all come at once are all taken by the
#: worker that happens to run; coming bit by bit, as in life, they spread over the workers.
CLIENTS = 4
STAGGER = 0.15
CONNECTIONS = 8


def requests_per_second(url: str, *, seconds: float) -> float:
    """What CLIENTS times CONNECTIONS get from ``url`` together. Anything but 2xx answers stops the benchmark."""
    clients = []
    for _ in range(CLIENTS):
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", url]
        clients.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        time.sleep(STAGGER)
    return sum(_read(url, client.communicate()[0]) for client in clients)


def _read(url: str, printed: str) -> float:
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    if rate is None or "Non-2xx" in printed:
        raise SystemExit(f"{url}: {printed}")
    return float(rate[1])


def interleaved(urls: Mapping[str, str], *, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Requests a second of each URL in each round: one after the other within a round, in turning order."""
    measured: dict[str, list[float]] = {name: [] for name in urls}
    for url in urls.values():
        requests_per_second(url, seconds=1)  # connections, caches and branch predictors warm
    order = list(urls)
    for _ in range(rounds):
        for name in order:
            measured[name].append(requests_per_second(urls[name], seconds=seconds))
        order = [*order[1:], order[0]]
    return measured


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over rounds of ours / theirs, so that a slow minute of the machine counts on both sides."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
