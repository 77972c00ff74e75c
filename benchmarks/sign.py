"""``make bench-sign``: signed URLs, made against boto3's and streamed against bare Flask views, in one run."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import boto3
from botocore.config import Config

from benchmarks import load, servers
from benchmarks.published import publish_catalogue
from benchmarks.results_page import PAGE, write_section
from gygo_server.api.file_names import archive_name
from gygo_server.catalogue.builder import CatalogueBuilder
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.model import Archive, FrameFiles, MaskKind, Member, Video
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket, S3Settings
from gygo_server.store.signed_urls import SignedUrls

RESULTS = Path(__file__).with_name("results") / "sign.json"
BUCKET = "gygo-bench"
DATASET, RELEASE = "toys", "part-1"
SETTINGS = S3Settings(BUCKET, "https://s3.example.org", addressing="path")
CREDENTIALS = ("AKIDEXAMPLE123456789", "a-secret-key-of-forty-characters-or-so..")
LIFE = 3600

BOTO3 = "boto3 generate_presigned_url"
ONE = "SignedUrls.archive, each another archive"
BATCH = "Batch.url"
STREAM = "POST …/downloads"
BARE_LINES = "bare view, a line at a time"
BARE_BLOCKS = "bare view, blocks of 64 KiB"

#: How often the first takes as long as the second: of signers how much faster we are, of streams how much slower.
SIGNERS = {"presign_vs_boto3": (BOTO3, BATCH), "presign_one_vs_boto3": (BOTO3, ONE)}
STREAMS = {"stream_vs_bare_view": (STREAM, BARE_LINES), "stream_vs_bare_blocks": (STREAM, BARE_BLOCKS)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=11)
    arguments.add_argument("--urls", type=int, default=20_000, help="that we sign in a round; boto3 signs a tenth")
    arguments.add_argument("--videos", type=int, default=100_000, help="whose URLs are streamed")
    arguments.add_argument("--without-stream", action="store_true")
    arguments.add_argument("--results", type=Path, default=RESULTS, help="file for the ratios")
    arguments.add_argument("--markdown", type=Path, default=PAGE, help="file for the tables")
    options = arguments.parse_args()
    seconds = _measure_signers(options.rounds, options.urls)
    ratios = _ratios(seconds, SIGNERS)
    streamed: dict[str, list[float]] = {}
    if not options.without_stream:
        servers.require("curl")
        streamed = _measure_streams(options.rounds, options.videos)
        ratios |= _ratios(streamed, STREAMS)
    markdown = _markdown(seconds, streamed, ratios)
    print(markdown)
    write_section(options.markdown, markdown)
    options.results.parent.mkdir(exist_ok=True)
    medians = {name: statistics.median(rounds) for name, rounds in {**seconds, **streamed}.items()}
    options.results.write_text(
        json.dumps({"ratios": ratios, "median_seconds": medians, "machine": _machine()}, indent=2) + "\n"
    )


# Signing


class Wanted(NamedTuple):
    """An archive that a URL is wanted of."""

    sha256: str
    filename: str


def _wanted() -> Iterator[Wanted]:
    """Archives, no two the same."""
    for number in count():
        video = f"batch-{number // 100:05}:cool-car-gray-{number % 100:02}"
        yield Wanted(hashlib.sha256(video.encode()).hexdigest(), archive_name(DATASET, RELEASE, video, "480p"))


def _measure_signers(rounds: int, urls: int) -> dict[str, list[float]]:
    """Seconds a URL in one thread, in each round; the signers take turns within it."""
    client = boto3.session.Session(*CREDENTIALS).client(
        "s3",
        endpoint_url=SETTINGS.endpoint,
        region_name=SETTINGS.region,
        config=Config(signature_version="s3v4", s3={"addressing_style": SETTINGS.addressing}),
    )
    signed_urls = SignedUrls(Bucket(SETTINGS, CREDENTIALS), seconds=LIFE, max_seconds=LIFE, bucket_seconds=900)

    def by_boto3(wanted: list[Wanted]) -> None:
        for sha256, filename in wanted:
            parameters = {
                "Bucket": BUCKET,
                "Key": keys.archive(DATASET, sha256),
                "ResponseContentDisposition": f'attachment; filename="{filename}"',
            }
            client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=LIFE)

    def one_at_a_time(wanted: list[Wanted]) -> None:
        for sha256, filename in wanted:
            signed_urls.archive(DATASET, sha256, method="GET", filename=filename)

    def in_a_batch(wanted: list[Wanted]) -> None:
        batch = signed_urls.batch(DATASET)
        for sha256, filename in wanted:
            batch.url(sha256, filename)

    signers: dict[str, tuple[Callable[[list[Wanted]], None], int]] = {
        BOTO3: (by_boto3, max(1, urls // 10)),
        ONE: (one_at_a_time, urls),
        BATCH: (in_a_batch, urls),
    }
    wanted = _wanted()
    for sign, _ in signers.values():
        sign(list(islice(wanted, 100)))  # clients made, caches warm

    def measure(name: str) -> float:
        sign, number = signers[name]
        archives = list(islice(wanted, number))
        start = time.perf_counter()
        sign(archives)
        return (time.perf_counter() - start) / number

    return _interleaved(list(signers), rounds, measure)


# Streaming


class Question(NamedTuple):
    """A POST whose answer is streamed."""

    url: str
    accept: str


def _measure_streams(rounds: int, videos: int) -> dict[str, list[float]]:
    """Seconds that curl takes for the whole answer, in each round; the servers take turns within it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="gygo-bench-")))
        questions = _start(stack, folder, videos)
        for question in questions.values():
            _seconds(question)
        return _interleaved(list(questions), rounds, lambda name: _seconds(questions[name]))


