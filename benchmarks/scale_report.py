"""The tables and the ratios of ``make bench-scale``."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.scale_build import Built, Scale
from benchmarks.scale_load import Answers
from benchmarks.scale_memory import Held
from benchmarks.scale_questions import Question

FIRST, FIRST_1000 = "all: first page", "all, 1,000 a page: first page"
DEEP, LAST = "all: deep page", "all: last page"


class Start(NamedTuple):
    """A start of the service: seconds until it is alive, and until it has answered a page of the biggest release."""

    scale: Scale
    how: str
    alive: float
    page: float


@dataclass
class Report:
    """All that was measured; ``built`` has the smaller dataset first, ``measured`` a value a round."""

    built: Mapping[Scale, list[Built]]
    rounds: int
    starts: list[Start] = field(default_factory=list)
    memory: dict[str, Held] = field(default_factory=dict)
    asked: Mapping[Scale, Sequence[Question]] = field(default_factory=dict)
    measured: Mapping[str, list[Answers]] = field(default_factory=dict)

    @property
    def big(self) -> Scale:
        return max(self.built, key=lambda scale: scale.videos)

    def document(self) -> dict[str, Any]:
        """For the JSON file: sizes in bytes, times in milliseconds where not said otherwise."""
        return {
            "ratios": self.ratios(),
            "medians": {key: self._medians(rounds) for key, rounds in self.measured.items()},
            "tables": {
                "builds": {scale.dataset: [asdict(each) for each in built] for scale, built in self.built.items()},
                "starts": [{**each._asdict(), "scale": each.scale.dataset} for each in self.starts],
                "memory": {when: asdict(each) for when, each in self.memory.items()},
            },
            "machine": machine(),
        }

    def ratios(self) -> dict[str, float | None]:
        """Medians over the rounds; None for what was not measured."""
        big, many = self.big.dataset, "32 clients"
        found: dict[str, float | None] = {
            "last_vs_first_latency": self._latencies(f"{big}: {LAST}", f"{big}: {FIRST}"),
            "last_vs_first_latency_32": self._latencies(f"{many}: {LAST}", f"{many}: {FIRST}"),
            "page_1000_vs_100": self._latencies(f"{big}: {FIRST_1000}", f"{big}: {FIRST}"),
            "page_1000_vs_100_32": self._latencies(f"{many}: {FIRST_1000}", f"{many}: {FIRST}"),
        }
        for place, name in (("first", FIRST), ("deep", DEEP)):
            peer = self._best(f"8 clients: {name}, Datasette")
            found[f"page_vs_datasette_{place}"] = self._rates(f"8 clients: {name}, 1 worker", peer)
            found[f"page_vs_datasette_{place}_2_workers"] = self._rates(f"8 clients: {name}, 2 workers", peer)
        return found

    def markdown(self) -> str:
        """The page with the tables."""
        parts = [
            (_HEAD, *self._about()),
            self._build_table(),
            self._size_table(),
            self._start_table(),
            self._latency_table(),
            self._rate_table(),
            self._memory_table(),
            self._ratio_table(),
            (_NOTES,),
        ]
        return "\n\n".join("\n".join(part) for part in parts) + "\n"

    def _about(self) -> Iterator[str]:
        counts = [f"{built[-1].videos:,} videos with {built[-1].frames:,} frames" for built in self.built.values()]
        yield (
            f"Two datasets of five releases each, whose biggest have {' and '.join(counts)}. {self.rounds} rounds. "
            f"Machine: {machine()}."
        )

    def _build_table(self) -> Iterator[str]:
        yield from _header(
            "built",
            *("videos", "frames", "seconds", "of them made up", "added", "finished", "published"),
            *("MB", "bytes a frame", "peak memory MB", "of it at the start"),
        )
        for scale, releases in self.built.items():
            for each in releases:
                seconds = each.making_seconds + each.adding_seconds + each.finishing_seconds
                times = (each.making_seconds, each.adding_seconds, each.finishing_seconds, each.publishing_seconds)
                yield _row(
                    f"{scale.dataset} {each.release}",
                    *(f"{each.videos:,}", f"{each.frames:,}", f"{seconds:,.1f}", *(f"{time:,.1f}" for time in times)),
                    *(
                        _mb(each.size),
                        f"{each.size / each.frames:,.0f}",
                        _mb(each.memory_peak),
                        _mb(each.memory_before),
                    ),
                )

    def _size_table(self) -> Iterator[str]:
        last = self.built[self.big][-1]
        yield from _header(f"tables and indexes of {self.big.dataset} {last.release}", "MB", "share", "bytes a video")
        for name, size in last.tables.items():
            if size * 1000 >= last.size:
                yield _row(f"`{name}`", _mb(size), f"{size / last.size:.1%}", f"{size / last.videos:,.0f}")

    def _start_table(self) -> Iterator[str]:
        yield from _header("start of the service", "catalogue MB", "s until alive", "s until a page", "MB/s")
        for start in self.starts:
            size = self.built[start.scale][-1].size
            speed = size / 1e6 / (start.page - start.alive) if start.how.startswith("empty") else None
            yield _row(
                f"{start.scale.dataset}, {start.how}",
                *(_mb(size), f"{start.alive:.2f}", f"{start.page:.2f}", f"{speed:,.0f}" if speed else ""),
            )

    def _latency_table(self) -> Iterator[str]:
        small, big = self.built
        yield from _header(
            "one client, milliseconds",
            *(f"page, {small.dataset}", "p50", "p99", f"page, {big.dataset}", "p50", "p99", "growth"),
        )
        for few, many in zip(self.asked[small], self.asked[big], strict=True):
            before, after = (
                Answers.together(self.measured[f"{scale.dataset}: {question.name}"])
                for scale, question in ((small, few), (big, many))
            )
            growth = after.percentile(50) / before.percentile(50)
            cells = [
                (_page(question), *(f"{answers.percentile(at):.2f}" for at in (50, 99)))
                for question, answers in ((few, before), (many, after))
            ]
            yield _row(many.name, *(cell for side in cells for cell in side), f"{growth:.2f}")

    def _rate_table(self) -> Iterator[str]:
        yield from _header(f"pages of {self.big.dataset}", "pages/s", "KB", "p50 ms", "p99 ms")
        for key, rounds in self.measured.items():
            if not key.startswith(tuple(scale.dataset for scale in self.built)):
                answers = Answers.together(rounds)
                rate = statistics.median(each.rate for each in rounds)
                times = (f"{answers.percentile(at):.2f}" for at in (50, 99))
                yield _row(key, f"{rate:,.0f}", f"{answers.size / 1e3:,.0f}", *times)

    def _memory_table(self) -> Iterator[str]:
        yield from _header("a worker, MB", "own", "mapped files", "resident", "proportional", "file descriptors")
        for when, held in self.memory.items():
            sizes = (held.own, held.mapped, held.resident, held.proportional)
            yield _row(when, *map(_mb, sizes), f"{held.files:,}")

    def _ratio_table(self) -> Iterator[str]:
        yield from _header("ratio, median over the rounds", "")
        for name, ratio in self.ratios().items():
            yield _row(f"`{name}`", "not measured" if ratio is None else f"{ratio:.2f}")

    def _medians(self, rounds: Sequence[Answers]) -> dict[str, float]:
        answers = Answers.together(rounds)
        return {
            "p50": answers.percentile(50),
            "p99": answers.percentile(99),
            "per_second": round(statistics.median(each.rate for each in rounds), 1),
            "bytes": round(answers.size),
        }

    def _best(self, prefix: str) -> str | None:
        """The fastest of the lines that begin so."""
        rates = {key: statistics.median(each.rate for each in rounds) for key, rounds in self.measured.items()}
        return max((key for key in rates if key.startswith(prefix)), key=rates.__getitem__, default=None)

    def _rates(self, ours: str, theirs: str | None) -> float | None:
        if theirs is None or ours not in self.measured:
            return None
        pairs = zip(self.measured[ours], self.measured[theirs], strict=True)
        return round(statistics.median(our.rate / their.rate for our, their in pairs), 3)

    def _latencies(self, one: str, other: str) -> float | None:
        if one not in self.measured or other not in self.measured:
            return None
        pairs = zip(self.measured[one], self.measured[other], strict=True)
        return round(statistics.median(a.percentile(50) / b.percentile(50) for a, b in pairs), 3)


def machine() -> str:
    """What it was measured on."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return (
        f"{os.cpu_count()} cores ({model[0].partition(':')[2].strip() if model else 'unknown'}), {memory:.0f} GB, "
        f"{platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}; "
        "clients, servers and SeaweedFS together on it"
    )


