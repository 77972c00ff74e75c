"""The audit trail in the bucket: every line arrives there, once, whoever dies and whenever the store goes away."""

from __future__ import annotations

import fcntl
import gzip
import itertools
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tcp_gate import Gate

from gygo_server.audit import spool
from gygo_server.audit.spool import SpooledTrail
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

PROGRAM = Path(__file__).with_name("trail_processes.py")

_numbers = itertools.count()


@pytest.fixture
def trails(s3: SeaweedFS) -> Iterator[Bucket]:
    """A bucket of its own."""
    bucket = Bucket(s3.settings(f"gygo-spool-{next(_numbers)}"))
    bucket.create()
    yield bucket
    for key, _ in list(bucket.list("")):
        bucket.delete(key)


def tell(trail: SpooledTrail, *names: str) -> None:
    for name in names:
        trail.write({"event": "answer", "request_id": name})


def in_bucket(bucket: Bucket) -> Counter[str]:
    """How often each line is there."""
    found: Counter[str] = Counter()
    for key, _ in bucket.list(keys.AUDIT):
        for line in gzip.decompress(bucket.get(key).content).splitlines():
            found[json.loads(line)["request_id"]] += 1
    return found


def die(folder: Path, name: str, count: int) -> None:
    """Lines of a worker that was killed."""
    process = subprocess.run([sys.executable, PROGRAM, "killed", folder, name, str(count)], check=False, timeout=60)
    assert process.returncode == -signal.SIGKILL


def test_lines_go_to_the_bucket_under_their_day_and_leave_the_disk(trails: Bucket, tmp_path: Path) -> None:
    trail = SpooledTrail(tmp_path / "audit", trails, seconds=60)
    tell(trail, "a", "b")
    trail.send()
    ((key, _),) = trails.list("")
    day = datetime.now(UTC)
    assert key.startswith((keys.audit_day(day), f"_audit/{day:%Y/%m/}"))
    assert key.endswith(".jsonl.gz")
    assert in_bucket(trails) == {"a": 1, "b": 1}
    assert list((tmp_path / "audit").iterdir()) == []
    assert (tmp_path / "audit").stat().st_mode & 0o077 == 0
    trail.send()
    tell(trail, "c")
    trail.close()
    assert in_bucket(trails) == {"a": 1, "b": 1, "c": 1}
    assert len(list(trails.list(""))) == 2


def test_an_object_is_of_one_day(trails: Bucket, tmp_path: Path) -> None:
    midnight = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
    times = iter([midnight - 0.001, midnight, midnight + 1])
    trail = SpooledTrail(tmp_path, trails, seconds=60, clock=lambda: next(times))
    tell(trail, "before", "after", "later")
    trail.send()
    found = {key: gzip.decompress(trails.get(key).content) for key, _ in trails.list("")}
    assert sorted(key[:18] for key in found) == ["_audit/2026/05/31/", "_audit/2026/06/01/"]
    for key, content in found.items():
        day = key[7:17].replace("/", "-")
        assert {json.loads(line)["time"][:10] for line in content.splitlines()} == {day}


def test_a_full_file_is_sent_before_its_time(trails: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "FULL_BYTES", 1000)
    trail = SpooledTrail(tmp_path, trails, seconds=3600)
    trail.start()
    names = [f"n{number}" for number in range(100)]
    tell(trail, *names)
    deadline = time.monotonic() + 20
    while len(in_bucket(trails)) < 90 and time.monotonic() < deadline:
        tell(trail, f"more-{time.monotonic()}")
        time.sleep(0.05)
    trail.close()
    assert {name: count for name, count in in_bucket(trails).items() if name in names} == dict.fromkeys(names, 1)


