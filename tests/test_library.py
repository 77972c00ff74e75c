"""What a replica knows of the bucket: fresh while the store answers, kept when it does not, never a spoilt thing."""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
import socket
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest
from catalogues import build, make_video
from tcp_gate import Gate

from gygo_server import library as library_module
from gygo_server.access.caller import Caller
from gygo_server.catalogue.reader import Catalogue
from gygo_server.catalogue.video_query import VideoFilter
from gygo_server.errors import (
    CorruptObjectError,
    GygoError,
    NotFoundError,
    ReleaseComingError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    WithdrawnError,
)
from gygo_server.library import MISS_SECONDS, Library
from gygo_server.model import Dataset, ReleaseEntry
from gygo_server.store import dataset_file, keys
from gygo_server.store.bucket import Bucket

T = TypeVar("T")

ANYBODY = Caller.anonymous()

SQLITE = "application/vnd.sqlite3"


@pytest.fixture(scope="module")
def shelf(bucket_named: Callable[[str], Bucket]) -> Bucket:
    """A bucket of these tests' own: some spoil what is in it."""
    return bucket_named("gygo-library")


class Publisher(NamedTuple):
    """Publishes small catalogues, as an ingest does: the catalogue first, then its name."""

    bucket: Bucket
    folder: Path

    def publish(self, dataset: str, release: str, *videos: str) -> ReleaseEntry:
        path = build(
            self.folder / f"{dataset}-{release}", [make_video(name) for name in videos], dataset=dataset, id=release
        )
        return self.publish_file(dataset, release, path)

    def publish_file(self, dataset: str, release: str, path: Path) -> ReleaseEntry:
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        self.bucket.put_file(keys.catalogue(dataset, release, sha256), path, sha256, SQLITE)
        entry = ReleaseEntry(release, "2026-01-01T00:00:00Z", sha256, len(content))
        self.change(dataset, lambda found: replace(found, releases=(*found.releases, entry)))
        return entry

    def change(self, dataset: str, change: Callable[[Dataset], Dataset]) -> None:
        stored = self.bucket.find(keys.dataset_file(dataset))
        found = dataset_file.decode(stored.content, dataset) if stored else Dataset(dataset, dataset.title())
        self.write(dataset, dataset_file.encode(change(found)))

    def write(self, dataset: str, content: bytes) -> None:
        stored = self.bucket.find(keys.dataset_file(dataset))
        self.bucket.put(keys.dataset_file(dataset), content, replaces=stored.etag if stored else None)

    def withdraw(self, dataset: str, release: str, reason: str | None) -> None:
        def change(found: Dataset) -> Dataset:
            gone = {"withdrawn_at": "2026-02-02T00:00:00Z", "withdrawn_reason": reason}
            releases = tuple(replace(e, **gone) if e.id == release else e for e in found.releases)  # type: ignore[arg-type]
            return replace(found, releases=releases)

        self.change(dataset, change)


@pytest.fixture
def publisher(shelf: Bucket, tmp_path: Path) -> Publisher:
    folder = tmp_path / "publisher"
    folder.mkdir()
    return Publisher(shelf, folder)


@pytest.fixture
def library_of(shelf: Bucket, tmp_path: Path) -> Callable[..., Library]:
    """A replica over the bucket, whose folder is `replica` unless another is named."""

    def make(
        folder: str = "replica",
        *,
        endpoint: str | None = None,
        refresh_seconds: float = 0.1,
        catalogue_bytes: int = 10**9,
        timeout: float = 2.0,
        **more: str,
    ) -> Library:
        bucket = shelf
        if endpoint or more:
            settings = replace(shelf.settings, endpoint=endpoint or shelf.settings.endpoint, timeout=timeout, **more)
            bucket = Bucket(settings)
        return Library(
            bucket,
            tmp_path / folder,
            catalogue_bytes=catalogue_bytes,
            refresh_seconds=refresh_seconds,
            connections=2,
        )

    return make


