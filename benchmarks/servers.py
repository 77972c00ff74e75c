"""Servers that a benchmark compares, started and stopped as processes of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from gygo_server.cli.seaweedfs import stop_process
from gygo_server.cli.serve import gunicorn_command

START_SECONDS = 30

UNLIMITED = {"GYGO_RATE_ANONYMOUS": "none", "GYGO_RATE_KEY": "none"}

_NGINX = """
{user}
worker_processes 2;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000;
    types {{ image/jpeg jpg; }}
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


class Server(NamedTuple):
    """A server that runs: its base URL, its process."""

    base: str
    pid: int


def require(*programs: str) -> None:
    """Stop with one line when a program is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)} (apt-get install nginx-light wrk)")


@contextmanager
def gunicorn(environment: Mapping[str, str], path: str, *arguments: str) -> Iterator[str]:
    """gunicorn with the service's own configuration; the base URL once ``path`` is answered."""
    with gunicorn_process(environment, path, *arguments) as server:
        yield server.base


@contextmanager
def gunicorn_process(environment: Mapping[str, str], path: str, *arguments: str) -> Iterator[Server]:
    """The same, for who looks at the process too; its workers are its children."""
    port = _free_port()
    more = {"GYGO_BIND": f"127.0.0.1:{port}", **UNLIMITED, **environment}
    with _running([*gunicorn_command(), *arguments], f"http://127.0.0.1:{port}", path, more) as server:
        yield server


@contextmanager
def datasette(program: Path, database: Path, inspected: Path, path: str) -> Iterator[Server]:
    """Datasette over a database that does not change, its tables counted beforehand, as its documentation advises."""
    port = _free_port()
    subprocess.run([program, "inspect", database, "--inspect-file", inspected], check=True)
    command = [str(program), "serve", "-i", str(database), "--inspect-file", str(inspected), "-p", str(port)]
    with _running(command, f"http://127.0.0.1:{port}", path, {}) as server:
        yield server


@contextmanager
def nginx(folder: Path, root: Path, path: str) -> Iterator[str]:
    """nginx over the files in ``root``."""
    port = _free_port()
    config = folder / "nginx.conf"
    # Started by root, its workers would be somebody who may not read a temporary folder.
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(_NGINX.format(user=user, folder=folder, port=port, root=root))
    command = ["nginx", "-c", str(config), "-e", str(folder / "nginx-error.log")]
    with _running(command, f"http://127.0.0.1:{port}", path, {}) as server:
        yield server.base


@contextmanager
def _running(command: list[str], base: str, path: str, environment: Mapping[str, str]) -> Iterator[Server]:
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait(process, base + path)
        yield Server(base, process.pid)
    finally:
        stop_process(process, 10)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{url} is not answered")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
