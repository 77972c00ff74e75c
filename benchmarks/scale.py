"""``make bench-scale``: catalogues of a million videos and fifty million frames, and the service over them.

At that size it takes three quarters of an hour and some 45 GB of disk: the store, the service's cache folder, and the
biggest catalogue for Datasette.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import scale_load, scale_memory, servers
from benchmarks.results_page import PAGE, write_section
from benchmarks.scale_build import SHARES, Scale, build_and_publish, folder_of, path_of, release_id
from benchmarks.scale_load import Answers
from benchmarks.scale_memory import Held
from benchmarks.scale_questions import LIMIT, MOST, Release, questions
from benchmarks.scale_report import DEEP, FIRST, FIRST_1000, LAST, Report, Start
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.store.bucket import Bucket

REPOSITORY = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results") / "scale.json"
DATASETTE = REPOSITORY / ".venv-datasette" / "bin" / "datasette"
BUCKET = "gygo-scale"
#: Clients of the lines that say "pages a second", and of those that say "32".
FEW, MANY = 8, 32

#: What Datasette is asked for: its own default, that without what ours does not give either, and the least it gives.
DATASETTE_PAGES = {
    "Datasette, as it comes": "",
    "Datasette, no facets": "&_nofacet=1&_nosuggest=1",
    "Datasette, rows only": "&_shape=array",
}


@dataclass(frozen=True)
class Measure:
    """What is measured: who is asked what, by how many clients at once. ``key`` is a line of the results."""

    key: str
    base: str
    paths: Sequence[str]
    clients: int


def main() -> None:
    options = _options()
    servers.require("wrk")
    if not options.without_datasette and not DATASETTE.exists():
        raise SystemExit(f"{DATASETTE} is missing: make bench-scale installs it; or say --without-datasette")
    scales = [Scale("scale-tenth", max(1, options.videos // 10), options.frames)]
    scales.append(Scale("scale", options.videos, options.frames))
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(TemporaryDirectory(prefix="gygo-bench-", dir=options.keep)))
        folder = folder_of(scales[-1], options.keep or temporary)
        store = stack.enter_context(SeaweedFS(folder / "s3"))
        os.environ.update(store.environment())
        bucket = Bucket(store.settings(BUCKET))
        bucket.create()
        report = Report({scale: build_and_publish(scale, folder, bucket) for scale in scales}, options.rounds)
        environment = {
            **store.service_environment(BUCKET),
            "GYGO_ANSWERS_BYTES": "0",
            "GYGO_CATALOGUE_CACHE_BYTES": "100GB",
        }
        _measure_all(stack, report, environment, temporary, folder, options)
    print(report.markdown())
    write_section(options.markdown, report.markdown())
    options.results.parent.mkdir(exist_ok=True)
    options.results.write_text(json.dumps(report.document(), indent=2) + "\n")


def _measure_all(
    stack: ExitStack,
    report: Report,
    environment: Mapping[str, str],
    temporary: Path,
    folder: Path,
    options: argparse.Namespace,
) -> None:
    small, big = report.built
    with _started(environment, temporary / "cold", report, small, "empty cache folder"):
        pass
    shutil.rmtree(temporary / "cold")
    cache = temporary / "cache"
    one = stack.enter_context(_started(environment, cache, report, big, "empty cache folder", report.memory))
    _open_all(one, report)
    two = stack.enter_context(_started({**environment, "GYGO_WORKERS": "2"}, cache, report, big, "folder filled"))
    report.asked = {scale: questions(_release(one, scale), options.only) for scale in report.built}
    measures = list(_ours(report, one.base, two.base))
    if not options.without_datasette:
        measures += _datasette(stack, path_of(big, folder), temporary, big)
    report.measured = _measure(measures, options)
    report.memory["after all measurements"] = _worker(one)


def _ours(report: Report, one: str, two: str) -> Iterator[Measure]:
    """All questions by one client at a time, some by more; ``one`` and ``two`` are services of so many workers."""
    for scale, found in report.asked.items():
        for question in found:
            yield Measure(f"{scale.dataset}: {question.name}", one, question.paths, 1)
    pages = {question.name: question.paths for question in report.asked[report.big]}
    for name in (FIRST, LAST, FIRST_1000):
        if name in pages:
            yield Measure(f"{MANY} clients: {name}", two, pages[name], MANY)
    for name in (FIRST, DEEP):
        if name in pages:
            yield Measure(f"{FEW} clients: {name}, 1 worker", one, pages[name], FEW)
            yield Measure(f"{FEW} clients: {name}, 2 workers", two, pages[name], FEW)


def _measure(measures: Sequence[Measure], options: argparse.Namespace) -> dict[str, list[Answers]]:
    """All of them, round by round, each round beginning with another."""
    rounds = options.rounds
    for measure in measures:  # connections, caches and branch predictors warm
        scale_load.ask(measure.base, measure.paths, clients=measure.clients, seconds=1)
    measured: dict[str, list[Answers]] = {measure.key: [] for measure in measures}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", flush=True)
        turn = number * len(measures) // rounds
        for each in [*measures[turn:], *measures[:turn]]:
            first = number * len(each.paths) // rounds
            answers = scale_load.ask(each.base, each.paths, clients=each.clients, seconds=options.seconds, first=first)
            measured[each.key].append(answers)
    return measured


@contextmanager
def _started(
    environment: Mapping[str, str],
    cache: Path,
    report: Report,
    scale: Scale,
    how: str,
    memory: dict[str, Held] | None = None,
) -> Iterator[servers.Server]:
    """The service over a cache folder; how long it takes from its start to a first page of the biggest release."""
    print(f"starting the service, {how}: a page of {scale.dataset}", flush=True)
    began = time.perf_counter()
    settings = {"GYGO_WORKERS": "1", **environment, "GYGO_CACHE_DIR": str(cache)}
    with servers.gunicorn_process(settings, "/healthz") as server:
        alive = time.perf_counter()
        if memory is not None:
            memory["started"] = _worker(server)
        release = _release(server, scale)
        release.get(release.videos({}, limit=LIMIT))
        page = time.perf_counter()
        report.starts.append(Start(scale, how, alive - began, page - began))
        if memory is not None:
            memory["the biggest release open"] = _worker(server)
        yield server


def _open_all(server: servers.Server, report: Report) -> None:
    """Have the worker open each release of both datasets."""
    for scale in report.built:
        for number in range(len(SHARES)):
            release = _release(server, scale, number)
            release.get(release.videos({}, limit=LIMIT))
    report.memory[f"{len(SHARES) * len(report.built)} releases open"] = _worker(server)


def _release(server: servers.Server, scale: Scale, number: int = len(SHARES) - 1) -> Release:
    return Release(server.base, scale.dataset, release_id(number))


def _worker(server: servers.Server) -> Held:
    return scale_memory.held(scale_memory.children(server.pid)[0])


def _datasette(stack: ExitStack, catalogue: Path, folder: Path, scale: Scale) -> Iterator[Measure]:
    """Datasette over the same file: pages of its table of videos, first and from the middle on."""
    print("starting Datasette", flush=True)
    inspected = folder / "inspected.json"
    peer = stack.enter_context(servers.datasette(DATASETTE, catalogue, inspected, "/-/versions.json"))
    table = f"/{catalogue.stem}/videos.json?_size={LIMIT}"
    deep = [f"{table}&_next={scale.videos // 2 + step}" for step in range(0, 10 * LIMIT, 10)]
    for name, more in DATASETTE_PAGES.items():
        for place, paths in ((FIRST, [table]), (DEEP, deep)):
            yield Measure(f"{FEW} clients: {place}, {name}", peer.base, [path + more for path in paths], FEW)


def _options() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--videos", type=int, default=1_000_000, help="of the biggest release")
    arguments.add_argument("--frames", type=int, default=50, help="of a video, on average")
    arguments.add_argument("--keep", type=Path, help="folder for catalogues and store: built once, and used again")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=2, help="of each measurement")
    arguments.add_argument("--only", default="", help="questions that begin so; the ratios are of those with 'all'")
    arguments.add_argument("--without-datasette", action="store_true")
    arguments.add_argument("--results", type=Path, default=RESULTS, help="file for the ratios")
    arguments.add_argument("--markdown", type=Path, default=PAGE, help="file for the tables")
    options = arguments.parse_args()
    if options.videos < MOST:
        arguments.error(f"--videos: at least {MOST:,} are needed")
    return options


if __name__ == "__main__":
    main()
