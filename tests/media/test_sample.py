"""The synthetic data set: the same bytes for the same arguments, exact masks, and only true words about them."""

import csv
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gygo_server.media.sample import write_sample
from gygo_server.media.sample.render import render
from gygo_server.media.sample.stories import make_stories
from gygo_server.media.sample.tree import Kind, colour_map, small_size
from gygo_server.media.sample.truth import FAST_SHARE

CATEGORIES = {"toys", "clothes", "models", "office"}
KINDS: tuple[Kind, ...] = ("binary", "palette")
SIZE = (320, 180)


@dataclass(frozen=True)
class Sample:
    root: Path
    kind: Kind

    @property
    def names(self) -> list[str]:
        lists = sorted(self.root.glob("ImageSets/**/*.txt"))
        return sorted({name for path in lists for name in path.read_text().splitlines()})

    def rows(self) -> list[dict[str, str]]:
        with (self.root / "categories.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def masks(self, name: str, resolution: str = "original") -> list[NDArray[np.uint8]]:
        folder = self.root / "Annotations" / resolution / name
        return [pixels(path) for path in sorted(folder.iterdir())]


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.array(picture)


def small(root: Path, kind: Kind, *, seed: int = 0) -> Sample:
    write_sample(root, kind=kind, videos=4, frames=(3, 5), original_size=SIZE, seed=seed)
    return Sample(root, kind)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", params=KINDS)
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return small(tmp_path_factory.mktemp("sample"), request.param)


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """As many videos and frames as the demo has, in small pictures."""
    root = tmp_path_factory.mktemp("twelve")
    write_sample(root, kind="palette", original_size=SIZE)
    return Sample(root, "palette")


def test_the_same_arguments_give_the_same_bytes(sample: Sample, tmp_path: Path) -> None:
    assert contents(small(tmp_path, sample.kind).root) == contents(sample.root)


def test_another_seed_gives_other_pictures(sample: Sample, tmp_path: Path) -> None:
    other = contents(small(tmp_path, sample.kind, seed=1).root)
    assert not set(contents(sample.root).values()) & {data for path, data in other.items() if path.endswith(".jpg")}


def test_global_random_state_is_neither_read_nor_changed(sample: Sample, tmp_path: Path) -> None:
    before = np.random.get_state()[1]
    small(tmp_path, sample.kind)
    assert np.array_equal(np.random.get_state()[1], before)


def test_the_tree_is_davis(sample: Sample) -> None:
    files = set(contents(sample.root))
    listed = "ImageSets/2017/{}.txt" if sample.kind == "palette" else "ImageSets/{}.txt"
    splits = ("train", "val") if sample.kind == "palette" else ("Train", "trainval", "val")
    expected = {"README.txt", "categories.csv", *(listed.format(split) for split in splits)}
    for name in sample.names:
        count = len(sample.masks(name))
        assert 3 <= count <= 5
        for resolution in ("480p", "original"):
            expected |= {f"JPEGImages/{resolution}/{name}/{index:05d}.jpg" for index in range(count)}
            expected |= {f"Annotations/{resolution}/{name}/{index:05d}.png" for index in range(count)}
    assert files == expected
    assert "synthetic" in (sample.root / "README.txt").read_text()


def test_names_are_nested_in_two_batches_where_gygo_nests_them(sample: Sample) -> None:
    batches = {name.rpartition("/")[0] for name in sample.names}
    assert batches == ({"batch-00001", "batch-00002"} if sample.kind == "binary" else {""})


def test_all_splits_and_categories_are_there(sample: Sample) -> None:
    lists = {path.stem: path.read_text().splitlines() for path in sample.root.glob("ImageSets/**/*.txt")}
    train, val = lists.get("train") or lists["Train"], lists["val"]
    assert train
    assert val
    assert not set(train) & set(val)
    assert sorted(lists.get("trainval", train + val)) == sorted(train + val) == sample.names
    assert {row["category"] for row in sample.rows()} == CATEGORIES
    assert {row["video"] for row in sample.rows()} == set(sample.names)


def test_pictures_and_masks_agree_in_size(sample: Sample) -> None:
    for resolution, size in (("original", SIZE), ("480p", (160, 90))):
        for path in (sample.root / "JPEGImages" / resolution).rglob("*.jpg"):
            mask = sample.root / "Annotations" / path.relative_to(sample.root / "JPEGImages").with_suffix(".png")
            with Image.open(path) as picture, Image.open(mask) as labels:
                assert picture.size == labels.size == size


@pytest.mark.parametrize(
    ("original", "expected"),
    [((1280, 720), (854, 480)), ((1920, 1080), (854, 480)), ((640, 480), (320, 240)), ((720, 1280), (270, 480))],
)
def test_the_smaller_resolution_is_never_larger(original: tuple[int, int], expected: tuple[int, int]) -> None:
    assert small_size(original) == expected


def test_masks_hold_the_labels_that_were_drawn_and_nothing_else(sample: Sample) -> None:
    void_videos = 0
    for story in make_stories(4, (3, 5), 0):
        name = next(name for name in sample.names if name.rpartition("/")[2] == story.name)
        masks = sample.masks(name)
        for mask, frame in zip(masks, render(story, SIZE), strict=True):
            drawn = frame.labels if sample.kind == "palette" else np.where(frame.labels > 0, 255, 0)
            sure = (mask != 255) if sample.kind == "palette" else np.ones(mask.shape, bool)
            assert np.array_equal(mask[sure], drawn[sure])
        if sample.kind == "palette" and any((mask == 255).any() for mask in masks):
            void_videos += 1
            assert all(0 < (mask == 255).mean() < 0.1 for mask in masks)
    assert void_videos == (1 if sample.kind == "palette" else 0)


def test_the_smaller_mask_is_picked_from_the_larger(sample: Sample) -> None:
    """Nearest of half the size: each pixel is one of the four that it stands for."""
    for name in sample.names:
        for large, little in zip(sample.masks(name), sample.masks(name, "480p"), strict=True):
            corners = np.stack([large[row::2, column::2] for row in (0, 1) for column in (0, 1)])
            assert (corners == little).any(axis=0).all()


def test_mask_files_are_of_the_kind_that_was_asked(sample: Sample) -> None:
    for path in sorted((sample.root / "Annotations").rglob("*.png")):
        header = path.read_bytes()[24:26]  # bit depth and colour type
        with Image.open(path) as mask:
            if sample.kind == "binary":
                assert (mask.mode, header) == ("L", b"\x08\x00")
            else:
                assert (mask.mode, header) == ("P", b"\x08\x03")
                assert mask.getpalette() == colour_map()


def test_the_colour_map_is_vocs() -> None:
    entries = np.array(colour_map()).reshape(-1, 3).tolist()
    assert len(entries) == 256
    assert entries[:4] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert entries[255] == [224, 224, 192]


def test_one_video_has_an_all_zero_mask(sample: Sample) -> None:
    empty = [name for name in sample.names if any(not mask.any() for mask in sample.masks(name))]
    assert len(empty) == 1


def test_both_kinds_draw_the_same_pictures(tmp_path: Path) -> None:
    binary, palette = (small(tmp_path / kind, kind) for kind in KINDS)
    for name in binary.names:
        plain = name.rpartition("/")[2]
        for resolution in ("480p", "original"):
            folders = [
                sample.root / "JPEGImages" / resolution / video for sample, video in ((binary, name), (palette, plain))
            ]
            assert contents(folders[0]) == contents(folders[1])


def attributes_of(row: dict[str, str]) -> set[str]:
    return set(filter(None, row["attributes"].split(";")))


def test_every_attribute_occurs_and_every_object_has_a_row(twelve: Sample) -> None:
    videos = [row for row in twelve.rows() if not row["object"]]
    assert len(videos) == len(twelve.names) == 12
    every = {"multiple-objects", "occlusion", "out-of-view", "appears-late", "fast-motion"}
    assert set().union(*map(attributes_of, videos)) == every
    objects: dict[str, set[int]] = defaultdict(set)
    for row in twelve.rows():
        if row["object"]:
            objects[row["video"]].add(int(row["object"]))
    for name in twelve.names:
        present = set(np.unique(np.stack(twelve.masks(name))).tolist()) - {0, 255}
        assert objects[name] == present


def test_the_first_object_is_the_subject(twelve: Sample) -> None:
    rows = twelve.rows()
    for video in (row for row in rows if not row["object"]):
        objects = [row for row in rows if row["video"] == video["video"] and row["object"]]
        assert objects[0]["category"] == video["category"]
        assert ("multiple-objects" in attributes_of(video)) == (len(objects) > 1)
        assert not any(row["attributes"] for row in objects)


@dataclass(frozen=True)
class Watched:
    """One video with all its objects, each as where it is seen on every frame."""

    attributes: set[str]
    masks: list[NDArray[np.uint8]]
    objects: list[list[NDArray[np.bool_]]]


def each_video(sample: Sample) -> list[Watched]:
    rows = sample.rows()
    watched = []
    for video in (row for row in rows if not row["object"]):
        masks = sample.masks(video["video"])
        ids = [int(row["object"]) for row in rows if row["video"] == video["video"] and row["object"]]
        watched.append(Watched(attributes_of(video), masks, [[mask == one for mask in masks] for one in ids]))
    return watched


def test_late_objects_are_those_that_the_first_mask_lacks(twelve: Sample) -> None:
    for video in each_video(twelve):
        assert ("appears-late" in video.attributes) == any(not seen[0].any() for seen in video.objects)


def test_objects_out_of_view_are_gone_after_they_were_seen(twelve: Sample) -> None:
    for video in each_video(twelve):
        gone = False
        for seen in video.objects:
            present = [bool(one.any()) for one in seen]
            gone = gone or False in present[present.index(True) :]
        assert gone or "out-of-view" not in video.attributes
        assert not gone or video.attributes & {"out-of-view", "occlusion"}


def longest_step(seen: list[NDArray[np.bool_]]) -> float:
    middles = [np.argwhere(one).mean(axis=0) if one.any() else None for one in seen]
    return max(
        float(np.hypot(*(after - before)))
        for before, after in pairwise(middles)
        if before is not None and after is not None
    )


def test_fast_objects_move_fast(twelve: Sample) -> None:
    for video in each_video(twelve):
        if any((mask == 255).any() for mask in video.masks):
            continue  # a border of void takes pixels from the object: the middle moves a little
        fast = max(map(longest_step, video.objects)) > FAST_SHARE * SIZE[0]
        assert ("fast-motion" in video.attributes) == fast


def test_occluded_objects_touch_what_hides_them_and_lose_pixels(twelve: Sample) -> None:
    for video in each_video(twelve):
        if "occlusion" in video.attributes:
            assert any(looks_hidden(seen, video.masks) for seen in video.objects)


def looks_hidden(seen: list[NDArray[np.bool_]], masks: list[NDArray[np.uint8]]) -> bool:
    areas = [int(one.sum()) for one in seen]
    touching = any(touches_another(one, mask) for one, mask in zip(seen, masks, strict=True))
    return touching and min(areas) < 0.8 * max(areas)


def touches_another(one: NDArray[np.bool_], mask: NDArray[np.uint8]) -> bool:
    others = (mask != 0) & ~one
    across = (one[:, 1:] & others[:, :-1]) | (one[:, :-1] & others[:, 1:])
    down = (one[1:] & others[:-1]) | (one[:-1] & others[1:])
    return bool(across.any() or down.any())


def test_front_objects_hide_those_behind() -> None:
    story = make_stories(4, (5, 5), 0)[0]  # the subject passes behind the other
    frames = list(render(story, SIZE))
    visible = [[int((frame.labels == number).sum()) for frame in frames] for number in (1, 2)]
    assert any(seen < frame.unoccluded[0] for seen, frame in zip(visible[0], frames, strict=True))
    assert all(seen == frame.unoccluded[1] for seen, frame in zip(visible[1], frames, strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_every_seed_keeps_the_promises(seed: int, tmp_path: Path) -> None:
    sample = small(tmp_path, "palette", seed=seed)
    rows = [row for row in sample.rows() if row["object"]]
    for row in rows:
        assert any((mask == int(row["object"])).any() for mask in sample.masks(row["video"]))
    held = set().union(*map(attributes_of, sample.rows()))
    assert {"multiple-objects", "out-of-view", "appears-late", "occlusion"} <= held
    assert sum(any(not mask.any() for mask in sample.masks(name)) for name in sample.names) == 1


def test_many_videos_have_names_of_their_own() -> None:
    names = [story.name for story in make_stories(60, (3, 5), 0)]
    assert len(set(names)) == 60


def test_val_meets_all_categories_in_twelve_videos() -> None:
    stories = make_stories(12, (3, 5), 0)
    assert {story.category for story in stories if story.split == "val"} == CATEGORIES


def test_progress_is_told_of_each_video(tmp_path: Path) -> None:
    calls: list[None] = []
    write_sample(
        tmp_path, kind="binary", videos=5, frames=(3, 3), original_size=(128, 72), progress=lambda: calls.append(None)
    )
    assert len(calls) == 5


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"videos": 3}, "at least 4 videos"),
        ({"frames": (2, 5)}, "at least 3"),
        ({"frames": (6, 5)}, "least and the most"),
        ({"original_size": (320, 20)}, "at least 64"),
    ],
)
def test_nonsense_is_refused(arguments: dict[str, object], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=complaint):
        write_sample(tmp_path, kind="binary", **arguments)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_tree_is_not_written_over(sample: Sample) -> None:
    with pytest.raises(FileExistsError, match="new folder"):
        write_sample(sample.root, kind=sample.kind)
