"""Threads that are replaced while they wait: slow clients cost memory, but never all of a worker's threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

_Task = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]


class ReplacedThreads:
    """``threads`` of them that work at any time, and up to ``most`` with those that wait.

    They are daemons: a worker whose grace is over does not wait for those that wait for a client.
    """

    def __init__(self, threads: int, most: int) -> None:
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._threads = threads
        self._most = max(threads, most)
        self._lock = threading.Lock()
        self._alive = 0
        self._waiting = 0
        self._closed = False
        with self._lock:
            for _ in range(threads):
                self._start()

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have ``work`` done by the next thread that is free."""
        future: Future[Any] = Future()
        self._tasks.put((future, work, arguments))
        return future

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """In one of the threads: from here to the end of the block it only waits, and another one works instead."""
        with self._lock:
            self._waiting += 1
            if self._alive - self._waiting < self._threads and self._alive < self._most and not self._closed:
                try:
                    self._start()
                except RuntimeError:  # the system gives no more threads: it goes on with fewer
                    self._alive -= 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1

    def shutdown(self, *, wait: bool = False) -> None:
        """Begin nothing more. What is being done is not waited for, whatever ``wait`` says."""
        del wait  # the signature is that of concurrent.futures
        with self._lock:
            self._closed = True
            for _ in range(self._alive):
                self._tasks.put(None)

    def _start(self) -> None:
        self._alive += 1
        threading.Thread(target=self._run, name="request", daemon=True).start()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, work, arguments = task
            try:
                future.set_result(work(*arguments))
            except BaseException as error:  # noqa: BLE001  (it is the caller's)
                future.set_exception(error)
            del task, future, work, arguments  # nothing is kept while this waits for the next one
            if self._alive - self._waiting > self._threads and self._retires():
                return

    def _retires(self) -> bool:
        """Whether this thread is one too many, as one that waited works again."""
        with self._lock:
            surplus = self._alive - self._waiting > self._threads
            self._alive -= surplus
            return surplus