def _start(stack: ExitStack, folder: Path, videos: int) -> dict[str, Question]:
    """Publish a release of so many videos, start the service and the bare views; what to ask them."""
    store = stack.enter_context(SeaweedFS(folder / "s3"))
    os.environ.update(store.environment())
    bucket = Bucket(store.settings(BUCKET))
    bucket.create()
    print(f"building a catalogue of {videos:,} videos")
    publish_catalogue(bucket, DATASET, RELEASE, _build_catalogue(folder / "catalogue.sqlite", videos), "Toys")
    environment = {
        **store.service_environment(BUCKET),
        "GYGO_CACHE_DIR": str(folder / "cache"),
    }
    service = stack.enter_context(servers.gunicorn(environment, "/readyz"))
    ours = _downloads(service)
    lines = folder / "lines.ndjson"
    request = urllib.request.Request(ours.url, b"{}", _headers(ours))
    with urllib.request.urlopen(request) as answer, lines.open("wb") as file:
        file.write(answer.read())
    answered = lines.read_bytes().count(b"\n")
    if answered < videos:
        raise SystemExit(f"{ours.url}: {answered} lines for {videos} videos")
    print(f"an answer has {lines.stat().st_size:,} bytes")
    bare = stack.enter_context(
        servers.gunicorn({**environment, "BARE_LINES": str(lines)}, "/blocks", "benchmarks.bare_streams:app")
    )
    return {
        STREAM: ours,
        BARE_LINES: Question(f"{bare}/lines", ours.accept),
        BARE_BLOCKS: Question(f"{bare}/blocks", ours.accept),
    }


def _downloads(service: str) -> Question:
    """All of a release's signed URLs, a line of JSON each."""
    return Question(f"{service}/v1/datasets/{DATASET}/releases/{RELEASE}/downloads", "application/x-ndjson")


def _headers(question: Question) -> dict[str, str]:
    return {"Accept": question.accept, "Content-Type": "application/json"}


