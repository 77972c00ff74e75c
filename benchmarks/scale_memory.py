"""What a process holds, as Linux counts it (proc(5))."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes resident; ``own`` no file stands behind, ``mapped`` are pages of files, which the kernel may drop.

    ``proportional`` counts a page that several processes map as so much of one; ``files``: open file descriptors.
    """

    resident: int
    proportional: int
    own: int
    mapped: int
    files: int


def held(pid: int) -> Held:
    """What the process holds now."""
    lines = _kilobytes(f"/proc/{pid}/smaps_rollup")
    own = lines["Anonymous"]
    return Held(
        resident=lines["Rss"],
        proportional=lines["Pss"],
        own=own,
        mapped=lines["Rss"] - own,
        files=len(list(Path(f"/proc/{pid}/fd").iterdir())),
    )


def anonymous(pid: int | None = None) -> int:
    """Bytes of its memory that no file stands behind; of this process without ``pid``, 0 when it has ended."""
    try:
        return _kilobytes(f"/proc/{pid or os.getpid()}/status").get("RssAnon", 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0


def children(pid: int) -> list[int]:
    """The processes it has started: gunicorn's workers."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _kilobytes(path: str) -> dict[str, int]:
    return {name: int(number) * 1024 for name, number in _LINE.findall(Path(path).read_text())}
