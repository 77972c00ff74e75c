"""What tests of the audit trail run in processes of their own: `python trail_processes.py NAME ARGUMENT…`."""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path

from gygo_server.audit.spool import SpooledTrail
from gygo_server.audit.trail import FileTrail, OutputTrail, Trail
from gygo_server.store.bucket import Bucket, S3Settings


def write(trail: Trail, name: str, count: int, size: int) -> None:
    for number in range(count):
        trail.write({"event": "answer", "request_id": f"{name}-{number}", "path": "x" * size})


def file(path: str, name: str, count: str, size: str) -> None:
    write(FileTrail(Path(path)), name, int(count), int(size))


def output(folder: str, name: str, count: str, size: str) -> None:
    write(OutputTrail(Path(folder)), name, int(count), int(size))


def on_a_full_disk(path: str) -> None:
    """No file may have more than 1,000 bytes; then they may."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    trail = FileTrail(Path(path))
    write(trail, "before", 20, 100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    write(trail, "after", 5, 100)


def killed(folder: str, name: str, count: str) -> None:
    """A worker that dies with lines which nobody has sent."""
    write(SpooledTrail(Path(folder), Bucket(S3Settings("none")), seconds=3600), name, int(count), 10)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
