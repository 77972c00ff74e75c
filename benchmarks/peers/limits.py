"""What cannot be beaten here: wrk reading the same byte ranges, and Pillow decoding the same clips from memory."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import gygo
from benchmarks.peers.job import LENGTH, RESOLUTION, Job, Wanted, labels, rgb
from gygo.clip import ClipRequest
from gygo.fetching import ClipFetcher

WRK_SECONDS = 2

#: Each thread of wrk has its own Lua state; the requests are made beforehand, so that none is made while it measures.
_LUA = """
local threads = 0
function setup(thread) thread:set("offset", threads * 37); threads = threads + 1 end
local requests = {}
function init(args)
  for line in io.lines("%s") do
    local path, range = line:match("^(%%S+) (%%S+)$")
    requests[#requests + 1] = wrk.format("GET", path, {["Range"] = range})
  end
end
function request()
  offset = offset %% #requests + 1
  return requests[offset]
end
"""


def wrk(job: Job) -> float:
    """Clips a second that wrk reads: the URLs and ranges that our client is given, on as many connections."""
    clips = ClipFetcher(resolution=RESOLUTION)
    release = gygo.connect(job.world.service).release(job.world.dataset)
    asked = [ClipRequest(each.video, each.start, LENGTH, each.step) for each in job.wanted]
    located = [place for at in range(0, len(asked), 500) for place in clips.locate(release, asked[at : at + 500])]
    folder = Path(job.cache)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for each in located:
        parts = urlsplit(each.answer["url"])
        start, end = each.span
        lines.append(f"{parts.path}?{parts.query} bytes={start}-{end - 1}\n")
    (folder / "requests").write_text("".join(lines))
    (folder / "wrk.lua").write_text(_LUA % (folder / "requests"))
    threads = str(min(job.options["wrk_threads"], job.threads))
    command = ["wrk", f"-t{threads}", f"-c{job.threads}", f"-d{WRK_SECONDS}s", "-s", str(folder / "wrk.lua")]
    printed = subprocess.run([*command, job.world.endpoint], capture_output=True, text=True, check=False).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    if rate is None or "Non-2xx" in printed or "Socket errors" in printed:
        raise SystemExit(f"wrk: {printed}")
    return float(rate[1])


def pillow(job: Job) -> float:
    """Clips a second that Pillow decodes from memory, in processes of their own or in threads."""
    kind = ProcessPoolExecutor if job.options["processes"] else ThreadPoolExecutor
    return _decoding(job, kind, _decode_pillow)


def simplejpeg(job: Job) -> float:
    """The same with simplejpeg for the frames."""
    return _decoding(job, ThreadPoolExecutor, _decode_simplejpeg)


def _decoding(job: Job, kind: Callable[[int], Executor], decode: Callable[[list[bytes]], None]) -> float:
    files = [_files(job, wanted) for wanted in job.wanted]
    with kind(job.threads) as pool:
        list(pool.map(decode, files[: job.threads]))  # the pool's workers are there, and Pillow is loaded
        begin = time.perf_counter()
        list(pool.map(decode, files))
        return len(files) / (time.perf_counter() - begin)


def _files(job: Job, wanted: Wanted) -> list[bytes]:
    world, video = job.world, wanted.video
    paths = [path for index in wanted.indices for path in (world.image(video, index), world.mask(video, index))]
    return [path.read_bytes() for path in paths]


def _decode_pillow(files: list[bytes]) -> None:
    for image, mask in zip(files[::2], files[1::2], strict=True):
        rgb(image)
        labels(mask)


def _decode_simplejpeg(files: list[bytes]) -> None:
    import simplejpeg as fast

    for image, mask in zip(files[::2], files[1::2], strict=True):
        fast.decode_jpeg(image, "RGB")
        labels(mask)
