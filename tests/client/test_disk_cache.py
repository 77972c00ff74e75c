"""The disk cache: bounded, least recently used out first, one fetch for all, and nothing unsound ever served."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import cache_processes
import pytest

from gygo.disk_cache import DiskCache
from gygo.errors import CacheUnavailableError
from gygo_server.errors import CorruptObjectError, StoreUnavailableError
from gygo_server.store.bucket import Bucket

SIZE = 1000


class Shelf:
    """A cache of ``files`` files of 1000 bytes, with a count of what was fetched."""

    def __init__(self, folder: Path, files: float = 4) -> None:
        self.cache = DiskCache(folder, int(files * SIZE))
        self.fetched: list[str] = []

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return file.read()

    def open(self, name: str) -> BinaryIO:
        content = content_of(name)

        def fetch(target: BinaryIO) -> None:
            self.fetched.append(name)
            target.write(content)

        return self.cache.open(sha256(content), len(content), fetch)

    def path(self, name: str) -> Path:
        digest = sha256(content_of(name))
        return self.cache.folder / digest[:2] / digest

    def used(self, name: str, seconds_ago: float) -> None:
        """Say when the file was used last."""
        then = time.time() - seconds_ago
        os.utime(self.path(name), (then, then))

    def held(self, names: str) -> set[str]:
        return {name for name in names if self.path(name).exists()}


def content_of(name: str) -> bytes:
    return random.Random(name).randbytes(SIZE)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def partials(folder: Path) -> list[Path]:
    return list(folder.rglob(".partial-*"))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "cache")


# Held and let go


def test_a_file_is_fetched_once_and_then_held(shelf: Shelf) -> None:
    assert [shelf.read("a") for _ in range(3)] == [content_of("a")] * 3
    assert shelf.fetched == ["a"]


def test_nothing_is_made_before_the_first_file(tmp_path: Path) -> None:
    assert DiskCache(tmp_path / "cache", 1).bytes_held() == 0
    assert not (tmp_path / "cache").exists()


def test_another_cache_over_the_folder_has_the_same_files(tmp_path: Path) -> None:
    Shelf(tmp_path).read("a")
    again = Shelf(tmp_path)
    assert again.read("a") == content_of("a")
    assert again.fetched == []


def test_an_empty_file_is_held_too(tmp_path: Path) -> None:
    fetched = []
    cache = DiskCache(tmp_path, 100)
    for _ in range(2):
        with cache.open(sha256(b""), 0, fetched.append) as file:
            assert file.read() == b""
    assert len(fetched) == 1


def test_it_never_holds_more_than_its_limit(shelf: Shelf) -> None:
    for number in range(20):
        shelf.read(str(number))
        assert shelf.cache.bytes_held() <= 4 * SIZE
    assert shelf.cache.bytes_held() == 4 * SIZE


def test_files_that_just_fit_stay(shelf: Shelf) -> None:
    for name in "abcd" * 2:
        shelf.read(name)
    assert shelf.fetched == list("abcd")


def test_the_least_recently_used_goes_first(shelf: Shelf) -> None:
    for age, name in enumerate("abcd"):
        shelf.read(name)
        shelf.used(name, 10_000 - age * 1000)
    shelf.read("a")  # used again, so that b is the oldest
    shelf.read("e")
    assert shelf.held("abcde") == set("acde")
    shelf.read("f")
    assert shelf.held("abcdef") == set("adef")


def test_no_more_goes_than_must(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, files=3.5)
    for age, name in enumerate("abc"):
        shelf.read(name)
        shelf.used(name, 10_000 - age * 1000)
    shelf.read("d")
    assert shelf.held("abcd") == set("bcd")


def test_an_evicted_file_stays_readable_for_who_has_it(shelf: Shelf) -> None:
    with shelf.open("a") as file:
        assert file.read(10) == content_of("a")[:10]
        shelf.used("a", 10_000)
        for name in "bcde":
            shelf.read(name)
        assert not shelf.path("a").exists()
        assert file.read() == content_of("a")[10:]
        file.seek(0)
        assert file.read() == content_of("a")
    assert shelf.read("a") == content_of("a")
    assert shelf.fetched.count("a") == 2


def test_a_file_larger_than_the_cache_is_refused_and_evicts_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, files=2)
    shelf.read("a")
    with pytest.raises(CacheUnavailableError, match="2001"):
        shelf.cache.open("f" * 64, 2001, lambda target: pytest.fail("fetched"))
    assert shelf.held("a") == {"a"}


def test_a_cache_of_no_bytes_holds_nothing(tmp_path: Path) -> None:
    with pytest.raises(CacheUnavailableError):
        Shelf(tmp_path, files=0).read("a")


def test_parallel_fetches_of_several_files_keep_to_the_limit(tmp_path: Path) -> None:
    """Two files are on their way, each more than half of the cache: one of them has no room."""
    cache = DiskCache(tmp_path, 1500)
    on_their_way = threading.Barrier(2)
    held: list[int] = []

    def read(name: str) -> str:
        def fetch(target: BinaryIO) -> None:
            with suppress(threading.BrokenBarrierError):
                on_their_way.wait(1)
            held.append(cache.bytes_held())
            target.write(content_of(name))

        try:
            with cache.open(sha256(content_of(name)), SIZE, fetch) as file:
                assert file.read() == content_of(name)
        except CacheUnavailableError:
            return "no room"
        return "held"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(read, "ab")) == ["held", "no room"]
    assert max(held) <= 1500


# Fetched once


def test_many_threads_that_want_one_file_fetch_it_once(tmp_path: Path) -> None:
    content, log = content_of("a"), tmp_path / "log"
    start = threading.Barrier(16)

    def read(_: int) -> bytes:
        start.wait()
        return cache_processes.read(tmp_path / "cache", 10 * SIZE, content, log)

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(read, range(16))) == {content}
    assert log.read_text() == "fetched\n"


def test_many_processes_that_want_one_file_fetch_it_once(tmp_path: Path) -> None:
    content, log = content_of("a"), tmp_path / "log"
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        wanted = [
            pool.apply_async(cache_processes.read, (tmp_path / "cache", 10 * SIZE, content, log)) for _ in range(8)
        ]
        assert {each.get(60) for each in wanted} == {content}
    assert log.read_text() == "fetched\n"


def test_different_files_are_fetched_at_the_same_time(shelf: Shelf) -> None:
    both = threading.Barrier(2)

    def read(name: str) -> bytes:
        content = content_of(name)

        def fetch(target: BinaryIO) -> None:
            both.wait(20)  # breaks, unless the other one is on its way too
            target.write(content)

        with shelf.cache.open(sha256(content), SIZE, fetch) as file:
            return file.read()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(read, "ab")) == [content_of("a"), content_of("b")]


def test_a_held_file_is_served_while_another_is_fetched(shelf: Shelf) -> None:
    shelf.read("a")
    begun, go_on = threading.Event(), threading.Event()

    def fetch(target: BinaryIO) -> None:
        begun.set()
        go_on.wait(20)
        target.write(content_of("b"))

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(shelf.cache.open, sha256(content_of("b")), SIZE, fetch)
        assert begun.wait(20)
        assert shelf.read("a") == content_of("a")
        assert not slow.done()
        go_on.set()
        slow.result().close()


def test_who_waits_for_a_fetch_that_fails_fetches_itself(shelf: Shelf) -> None:
    content, fail = content_of("a"), threading.Event()
    begun = threading.Event()

    def failing(target: BinaryIO) -> None:
        begun.set()
        fail.wait(20)
        raise StoreUnavailableError("gone")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(shelf.cache.open, sha256(content), SIZE, failing)
        assert begun.wait(20)
        second = pool.submit(shelf.read, "a")
        fail.set()
        with pytest.raises(StoreUnavailableError):
            first.result()
        assert second.result() == content


def test_processes_that_fetch_and_evict_at_once_read_only_what_is_sound(tmp_path: Path) -> None:
    contents = [content_of(str(number)) for number in range(12)]
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        jobs = [(tmp_path / "cache", 5 * SIZE, contents, 150, seed) for seed in range(3)]
        missed = pool.starmap(cache_processes.churn, jobs)  # asserts what it reads
    assert sum(missed) < 45
    assert partials(tmp_path) == []
    assert DiskCache(tmp_path / "cache", 0).bytes_held() <= 5 * SIZE


# Nothing unsound


def test_a_download_that_is_not_what_it_should_be_is_not_kept(shelf: Shelf) -> None:
    def corrupt(target: BinaryIO) -> None:
        target.write(bytes(SIZE))
        raise CorruptObjectError("other bytes")

    with pytest.raises(CorruptObjectError):
        shelf.cache.open(sha256(content_of("a")), SIZE, corrupt)
    assert shelf.cache.bytes_held() == 0
    assert shelf.read("a") == content_of("a")


@pytest.mark.parametrize("length", [0, SIZE - 1, SIZE + 1])
def test_a_fetch_of_another_length_is_not_served(shelf: Shelf, length: int) -> None:
    with pytest.raises(CacheUnavailableError):
        shelf.cache.open(sha256(content_of("a")), SIZE, lambda target: target.write(bytes(length)) and None)
    assert shelf.read("a") == content_of("a")


@pytest.mark.parametrize("length", [0, 1, SIZE - 1, SIZE + 1])
def test_a_file_of_the_wrong_size_on_disk_is_fetched_again(shelf: Shelf, length: int) -> None:
    shelf.read("a")
    with shelf.path("a").open("r+b") as file:
        file.truncate(length)
    assert shelf.read("a") == content_of("a")
    assert shelf.fetched == ["a", "a"]


def test_the_bucket_s_corrupt_object_is_not_kept(bucket: Bucket, shelf: Shelf) -> None:
    key, digest = "cache-corrupt/a.tar", sha256(content_of("a"))
    bucket.put(key, bytes(SIZE), replaces=None)
    for _ in range(2):
        with pytest.raises(CorruptObjectError):
            shelf.cache.open(digest, SIZE, lambda target: bucket.download(key, target, digest))
        assert shelf.cache.bytes_held() == 0


@pytest.fixture
def killed(tmp_path: Path) -> Callable[[Path, int, bytes], None]:
    """Begins a fetch in a process and ends it with SIGKILL in the middle."""

    def kill(folder: Path, limit: int, content: bytes) -> None:
        started = tmp_path / "started"
        process = multiprocessing.get_context("spawn").Process(
            target=cache_processes.begin, args=(folder, limit, content, started)
        )
        process.start()
        deadline = time.monotonic() + 30
        while not started.exists():
            assert process.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        process.close()

    return kill


def test_a_fetch_killed_in_the_middle_leaves_nothing_that_is_served(
    killed: Callable[[Path, int, bytes], None], shelf: Shelf
) -> None:
    killed(shelf.cache.folder, 4 * SIZE, content_of("a"))
    assert partials(shelf.cache.folder) != []
    assert not shelf.path("a").exists()
    assert shelf.read("a") == content_of("a")
    assert shelf.fetched == ["a"]


def test_what_a_killed_fetch_left_does_not_take_up_the_cache(
    killed: Callable[[Path, int, bytes], None], tmp_path: Path
) -> None:
    shelf = Shelf(tmp_path / "cache", files=1)
    killed(shelf.cache.folder, SIZE, content_of("a"))
    assert shelf.read("a") == content_of("a")
    assert partials(tmp_path) == []
    assert shelf.cache.bytes_held() == SIZE


# The disk


def test_a_folder_deleted_underneath_is_made_again(shelf: Shelf) -> None:
    with shelf.open("a") as open_file:
        shutil.rmtree(shelf.cache.folder)
        assert open_file.read() == content_of("a")
    assert shelf.read("a") == content_of("a")
    assert shelf.fetched == ["a", "a"]


def test_a_folder_deleted_during_a_fetch_is_no_harm_to_the_next_one(shelf: Shelf) -> None:
    def fetch(target: BinaryIO) -> None:
        target.write(content_of("a"))
        shutil.rmtree(shelf.cache.folder)

    with pytest.raises(CacheUnavailableError):
        shelf.cache.open(sha256(content_of("a")), SIZE, fetch)
    assert shelf.read("a") == content_of("a")


def test_a_folder_that_cannot_be_made_is_told_and_nothing_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    shelf = Shelf(tmp_path / "file")
    with pytest.raises(CacheUnavailableError, match="cannot be written"):
        shelf.read("a")
    assert shelf.fetched == []


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        said = pool.apply(cache_processes.open_on_a_full_disk, (tmp_path, content_of("a"), SIZE - 1))
    assert "cannot be written" in said
    assert DiskCache(tmp_path, 0).bytes_held() == 0


def test_files_of_others_in_the_folder_are_left_alone(shelf: Shelf) -> None:
    stranger = shelf.cache.folder / "notes" / "mine.txt"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(bytes(100 * SIZE))
    for number in range(8):
        shelf.read(str(number))
    assert stranger.stat().st_size == 100 * SIZE


def test_no_locks_pile_up(shelf: Shelf) -> None:
    for number in range(20):
        shelf.read(str(number))
    assert {path.name for path in (shelf.cache.folder / "locks").iterdir()} <= {"room"}


def test_a_child_that_was_forked_in_the_meantime_holds_no_lock(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10**6)
    content = b"x" * 100
    name = hashlib.sha256(content).hexdigest()
    children: list[int] = []

    def fail(target: BinaryIO) -> None:
        children.append(fork_and_wait())
        raise StoreUnavailableError("not now")

    try:
        with pytest.raises(StoreUnavailableError):
            cache.open(name, 100, fail)
        with cache.open(name, 100, lambda target: target.write(content)) as file:  # would wait for the child
            assert file.read() == content
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def fork_and_wait() -> int:
    child = os.fork()
    if child == 0:
        time.sleep(120)
        os._exit(0)
    return child
