"""A real Redis server on a free port of the loopback address, which tests may kill, stop and start again."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis
from redis.exceptions import RedisError


class RedisServer:
    """``redis-server`` with these options. A context manager; ``url`` is how to reach it, with its password."""

    def __init__(self, folder: Path, *options: str, password: str = "", certificate: Path | None = None) -> None:
        """With a ``certificate`` (its key beside it, as ``.key``), it speaks TLS and nothing else."""
        port, secret = free_port(), f":{password}@" if password else ""
        ports = ["--port", str(port)]
        self.url = f"redis://{secret}127.0.0.1:{port}/0"
        if certificate is not None:
            files = ["--tls-cert-file", str(certificate), "--tls-key-file", str(certificate.with_suffix(".key"))]
            ports = ["--port", "0", "--tls-port", str(port), *files, "--tls-auth-clients", "no"]
            self.url = f"rediss://{secret}127.0.0.1:{port}/0?ssl_ca_certs={certificate}"
        if password:
            options = ("--requirepass", password, *options)
        self._folder = folder
        self._command = ["redis-server", *ports, "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *options]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        with Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                except RedisError:
                    assert self._process.poll() is None, (self._folder / "redis.log").read_text()
                    assert time.monotonic() < deadline, "Redis did not start in time"
                    time.sleep(0.02)
                else:
                    return

    def kill(self) -> None:
        """What it counted is gone."""
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """It accepts connections, and says nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