def _seconds(question: Question) -> float:
    """From curl's start to the last byte. Anything but a whole 200 stops the benchmark."""
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{time_total}", "-X", "POST", "-d", "{}"]
    for name, value in _headers(question).items():
        command += ["-H", f"{name}: {value}"]
    done = subprocess.run([*command, question.url], capture_output=True, text=True, check=False)
    status, _, seconds = done.stdout.partition(" ")
    if done.returncode or status != "200":
        raise SystemExit(f"{question.url}: {done.stdout} {done.stderr}")
    return float(seconds)


def _build_catalogue(path: Path, videos: int) -> Path:
    """A catalogue of videos of two frames each: what is not asked for here is as small as can be."""
    with CatalogueBuilder(path) as builder:
        for number in range(videos):
            name = f"batch-{number // 1000:05}/cool-car-gray-{number % 1000:03}"
            digest = hashlib.sha256(name.encode()).hexdigest()
            frames = tuple(
                FrameFiles(index, f"{index:05}", at, at + 4096, Member(at + 512, 2000, digest), None, ())
                for index, at in enumerate((0, 4096))
            )
            archive = Archive("480p", "480p", digest, 3 * 4096, 854, 480, MaskKind.NONE, frames)
            builder.add(Video(name, (archive,), splits=("train",), category="toys", fps=5.0))
        counted = builder.tally({"train": "train.txt"})
        builder.finish({"dataset": DATASET, "id": RELEASE, "default_resolution": "480p", **counted})
    return path


# Both


def _interleaved(names: list[str], rounds: int, measure: Callable[[str], float]) -> dict[str, list[float]]:
    """What is measured in each round: one after the other within a round, in turning order."""
    measured: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            measured[name].append(measure(name))
        names = [*names[1:], names[0]]
    return measured


def _ratios(seconds: Mapping[str, list[float]], compared: Mapping[str, tuple[str, str]]) -> dict[str, float]:
    return {
        name: round(load.median_ratio(seconds[dividend], seconds[divisor]), 3)
        for name, (dividend, divisor) in compared.items()
    }


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; one thread signs"


def _markdown(seconds: dict[str, list[float]], streamed: dict[str, list[float]], ratios: dict[str, Any]) -> str:
    """The section with the tables."""
    lines = [_HEAD, f"Machine: {_machine()}.", "", "| URLs/s in one thread | median | least | most |", _RULE]
    for name, rounds in seconds.items():
        rates = [1 / each for each in rounds]
        lines.append(f"| {name} | {statistics.median(rates):,.0f} | {min(rates):,.0f} | {max(rates):,.0f} |")
    if streamed:
        lines += ["", "| seconds until curl has the answer | median | least | most |", _RULE]
    for name, rounds in streamed.items():
        lines.append(f"| {name} | {statistics.median(rounds):.3f} | {min(rounds):.3f} | {max(rounds):.3f} |")
    lines += ["", "| ratio, median over the rounds | |", "| --- | ---: |"]
    lines += [f"| `{name}` | {ratio:.2f} |" for name, ratio in ratios.items()]
    return "\n".join([*lines, "", _NOTES])


_RULE = "| --- | ---: | ---: | ---: |"

_HEAD = """\
# Signed URLs

Written by `make bench-sign`; the ratios count, not the figures.
"""

_NOTES = """\
What the lines mean:

* URLs of archives with a file name (`response-content-disposition`), of another archive each time. boto3 signs by
  `generate_presigned_url`, with one client; `SignedUrls.archive` is what a redirect to an archive calls, `Batch.url`
  what a list of downloads does.
* The answer is a line of JSON for each of 100,000 videos (75 MB): looked up in the catalogue, signed and written by one
  thread of a gunicorn worker, and fetched by `curl` over loopback. The bare Flask views, on the same gunicorn, yield
  the same bytes from memory: a line at a time, as a view is first written, or in blocks of 64 KiB, which is hardly more
  than the kernel's copying. `stream_vs_bare_view` is against the first, `stream_vs_bare_blocks` against the second:
  nothing that makes a signature a line, two hashes and a lookup, comes near that one.
"""


if __name__ == "__main__":
    main()
