"""What tests of the disk cache run in processes of their own: fetches that leave traces on disk."""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from gygo.disk_cache import DiskCache
from gygo.errors import CacheUnavailableError


def fetch_slowly(content: bytes, log: Path, seconds: float) -> Callable[[BinaryIO], None]:
    """A fetch that takes its time, and writes a line to ``log`` for each time it is begun."""

    def fetch(target: BinaryIO) -> None:
        with log.open("a") as file:
            file.write("fetched\n")
        half = len(content) // 2
        target.write(content[:half])
        time.sleep(seconds)
        target.write(content[half:])

    return fetch


def read(folder: Path, limit: int, content: bytes, log: Path) -> bytes:
    """The file from the cache, fetched when it is not there."""
    sha256 = hashlib.sha256(content).hexdigest()
    with DiskCache(folder, limit).open(sha256, len(content), fetch_slowly(content, log, 0.3)) as file:
        return file.read()


def begin(folder: Path, limit: int, content: bytes, started: Path) -> None:
    """Fetch half of the file, say so, and wait to be killed."""

    def fetch(target: BinaryIO) -> None:
        target.write(content[: len(content) // 2])
        target.flush()
        started.touch()
        time.sleep(600)

    DiskCache(folder, limit).open(hashlib.sha256(content).hexdigest(), len(content), fetch)


def open_on_a_full_disk(folder: Path, content: bytes, room: int) -> str:
    """What the cache raises where no file may have more than ``room`` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        DiskCache(folder, 10**9).open(
            hashlib.sha256(content).hexdigest(), len(content), lambda target: target.write(content) and None
        )
    except CacheUnavailableError as error:
        return str(error)
    return "held"


def churn(folder: Path, limit: int, contents: list[bytes], turns: int, seed: int) -> int:
    """Read files in an order of one's own; how many could not be held."""
    cache, missed = DiskCache(folder, limit), 0
    for turn in range(turns):
        content = contents[(seed * 7 + turn * (seed + 1)) % len(contents)]

        def fetch(target: BinaryIO, content: bytes = content) -> None:
            target.write(content)

        try:
            with cache.open(hashlib.sha256(content).hexdigest(), len(content), fetch) as file:
                assert file.read() == content
        except CacheUnavailableError:
            missed += 1
    return missed