def _header(first: str, *others: str) -> Iterator[str]:
    yield _row(first, *others)
    yield _row("---", *(["---:"] * len(others)))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _page(question: Question) -> str:
    after = f" after {question.after:,}" if question.after else ""
    return f"{question.items:,} of {question.total:,}{after}"


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f}"


_HEAD = "# A million videos\n\nWritten by `make bench-scale`; the ratios count, not the figures.\n"

_NOTES = """What the lines mean:

* *Built*: each release by a process of its own. *Made up* are the seconds that the generator takes (it makes the
  `Video` objects that a publication makes from files), *added* and *finished* those of `CatalogueBuilder`;
  *published* is the upload to SeaweedFS, with the hash. Memory is the process's own (`RssAnon`), looked at ten times
  a second; pages of files come and go as the kernel likes. Later releases share, correct (1 %) and drop (0.1 %)
  videos of those before.
* *Start*: from the start of gunicorn to the answer to the first page of the biggest release; with an empty cache
  folder the catalogue is fetched from SeaweedFS, verified and opened. SeaweedFS's files may be in the kernel's
  memory.
* *One client*: `wrk` with one connection, over HTTP and loopback, to a service of one worker with its log on and
  `GYGO_ANSWERS_BYTES=0`: no finished answer is kept, each page is worked out anew. Deep and last pages, videos, words
  with one video and `total`s are different questions each time (a hundred cursors, a thousand videos, 20,000
  filters); first pages are the same question each time, and how many videos a filter selects is known after the first
  time. *Page*: how many items it has, of how many, after how many. p99 is over all rounds. *Growth* is the p50 of ten
  times the videos over that of the smaller release.
* *Pages*: 8 or 32 clients ask at the same time, in four `wrk`; the lines of 32 clients are of two workers. Datasette
  reads the same SQLite file (`-i`, inspected beforehand, as its documentation advises) and is one process, as it is
  made: ours is given with one worker and with two. *As it comes* it also suggests facets; *no facets* gives what ours
  gives, rows, total and next; *rows only* neither total nor facets. The ratios are against the fastest of the three.
  Its rows are the columns of the table, ours the same document with links.
* *A worker*: of the service with one worker. *Own* is memory that no file stands behind, *mapped* pages of files (the
  catalogues and libraries), which the kernel may drop and processes share; *proportional* shares them out (Pss). Each
  of a catalogue's connections maps the file, so that *resident* counts a page as often as connections have read it.
* Ratios of latencies are of p50, those with Datasette of pages a second; medians of the rounds' ratios.
"""
