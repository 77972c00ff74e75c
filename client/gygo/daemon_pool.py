"""Threads that do jobs and die with the process.

Those of `concurrent.futures` are waited for when Python ends: who presses Ctrl-C while the store is silent would wait
for its time-out.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_Job = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]


class DaemonPool:
    """So many threads. :meth:`close` it, or they wait for jobs for ever."""

    def __init__(self, threads: int, name: str) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = threads
        self._closed = False
        for number in range(threads):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """Have ``work`` done; what comes of it."""
        future: Future[T] = Future()
        self._jobs.put((future, work, arguments))
        return future

    def close(self) -> None:
        """Do no more jobs. Those that are being done are not waited for."""
        self._closed = True
        for _ in range(self._threads):
            self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, work, arguments = job
            if self._closed or not future.set_running_or_notify_cancel():
                future.cancel()
                continue
            try:
                future.set_result(work(*arguments))
            except BaseException as error:  # noqa: BLE001  (it is the caller's)
                future.set_exception(error)
            del job, future, work, arguments  # nothing is kept while this waits for the next job
