"""Dask clusters of real processes: a scheduler and its workers, each of which can be killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import orjson

#: No port that others may want, and no page that nobody looks at.
QUIET = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard")


@dataclass
class DaskCluster:
    """A context manager; workers write to ``folder``."""

    folder: Path
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    address: str = ""

    def __enter__(self) -> DaskCluster:
        self.folder.mkdir(parents=True)
        told = self.folder / "scheduler.json"
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
        self.scheduler = self._start("scheduler", [*command, "--port", "0", "--scheduler-file", str(told), *QUIET])
        self.address = orjson.loads(self._when_written(told))["address"]
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def work(self, *names: str, python: tuple[str, ...] = ("-m", "distributed.cli.dask_worker"), **more: str) -> None:
        """Start workers, each with one thread, and wait until they are at work; ``more`` is for their environment."""
        for name in names:
            command = [sys.executable, *python, self.address, "--name", name, "--nthreads", "1", "--no-nanny", *QUIET]
            self._start(name, [*command, "--local-directory", str(self.folder / name)], **more)
        for name in names:
            self.wait_for(name, "Registered to")

    def kill(self, name: str) -> None:
        self._named[name].send_signal(signal.SIGKILL)
        self._named[name].wait()

    def wait_for(self, name: str, text: str, seconds: float = 60) -> None:
        """Wait until a process has said so."""
        deadline = time.monotonic() + seconds
        while text not in (said := self._log(name).read_text()):
            assert time.monotonic() < deadline, said
            assert self._named[name].poll() is None, said
            time.sleep(0.05)

    _named: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _start(self, name: str, command: list[str], **more: str) -> subprocess.Popen[bytes]:
        with self._log(name).open("wb") as log:
            process = subprocess.Popen(
                command, env={**self.environment, **more}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.processes.append(process)
        self._named[name] = process
        return process

    def _when_written(self, path: Path, seconds: float = 60) -> bytes:
        deadline = time.monotonic() + seconds
        while not path.exists() or not path.read_bytes().endswith(b"}"):
            assert time.monotonic() < deadline, self._log("scheduler").read_text()
            time.sleep(0.05)
        return path.read_bytes()
