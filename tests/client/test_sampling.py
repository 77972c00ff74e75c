"""The order of clips: every clip of an epoch once, whoever reads it, wherever it was stopped."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gygo.sampling import Epoch, ReleaseClips, Shard, clip_counts, permuted

frame_counts = st.lists(st.integers(0, 60), max_size=25)
shapes = st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(0, 6))
seeds = st.integers(0, 2**63)


def release(frames: list[int], shape: tuple[int, int, int] = (4, 1, 0), name: str = "gygo/r1") -> ReleaseClips:
    length, step, more = shape
    return ReleaseClips(name, frames, length, step, step + more if more else None)


@given(st.integers(1, 400), st.integers(0, 2**64 - 1))
def test_a_permutation_gives_each_place_once(count: int, key: int) -> None:
    assert sorted(permuted(place, count, key) for place in range(count)) == list(range(count))


def test_a_permutation_is_no_rotation() -> None:
    steps = np.diff([permuted(place, 1000, 7) for place in range(1000)])
    assert len(set(steps)) > 500


@given(frame_counts, shapes, seeds, st.integers(0, 5), st.booleans())
def test_clips_lie_inside_their_videos(
    frames: list[int], shape: tuple[int, int, int], seed: int, number: int, shuffle: bool
) -> None:
    length, step, more = shape
    for clip in Epoch([release(frames, shape)], seed=seed, number=number, shuffle=shuffle):
        assert step <= clip.step <= step + more
        assert clip.start >= 0
        assert clip.start + (length - 1) * clip.step < frames[clip.video]


@given(frame_counts, shapes, seeds, st.integers(0, 5), st.booleans())
def test_no_clip_comes_twice_and_each_video_gives_its_number(
    frames: list[int], shape: tuple[int, int, int], seed: int, number: int, shuffle: bool
) -> None:
    epoch = list(Epoch([release(frames, shape)], seed=seed, number=number, shuffle=shuffle))
    assert len(set(epoch)) == len(epoch)
    of_video = np.bincount([clip.video for clip in epoch], minlength=len(frames)).tolist()
    assert of_video == clip_counts(np.array(frames, np.int64), *shape[:2]).tolist()


@given(st.integers(1, 200), st.integers(1, 9), st.integers(1, 5))
def test_a_video_gives_about_as_many_clips_as_read_each_frame_once(frames: int, length: int, step: int) -> None:
    count = int(clip_counts(np.array([frames]), length, step)[0])
    assert (count == 0) == (frames < (length - 1) * step + 1)
    assert count * length <= max(frames, length)


@given(frame_counts, seeds)
def test_an_epoch_is_the_same_each_time_and_another_the_next(frames: list[int], seed: int) -> None:
    epochs = [list(Epoch([release(frames)], seed=seed, number=number)) for number in (0, 0, 1)]
    assert epochs[0] == epochs[1]
    if len(epochs[0]) > 20:
        assert epochs[0] != epochs[2]


def test_the_order_never_changes() -> None:
    """Jobs that resume, and clients in other languages, rely on it."""
    two = [release([20, 7, 33, 8], (4, 1, 2), "gygo/part-1"), release([40, 12], (4, 1, 0), "davis/2017")]
    epoch = Epoch(two, [1, 2.5], seed=42, number=3)
    assert len(epoch) == 49
    assert [tuple(clip) for clip in epoch[:6]] == [
        (1, 1, 5, 1),
        (1, 0, 22, 1),
        (0, 3, 0, 2),
        (1, 0, 29, 1),
        (0, 0, 9, 2),
        (1, 0, 20, 1),
    ]
    assert [tuple(clip) for clip in Epoch(two, seed=42, shuffle=False)[:4]] == [
        (0, 0, 0, 1),
        (0, 0, 3, 1),
        (0, 0, 6, 1),
        (0, 0, 10, 1),
    ]


@given(frame_counts, frame_counts, st.sampled_from([0.25, 0.5, 1, 2, 3.5]), seeds)
def test_weights_say_how_often_epochs_have_each_release(
    ours: list[int], theirs: list[int], weight: float, seed: int
) -> None:
    releases = [release(ours), release(theirs, name="davis/2017")]
    by_release = np.zeros(2, int)
    for number in range(4):
        by_release += np.bincount(
            [clip.release for clip in Epoch(releases, [1, weight], seed=seed, number=number)], minlength=2
        )
        wanted = [(number + 1) * releases[0].count, int((number + 1) * weight * releases[1].count)]
        assert by_release.tolist() == wanted


@given(frame_counts, st.sampled_from([2, 4, 8]), seeds)
def test_fractions_of_a_release_add_up_to_all_of_it(frames: list[int], parts: int, seed: int) -> None:
    clips = release(frames)
    seen = [each[1:] for number in range(parts) for each in Epoch([clips], [1 / parts], seed=seed, number=number)]
    assert len(seen) == len(set(seen)) == clips.count


@given(st.integers(0, 300), st.integers(0, 50), st.integers(1, 7), st.integers(1, 4), st.integers(1, 5))
def test_shards_share_an_epoch_with_no_place_twice_and_none_left_out(
    end: int, begin: int, world: int, workers: int, batch: int
) -> None:
    shards = [Shard(rank, world, worker, workers, batch) for rank in range(world) for worker in range(workers)]
    taken = [list(shard.positions(begin, end)) for shard in shards]
    assert sorted(chain(*taken)) == list(range(begin, end))
    assert [shard.size(begin, end) for shard in shards] == list(map(len, taken))


@given(st.integers(0, 200), st.integers(1, 4), st.integers(1, 5), st.integers(1, 4))
def test_batches_come_in_the_same_order_whatever_the_number_of_workers(
    end: int, world: int, workers: int, batch: int
) -> None:
    alone = list(Shard(0, world).positions(0, end))
    lots = [list(Shard(0, world, worker, workers, batch).positions(0, end)) for worker in range(workers)]
    batches = [[lot[at : at + batch] for at in range(0, len(lot), batch)] for lot in lots]
    in_turn = [batches[turn % workers][turn // workers] for turn in range(sum(map(len, batches)))]
    assert list(chain(*in_turn)) == alone


@pytest.mark.parametrize(
    ("length", "step", "max_skip", "message"),
    [(0, 1, None, "count from 1"), (4, 0, None, "count from 1"), (4, 3, 2, "max_skip")],
)
def test_impossible_clips_are_refused(length: int, step: int, max_skip: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReleaseClips("gygo/r1", [9], length, step, max_skip)


@pytest.mark.parametrize("weights", [[1.0, 1.0], [0.0], [-1.0], [float("nan")]])
def test_impossible_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weight"):
        Epoch([release([9])], weights)


def test_places_beyond_the_epoch_are_index_errors() -> None:
    epoch = Epoch([release([9])])
    assert epoch[-1] == epoch[len(epoch) - 1]
    with pytest.raises(IndexError):
        epoch[len(epoch)]
