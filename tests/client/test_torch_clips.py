"""`gygo.torch.Clips` under PyTorch's loaders: start methods, worker counts, epochs, resuming."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gygo

try:
    import torch
    from torch.utils.data import DataLoader
    from torchdata.stateful_dataloader import StatefulDataLoader

    from gygo.torch import Clips
except ImportError:
    if os.environ.get("CI"):
        raise
    pytest.skip("PyTorch or torchdata is missing (make torch)", allow_module_level=True)

# Loaders of PyTorch are many processes in one test.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

Place = tuple[str, str, int]


@pytest.fixture(scope="module")
def releases(service_url: str, published: dict[str, Path]) -> list[gygo.Release]:
    client = gygo.connect(service_url, patience=20)
    return [client.release("toys"), client.release("multi")]


def place(sample: dict[str, Any]) -> Place:
    return sample["dataset"], sample["video"], int(sample["start"])


def batched(batches: Any) -> list[Place]:
    return [
        (dataset, video, int(start))
        for batch in batches
        for dataset, video, start in zip(batch["dataset"], batch["video"], batch["start"], strict=True)
    ]


def wanted(releases: list[gygo.Release], epoch: int = 0, **more: Any) -> list[Place]:
    """The order of a rank in an epoch, by the plain iterator."""
    clips = gygo.Clips(releases, length=2, decode=False, **more)
    clips.set_epoch(epoch)
    return [(clip.dataset, clip.video, clip.request.start) for clip in clips]


def test_samples_are_tensors_of_what_was_published(releases: list[gygo.Release]) -> None:
    samples = Clips(releases[1], length=2, resolution="original")
    for sample, clip in zip(samples, gygo.Clips(releases[1], length=2, resolution="original"), strict=True):
        assert sample["images"].dtype == sample["masks"].dtype == torch.uint8
        assert np.array_equal(sample["images"].permute(0, 2, 3, 1).numpy(), clip.images)
        assert np.array_equal(sample["masks"].numpy(), clip.masks)
        assert sample["has_mask"].tolist() == [True, True]
        assert place(sample) == (clip.dataset, clip.video, clip.request.start)


def test_sizes_make_batches_and_labels_stay_labels(releases: list[gygo.Release]) -> None:
    clips = Clips(releases, length=2, size=(64, 48), batch_size=3, void="zero")
    batch = next(iter(DataLoader(clips, batch_size=3)))
    assert batch["images"].shape == (3, 2, 3, 64, 48)
    assert batch["masks"].shape == (3, 2, 64, 48)
    objects = max(len(video.objects) for release in releases for video in release.videos())
    assert batch["masks"].max() <= objects


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_one_order_whatever_the_workers(
    releases: list[gygo.Release], workers: int, method: str
) -> None:
    videos = [release.videos(min_frames=1) for release in releases]  # a source of another kind, to be pickled too
    clips = Clips(videos, length=2, size=(16, 16), batch_size=2)
    context = method if workers else None
    loader = DataLoader(clips, batch_size=2, num_workers=workers, multiprocessing_context=context)
    assert batched(loader) == wanted(releases)


def test_each_epoch_has_its_order_also_for_workers_that_stay(releases: list[gygo.Release]) -> None:
    clips = Clips(releases, length=2, size=(16, 16), batch_size=2)
    loader = DataLoader(clips, batch_size=2, num_workers=2, persistent_workers=True)
    for epoch in (0, 1, 5):
        clips.set_epoch(epoch)
        assert batched(loader) == wanted(releases, epoch)


def test_ranks_of_a_launcher_share_the_epoch(releases: list[gygo.Release], monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        clips = Clips(releases, length=2, size=(16, 16))
        taken.append([place(sample) for sample in clips])
        assert len(clips) == len(taken[-1])
        assert taken[-1] == wanted(releases, rank=rank, world=2)
    assert sorted(taken[0] + taken[1]) == sorted(wanted(releases))


@pytest.mark.parametrize("stop", [0, 1, 3])
@pytest.mark.parametrize(("before", "after"), [(0, 2), (2, 3), (3, 0)])
def test_a_plain_loader_resumes_with_any_number_of_workers(
    releases: list[gygo.Release], stop: int, before: int, after: int
) -> None:
    clips = Clips(releases, length=2, size=(16, 16), batch_size=2)
    clips.set_epoch(1)
    given = batched(islice(DataLoader(clips, batch_size=2, num_workers=before), stop))
    state = clips.state_dict(taken=2 * stop)
    resumed = Clips(releases, length=2, size=(16, 16), batch_size=2)
    resumed.load_state_dict(state)
    resumed.set_epoch(1)  # as a training loop says it at the begin of each epoch
    given += batched(DataLoader(resumed, batch_size=2, num_workers=after))
    assert given == wanted(releases, 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_loader_resumes_with_exactly_what_was_left(releases: list[gygo.Release], workers: int) -> None:
    def loader() -> StatefulDataLoader:
        clips = Clips(releases, length=2, size=(16, 16), batch_size=2)
        return StatefulDataLoader(clips, batch_size=2, num_workers=workers)

    first = loader()
    given = batched(islice(first, 3))
    second = loader()
    second.load_state_dict(first.state_dict())
    given += batched(second)
    assert sorted(given) == sorted(wanted(releases))


def test_errors_of_workers_come_home(releases: list[gygo.Release]) -> None:
    clips = Clips(releases, length=2, resolution="8k")
    with pytest.raises(gygo.NotFoundError, match="8k"):
        next(iter(DataLoader(clips, batch_size=1, num_workers=1)))


def test_a_transform_sees_each_sample_in_order_and_may_draw_numbers(releases: list[gygo.Release]) -> None:
    assert list(Clips(releases, length=2, transform=place)) == wanted(releases)
    drawn = []
    for _ in range(2):
        torch.manual_seed(0)
        drawn.append(list(Clips(releases, length=2, transform=lambda sample: (place(sample), float(torch.rand(1))))))
    assert drawn[0] == drawn[1]


def test_a_loop_whose_workers_read_must_say_how_far_it_is(releases: list[gygo.Release]) -> None:
    clips = Clips(releases, length=2, size=(16, 16))
    assert clips.state_dict()["taken"] == 0
    next(iter(DataLoader(clips, batch_size=1, num_workers=1)))
    with pytest.raises(ValueError, match="taken=…"):
        clips.state_dict()
    assert clips.state_dict(taken=1)["taken"] == 1


@pytest.mark.parametrize("size", [256, (256,), (0, 10), (1, 2, 3)])
def test_a_size_is_a_height_and_a_width(releases: list[gygo.Release], size: Any) -> None:
    with pytest.raises(ValueError, match="height and a width"):
        Clips(releases, size=size)


def test_rank_and_world_go_together(releases: list[gygo.Release]) -> None:
    with pytest.raises(ValueError, match="together"):
        Clips(releases, rank=1)
