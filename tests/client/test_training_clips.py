"""Training clips from a real store: every clip of an epoch exactly once, whatever happens on the way."""

from __future__ import annotations

import json
import multiprocessing
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tcp_gate import Gate

import gygo
from gygo import fetching
from gygo.disk_cache import DiskCache
from gygo.http import RefusedUrlError
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.settings import Settings
from gygo_server.store.bucket import Bucket

Place = tuple[str, str, int, int]


def places(clips: Iterator[gygo.Clip] | gygo.Clips) -> list[Place]:
    return [(clip.dataset, clip.video, clip.request.start, clip.request.step) for clip in clips]


def expected(clips: gygo.Clips) -> list[Place]:
    """The clips of the epoch of all readers, without fetching one."""
    listed = clips.listed()
    return [
        (clips.sources[at.release].release.dataset, listed[at.release][0][at.video], at.start, at.step)
        for at in clips.order()
    ]


@pytest.fixture(scope="module")
def releases(service_url: str, published: dict[str, Path]) -> list[gygo.Release]:
    client = gygo.connect(service_url, patience=20)
    return [client.release("toys"), client.release("multi")]


def test_an_epoch_mixes_releases_and_has_each_clip_once(releases: list[gygo.Release]) -> None:
    clips = gygo.Clips(releases, length=2, decode=False)
    given = places(clips)
    assert given == expected(gygo.Clips(releases, length=2))
    assert len(given) == len(set(given)) == len(clips)
    assert {place[0] for place in given[: len(given) // 2]} == {"toys", "multi"}
    assert clips.epoch == 1
    assert sorted(places(clips)) != sorted(given)
    assert {place[:2] for place in expected(clips)} == {place[:2] for place in given}


def test_clips_hold_what_was_published(releases: list[gygo.Release], published: dict[str, Path]) -> None:
    for clip in gygo.Clips(releases, length=3, max_skip=2, resolution="original"):
        tree = published[clip.dataset]
        name = clip.video.replace(":", "/")
        for at, stem in enumerate(clip.names):
            assert clip.image_files[at] == (tree / f"JPEGImages/original/{name}/{stem}.jpg").read_bytes()
            assert clip.mask_files[at] == (tree / f"Annotations/original/{name}/{stem}.png").read_bytes()
        assert clip.images.shape == (3, 180, 320, 3)
        assert clip.masks.shape == (3, 180, 320)


def test_videos_of_a_split_are_a_source_too(releases: list[gygo.Release]) -> None:
    train = releases[1].videos(split="train")
    clips = gygo.Clips(train, length=2, decode=False)
    assert {video for _, video, _, _ in places(clips)} == {video.id for video in train}


def test_clips_have_the_resolution_that_their_videos_were_chosen_by(releases: list[gygo.Release]) -> None:
    clips = gygo.Clips([release.videos(resolution="original") for release in releases], length=2, decode=False)
    assert {clip.resolution for clip in clips} == {"original"}
    with pytest.raises(ValueError, match="different resolutions"):
        gygo.Clips([releases[0].videos(resolution="original"), releases[1]])


def test_weights_repeat_a_release(releases: list[gygo.Release]) -> None:
    once = gygo.Clips(releases, length=3)
    more = gygo.Clips(releases, length=3, weights=[1, 3])
    counts = [Counter(place[0] for place in expected(clips)) for clips in (once, more)]
    assert counts[1] == {"toys": counts[0]["toys"], "multi": 3 * counts[0]["multi"]}
    assert places(more) == expected(gygo.Clips(releases, length=3, weights=[1, 3]))


def test_videos_too_short_for_a_clip_are_left_out_and_counted(releases: list[gygo.Release]) -> None:
    lengths = [len(video) for release in releases for video in release.videos()]
    clips = gygo.Clips(releases, length=6, decode=False)
    assert clips.too_short == sum(length < 6 for length in lengths)
    assert len({place[:2] for place in expected(clips)}) == sum(length >= 6 for length in lengths)


def test_a_source_without_clips_is_an_error_that_says_why(releases: list[gygo.Release]) -> None:
    with pytest.raises(gygo.EmptySourceError, match=r"0 of 5 videos .*splits are: train, val"):
        len(gygo.Clips([releases[0], releases[1].videos(split="trian")]))
    with pytest.raises(gygo.EmptySourceError, match="6 of them too short"):
        next(iter(gygo.Clips(releases[0], length=1000)))
    with pytest.raises(TypeError, match="'toys'"):
        gygo.Clips("toys")  # type: ignore[arg-type]


@pytest.mark.parametrize(("world", "batch"), [(1, 4), (2, 3), (3, 1)])
def test_ranks_have_equally_many_whole_batches_when_asked(releases: list[gygo.Release], world: int, batch: int) -> None:
    ranks = [
        gygo.Clips(releases, length=2, rank=rank, world=world, batch_size=batch, drop_last=True, decode=False)
        for rank in range(world)
    ]
    given = [places(clips) for clips in ranks]
    assert {len(each) for each in given} == {len(ranks[0])}
    assert len(ranks[0]) % batch == 0
    left_out = set(expected(gygo.Clips(releases, length=2))) - set(chain(*given))
    assert len(left_out) < world * batch


@pytest.mark.parametrize("wrong", [{"length": 0}, {"rank": 2, "world": 2}, {"images": False, "masks": False}])
def test_settings_that_contradict_are_refused(releases: list[gygo.Release], wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"count from 1|is not below world"):
        gygo.Clips(releases, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one source"):
        gygo.Clips([])


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2))
def test_ranks_and_workers_share_an_epoch_and_resume_anywhere(
    releases: list[gygo.Release], data: st.DataObject, world: int, workers: int, batch: int, epoch: int
) -> None:
    def reader(rank: int) -> gygo.Clips:
        clips = gygo.Clips(releases, length=2, rank=rank, world=world, batch_size=batch, decode=False, connections=2)
        clips.set_epoch(epoch)
        return clips

    given = []
    for rank, worker in ((rank, worker) for rank in range(world) for worker in range(workers)):
        clips = reader(rank)
        stop = data.draw(st.integers(0, clips.order().__len__()))
        given += places(islice(clips.iterate(lambda clip: clip, worker, workers), stop))
        state = json.loads(json.dumps(clips.state_dict()))
        resumed = gygo.Clips(releases, length=2, rank=rank, world=world, batch_size=batch, decode=False)
        resumed.load_state_dict(state)
        given += places(resumed.iterate(lambda clip: clip, worker, workers))
    assert sorted(given) == sorted(expected(reader(0)))


@pytest.mark.parametrize(("before", "after"), [((2, 1), (3, 2)), ((1, 3), (1, 2)), ((3, 2), (1, 1))])
def test_ranks_that_took_equally_many_may_resume_as_other_ranks(
    releases: list[gygo.Release], before: tuple[int, int], after: tuple[int, int]
) -> None:
    """As after a job came back on fewer machines; ``(ranks, workers of each)``."""
    taken, given, state = 4, [], {}
    for rank in range(before[0]):
        clips = gygo.Clips(releases, length=2, rank=rank, world=before[0], decode=False)
        given += places(islice(iter(clips), taken))
        state = gygo.Clips(releases, length=2, rank=rank, world=before[0]).state_dict(taken=taken)
    for rank, worker in ((rank, worker) for rank in range(after[0]) for worker in range(after[1])):
        clips = gygo.Clips(releases, length=2, rank=rank, world=after[0], decode=False)
        clips.load_state_dict(state)
        given += places(clips.iterate(lambda clip: clip, worker, after[1]))
    assert sorted(given) == sorted(expected(gygo.Clips(releases, length=2)))


def test_breaking_off_and_beginning_again_begins_the_epoch(releases: list[gygo.Release]) -> None:
    clips = gygo.Clips(releases, length=2, decode=False)
    first = places(islice(iter(clips), 3))
    assert places(islice(iter(clips), 3)) == first
    assert clips.epoch == 0


def test_what_was_taken_after_resuming_as_other_ranks_counts_from_there(releases: list[gygo.Release]) -> None:
    state = gygo.Clips(releases, length=2, rank=0, world=4).state_dict(taken=2)  # eight clips
    resumed = gygo.Clips(releases, length=2, rank=1, world=2)
    resumed.load_state_dict(state)
    again = gygo.Clips(releases, length=2, decode=False)
    again.load_state_dict(resumed.state_dict(taken=3))  # six more
    assert places(again) == expected(gygo.Clips(releases, length=2))[14:]


def test_a_state_of_filters_survives_json(releases: list[gygo.Release]) -> None:
    videos = releases[1].videos(split=("train", "val"))
    state = json.loads(json.dumps(gygo.Clips(videos, length=2).state_dict()))
    gygo.Clips(releases[1].videos(split=["train", "val"]), length=2).load_state_dict(state)


def test_two_iterations_at_once_end_in_the_next_epoch(releases: list[gygo.Release]) -> None:
    clips = gygo.Clips(releases, length=2, decode=False)
    for one, other in zip(clips, clips, strict=True):
        assert one.request == other.request
    assert clips.epoch == 1


def test_a_silent_store_does_not_keep_the_process_from_ending(serve_with: Callable[..., str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        url = serve_with()
        program = f"""
import threading, time, gygo, os, signal
release = gygo.connect({url!r}).release("multi")
located = gygo.fetching.ClipFetcher.locate
def elsewhere(self, *asked):
    found = located(self, *asked)
    for each in found:
        each.answer["url"] = {endpoint!r} + "/a.tar"
    return found
gygo.fetching.ClipFetcher.locate = elsewhere
threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
for clip in gygo.Clips(release, length=2):
    pass
"""
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=13, check=False)
    assert "KeyboardInterrupt" in run.stderr


def test_a_state_of_another_order_is_refused(releases: list[gygo.Release]) -> None:
    state = gygo.Clips(releases, length=2, seed=1).state_dict()
    with pytest.raises(ValueError, match="differ: length, seed"):
        gygo.Clips(releases, length=3).load_state_dict(state)
    with pytest.raises(ValueError, match="not a state"):
        gygo.Clips(releases).load_state_dict({})


def test_a_state_of_one_of_several_workers_wants_as_many(releases: list[gygo.Release]) -> None:
    clips = gygo.Clips(releases, length=2, decode=False)
    next(clips.iterate(lambda clip: clip, 0, 2))
    resumed = gygo.Clips(releases, length=2, decode=False)
    resumed.load_state_dict(clips.state_dict())
    with pytest.raises(ValueError, match="one of 2 workers"):
        next(resumed.iterate(lambda clip: clip, 0, 3))


def test_no_more_requests_are_in_flight_than_allowed(releases: list[gygo.Release]) -> None:
    flying, most, lock = 0, 0, threading.Lock()

    class Counting(fetching.ClipFetcher):
        def fetch(self, located: fetching.LocatedClip) -> gygo.Clip:
            nonlocal flying, most
            with lock:
                flying += 1
                most = max(most, flying)
            try:
                return super().fetch(located)
            finally:
                with lock:
                    flying -= 1

    clips = gygo.Clips(releases, length=2, decode=False, connections=3)
    clips._fetcher = Counting()
    assert len(places(clips)) == len(expected(gygo.Clips(releases, length=2)))
    assert 1 < most <= 3


# When things go wrong


@pytest.fixture
def through(
    serve_with: Callable[..., str], settings: Settings, published: dict[str, Path]
) -> Iterator[tuple[Gate, str]]:
    """A network that can be cut, between a client and the store; and the service."""
    port = int(settings.s3.endpoint.rsplit(":", 1)[1])  # type: ignore[union-attr]
    with Gate(port) as gate:
        yield gate, serve_with(s3=replace(settings.s3, public_endpoint=gate.endpoint))


def test_transfers_that_are_cut_off_are_made_again(through: tuple[Gate, str]) -> None:
    gate, url = through
    clips = gygo.Clips(gygo.connect(url, patience=30).release("multi"), length=2, decode=False)
    all_of_them = expected(clips)
    given = []
    for number, clip in enumerate(clips):
        given += places(iter([clip]))
        if number == 2:
            gate.shut()
            threading.Timer(1, gate.open).start()
    assert given == all_of_them


def test_a_store_that_stays_away_is_told(through: tuple[Gate, str]) -> None:
    gate, url = through
    clips = gygo.Clips(gygo.connect(url, patience=0.5).release("multi"), length=2, decode=False)
    gate.shut()
    with pytest.raises(gygo.UnreachableError, match="no answer"):
        next(iter(clips))


def test_urls_that_expire_in_the_epoch_do_no_harm(serve_with: Callable[..., str], published: dict[str, Path]) -> None:
    release = gygo.connect(serve_with(url_seconds=3), patience=5).release("multi")
    clips = gygo.Clips(release, length=2, decode=False, prefetch=2, connections=2)
    given = []
    for clip in clips:
        given += places(iter([clip]))
        time.sleep(0.15)  # an epoch longer than a URL lives
    assert given == expected(gygo.Clips(release, length=2))


def test_a_url_that_the_store_refuses_is_renewed(serve_with: Callable[..., str], published: dict[str, Path]) -> None:
    release = gygo.connect(serve_with(url_seconds=2), patience=5).release("multi")
    fetcher = fetching.ClipFetcher()
    located = fetcher.locate(release, [gygo.ClipRequest(release.videos()[0].id, 0, 2)])[0]
    wrong_clock = replace(located, deadline=time.monotonic() + 1000)
    time.sleep(3.1)
    with pytest.raises(RefusedUrlError):
        release.http.get_range(wrong_clock.answer["url"], *wrong_clock.span)
    assert len(fetcher.fetch(wrong_clock)) == 2


def test_an_epoch_survives_the_store_being_killed_for_ten_seconds(
    settings: Settings, serve_with: Callable[..., str], binary_tree: Path, tmp_path: Path
) -> None:
    with SeaweedFS(tmp_path / "s3") as store:
        bucket = Bucket(store.settings("killed"), store_keys(store))
        bucket.create()
        publish(Publication(binary_tree, "toys", "r1", workers=1), bucket, tmp_path / "state", Silent())
        with pytest.MonkeyPatch.context() as environment:
            for name, value in store.environment().items():
                environment.setenv(name, value)
            release = gygo.connect(serve_with(s3=store.settings("killed")), patience=120).release("toys")
            clips = gygo.Clips(release, length=2, weights=[5], decode=False, connections=4)
            all_of_them, given, under_way = expected(clips), [], threading.Event()

            def read() -> None:
                for clip in clips:
                    given.extend(places(iter([clip])))
                    if len(given) == 10:
                        under_way.set()

            reader = threading.Thread(target=read)
            reader.start()
            assert under_way.wait(60)
            store.kill()
            time.sleep(10)
            store.start()
            reader.join(120)
            assert given == all_of_them


def store_keys(store: SeaweedFS) -> tuple[str, str]:
    environment = store.environment()
    return environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]


# With archives kept on disk


def count_archives(folder: Path) -> int:
    return len(list(folder.glob("[0-9a-f][0-9a-f]/[0-9a-f]*")))


def test_kept_archives_need_no_store(through: tuple[Gate, str], tmp_path: Path) -> None:
    gate, url = through
    release = gygo.connect(url, patience=5).release("multi")
    clips = gygo.Clips(release, length=2, decode=False, cache_dir=tmp_path / "kept")
    assert places(clips) == expected(gygo.Clips(release, length=2))
    assert count_archives(tmp_path / "kept") == len(release)
    gate.shut()
    again = gygo.Clips(release, length=2, decode=False, cache_dir=tmp_path / "kept")
    assert places(again) == expected(gygo.Clips(release, length=2))


def read_an_epoch(url: str, folder: Path, results: multiprocessing.Queue[list[Place]]) -> None:
    release = gygo.connect(url).release("multi")
    results.put(places(gygo.Clips(release, length=2, decode=False, cache_dir=folder)))


def test_processes_share_the_kept_archives(through: tuple[Gate, str], tmp_path: Path) -> None:
    _, url = through
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[list[Place]] = context.Queue()
    readers = [context.Process(target=read_an_epoch, args=(url, tmp_path / "kept", results)) for _ in range(2)]
    for reader in readers:
        reader.start()
    given = [results.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join()
    assert given[0] == given[1]
    assert count_archives(tmp_path / "kept") == len({video for _, video, _, _ in chain(*given)})


def test_an_archive_that_breaks_off_goes_on_where_it_was(through: tuple[Gate, str], tmp_path: Path) -> None:
    gate, url = through
    release = gygo.connect(url, patience=5).release("multi")
    size = release.videos()[0].archive().bytes
    gate.cut_after = size // 3
    video = release.videos()[0]
    fetcher = fetching.ClipFetcher(cache=DiskCache(tmp_path / "kept", 10**9))
    located = fetcher.locate(release, [gygo.ClipRequest(video.id, 0, 2)])[0]
    assert fetcher.fetch(located).image_files == video.clip(0, 2).image_files


@pytest.mark.parametrize(("folder", "size", "why"), [("kept", 1000, "more than"), ("a-file/kept", 10**9, "written")])
def test_a_cache_that_cannot_keep_is_told_and_no_obstacle(
    through: tuple[Gate, str], tmp_path: Path, folder: str, size: int, why: str
) -> None:
    _, url = through
    (tmp_path / "a-file").touch()
    release = gygo.connect(url, patience=5).release("multi")
    clips = gygo.Clips(release, length=2, decode=False, cache_dir=tmp_path / folder, cache_bytes=size)
    with pytest.warns(UserWarning, match=why):
        assert places(clips) == expected(gygo.Clips(release, length=2))
    assert count_archives(tmp_path / "kept") == 0


def test_an_archive_that_is_not_what_was_published_is_refused(
    serve_with: Callable[..., str],
    bucket: Bucket,
    publish_tree: Callable[..., object],
    palette_tree: Path,
    tmp_path: Path,
) -> None:
    publish_tree(palette_tree, "client-spoilt")
    release = gygo.connect(serve_with(), patience=5).release("client-spoilt")
    video = release.videos()[0]
    key = f"client-spoilt/videos/{video.archive().sha256}.tar"
    spoilt = bytearray(bucket.get(key).content)
    spoilt[len(spoilt) // 2] ^= 1
    bucket.delete(key)
    bucket.put(key, bytes(spoilt), replaces=None)
    clips = gygo.Clips(release.videos(q=video.name), length=2, decode=False, cache_dir=tmp_path / "kept")
    with pytest.raises(gygo.CorruptDataError, match="not what was published"):
        next(iter(clips))
    assert count_archives(tmp_path / "kept") == 0
