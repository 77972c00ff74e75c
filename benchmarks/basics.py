"""``make bench``: a page of 100 videos and a cached frame, against bare Flask views and nginx, in one run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import load, servers
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.media.sample import write_sample
from gygo_server.store.bucket import Bucket

RESULTS = Path(__file__).with_name("results") / "basics.json"
BUCKET = "gygo-bench"

#: ours, the peer, and the name of the ratio
COMPARED = {
    "page_vs_bare_view": ("page of 100", "bare view, same bytes"),
    "page_unkept_vs_bare_view": ("page of 100, answers not kept", "bare view, same bytes"),
    "frame_vs_send_file": ("cached frame", "bare view, send_file"),
    "frame_vs_nginx": ("cached frame", "nginx, same file"),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--seconds", type=float, default=4, help="of each measurement")
    arguments.add_argument("--results", type=Path, default=RESULTS, help="file for the ratios")
    options = arguments.parse_args()
    servers.require("wrk", "nginx")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="gygo-bench-")))
        urls = _start(stack, folder)
        measured = load.interleaved(urls, rounds=options.rounds, seconds=options.seconds)
    ratios = {
        name: round(load.median_ratio(measured[ours], measured[theirs]), 3) for name, (ours, theirs) in COMPARED.items()
    }
    _print(measured, ratios)
    options.results.parent.mkdir(exist_ok=True)
    options.results.write_text(
        json.dumps({"ratios": ratios, "medians": _medians(measured), "machine": _machine()}, indent=2) + "\n"
    )


def _start(stack: ExitStack, folder: Path) -> dict[str, str]:
    """Publish, start everything; the URLs to measure."""
    store = stack.enter_context(SeaweedFS(folder / "s3"))
    os.environ.update(store.environment())
    bucket = Bucket(store.settings(BUCKET))
    bucket.create()
    for dataset, videos, size in (("pages", 110, (160, 90)), ("frames", 4, (1280, 720))):
        print(f"drawing and publishing {dataset}")
        write_sample(folder / dataset, kind="palette", videos=videos, frames=(3, 4), original_size=size)
        publish(Publication(folder / dataset, dataset, "r1"), bucket, folder / "state", Silent())
    environment = {
        **store.service_environment(BUCKET),
        "GYGO_CACHE_DIR": str(folder / "cache"),
    }
    ours = stack.enter_context(servers.gunicorn(environment, "/readyz"))
    unkept = stack.enter_context(servers.gunicorn({**environment, "GYGO_ANSWERS_BYTES": "0"}, "/readyz"))
    page = "/v1/datasets/pages/releases/r1/videos?limit=100"
    video = json.loads(_get(f"{ours}/v1/datasets/frames/releases/r1/videos?limit=1"))["items"][0]
    frame = video["links"]["first_image"]
    (folder / "page.json").write_bytes(_get(ours + page))
    (folder / "files").mkdir()
    (folder / "files" / "frame.jpg").write_bytes(_get(frame))
    bare = {
        **environment,
        "BARE_PAGE": str(folder / "page.json"),
        "BARE_FRAME": str(folder / "files" / "frame.jpg"),
    }
    bare_view = stack.enter_context(servers.gunicorn(bare, "/page", "benchmarks.bare_view:app"))
    files = stack.enter_context(servers.nginx(folder, folder / "files", "/frame.jpg"))
    for path in ("page.json", "files/frame.jpg"):
        print(f"{path}: {(folder / path).stat().st_size} bytes")
    return {
        "page of 100": ours + page,
        "page of 100, answers not kept": unkept + page,
        "bare view, same bytes": f"{bare_view}/page",
        "cached frame": frame,
        "bare view, send_file": f"{bare_view}/frame",
        "nginx, same file": f"{files}/frame.jpg",
    }


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        content: bytes = answer.read()
    return content


def _medians(measured: dict[str, list[float]]) -> dict[str, float]:
    return {name: round(statistics.median(rounds), 1) for name, rounds in measured.items()}


def _machine() -> str:
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; load from the same machine"
    )


def _print(measured: dict[str, list[float]], ratios: dict[str, float]) -> None:
    print(f"\n{'':<32}{'requests/s':>12}{'least':>10}{'most':>10}   ({_machine()})")
    for name, rounds in measured.items():
        print(f"{name:<32}{statistics.median(rounds):>12,.0f}{min(rounds):>10,.0f}{max(rounds):>10,.0f}")
    print()
    for name, ratio in ratios.items():
        print(f"{name:<32}{ratio:>12.3f}")


if __name__ == "__main__":
    main()
