"""Progress on standard error: a bar in bytes on a terminal, plain lines now and then elsewhere, or nothing."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

#: Seconds between two plain lines.
LINE_SECONDS = 5.0


class ShownProgress:
    """Bytes that came. A context manager; safe for threads. ``quiet``: says nothing at all."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False, quiet=quiet)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=self._console, disable=quiet or not self._console.is_terminal)
        self._task: TaskID | None = None
        self._title, self._total, self._done, self._told_at = "", 0, 0, 0.0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, title: str, total: int) -> None:
        """So many bytes are to come."""
        self._title, self._total, self._done, self._told_at = title, total, 0, time.monotonic()
        self._task = self._bar.add_task(title, total=total)
        if not self._console.is_terminal:
            self.say(f"{title}: {human_bytes(total)}")

    def advance(self, count: int) -> None:
        """So many bytes more are there; fewer, when they turned out to be wrong ones."""
        with self._lock:
            self._done += count
            if self._task is not None:
                self._bar.advance(self._task, count)
            due = time.monotonic() - self._told_at > LINE_SECONDS
            if not self._console.is_terminal and due:
                self._told_at = time.monotonic()
                self.say(f"{self._title}: {human_bytes(self._done)} of {human_bytes(self._total)}")

    def say(self, text: str) -> None:
        """A line for people, above the bar."""
        self._console.print(text, soft_wrap=True)


def say(text: str, *, err: bool = False) -> None:
    """Print lines that may hold text of others."""
    click.echo("\n".join(map(plain, text.split("\n"))), err=err)


def plain(text: str) -> str:
    """Text of others as one line, without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def human_bytes(count: int) -> str:
    """``1.2 MB``, in powers of 1000 as disks are sold."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.95 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")
