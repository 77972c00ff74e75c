"""``gygo-server demo``: a whole service on this machine, every line it prints works, and nothing of it stays behind."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from gygo_server.cli.seaweedfs import GRPC_OFFSET, is_free


def free_port() -> int:
    """With its gRPC twin, below the range that clients are given ports of."""
    while True:
        port = random.randrange(21000, 22500)
        if is_free(port) and is_free(port + GRPC_OFFSET):
            return port


def environment_of(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes()
    return b""


@dataclass
class Demo:
    """A running demo. Its processes are known by a mark in their environment, whatever session they are in."""

    process: subprocess.Popen[bytes]
    folder: Path
    temporary: Path
    out: Path
    log: Path
    port: int
    s3_port: int

    def wait_until_ready(self, seconds: float = 60) -> str:
        deadline = time.monotonic() + seconds
        while "Ctrl-C stops everything" not in self.out.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return self.out.read_text()

    def processes(self) -> list[int]:
        mark = f"GYGO_TEST_MARK={self.temporary}\0".encode()
        return [
            int(e.name) for e in Path("/proc").iterdir() if e.name.isdigit() and mark in environment_of(int(e.name))
        ]

    def is_gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.processes():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def taken_ports(self) -> list[int]:
        return [port for port in (self.port, self.s3_port, self.s3_port + GRPC_OFFSET) if not is_free(port)]

    def published_at(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/datasets", timeout=10) as answer:
            (dataset,) = json.load(answer)["items"]
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/v1/datasets/{dataset['id']}/releases/latest", timeout=10
        ) as answer:
            return str(json.load(answer)["published_at"])


StartDemo = Callable[..., Demo]


@pytest.fixture
def start_demo(tmp_path: Path, binary_tree: Path) -> Iterator[StartDemo]:
    started: list[Demo] = []

    def start(folder: str = "demo", port: int | None = None, s3_port: int | None = None) -> Demo:
        here = tmp_path / f"run-{len(started)}"
        temporary = here / "tmp"
        temporary.mkdir(parents=True)
        port, s3_port = port or free_port(), s3_port or free_port()
        out, log = here / "out", here / "log"
        options = ["--dir", str(tmp_path / folder), "--source", str(binary_tree)]
        with out.open("wb") as stdout, log.open("wb") as stderr:
            process = subprocess.Popen(
                [
                    *(str(Path(sys.executable).parent / "gygo-server"), "demo", *options),
                    *("--port", str(port), "--s3-port", str(s3_port)),
                ],
                env={**os.environ, "TMPDIR": str(temporary), "GYGO_TEST_MARK": str(temporary)},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        started.append(Demo(process, tmp_path / folder, temporary, out, log, port, s3_port))
        return started[-1]

    yield start
    for demo in started:
        for pid in demo.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        demo.process.wait()


def files_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def run_printed_lines(printed: str, folder: Path) -> list[str]:
    """Pastes what the demo printed into a shell that stops at the first failure; the output of each line."""
    lines = [line for line in printed.splitlines() if re.match(r"curl |\w+=\$\(", line)]
    script = "set -o pipefail\n" + "\n".join(f"{line}\necho; echo ----" for line in lines)
    folder.mkdir()
    done = subprocess.run(
        ["bash", "-e"], input=script, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("key ") for line in done.stderr.splitlines())  # what is said of a new key
    return done.stdout.split("----\n")


def check_printed_lines(printed: str, folder: Path, source: Path) -> None:
    datasets, page, filtered, _, frames, *_, link, _ = run_printed_lines(printed, folder)
    assert "link=" in json.loads(link)["url"]
    assert [each["title"] for each in json.loads(datasets)["items"]] == [source.name]
    videos = json.loads(page)
    assert (len(videos["items"]), videos["total"]) == (2, 6)
    counts = [each["frame_count"] for each in json.loads(filtered)["items"]]
    assert counts == sorted(counts, reverse=True)
    assert len(counts) == len((source / "ImageSets" / "Train.txt").read_text().split())
    assert [each["index"] for each in json.loads(frames)["items"]] == [0, 1]
    extracted = {path: content for path, content in files_of(folder).items() if "/" in path}
    name = videos["items"][0]["name"]
    expected = {path: content for path, content in files_of(source).items() if path.split("/", 2)[1:2] == ["480p"]}
    expected = {path: content for path, content in expected.items() if f"/{name}/" in path}
    assert expected
    assert extracted == expected
    for file, path in (("frame.jpg", "JPEGImages/480p"), ("mask.png", "Annotations/480p")):
        assert (folder / file).read_bytes() == (source / path / name / f"00000{Path(file).suffix}").read_bytes()
        with Image.open(folder / file) as picture:
            picture.load()


def test_a_demo_from_its_start_to_its_end(start_demo: StartDemo, binary_tree: Path, tmp_path: Path) -> None:
    demo = start_demo()
    printed = demo.wait_until_ready()
    assert printed.startswith(f"ready http://127.0.0.1:{demo.port}\n")
    check_printed_lines(printed, tmp_path / "pasted", binary_tree)
    published_at = demo.published_at()
    # Neither its folder nor its ports can be had twice; whoever tries is told so, and starts nothing.
    for port, s3_port, said in (
        (None, None, f"another demo runs over {demo.folder}"),
        (demo.port, None, f"port {demo.port} is taken; choose another with --port"),
        (None, demo.s3_port, f"port {demo.s3_port} is taken"),
    ):
        other = start_demo("demo" if (port, s3_port) == (None, None) else "other", port, s3_port)
        assert other.process.wait(30) == 1
        assert other.out.read_text() == ""
        assert other.log.read_text().startswith(f"error: {said}")
        assert other.log.read_text().count("\n") == 1
        assert not other.processes()
    assert not (tmp_path / "other" / "s3" / "weed.log").exists()
    assert demo.published_at() == published_at
    os.killpg(demo.process.pid, signal.SIGINT)  # Ctrl-C
    assert demo.process.wait(40) == 0
    assert demo.log.read_text().endswith("stopped; the same command starts it again with the same data\n")
    assert demo.is_gone(1)
    assert demo.taken_ports() == []
    assert list(demo.temporary.iterdir()) == []
    assert not list(demo.folder.glob("sample-*"))


def test_a_killed_demo_leaves_nothing_running_and_starts_again_with_the_same_data(start_demo: StartDemo) -> None:
    demo = start_demo()
    demo.wait_until_ready()
    published_at = demo.published_at()
    assert len(demo.processes()) >= 4, "itself, the object store, gunicorn and its workers"
    demo.process.kill()
    demo.process.wait()
    assert demo.is_gone(30), demo.processes()
    assert demo.taken_ports() == []
    again = start_demo(port=demo.port, s3_port=demo.s3_port)
    again.wait_until_ready()
    assert again.published_at() == published_at
    assert "checking videos" not in again.log.read_text()
    again.process.send_signal(signal.SIGTERM)
    time.sleep(1)
    again.process.send_signal(signal.SIGINT)  # somebody who does not like to wait
    assert again.process.wait(20) == 0
    assert again.is_gone(1)
    assert "Traceback" not in again.log.read_text()
