"""Worker processes of a publication: bounded work in flight, and no orphans when the parent is killed."""

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
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from gygo_server.errors import PublicationError

Result = TypeVar("Result")

#: Tasks handed out a worker, so that none waits while the parent writes down a result.
AHEAD = 3


def run(workers: int, work: Callable[..., Result], tasks: Iterable[tuple[Any, ...]]) -> Iterator[Result]:
    """``work(*task)`` for each task in ``workers`` processes; results as they come.

    Raises:
        PublicationError: a worker died (out of memory, most likely).
        Exception: what ``work`` raised; nothing more is begun then.
    """
    tasks = iter(tasks)
    context = multiprocessing.get_context("spawn")
    # It is started with the first worker otherwise, and clears the signal mask when it is.
    resource_tracker.ensure_running()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_settle_in, initargs=(os.getpid(),)) as pool:
        waiting: set[Future[Result]] = set()
        try:
            while True:
                for task in tasks:
                    with _without_interrupts():
                        waiting.add(pool.submit(work, *task))
                    if len(waiting) >= workers * AHEAD:
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