def soon(ask: Callable[[], T], wanted: Callable[[T], bool], seconds: float = 10) -> T:
    """The answer, as soon as it is the one wanted."""
    deadline = time.monotonic() + seconds
    while not wanted(answer := ask()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    return answer


def releases(library: Library, dataset: str) -> list[str]:
    found = library.known().get(dataset)
    return [entry.id for entry in found.releases] if found else []


DEAD = "http://127.0.0.1:1"


# Fresh


def test_a_published_release_can_be_read(publisher: Publisher, library_of: Callable[..., Library]) -> None:
    entry = publisher.publish("fresh-1", "r1", "a", "b/c")
    release = library_of().release("fresh-1", "r1", ANYBODY)
    assert release.entry == entry
    assert release.dataset.id == "fresh-1"
    assert release.catalogue.release["counts"]["videos"] == 2
    assert release.catalogue.video("b:c") is not None


def test_datasets_are_listed_in_order_and_other_prefixes_are_not(
    publisher: Publisher, library_of: Callable[..., Library]
) -> None:
    for dataset in ("fresh-2b", "fresh-2a"):
        publisher.publish(dataset, "r1", "a")
    publisher.bucket.put("_keys/fresh-2.json", b"{}", replaces=None)
    publisher.bucket.put("fresh-2c/videos/on-its-way.tar", b"", replaces=None)
    found = [name for name in library_of().known() if not name.startswith("fresh-2") or name[-1] in "abc"]
    assert found == sorted(found)
    assert {"fresh-2a", "fresh-2b"} <= set(found)
    assert not {"_keys", "fresh-2c"} & set(found)


def test_a_new_release_is_seen_after_the_refresh_time(publisher: Publisher, library_of: Callable[..., Library]) -> None:
    publisher.publish("fresh-3", "r1", "a")
    library = library_of()
    assert releases(library, "fresh-3") == ["r1"]
    publisher.publish("fresh-3", "r2", "a", "b")
    assert soon(lambda: releases(library, "fresh-3"), lambda ids: len(ids) == 2) == ["r1", "r2"]
    assert library.dataset("fresh-3", ANYBODY).latest == library.entry("fresh-3", "r2", ANYBODY)[1]


def test_the_bucket_is_not_asked_within_the_refresh_time(
    publisher: Publisher, library_of: Callable[..., Library], gate: Gate
) -> None:
    publisher.publish("fresh-4", "r1", "a")
    library = library_of(endpoint=gate.endpoint, refresh_seconds=3600)
    library.release("fresh-4", "r1", ANYBODY)
    gate.shut()
    before = gate.connections
    for _ in range(50):
        library.release("fresh-4", "r1", ANYBODY)
        library.known()
    assert gate.connections == before


def test_what_is_not_known_is_looked_up_at_once(publisher: Publisher, library_of: Callable[..., Library]) -> None:
    """A release that was published just now can be read at once, however long the refresh time."""
    publisher.publish("fresh-5", "r1", "a")
    library = library_of(refresh_seconds=3600)
    library.dataset("fresh-5", ANYBODY)
    publisher.publish("fresh-5", "r2", "a")
    publisher.publish("fresh-5-new", "r1", "a")
    time.sleep(MISS_SECONDS + 0.05)
    assert library.release("fresh-5", "r2", ANYBODY).entry.id == "r2"
    assert library.release("fresh-5-new", "r1", ANYBODY).entry.id == "r1"


def test_misses_do_not_ask_the_bucket_again_and_again(
    publisher: Publisher, library_of: Callable[..., Library], gate: Gate
) -> None:
    publisher.publish("fresh-6", "r1", "a")
    library = library_of(endpoint=gate.endpoint, refresh_seconds=3600)
    library.dataset("fresh-6", ANYBODY)
    gate.shut()
    before = gate.connections
    for number in range(50):
        with pytest.raises(NotFoundError):
            library.dataset(f"fresh-6-{number}", ANYBODY)
    assert gate.connections - before <= 4


def test_what_is_nowhere_is_not_found(publisher: Publisher, library_of: Callable[..., Library]) -> None:
    publisher.publish("fresh-7", "r1", "a")
    library = library_of()
    with pytest.raises(NotFoundError, match="fresh-7-none") as caught:
        library.release("fresh-7-none", "r1", ANYBODY)
    assert caught.value.kind == "dataset"
    with pytest.raises(NotFoundError, match="r9") as caught:
        library.release("fresh-7", "r9", ANYBODY)
    assert caught.value.kind == "release"


def test_a_dataset_deleted_from_the_bucket_goes(publisher: Publisher, library_of: Callable[..., Library]) -> None:
    publisher.publish("fresh-8", "r1", "a")
    library = library_of()
    assert library.dataset("fresh-8", ANYBODY)
    publisher.bucket.delete(keys.dataset_file("fresh-8"))
    soon(lambda: releases(library, "fresh-8"), lambda ids: ids == [])
    with pytest.raises(NotFoundError):
        library.release("fresh-8", "r1", ANYBODY)


def test_a_dataset_that_goes_while_a_release_of_it_is_looked_up_is_not_found(
    publisher: Publisher, library_of: Callable[..., Library]
) -> None:
    publisher.publish("fresh-9", "r1", "a")
    library = library_of(refresh_seconds=3600)
    library.dataset("fresh-9", ANYBODY)
    publisher.bucket.delete(keys.dataset_file("fresh-9"))
    time.sleep(MISS_SECONDS + 0.05)
    with pytest.raises(NotFoundError):
        library.release("fresh-9", "r-unknown", ANYBODY)


# Withdrawn


def test_a_withdrawn_release_says_when_and_why(publisher: Publisher, library_of: Callable[..., Library]) -> None:
    publisher.publish("withdrawn-1", "r1", "a")
    publisher.publish("withdrawn-1", "r2", "a", "b")
    library = library_of()
    assert library.release("withdrawn-1", "r2", ANYBODY)
    publisher.withdraw("withdrawn-1", "r2", "faces in it")
    soon(lambda: library.dataset("withdrawn-1", ANYBODY).latest, lambda entry: entry is not None and entry.id == "r1")
    with pytest.raises(WithdrawnError, match=r"2026-02-02T00:00:00Z: faces in it"):
        library.release("withdrawn-1", "r2", ANYBODY)
    with pytest.raises(WithdrawnError):
        library.entry("withdrawn-1", "r2", ANYBODY)
    assert library.release("withdrawn-1", "r1", ANYBODY).catalogue.video("a") is not None


def test_a_dataset_whose_releases_are_all_withdrawn_has_no_latest(
    publisher: Publisher, library_of: Callable[..., Library]
) -> None:
    publisher.publish("withdrawn-2", "r1", "a")
    publisher.withdraw("withdrawn-2", "r1", None)
    library = library_of()
    assert library.dataset("withdrawn-2", ANYBODY).latest is None
    with pytest.raises(WithdrawnError, match=r"withdrawn at 2026-02-02T00:00:00Z$"):
        library.release("withdrawn-2", "r1", ANYBODY)


# The store goes away


def test_a_running_replica_goes_on_without_the_store_and_catches_up(
    publisher: Publisher, library_of: Callable[..., Library], gate: Gate
) -> None:
    publisher.publish("away-1", "r1", "a")
    library = library_of(endpoint=gate.endpoint)
    library.release("away-1", "r1", ANYBODY)
    gate.shut()
    publisher.publish("away-1", "r2", "a", "b")
    for _ in range(5):
        time.sleep(0.15)  # refreshes fail in between
        assert library.release("away-1", "r1", ANYBODY).catalogue.video("a") is not None
    assert releases(library, "away-1") == ["r1"]
    gate.open()
    soon(lambda: releases(library, "away-1"), lambda ids: ids == ["r1", "r2"])
    assert library.release("away-1", "r2", ANYBODY).catalogue.video("b") is not None


def test_a_refresh_that_hangs_keeps_nobody_waiting(
    publisher: Publisher, library_of: Callable[..., Library], shelf: Bucket, tmp_path: Path
) -> None:
    publisher.publish("away-2", "r1", "a")
    library_of().release("away-2", "r1", ANYBODY)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        library = library_of(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.4)
        library.known()  # the first time it must wait, and then has what the one before it kept
        time.sleep(0.15)
        begun = time.monotonic()
        for _ in range(20):
            assert library.release("away-2", "r1", ANYBODY).catalogue.video("a") is not None
        assert time.monotonic() - begun < 1
        wait_for_refreshes()


def wait_for_refreshes() -> None:
    """Refreshes run in threads of their own: a test that ends before them would leave them to the next one."""
    for thread in threading.enumerate():
        if "(_refresh)" in thread.name:
            thread.join()


def test_a_replica_that_starts_without_the_store_serves_what_the_one_before_it_kept(
    publisher: Publisher, library_of: Callable[..., Library]
) -> None:
    publisher.publish("away-3", "r1", "a")
    library_of().release("away-3", "r1", ANYBODY)
    started = library_of(endpoint=DEAD)
    assert started.dataset("away-3", ANYBODY).title == "Away-3"
    assert started.release("away-3", "r1", ANYBODY).catalogue.video("a") is not None
    wait_for_refreshes()


def test_a_kept_dataset_without_its_catalogue_says_that_the_store_is_away(
    publisher: Publisher, library_of: Callable[..., Library]
) -> None:
    publisher.publish("away-4", "r1", "a")
    library_of().dataset("away-4", ANYBODY)
    started = library_of(endpoint=DEAD)
    assert releases(started, "away-4") == ["r1"]
    with pytest.raises(StoreUnavailableError):
        started.release("away-4", "r1", ANYBODY)
    wait_for_refreshes()


def test_a_spoilt_kept_file_does_not_take_the_others_away(
    publisher: Publisher, library_of: Callable[..., Library], tmp_path: Path
) -> None:
    for dataset in ("away-5a", "away-5b", "away-5c"):
        publisher.publish(dataset, "r1", "a")
    library_of().known()
    (tmp_path / "replica" / "datasets" / "away-5b.json").write_bytes(b"{half")
    started = library_of(endpoint=DEAD)
    found = set(started.known())
    assert {"away-5a", "away-5c"} <= found
    assert "away-5b" not in found
    wait_for_refreshes()


def test_a_replica_that_knows_nothing_says_that_the_store_is_away_and_then_recovers(
    publisher: Publisher, library_of: Callable[..., Library], gate: Gate
) -> None:
    publisher.publish("away-6", "r1", "a")
    library = library_of(endpoint=gate.endpoint)
    gate.shut()
    for ask in (
        library.known,
        lambda: library.dataset("away-6", ANYBODY),
        lambda: library.release("away-6", "r1", ANYBODY),
    ):
        with pytest.raises(StoreUnavailableError):
            ask()
    gate.open()
    assert library.release("away-6", "r1", ANYBODY).catalogue.video("a") is not None


def test_a_bucket_that_does_not_exist_is_told(library_of: Callable[..., Library]) -> None:
    with pytest.raises(StoreRefusedError, match="no such bucket"):
        library_of(bucket="gygo-library-none").known()


def test_a_folder_that_cannot_be_written_costs_only_the_keeping(
    publisher: Publisher, library_of: Callable[..., Library], tmp_path: Path
) -> None:
    publisher.publish("away-7", "r1", "a")
    (tmp_path / "file").touch()
    library = library_of("file/below")
    assert releases(library, "away-7") == ["r1"]
    with pytest.raises(StoreUnavailableError, match="no room"):
        library.release("away-7", "r1", ANYBODY)


def test_a_catalogue_that_the_disk_has_no_room_for_is_told(
    publisher: Publisher, library_of: Callable[..., Library]
) -> None:
    publisher.publish("away-8", "r1", "a")
    with pytest.raises(StoreUnavailableError, match="away-8/r1"):
        library_of(catalogue_bytes=100).release("away-8", "r1", ANYBODY)


def test_a_folder_deleted_while_it_is_in_use_does_no_harm(
    publisher: Publisher, library_of: Callable[..., Library], tmp_path: Path
) -> None:
    publisher.publish("away-9", "r1", "a")
    publisher.publish("away-9", "r2", "b")
    library = library_of()
    first = library.release("away-9", "r1", ANYBODY)
    shutil.rmtree(tmp_path / "replica")
    assert first.catalogue.video("a") is not None
    assert library.release("away-9", "r1", ANYBODY).catalogue.video("a") is not None
    assert library.release("away-9", "r2", ANYBODY).catalogue.video("b") is not None


# Spoilt


def document(dataset: str = "%s", **other: object) -> bytes:
    """A dataset file with parts of it replaced; ``%s`` stands for the dataset's id."""
    sound = {"title": "", "description": None, "license": None, "homepage": None, "releases": []}
    return json.dumps({"format": 1, "id": dataset, **sound, **other}).encode()


SPOILT = {
    "nothing": b"",
    "no JSON": b"{half",
    "not an object": b"[]",
    "another format": document(format=99),
    "another dataset": document("other"),
    "no releases": document(releases=None),
    "a release of nothing": document(releases=[{}]),
    "a release that is text": document(releases=["r1"]),
    "no text": bytes(range(256)),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_dataset_does_not_take_the_others_away(
    publisher: Publisher, library_of: Callable[..., Library], kind: str
) -> None:
    name = "spoilt-" + hashlib.sha256(kind.encode()).hexdigest()[:8]
    publisher.publish(f"{name}-other", "r1", "a")
    publisher.write(name, SPOILT[kind].replace(b"%s", name.encode()))
    library = library_of()
    assert library.release(f"{name}-other", "r1", ANYBODY).catalogue.video("a") is not None
    with pytest.raises(NotFoundError):
        library.dataset(name, ANYBODY)


def test_a_dataset_spoilt_while_it_is_served_is_served_as_it_was_and_heals(
    publisher: Publisher, library_of: Callable[..., Library], gate: Gate
) -> None:
    publisher.publish("spoilt-1", "r1", "a")
    publisher.publish("spoilt-1-other", "r1", "a")
    library = library_of()
    library.dataset("spoilt-1", ANYBODY)
    sound = publisher.bucket.get(keys.dataset_file("spoilt-1")).content
    publisher.write("spoilt-1", b"{half")
    publisher.publish("spoilt-1-other", "r2", "a")
    soon(lambda: releases(library, "spoilt-1-other"), lambda ids: ids == ["r1", "r2"])
    assert releases(library, "spoilt-1") == ["r1"]
    publisher.write("spoilt-1", sound)
    publisher.publish("spoilt-1", "r2", "b")
    soon(lambda: releases(library, "spoilt-1"), lambda ids: ids == ["r1", "r2"])


def test_a_catalogue_of_other_bytes_is_refused_until_the_right_ones_are_back(
    publisher: Publisher, library_of: Callable[..., Library], tmp_path: Path
) -> None:
    entry = publisher.publish("spoilt-2", "r1", "a")
    key = keys.catalogue("spoilt-2", "r1", entry.catalogue_sha256)
    sound = publisher.bucket.get(key).content
    publisher.bucket.delete(key)
    publisher.bucket.put(key, sound[:-1] + b"!", replaces=None)
    library = library_of()
    for _ in range(2):
        with pytest.raises(CorruptObjectError, match=entry.catalogue_sha256):
            library.release("spoilt-2", "r1", ANYBODY)
    assert not list((tmp_path / "replica" / "catalogues").glob("??/*"))
    publisher.bucket.delete(key)
    publisher.bucket.put(key, sound, replaces=None)
    assert library.release("spoilt-2", "r1", ANYBODY).catalogue.video("a") is not None


def test_a_catalogue_that_is_gone_is_told(publisher: Publisher, library_of: Callable[..., Library]) -> None:
    entry = publisher.publish("spoilt-3", "r1", "a")
    publisher.bucket.delete(keys.catalogue("spoilt-3", "r1", entry.catalogue_sha256))
    with pytest.raises(StoreError, match=entry.catalogue_sha256):
        library_of().release("spoilt-3", "r1", ANYBODY)


def test_a_published_file_that_is_no_catalogue_is_refused_in_our_words(
    publisher: Publisher, library_of: Callable[..., Library], tmp_path: Path
) -> None:
    (tmp_path / "text").write_bytes(b"no database at all " * 1000)
    publisher.publish_file("spoilt-4", "r1", tmp_path / "text")
    with pytest.raises(CorruptObjectError, match="not a database"):
        library_of().release("spoilt-4", "r1", ANYBODY)


def test_a_catalogue_of_another_version_of_this_software_is_refused_in_our_words(
    publisher: Publisher, library_of: Callable[..., Library], tmp_path: Path
) -> None:
    path = build(tmp_path / "newer", [make_video("a")])
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=999")
    publisher.publish_file("spoilt-5", "r1", path)
    with pytest.raises(GygoError, match="schema 999"):
        library_of().release("spoilt-5", "r1", ANYBODY)


# Large catalogues, which take a while to come


def test_who_asks_for_a_release_that_is_on_its_way_is_told_so_and_others_do_not_wait(
    publisher: Publisher, library_of: Callable[..., Library], gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "FETCH_SECONDS", 0.3)
    publisher.publish("coming-1", "r1", "a")
    publisher.publish("coming-1", "r2", "a", "b")
    library = library_of(endpoint=gate.endpoint, refresh_seconds=3600, timeout=60)
    library.release("coming-1", "r1", ANYBODY)
    gate.lets_through.clear()
    for _ in range(2):
        with pytest.raises(ReleaseComingError, match=r"coming-1/r2 \(0 MB\) is on its way"):
            library.release("coming-1", "r2", ANYBODY)
        assert library.release("coming-1", "r1", ANYBODY).catalogue.video("a") is not None
    before = gate.connections
    gate.lets_through.set()
    monkeypatch.setattr(library_module, "FETCH_SECONDS", 30)
    assert library.release("coming-1", "r2", ANYBODY).catalogue.video("b") is not None
    assert gate.connections == before, "it is fetched once"


def test_a_release_that_could_not_be_fetched_is_tried_again(
    publisher: Publisher, library_of: Callable[..., Library], gate: Gate
) -> None:
    publisher.publish("coming-2", "r1", "a")
    library = library_of(endpoint=gate.endpoint, refresh_seconds=3600)
    library.known()
    gate.shut()
    with pytest.raises(StoreUnavailableError):
        library.release("coming-2", "r1", ANYBODY)
    gate.open()
    assert soon(lambda: _video_of(library, "coming-2"), lambda video: video is not None)


def test_without_another_thread_a_release_is_refused_for_now(
    publisher: Publisher, library_of: Callable[..., Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish("coming-3", "r1", "a")
    library = library_of()
    library.known()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match="no room here"):
                library.release("coming-3", "r1", ANYBODY)
    assert library.release("coming-3", "r1", ANYBODY).catalogue.video("a") is not None


def test_of_open_catalogues_the_one_not_used_for_longest_closes_at_once(
    publisher: Publisher, library_of: Callable[..., Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "OPEN_CATALOGUES", 2)
    for number in range(4):
        publisher.publish("many-1", f"r{number}", "a")
    library = library_of(refresh_seconds=3600)

    def catalogue(number: int) -> weakref.ref[Catalogue]:
        found = library.release("many-1", f"r{number}", ANYBODY).catalogue
        assert found.video("a") is not None
        assert found.count(VideoFilter(q="a")) == 1
        return weakref.ref(found)

    used, other = catalogue(0), catalogue(1)
    gc.disable()
    try:
        for number in (2, 0, 3, 0):
            catalogue(number)
        assert used() is not None, "it was used all the time"
        assert other() is None, "nobody needs to look for garbage to close it"
    finally:
        gc.enable()


def _video_of(library: Library, dataset: str) -> str | None:
    try:
        return library.release(dataset, "r1", ANYBODY).catalogue.video("a")
    except StoreUnavailableError:
        return None


# Threads


def test_many_threads_open_one_release_once(
    publisher: Publisher, library_of: Callable[..., Library], gate: Gate
) -> None:
    publisher.publish("threads-1", "r1", "a")
    library = library_of(endpoint=gate.endpoint, refresh_seconds=3600)
    start = threading.Barrier(12)

    def read(_: int) -> int:
        start.wait()
        return id(library.release("threads-1", "r1", ANYBODY).catalogue)

    with ThreadPoolExecutor(12) as pool:
        assert len(set(pool.map(read, range(12)))) == 1
    assert gate.connections <= 3


def test_readers_and_a_publisher_at_once(publisher: Publisher, library_of: Callable[..., Library]) -> None:
    """A release is seen whole or not at all, in the order of publication, by whoever reads meanwhile."""
    publisher.publish("threads-2", "r0", "a")
    library = library_of()
    done = threading.Event()

    def read(_: int) -> None:
        seen: list[str] = []
        while not done.is_set():
            now = releases(library, "threads-2")
            assert now[: len(seen)] == seen
            seen = now
            assert library.release("threads-2", seen[-1], ANYBODY).catalogue.release["id"] == seen[-1]
            time.sleep(0.01)

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, number) for number in range(4)]
        try:
            for number in range(1, 6):
                publisher.publish("threads-2", f"r{number}", *map(str, range(number)))
                time.sleep(0.1)
            soon(lambda: releases(library, "threads-2"), lambda ids: len(ids) == 6)
        finally:
            done.set()
        for each in readers:
            each.result()
