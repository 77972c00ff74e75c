"""Work that a Dask worker is given by tests; workers import it."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def die(scratch: Path) -> None:
    """As the kernel does it to a process that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def fill(scratch: Path) -> None:
    """A disk that is full."""
    with Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"x")


def scratch_of(scratch: Path) -> Path:
    """Where a worker may write."""
    return scratch.parents[1] if scratch.parent.name == "dask-scratch-space" else scratch
