"""``gygo-server ingest`` as its users meet it: what it says, how it ends, and that it goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from machines import Ingest, Machine, Wire
from small_trees import jpeg, put, write_faults, write_tree

from gygo_server.errors import PreconditionFailedError
from gygo_server.ingest.datasets import change_dataset, read_dataset
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.releases import verify
from gygo_server.model import Dataset, ReleaseEntry
from gygo_server.store.bucket import Bucket

Command = Callable[..., subprocess.CompletedProcess[str]]
MakeMachine = Callable[..., Machine]


def releases_of(bucket: Bucket, dataset: str) -> list[str]:
    found, _ = read_dataset(bucket, dataset)
    return [entry.id for entry in found.releases] if found else []


def is_whole(bucket: Bucket, dataset: str, release: str = "r1") -> bool:
    return list(verify(bucket, dataset, release, Silent())) == []


def is_one_line(text: str, begin: str = "error: ") -> bool:
    return text.startswith(begin) and text.count("\n") == 1


def last_line(ended: Ingest) -> str:
    assert "Traceback" not in ended.said, ended.said
    return ended.said.splitlines()[-1]


def checked_before(ended: Ingest) -> int:
    line = next((line for line in ended.said.splitlines() if line.endswith("videos were checked before")), "0")
    return int(line.split()[0])


# What it says


def test_publishing_and_publishing_again(gygo_server: Command, bucket: Bucket, dataset: str, tree: Path) -> None:
    arguments = ("ingest", tree, "--dataset", dataset, "--release", "r1", "--workers", "1", "--title", "Pets")
    done = gygo_server(*arguments)
    assert (done.returncode, done.stdout.startswith(f"published {dataset}/r1: 3 videos; 3 archives sent")) == (0, True)
    assert "checking videos: 3" in done.stderr
    again = gygo_server(*arguments)
    assert again.returncode == 0
    assert again.stdout == f"{dataset}/r1 is published already, with this content; nothing to do\n"
    put(tree, "JPEGImages/480p/bear/00001.jpg", jpeg(4711))
    other = gygo_server(*arguments)
    assert (other.returncode, other.stdout) == (1, "")
    assert other.stderr.splitlines()[-1].startswith("error: release 'r1' is published with other content")
    assert releases_of(bucket, dataset) == ["r1"]
    assert is_whole(bucket, dataset)


def test_all_faults_are_listed_at_once_and_nothing_is_sent(
    gygo_server: Command, bucket: Bucket, dataset: str, tmp_path: Path
) -> None:
    faults = write_faults(tmp_path / "tree")
    arguments = ("ingest", tmp_path / "tree", "--dataset", dataset, "--release", "r1", "--workers", "1")
    done = gygo_server(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    for code, path in faults.items():
        with_code = [line for line in lines if line.endswith(f"[{code}]")]
        assert any(line.startswith(f"fault: {path}: ") for line in with_code), (code, with_code)
    listed = sum(line.startswith("fault: ") for line in lines)
    assert lines[-1] == f"error: {listed} fault(s) in the source: nothing was published"
    assert "\x1b" not in done.stderr
    assert "Traceback" not in done.stderr
    assert list(bucket.list(f"{dataset}/")) == []
    # With faults of the source as a whole there is nothing that could be left out.
    assert gygo_server(*arguments, "--leave-out-faulty").returncode == 1
    assert list(bucket.list(f"{dataset}/")) == []


def test_a_dry_run_needs_no_bucket(gygo_server: Command, bucket: Bucket, dataset: str, tree: Path) -> None:
    arguments = ("ingest", tree, "--dataset", dataset, "--release", "r1", "--workers", "1", "--dry-run")
    nowhere = {"GYGO_BUCKET": "", "GYGO_S3_ENDPOINT": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    done = gygo_server(*arguments, **nowhere)
    assert (done.returncode, done.stdout) == (0, "3 videos without fault, 0 faults, nothing published\n")
    put(tree, "JPEGImages/480p/bear/00001.jpg", b"")
    done = gygo_server(*arguments, **nowhere)
    assert (done.returncode, done.stdout) == (1, "2 videos without fault, 1 faults, nothing published\n")
    assert "fault: JPEGImages/480p/bear/00001.jpg: " in done.stderr
    assert list(bucket.list(f"{dataset}/")) == []


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"GYGO_BUCKET": ""}, "GYGO_BUCKET: is not set"),
        ({"GYGO_S3_ENDPOINT": "s3.example.org"}, "GYGO_S3_ENDPOINT: not an address"),
        ({"GYGO_S3_ENDPOINT": "http://127.0.0.1:9"}, "the store gives no answer"),
        ({"GYGO_BUCKET": "no-such-bucket-here"}, "no such bucket"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "the store refuses: 403"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no S3 credentials"),
        ({"XDG_STATE_HOME": "/dev/null"}, "/dev/null"),
    ],
)
def test_what_is_missing_or_wrong_is_one_clear_line(
    gygo_server: Command, dataset: str, tree: Path, wrong: dict[str, str], named: str
) -> None:
    done = gygo_server("ingest", tree, "--dataset", dataset, "--release", "r1", "--workers", "1", **wrong)
    assert (done.returncode, done.stdout) == (1, "")
    assert is_one_line(done.stderr), done.stderr
    assert named in done.stderr


def test_a_wrong_command_line_is_said_before_anything_else(gygo_server: Command, dataset: str, tree: Path) -> None:
    title = b"caf\xe9".decode(errors="surrogateescape")
    for arguments, code, named in (
        ((tree, "--dataset", "Bad Id", "--release", "r1"), 1, "dataset 'Bad Id': use 1 to 64 of"),
        ((tree, "--dataset", dataset, "--release", "latest"), 1, "stands for the newest release"),
        ((tree, "--dataset", dataset, "--release", "r1", "--title", title), 1, "title: not UTF-8"),
        ((tree / "nothing", "--dataset", dataset, "--release", "r1"), 2, "does not exist"),
    ):
        done = gygo_server("ingest", *arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert named in done.stderr
        assert "Traceback" not in done.stderr
        assert code == 2 or is_one_line(done.stderr)


# Interrupted, killed, cut off


def test_killed_at_any_moment_it_goes_on_where_it_was(
    machine: MakeMachine, bucket: Bucket, dataset: str, tmp_path: Path
) -> None:
    tree = write_tree(tmp_path / "tree", [f"video-{number:02d}" for number in range(80)], frames=4)
    here = machine()
    over = threading.Event()
    halves: list[str] = []

    def watch() -> None:
        while not over.is_set():
            if releases_of(bucket, dataset):
                halves.extend(str(each) for each in verify(bucket, dataset, "r1", Silent()))
                return
            time.sleep(0.01)

    with ThreadPoolExecutor(1) as pool, ExitStack() as at_the_end:
        at_the_end.callback(over.set)  # also when something fails: the pool waits for the watcher
        watching = pool.submit(watch)
        before, killed = 0, 0
        moments = [("", 0.4), ("reading", 0.0), *(("checking videos", delay) for delay in (0.4, 0.8, 0.9, 1.0))]
        moments += [("building", 0.0), *(("uploading archives", delay) for delay in (0.0, 0.5, 1.0, 1.1, 1.2, 1.3))]
        for stage, delay in moments:
            run = here.ingest(tree, dataset)
            if not run.reaches(stage):
                break
            time.sleep(delay)
            run.send(signal.SIGKILL)
            killed += run.end() == -signal.SIGKILL
            assert run.is_deserted(), "a process outlived the command"
            assert len(list(here.state.rglob("scratch-*"))) <= 1, "what the run before left was not cleared away"
            if "checking videos" in run.said and not releases_of(bucket, dataset):
                assert checked_before(run) >= before
                before = checked_before(run)
        last = here.ingest(tree, dataset)
        assert last.end() == 0, last.said
        over.set()
        watching.result(10)
    assert killed >= 8, "most of the runs were killed on their way"
    assert halves == []
    assert before == 80, "the last of them had nothing left to check"
    assert releases_of(bucket, dataset) == ["r1"]
    assert is_whole(bucket, dataset)


@pytest.mark.parametrize("stage", ["checking videos", "uploading archives"])
def test_ctrl_c_ends_it_with_a_hint(
    machine: MakeMachine, bucket: Bucket, dataset: str, tmp_path: Path, stage: str
) -> None:
    tree = write_tree(tmp_path / "tree", [f"video-{number:02d}" for number in range(20)], frames=6)
    run = machine().ingest(tree, dataset)
    run.wait_for(stage)
    run.worker()
    time.sleep(0.2)  # in the middle of the worker's start
    os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does: to all of them
    assert run.end() == 130
    assert last_line(run) == "interrupted; run the same command again to go on"
    assert run.is_deserted()
    assert releases_of(bucket, dataset) == []
    again = machine().ingest(tree, dataset)
    assert again.end() == 0, again.said


def test_a_worker_that_dies_is_reported_and_the_command_goes_on_later(
    machine: MakeMachine, bucket: Bucket, dataset: str, tree: Path
) -> None:
    run = machine().ingest(tree, dataset)
    os.kill(run.worker(), signal.SIGKILL)
    assert run.end() == 1
    assert last_line(run).startswith("error: a worker process died")
    assert "run the command again" in last_line(run)
    again = machine().ingest(tree, dataset)
    assert again.end() == 0, again.said
    assert is_whole(bucket, dataset)


def test_a_store_that_goes_away_is_one_clear_line_and_the_command_goes_on_later(
    machine: MakeMachine, bucket: Bucket, dataset: str, tmp_path: Path, wire: Wire
) -> None:
    tree = write_tree(tmp_path / "tree", [f"video-{number}" for number in range(6)])
    here = machine()
    wire.cut_after(30_000)  # in the midst of the archives
    run = here.ingest(tree, dataset, GYGO_S3_ENDPOINT=wire.endpoint)
    assert run.end() == 1
    assert wire.is_cut
    assert "uploading archives" in run.said
    assert last_line(run).startswith("error: the store gives no answer")
    assert run.said.count("error: ") == 1
    sent = len(list(bucket.list(f"{dataset}/videos/")))
    assert 0 < sent < 6
    assert releases_of(bucket, dataset) == []
    wire.mend()
    again = here.ingest(tree, dataset, GYGO_S3_ENDPOINT=wire.endpoint)
    assert again.end() == 0, again.said
    assert checked_before(again) == 6
    assert f"{6 - sent} archives sent" in again.told
    assert is_whole(bucket, dataset)


# Several at once


def test_of_two_on_one_machine_one_is_told_to_wait(
    machine: MakeMachine, bucket: Bucket, dataset: str, tree: Path
) -> None:
    here = machine()
    first = here.ingest(tree, dataset)
    first.wait_for("checking videos")
    first.send(signal.SIGSTOP)
    second = here.ingest(tree, dataset)
    assert second.end() == 1
    assert last_line(second) == "error: another process on this machine is publishing this release; let it end"
    first.send(signal.SIGCONT)
    assert first.end() == 0, first.said
    assert is_whole(bucket, dataset)


def test_of_two_machines_with_other_content_the_first_to_name_it_wins(
    machine: MakeMachine, bucket: Bucket, dataset: str, tree: Path, tmp_path: Path
) -> None:
    slow = machine("slow").ingest(tree, dataset)
    slow.wait_for("uploading archives")
    slow.send(signal.SIGSTOP)
    quick = machine("quick").ingest(write_tree(tmp_path / "other", ["eel"]), dataset)
    assert quick.end() == 0, quick.said
    named = read_dataset(bucket, dataset)
    slow.send(signal.SIGCONT)
    assert slow.end() == 1
    assert last_line(slow).startswith("error: release 'r1' was published by somebody else in the meantime")
    assert read_dataset(bucket, dataset) == named
    assert is_whole(bucket, dataset)


def test_of_two_machines_at_the_same_moment_exactly_one_wins(
    machine: MakeMachine, bucket: Bucket, dataset: str, tree: Path
) -> None:
    runs = [machine(name).ingest(tree, dataset) for name in ("one", "two")]
    codes = sorted(run.end() for run in runs)
    (winner,) = [run for run in runs if run.told.startswith("published ")]
    (loser,) = [run for run in runs if run is not winner]
    assert codes in ([0, 1], [0, 0])
    assert "by somebody else" in loser.said or "is published already" in loser.told
    assert releases_of(bucket, dataset) == ["r1"]
    assert is_whole(bucket, dataset)


def test_different_releases_of_a_new_dataset_at_once_both_land(
    machine: MakeMachine, bucket: Bucket, dataset: str, tree: Path
) -> None:
    runs = [machine(release).ingest(tree, dataset, release) for release in ("r1", "r2")]
    assert [run.end() for run in runs] == [0, 0], [run.said for run in runs]
    assert sorted(releases_of(bucket, dataset)) == ["r1", "r2"]
    assert is_whole(bucket, dataset, "r1")
    assert is_whole(bucket, dataset, "r2")


def test_no_release_is_lost_when_many_are_named_at_once(bucket: Bucket, dataset: str) -> None:
    together = threading.Barrier(8)

    def name(number: int) -> None:
        entry = ReleaseEntry(f"r{number}", "2026-01-01T00:00:00Z", f"{number:064x}", 1)
        together.wait(30)
        change_dataset(
            bucket,
            dataset,
            lambda found: replace(
                found or Dataset(dataset, dataset), releases=(*(found.releases if found else ()), entry)
            ),
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(name, range(8)))
    assert sorted(releases_of(bucket, dataset)) == [f"r{number}" for number in range(8)]


def test_dataset_json_is_not_written_over_what_somebody_else_wrote(bucket: Bucket, dataset: str) -> None:
    etag = bucket.put(f"{dataset}/dataset.json", b"first", replaces=None)
    with pytest.raises(PreconditionFailedError):
        bucket.put(f"{dataset}/dataset.json", b"second", replaces=None)
    bucket.put(f"{dataset}/dataset.json", b"third", replaces=etag)
    with pytest.raises(PreconditionFailedError):
        bucket.put(f"{dataset}/dataset.json", b"fourth", replaces=etag)
    assert bucket.get(f"{dataset}/dataset.json").content == b"third"
