"""Progress on standard error: a bar on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining

#: Seconds between two plain lines.
LINE_SECONDS = 5.0


class ShownProgress:
    """A `gygo_server.ingest.progress.Progress` that people see. A context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        columns = (
            TextColumn("{task.description:<22}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            Remaining(),
        )
        self._bars = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task: TaskID | None = None
        self._title, self._total, self._done, self._told_at = "", 0, 0, 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, title: str, total: int) -> None:
        self._title, self._total, self._done, self._told_at = title, total, 0, time.monotonic()
        self._task = self._bars.add_task(title, total=total)
        if not self._console.is_terminal:
            self.say(f"{title}: {total}")

    def advance(self, done: int = 1) -> None:
        self._done += done
        if self._task is not None:
            self._bars.advance(self._task, done)
        due = time.monotonic() - self._told_at > LINE_SECONDS
        if not self._console.is_terminal and due and self._done < self._total:
            self._told_at = time.monotonic()
            self.say(f"{self._title}: {self._done} of {self._total}")

    def say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)
