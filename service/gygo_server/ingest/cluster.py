"""The machines of a Dask cluster as a publication's workers: the same work as `workers.Processes` does here.

They read the source from S3 or from a disk that they share, and write to the bucket, with credentials of their own
environment: nothing secret is sent. Dask does a task again elsewhere when its worker dies.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

from distributed import Client, Future, KilledWorker, Security, get_worker

from gygo_server import __version__
from gygo_server.errors import GygoError, PublicationError
from gygo_server.formats.files import SourceFiles
from gygo_server.ingest.progress import Progress
from gygo_server.ingest.workers import AHEAD, Result, Task, bucket_of
from gygo_server.store.bucket import S3Settings

#: Seconds that the scheduler has to answer.
CONNECT_SECONDS = 10

#: Seconds between two questions for how many workers there are, which also tells whether there is a scheduler.
ASK_SECONDS = 5

#: Times that a task which raised something is done again, perhaps on another machine.
RETRIES = 2

_ADDRESS = re.compile(r"(tcp|tls)://[^\s/]+:[0-9]+/?")
_NAMED = 3  # how many workers a message names before it only counts


@dataclass(frozen=True, slots=True)
class Needs:
    """What a worker must have: our version, the source, and the bucket, if anything is to be written."""

    files: SourceFiles
    bucket: S3Settings | None
    version: str = __version__


class Cluster:
    """The workers of one scheduler. A context manager: it connects, and finds out whether the workers can do the work.

    Raises:
        PublicationError: nobody answers there, or some workers have not what they need.
    """

    def __init__(self, scheduler: str, needs: Needs, progress: Progress) -> None:
        self._scheduler = scheduler
        self._needs = needs
        self._progress = progress
        self._room, self._asked_at = 0, 0.0

    def __enter__(self) -> Self:
        # All that can be wrong is found out here: a client that failed to begin hangs at the interpreter's end.
        security = Security()
        if not _ADDRESS.fullmatch(self._scheduler):
            raise PublicationError(f"scheduler {self._scheduler!r}: expected tcp://host:port or tls://host:port")
        if self._scheduler.startswith("tls:") and not security.get_connection_args("client").get("ssl_context"):
            raise PublicationError(
                f"{self._scheduler}: Dask has no certificates for it: see DASK_DISTRIBUTED__COMM__TLS__CA_FILE"
            )
        # Its lines come on top of ours, which say the same.
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            self._client = Client(
                self._scheduler, timeout=CONNECT_SECONDS, set_as_default=False, security=security, name="gygo-server"
            )
        except OSError as error:
            why = " ".join(str(error).split()) or type(error).__name__
            raise PublicationError(f"no Dask scheduler can be used at {self._scheduler}: {why}") from error
        try:
            with self._listening():
                self._require_able_workers()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def run(self, work: Callable[..., Result], tasks: Iterable[Task]) -> Iterator[Result]:
        tasks = iter(tasks)
        waiting: dict[Future, str] = {}
        ended: SimpleQueue[Future] = SimpleQueue()
        try:
            while True:
                for task in islice(tasks, max(0, self._count_room() - len(waiting))):
                    future = self._submit(
                        _Call(self._needs, work, task.arguments), f"{work.__name__}-{uuid.uuid4().hex}"
                    )
                    waiting[future] = task.video
                    future.add_done_callback(ended.put)
                if not waiting:
                    return
                # Now and then it is asked anew for how many there is room, and whether the scheduler is there at all.
                try:
                    future = ended.get(timeout=ASK_SECONDS)
                except Empty:
                    continue
                yield self._result(future, waiting.pop(future))
        finally:
            if waiting:
                with suppress(OSError, CancelledError):  # there may be no scheduler any more
                    self._client.cancel(list(waiting))

    def _submit(self, call: _Call, key: str) -> Future:
        with self._listening():
            return self._client.submit(call, key=key, retries=RETRIES)

    def _result(self, future: Future, video: str) -> Any:
        try:
            return future.result()
        except KilledWorker as error:
            raise PublicationError(
                f"{video}: {error.allowed_failures + 1} worker(s) died over this video, the last of them "
                f"{error.last_worker.address}, perhaps for want of memory; run the command again to go on"
            ) from error
        except GygoError:
            raise
        except Exception as error:
            if future.status != "error":
                raise self._lost() from error
            raise PublicationError(f"{video}: a worker failed: {type(error).__name__}: {error}") from error

    def _count_room(self) -> int:
        """For how many tasks in all there is room now: workers come and go."""
        if time.monotonic() - self._asked_at > ASK_SECONDS:
            with self._listening():
                threads = sum(self._client.nthreads().values())
            self._room, self._asked_at = max(1, threads) * AHEAD, time.monotonic()
        return self._room

    def _require_able_workers(self) -> None:
        def version() -> str | None:  # sent as it is, not by its name: a worker may have nothing of ours
            try:
                import gygo_server
            except ImportError:
                return None
            return gygo_server.__version__

        versions = self._client.run(version, on_error="return")
        if not versions:
            self._progress.say(f"there are no workers at {self._scheduler} yet; waiting for them")
        unable = {
            worker: f"has gygo-server {found}, and this is {__version__}" if found else "has no gygo-server"
            for worker, found in versions.items()
            if found != __version__
        }
        if versions and not unable:
            found = self._client.run(_require, self._needs, on_error="return")
            unable = {worker: str(error) for worker, error in found.items() if error is not None}
        if unable:
            told = "; ".join(f"{worker} {why}" for worker, why in sorted(unable.items())[:_NAMED])
            more = f"; and {len(unable) - _NAMED} more" if len(unable) > _NAMED else ""
            raise PublicationError(f"workers that cannot do the work: {told}{more}")

    @contextmanager
    def _listening(self) -> Iterator[None]:
        try:
            yield
        except (OSError, TimeoutError, CancelledError) as error:
            raise self._lost() from error

    def _lost(self) -> PublicationError:
        return PublicationError(f"the Dask scheduler at {self._scheduler} went away; run the command again to go on")

    def _close(self) -> None:
        with suppress(OSError, TimeoutError):
            self._client.close(timeout=CONNECT_SECONDS)


@dataclass(frozen=True, slots=True)
class _Call:
    """What is sent to a worker. Workers that came later are asked for what they need here."""

    needs: Needs
    work: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __call__(self) -> Any:
        worker = get_worker()
        try:
            _require(self.needs)
        except GygoError as error:
            raise PublicationError(f"{worker.address} cannot do the work: {error}") from error
        return self.work(Path(worker.local_directory), *self.arguments)


@cache
def _require(needs: Needs) -> None:
    """Runs in a worker, once if it has what it needs.

    Raises:
        PublicationError, StoreError: it has not.
    """
    if needs.version != __version__:
        raise PublicationError(f"it has gygo-server {__version__}, and the publication's is {needs.version}")
    needs.files.check()
    if needs.bucket:
        bucket_of(needs.bucket).check()
