"""Where a publication's videos are checked and packed: in processes of this machine here, elsewhere in `cluster`.

Bounded work in flight, results as they come, and no orphans when the parent is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from gygo_server.errors import PublicationError
from gygo_server.store.bucket import Bucket, S3Settings

Result = TypeVar("Result")

#: Tasks handed out a worker, so that none waits while the parent writes down a result.
AHEAD = 3


class Task(NamedTuple):
    """Something to do for one video: its name, for whoever reads that it failed, and what the work is called with."""

    video: str
    arguments: tuple[Any, ...]


class Workers(Protocol):
    """Whatever runs tasks."""

    def run(self, work: Callable[..., Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """``work(scratch, *arguments)`` for each task; results as they come, which is in no order.

        ``scratch`` is a folder for files in the making on the machine where the work is done. Tasks are taken as they
        are needed, a few for each worker.

        Raises:
            PublicationError: workers died (out of memory, most likely), or went away.
            Exception: what ``work`` raised; nothing more is begun then.
        """


@dataclass(frozen=True, slots=True)
class Processes:
    """``count`` processes of this machine."""

    count: int
    scratch: Path

    def run(self, work: Callable[..., Result], tasks: Iterable[Task]) -> Iterator[Result]:
        tasks = iter(tasks)
        context = multiprocessing.get_context("spawn")
        # It is started with the first worker otherwise, and clears the signal mask when it is.
        resource_tracker.ensure_running()
        pool = ProcessPoolExecutor(self.count, mp_context=context, initializer=_settle_in, initargs=(os.getpid(),))
        with pool:
            waiting: set[Future[Result]] = set()
            try:
                while True:
                    for task in tasks:
                        with _without_interrupts():
                            waiting.add(pool.submit(work, self.scratch, *task.arguments))
                        if len(waiting) >= self.count * AHEAD:
                            break
                    if not waiting:
                        return
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            except BrokenProcessPool as error:
                raise PublicationError(
                    "a worker process died, perhaps for want of memory; run the command again, with fewer --workers"
                ) from error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


@cache
def bucket_of(settings: S3Settings) -> Bucket:
    """The bucket, with one connection pool a process, not one a task."""
    return Bucket(settings)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    # Ctrl-C goes to the whole group, and the parent decides what it means: workers inherit this mask, and are deaf to
    # it from their first moment.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _settle_in(parent: int) -> None:
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