def test_what_dead_workers_left_is_sent_once_by_whoever_comes(trails: Bucket, tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        die(tmp_path, name, 50)
    assert len(list(tmp_path.iterdir())) == 3
    senders = [SpooledTrail(tmp_path, trails, seconds=60) for _ in range(6)]
    for number, sender in enumerate(senders):
        tell(sender, f"own-{number}")
    barrier = threading.Barrier(len(senders))

    def send(sender: SpooledTrail) -> None:
        barrier.wait(20)
        sender.send()

    with ThreadPoolExecutor(len(senders)) as pool:
        list(pool.map(send, senders))
    expected = [f"{name}-{n}" for name in ("first", "second", "third") for n in range(50)]
    assert in_bucket(trails) == Counter([*expected, *(f"own-{n}" for n in range(6))])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_still_written_is_left_to_its_worker(trails: Bucket, tmp_path: Path) -> None:
    one, other = (SpooledTrail(tmp_path, trails, seconds=60) for _ in range(2))
    tell(one, "a")
    other.send()
    assert in_bucket(trails) == {}
    tell(one, "b")
    one.send()
    assert in_bucket(trails) == {"a": 1, "b": 1}


def test_what_was_sent_but_not_removed_is_not_sent_again(trails: Bucket, tmp_path: Path) -> None:
    die(tmp_path, "dead", 5)
    (left,) = tmp_path.iterdir()
    content = left.read_bytes()
    SpooledTrail(tmp_path, trails, seconds=60).send()
    ((key, _),) = trails.list("")
    etag = trails.get(key).etag
    left.write_bytes(content + b"other\n")  # as if it had been killed before it removed the file
    SpooledTrail(tmp_path, trails, seconds=60).send()
    assert trails.get(key).etag == etag
    assert len(list(trails.list(""))) == 1
    assert list(tmp_path.iterdir()) == []


def test_empty_files_and_files_of_others_are_no_lines(trails: Bucket, tmp_path: Path) -> None:
    (tmp_path / "20260501T000000000Z-0123456789abcdef.jsonl").touch()
    for name in ("stdout.lock", "notes.jsonl", "20260501T000000000Z-0123456789abcdef.jsonl.gz"):
        (tmp_path / name).write_text("not a line")
    SpooledTrail(tmp_path, trails, seconds=60).send()
    assert list(trails.list("")) == []
    assert len(list(tmp_path.iterdir())) == 3


def test_a_worker_whose_empty_file_was_taken_for_a_dead_one_s_loses_no_line(
    trails: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the making of a file and its lock, somebody else may look at it."""
    flock, taken = fcntl.flock, []

    def lock(file: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not taken:
            taken.append(file)
            SpooledTrail(tmp_path, trails, seconds=60).send()
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", lock)
    trail = SpooledTrail(tmp_path, trails, seconds=60)
    tell(trail, "a")
    trail.send()
    assert taken
    assert in_bucket(trails) == {"a": 1}


def test_a_store_that_is_away_delays_and_loses_nothing(
    s3: SeaweedFS, trails: Bucket, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Gate(s3.port) as gate:
        behind = Bucket(replace(trails.settings, endpoint=gate.endpoint, timeout=2))
        trail = SpooledTrail(tmp_path, behind, seconds=60)
        tell(trail, "a")
        gate.shut()
        for number in range(3):
            trail.send()
            tell(trail, f"away-{number}")
        assert in_bucket(trails) == {}
        # While it is away, lines go on in one file.
        assert len(list(tmp_path.iterdir())) == 2
        gate.open()
        time.sleep(1.1)  # a store that was silent is left alone for a second
        trail.send()
    assert in_bucket(trails) == Counter(["a", "away-0", "away-1", "away-2"])
    assert list(tmp_path.iterdir()) == []
    log = "".join(capfd.readouterr())
    assert log.count("audit not sent") == 1
    assert log.count("audit sent again") == 1


def test_lines_are_written_while_others_are_sent(trails: Bucket, tmp_path: Path) -> None:
    trail = SpooledTrail(tmp_path, trails, seconds=60)
    done = threading.Event()

    def send() -> None:
        while not done.is_set():
            trail.send()

    with ThreadPoolExecutor(5) as pool:
        sending = pool.submit(send)
        list(pool.map(lambda writer: tell(trail, *(f"{writer}-{n}" for n in range(300))), range(4)))
        done.set()
        sending.result(30)
    trail.close()
    assert in_bucket(trails) == Counter(f"{writer}-{n}" for writer in range(4) for n in range(300))
