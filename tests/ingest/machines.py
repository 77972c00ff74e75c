"""Machines that publish, each command a real process, and a network between them and the store which can be cut."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

GYGO_SERVER = Path(sys.executable).parent / "gygo-server"


@dataclass
class Ingest:
    """A running ``gygo-server ingest`` in a session of its own, what it says and what is left of it."""

    process: subprocess.Popen[bytes]
    log: Path
    out: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def told(self) -> str:
        return self.out.read_text()

    def reaches(self, text: str, seconds: float = 30) -> bool:
        """Waits until it has said so; False when it ended without."""
        deadline = time.monotonic() + seconds
        while text not in self.said and self.process.poll() is None:
            assert time.monotonic() < deadline, f"{text!r} was not said: {self.said}"
            time.sleep(0.01)
        return text in self.said

    def wait_for(self, text: str) -> None:
        assert self.reaches(text), self.said

    def end(self, seconds: float = 60) -> int:
        return self.process.wait(seconds)

    def send(self, number: signal.Signals) -> None:
        """To the command alone."""
        self.process.send_signal(number)

    def members(self) -> list[int]:
        """The processes of its session that live."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    state, _parent, _group, session = _status(int(entry.name))
                    if session == self.process.pid and state != "Z":
                        found.append(int(entry.name))
        return found

    def worker(self, seconds: float = 20) -> int:
        """A worker process of it, as soon as there is one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for pid in self.members():
                with suppress(OSError):
                    if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        return pid
            time.sleep(0.01)
        raise AssertionError(f"no worker was started: {self.said}")

    def is_deserted(self, seconds: float = 5) -> bool:
        """Whether nothing of its session lives on."""
        deadline = time.monotonic() + seconds
        while self.members():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def _status(pid: int) -> tuple[str, int, int, int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[1]), int(fields[2]), int(fields[3])


@dataclass
class Machine:
    """Starts ``gygo-server ingest`` with one state folder; another machine has another."""

    environment: dict[str, str]
    state: Path
    started: list[Ingest] = field(default_factory=list)

    def noted(self) -> int:
        """How many checked videos the journals of its publications have."""
        count = 0
        for path in self.state.rglob("journal.sqlite"):
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal, suppress(sqlite3.Error):
                count += journal.execute("SELECT count(*) FROM checked").fetchone()[0]
        return count

    def wait_until_noted(self, videos: int, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while self.noted() < videos:
            assert time.monotonic() < deadline, [each.said for each in self.started]
            time.sleep(0.01)

    def ingest(self, source: Path | str, dataset: str, release: str = "r1", *more: str, **environment: str) -> Ingest:
        workers = [] if "--scheduler" in more else ["--workers", "1"]
        arguments = ["ingest", str(source), "--dataset", dataset, "--release", release, *workers, *more]
        self.state.mkdir(parents=True, exist_ok=True)
        stem = f"{len(self.started)}"
        out, log = self.state / f"{stem}.out", self.state / f"{stem}.log"
        with out.open("wb") as stdout, log.open("wb") as stderr:
            process = subprocess.Popen(
                [str(GYGO_SERVER), *arguments],
                env={**self.environment, "XDG_STATE_HOME": str(self.state), **environment},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        self.started.append(Ingest(process, log, out))
        return self.started[-1]


class Wire:
    """A network between a command and the store, which can be cut: at once, or after so many bytes were sent."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._budget: int | None = None
        self._listener: socket.socket | None = None
        self.port = 0
        self.mend()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut_after(self, sent: int) -> None:
        self._budget = sent

    def cut(self) -> None:
        with self._lock:
            opened, self._open = self._open, []
            if self._listener is not None:
                opened.append(self._listener)
                self._listener = None
        for each in opened:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def mend(self) -> None:
        self._budget = None
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    @property
    def is_cut(self) -> bool:
        return self._listener is None

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._open += [near, far]
            threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while content := source.recv(1 << 16):
                if counted and self._budget is not None:
                    self._budget -= len(content)
                    if self._budget < 0:
                        self.cut()
                        return
                target.sendall(content)
            target.shutdown(socket.SHUT_WR)
