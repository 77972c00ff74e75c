"""A pull, from beginning to end."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gygo.client import Client
from gygo.errors import GygoError, PullError, UnreachableError
from gygo.progress import ShownProgress, human_bytes
from gygo.pull.download import Downloader, as_done
from gygo.pull.layouts import Rules
from gygo.pull.lists import write_lists
from gygo.pull.plan import Job, Plan, Request, make_plan, rules_for
from gygo.pull.tree import STATE, Placed, Tree, placed_from
from gygo.pull.unpack import Unpacked, unpack

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class Summary:
    """What came of a pull."""

    plan: Plan
    root: Path
    done: list[Placed] = field(default_factory=list)
    fetched_bytes: int = 0
    rewritten: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    #: Why the pull ended before all videos were tried.
    ended: str | None = None
    deleted: int = 0
    lists: list[str] = field(default_factory=list)


def pull(client: Client, request: Request, progress: ShownProgress) -> Summary:
    """Make the tree hold what is asked for. What is there already stays; what fails is told in the summary.

    Raises:
        GygoError: nothing could be done, and why.
    """
    release = client.release(request.name)
    tree = Tree(request.out)
    tree.read()
    rules = rules_for(request, release, tree)
    if request.dry_run:
        return Summary(make_plan(client, request, release, rules, tree), request.out)
    with _disk_errors(request.out), tree.locked(release.dataset, rules):
        plan = make_plan(client, request, release, rules, tree)
        summary = Summary(plan, request.out)
        _check_space(plan, request.out)
        try:
            with progress:
                _fetch_all(client, request, tree, summary, progress)
            if request.delete:
                _delete(tree, summary)
        finally:  # when it is interrupted too: the lists are those of what is there
            _finish(tree, summary)
        if not summary.failed and summary.ended is None:
            tree.clear_partial()
        return summary


def _fetch_all(client: Client, request: Request, tree: Tree, summary: Summary, progress: ShownProgress) -> None:
    plan = summary.plan
    if not plan.jobs:
        return
    progress.begin("fetching", plan.bytes)
    downloader = Downloader(client.http, progress.advance)
    silent = 0
    try:
        for job, result in as_done(_work(tree, plan.rules, downloader), plan.jobs, request.workers):
            if isinstance(result, GygoError):
                summary.failed.append((job.video.name, str(result)))
                silent = silent + 1 if isinstance(result, UnreachableError) else 0
                if silent > request.workers and len(summary.failed) < len(plan.jobs):
                    summary.ended = "the store or the service does not answer"
                    return
                continue
            if isinstance(result, BaseException):
                raise result
            silent = 0
            placed = placed_from(job.video, job.folder, job.archive.sha256, result)
            tree.place(_workplace(tree, job), placed)
            _partial(tree, job).unlink(missing_ok=True)
            summary.done.append(placed)
            summary.fetched_bytes += job.archive.bytes
            summary.rewritten += result.rewritten
    finally:
        downloader.stop()


def _work(tree: Tree, rules: Rules, downloader: Downloader) -> Callable[[Job], Unpacked]:
    def work(job: Job) -> Unpacked:
        partial = _partial(tree, job)
        downloader.fetch(job.video, job.archive, partial)
        target = tree.workplace(str(job.number))
        try:
            with partial.open("rb") as file:
                return unpack(file, job.video, job.archive, rules, target)
        except GygoError:
            shutil.rmtree(target, ignore_errors=True)
            partial.unlink(missing_ok=True)
            raise

    return work


def _partial(tree: Tree, job: Job) -> Path:
    name = hashlib.sha256(f"{job.archive.sha256} {job.video.id}".encode()).hexdigest()
    return tree.partial(f"{name}.tar")


def _workplace(tree: Tree, job: Job) -> Path:
    return tree.state / "unpacked" / str(job.number)


def _delete(tree: Tree, summary: Summary) -> None:
    for placed in summary.plan.removed:
        tree.remove(placed)
        summary.deleted += 1


def _finish(tree: Tree, summary: Summary) -> None:
    """Bring the lists and what is known of the videos up to date."""
    plan = summary.plan
    for placed in (*plan.whole, *plan.others):
        if tree.videos.get(placed.folder) != placed:
            tree.note(placed)
    summary.lists = write_lists(tree, plan.rules, {placed.name for placed in plan.removed})


def _check_space(plan: Plan, root: Path) -> None:
    free = shutil.disk_usage(root).free
    here = sum(path.stat().st_size for path in (root / STATE / "partial").glob("*"))
    if plan.bytes - here > free:
        raise PullError(
            f"{root} has {human_bytes(free)} of free space, and {human_bytes(plan.bytes - here)} are to come"
        )


@contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise PullError(f"the disk of {root} is full; make room and run the same command again to go on") from error
        raise PullError(f"{error.filename or root}: {error.strerror or error}") from error
