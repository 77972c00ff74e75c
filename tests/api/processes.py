"""The service as in production: gunicorn's processes behind a socket; and a relay that counts what they fetch."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3
from local_servers import LocalServer


class Service:
    """``gygo-server serve`` with this environment, on a free port. A context manager."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "service.log"
        self.cache = folder / "service-cache"
        self._environment = {
            **os.environ,
            "GYGO_S3_ADDRESSING": "path",
            "GYGO_BIND": f"127.0.0.1:{self.port}",
            "GYGO_CACHE_DIR": str(self.cache),
            "GYGO_REFRESH_SECONDS": "0.2",
            "GYGO_WORKERS": "2",
            "GYGO_THREADS": "4",
            "GYGO_GRACEFUL_SECONDS": "15",
            "GYGO_RATE_ANONYMOUS": "none",
            "GYGO_RATE_KEY": "none",
            **environment,
        }

    def __enter__(self) -> Self:
        command = [str(Path(sys.executable).parent / "gygo-server"), "serve"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        try:
            wait_until(lambda: self.process.poll() is not None or (self._answers() and len(self.workers()) == 2), 60)
            assert self.process.poll() is None, self.log.read_text()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        """One request on a connection of its own."""
        with urllib3.HTTPConnectionPool("127.0.0.1", self.port, timeout=30, retries=False) as pool:
            return pool.request("GET", path, headers=headers, redirect=False)

    def workers(self) -> list[int]:
        """The process ids of gunicorn's workers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def connection_to(self, worker: int) -> urllib3.HTTPConnectionPool:
        """A kept connection that this worker has accepted."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            pool = urllib3.HTTPConnectionPool("127.0.0.1", self.port, maxsize=1, timeout=30, retries=False)
            assert pool.request("GET", "/healthz").status == 200
            connection = pool.pool.get(block=False)  # type: ignore[union-attr]
            local = connection.sock.getsockname()[1]
            pool.pool.put(connection, block=False)  # type: ignore[union-attr]
            if self.owner(local) == worker:
                return pool
            pool.close()
        raise AssertionError(f"worker {worker} took no connection")

    def lines(self) -> list[dict[str, Any]]:
        """The log's JSON lines."""
        found = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def owner(self, client_port: int) -> int | None:
        """The worker that holds the server's end of a connection."""
        wanted = f"0100007F:{self.port:04X} 0100007F:{client_port:04X}"
        inodes = {
            fields[9]
            for fields in (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
            if f"{fields[1]} {fields[2]}" == wanted
        }
        for pid in self.workers():
            for file in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(file.readlink())[8:-1] in inodes:
                        return pid
        return None

    def _answers(self) -> bool:
        try:
            return self.get("/healthz").status == 200
        except urllib3.exceptions.HTTPError:
            return False


class CountingRelay(LocalServer):
    """Passes HTTP requests without bodies on to a port, keeps their first lines, and takes its time over archives."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.asked: list[str] = []
        self.archive_seconds = 0.0
        #: Asked before a question about an archive goes on, with its first line; at False, the relay hangs up.
        self.lets_pass: Callable[[str], bool] = lambda _: True
        super().__init__(_Pass)

    def archives(self, dataset: str) -> list[str]:
        return [line for line in self.asked if f"/{dataset}/videos/" in line and line.startswith("GET")]


class _Pass(socketserver.StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        relay = self.server.owner
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", relay.target)) as upstream:
            back = threading.Thread(target=self._answers, args=(upstream,), daemon=True)
            back.start()
            head = b""
            while line := self.rfile.readline():
                head += line
                if line == b"\r\n":
                    first = head.split(b"\r\n", 1)[0].decode("latin-1")
                    relay.asked.append(first)
                    if ".tar" in first:
                        time.sleep(relay.archive_seconds)
                        if not relay.lets_pass(first):
                            break
                    upstream.sendall(head)
                    head = b""
            upstream.shutdown(socket.SHUT_WR)
            back.join(10)

    def _answers(self, upstream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := upstream.recv(65536):
                self.connection.sendall(data)
            self.connection.shutdown(socket.SHUT_RDWR)


def wait_until(true: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
