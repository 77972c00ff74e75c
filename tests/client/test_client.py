"""The client as people use it: what it lists and the arrays it gives, through real HTTP from a real store."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gygo
from gygo_server.ingest.publication import Report


@pytest.fixture(scope="module")
def service(service_url: str, published: dict[str, Path]) -> gygo.Client:
    return gygo.connect(service_url, patience=5)


@pytest.fixture
def real(service: gygo.Client, public_tree: Path, publish_tree: Callable[..., Report]) -> gygo.Release:
    publish_tree(public_tree, "client-real")
    return service.release("client-real")


def test_the_public_names_are_these() -> None:
    assert set(gygo.__all__) == {name for name in vars(gygo) if name[0].isupper() or name == "connect"}
    assert (Path(gygo.__file__).parent / "py.typed").is_file()


def test_nothing_is_asked_before_it_is_needed() -> None:
    assert "http://127.0.0.1:1" in repr(gygo.connect("http://127.0.0.1:1"))


def test_datasets_and_their_releases(service: gygo.Client) -> None:
    listed = service.datasets()
    assert {"toys", "multi"} <= {dataset.id for dataset in listed}
    assert len(listed) >= 2
    dataset = service.dataset("toys")
    assert (dataset.title, dataset.license, dataset.latest_release) == ("The toys", None, "r1")
    assert [release.id for release in dataset.releases()] == ["r1"]
    assert dataset.release() == service.release("toys") == service.release("toys@r1")
    assert service.release("toys").name == "toys@r1"


def test_a_withdrawn_release_is_not_among_the_releases(
    service: gygo.Client, binary_tree: Path, publish_tree: Callable[..., Report], gygo_server: Callable[..., object]
) -> None:
    for release in ("r1", "r2"):
        publish_tree(binary_tree, "client-withdrawn", release)
    gygo_server("releases", "withdraw", "client-withdrawn", "r1", "--reason", "a face", "--yes")
    assert [release.id for release in service.dataset("client-withdrawn").releases()] == ["r2"]
    with pytest.raises(gygo.WithdrawnError, match="a face"):
        service.release("client-withdrawn@r1")


def test_lists_come_in_pages_and_behave_as_sequences(service: gygo.Client) -> None:
    videos = service.release("toys").videos()
    assert len(videos) == len(service.release("toys")) == 6
    assert [video.id for video in videos] == [videos[at].id for at in range(6)]
    assert videos[-1].id == videos[5].id
    assert [video.id for video in videos[1:3]] == [videos[1].id, videos[2].id]
    with pytest.raises(IndexError):
        videos[6]


def test_many_pages_are_walked_to_the_end(service: gygo.Client) -> None:
    video = service.release("toys").videos(sort="-frames")[0]
    frames = video.frames()
    frames._query = {**frames._query, "limit": 2}  # type: ignore[dict-item]
    assert [frame["index"] for frame in frames] == list(range(len(video)))
    assert [frame["index"] for frame in frames] == list(range(len(video)))


def test_filters_are_keyword_arguments(service: gygo.Client) -> None:
    release = service.release("multi")
    for split in release.splits:
        assert all(split in video.splits for video in release.videos(split=split))
    assert len(release.videos(split=release.splits)) == len(release)
    assert len(release.videos(q="no such words at all")) == 0
    assert list(release.videos(q="no such words at all")) == []
    longest = max(len(video) for video in release.videos())
    assert {len(video) for video in release.videos(min_frames=longest)} == {longest}
    lengths = [len(video) for video in release.videos(sort="-frames")]
    assert lengths == sorted(lengths, reverse=True)


def test_a_video_is_found_by_its_id_and_by_its_name(service: gygo.Client) -> None:
    video = service.release("toys").videos()[0]
    assert "/" in video.name
    assert service.release("toys").video(video.id) == service.release("toys").video(video.name) == video
    assert len(video) == video.frame_count
    assert video.archive().resolution == "480p"
    assert video.archive("original").width == 320


def test_frames_and_masks_of_real_files_are_as_pillow_reads_them(real: gygo.Release, public_tree: Path) -> None:
    for video in real.videos():
        for index, name in [(frame["index"], frame["name"]) for frame in video.frames()][:3]:
            source = public_tree / "JPEGImages/480p" / video.name / f"{name}.jpg"
            assert np.array_equal(video.frame(index), pixels(source.read_bytes()))
            mask = public_tree / "Annotations/480p" / video.name / f"{name}.png"
            if mask.exists():
                assert np.array_equal(video.mask(index), ids(mask))
            else:
                with pytest.raises(gygo.NotFoundError, match="no mask"):
                    video.mask(index)


def test_clips_of_real_files_are_as_pillow_reads_them(real: gygo.Release, public_tree: Path) -> None:
    for video in real.videos():
        clip = video.clip(0, 4)
        assert (clip.dataset, clip.release, clip.video, clip.resolution) == ("client-real", "r1", video.id, "480p")
        images = [public_tree / "JPEGImages/480p" / video.name / f"{name}.jpg" for name in clip.names]
        masks = [public_tree / "Annotations/480p" / video.name / f"{name}.png" for name in clip.names]
        assert list(clip.image_files) == [path.read_bytes() for path in images]
        assert clip.images.dtype == clip.masks.dtype == np.uint8
        assert np.array_equal(clip.images, np.stack([pixels(path.read_bytes()) for path in images]))
        assert clip.has_mask.tolist() == [path.exists() for path in masks]
        height_width = clip.images.shape[1:3]
        wanted = [ids(path) if path.exists() else np.zeros(height_width, np.uint8) for path in masks]
        assert np.array_equal(clip.masks, np.stack(wanted))


def test_a_clip_may_skip_frames_and_leave_out_images_or_masks(service: gygo.Client) -> None:
    video = service.release("multi").videos(sort="-frames")[0]
    clip = video.clip(1, 3, 2, resolution="original")
    assert [np.array_equal(clip.images[at], video.frame(1 + 2 * at, "original")) for at in range(3)] == [True] * 3
    assert np.array_equal(clip.masks[2], video.mask(5, "original"))
    only_masks = video.clip(1, 3, 2, resolution="original", images=False)
    assert np.array_equal(only_masks.masks, clip.masks)
    with pytest.raises(ValueError, match="without its images"):
        only_masks.images  # noqa: B018
    only_images = video.clip(1, 3, 2, resolution="original", masks=False)
    assert np.array_equal(only_images.images, clip.images)
    assert not only_images.has_mask.any()


def test_masks_alone_of_frames_without_are_nothing_and_no_request(real: gygo.Release) -> None:
    clip = real.video("bmx-trees").clip(1, 3, images=False)
    assert clip.mask_files == (None, None, None)
    with pytest.raises(ValueError, match="neither images nor masks"):
        clip.masks  # noqa: B018


def test_binary_masks_have_one_object_with_id_1(service: gygo.Client) -> None:
    video = service.release("toys").videos()[0]
    assert video.mask_kind == "binary"
    assert set(np.unique(video.clip(0, 2).masks)) == {0, 1}


def test_negative_indices_count_from_the_end_and_others_are_index_errors(service: gygo.Client) -> None:
    video = service.release("toys").videos()[0]
    assert np.array_equal(video.frame(-1), video.frame(len(video) - 1))
    with pytest.raises(IndexError):
        video.frame(len(video))


def test_errors_say_what_was_wrong(service: gygo.Client) -> None:
    with pytest.raises(gygo.NotFoundError, match="no dataset 'nope'"):
        service.release("nope")
    with pytest.raises(gygo.NotFoundError, match="no release 'nope'"):
        service.release("toys@nope")
    with pytest.raises(gygo.NotFoundError, match="no video 'nope'"):
        service.release("toys").video("nope")
    with pytest.raises(gygo.NotFoundError, match="resolution '8k'"):
        service.release("toys").videos()[0].frame(0, "8k")
    with pytest.raises(gygo.InvalidRequestError, match="sort"):
        len(service.release("toys").videos(sort="size"))
    with pytest.raises(gygo.InvalidRequestError, match="length: the clip ends"):
        service.release("toys").videos()[0].clip(0, 1000)
    with pytest.raises(ValueError, match="not the address of a service"):
        gygo.connect("127.0.0.1:8000")


def test_errors_and_clients_can_be_sent_to_another_process(service: gygo.Client) -> None:
    error = pickle.loads(pickle.dumps(gygo.NotFoundError("there is none", status=404, type="urn:x")))
    assert (error.status, str(error), error.type) == (404, "there is none", "urn:x")
    release = pickle.loads(pickle.dumps(service.release("toys")))
    assert len(release.videos()) == 6


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def ids(path: Path) -> np.ndarray:
    """As its source says it is to be read: grey 0/255 is one object, a palette's index an id."""
    mask = Image.open(path)
    return np.asarray(mask) if mask.mode == "P" else (np.asarray(mask) >= 128).astype(np.uint8)
