"""Each layout's tree, read by the reading code of its public loaders, cut down to the lines that read."""

# Loaders are quoted as they are.
# ruff: noqa: PTH118, PTH119, PTH122, PTH207, PTH208

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from glob import glob
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pull_trees import files_of, pulled, write, write_split, write_video
from tiny_pictures import mask

from gygo.client import connect
from gygo.errors import PullError
from gygo.pictures import decode_mask
from gygo.pull.layouts import LAYOUTS
from gygo.pull.masks import davis_palette, fit_mask, write_mask
from gygo_server.ingest.publication import Report

Mask = NDArray[np.uint8]


def davis2017_reader(root: Path, subset: str, resolution: str = "480p") -> dict[str, dict[str, list[str]]]:
    """davis2017-evaluation, davis2017/davis.py: images and masks by sequence; -1 where there is none."""
    names = [line.strip() for line in (root / "ImageSets/2017" / f"{subset}.txt").read_text().splitlines()]
    sequences: dict[str, dict[str, list]] = {}
    for seq in names:
        images = np.sort(glob(os.path.join(root, "JPEGImages", resolution, seq, "*.jpg"))).tolist()
        if len(images) == 0:
            raise FileNotFoundError(f"Images for sequence {seq} not found.")
        masks = np.sort(glob(os.path.join(root, "Annotations", resolution, seq, "*.png"))).tolist()
        masks.extend([-1] * (len(images) - len(masks)))
        sequences[seq] = {"images": images, "masks": masks}
    return sequences


def davis2017_all_masks(sequence: dict[str, list[str]]) -> NDArray[np.bool_]:
    """davis2017-evaluation, get_all_masks(separate_objects_masks=True): objects × frames × H × W."""
    masks = np.stack([np.array(Image.open(path)) for path in sequence["masks"]])
    masks[masks == 255] = 0
    num_objects = int(np.max(masks[0]))
    return np.arange(1, num_objects + 1)[:, None, None, None] == masks[None]


def davis2016_pairs(root: Path, split: str) -> list[tuple[str, NDArray[np.uint8], Mask]]:
    """Readers of DAVIS 2016's lists: sequence, frame and mask of each line."""
    found = []
    for line in (root / "ImageSets/480p" / f"{split}.txt").read_text().splitlines():
        image, label = line.split()
        found.append(
            (image.split("/")[-2], np.array(Image.open(f"{root}{image}")), np.array(Image.open(f"{root}{label}")))
        )
    return found


def cutie_training(root: Path, seq_length: int) -> dict[str, list[Mask]]:
    """Cutie's VOSMergeTrainDataset (XMem's VOSDataset is the same): masks by video."""
    im_root, gt_root = root / "JPEGImages", root / "Annotations"
    videos: dict[str, list[Mask]] = {}
    for vid in sorted(os.listdir(im_root)):
        frames = sorted(os.listdir(im_root / vid))
        if len(frames) < seq_length:
            continue
        videos[vid] = []
        for frame in frames:
            Image.open(im_root / vid / (frame[:-4] + ".jpg")).convert("RGB")
            videos[vid].append(np.array(Image.open(gt_root / vid / (frame[:-4] + ".png")).convert("P")))
    return videos


def sam2_training(root: Path, list_file: str | None = None) -> dict[str, dict[int, dict[int, NDArray[np.bool_]]]]:
    """SAM 2's PNGRawDataset and PalettisedPNGSegmentLoader: segments by object, by frame, by video."""
    if list_file is not None:
        subset = [os.path.splitext(line.strip())[0] for line in (root / list_file).read_text().splitlines()]
    else:
        subset = os.listdir(root / "JPEGImages")
    videos = {}
    for name in sorted(subset):
        png_of = {int(os.path.splitext(file)[0]): file for file in os.listdir(root / "Annotations" / name)}
        frames = sorted(glob(os.path.join(root / "JPEGImages" / name, "*.jpg")))
        assert frames, name
        videos[name] = {}
        for path in frames:
            frame_id = int(os.path.basename(path).split(".")[0])
            masks = np.array(Image.open(root / "Annotations" / name / png_of[frame_id]).convert("P"))
            ids = np.unique(masks.flatten())
            videos[name][frame_id] = {int(i): masks == i for i in ids[ids != 0]}
    return videos


def sam2_video_frames(folder: Path) -> list[str]:
    """SAM 2's load_video_frames."""
    names = [p for p in os.listdir(folder) if os.path.splitext(p)[-1] in [".jpg", ".jpeg", ".JPG", ".JPEG"]]
    names.sort(key=lambda p: int(os.path.splitext(p)[0]))
    return names


class YouTubeVOSMeta:
    """pytracking's ltr/dataset/youtubevos.py and vos_base.py."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._data = json.loads((root / "meta.json").read_text())["videos"]
        self.sequences = [p.stem for p in sorted((root / "Annotations").glob("*")) if p.is_dir()]

    def object_ids(self, seq: str) -> list[str]:
        return list(self._data[seq]["objects"].keys())

    def category(self, seq: str, obj: str) -> str | None:
        return self._data[seq]["objects"][obj]["category"]

    def object_frames(self, seq: str, obj: str) -> list[str]:
        return self._data[seq]["objects"][obj]["frames"]

    def sizes(self, seq: str, obj: str) -> dict[str, int]:
        """Pixels of an object by frame, as VOSMeta.generate counts them."""
        paths = sorted((self._root / "Annotations" / seq).glob("*.png"))
        counted = {path.stem: int((np.array(Image.open(path)) == int(obj)).sum()) for path in paths}
        return {stem: count for stem, count in counted.items() if count}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


@pytest.fixture
def pull_as(
    publish_tree: Callable[..., Report], service_url: str, source: Path, tmp_path: Path
) -> Callable[..., tuple[Path, object]]:
    """Publishes the source and pulls it in a layout: the tree and the summary."""

    def run(layout: str, dataset: str, **more: object) -> tuple[Path, object]:
        publish_tree(source, dataset)
        summary = pulled(service_url, dataset, tmp_path / "tree", layout=layout, **more)
        assert not summary.failed
        assert all(
            path.suffix in (".jpg", ".png")
            for top in ("JPEGImages", "Annotations")
            for path in (tmp_path / "tree" / top).rglob("*")
            if path.is_file()
        )
        return tmp_path / "tree", summary

    return run


# DAVIS 2017


def test_davis_binary_masks_become_object_1_for_its_reader(source: Path, pull_as: Callable[..., tuple]) -> None:
    write_video(source, "batch-1/bear", [(255,), (255,), (0,)], mode="L")
    write_split(source, "train", "batch-1/bear")
    tree, _ = pull_as("davis", "layout-davis-binary")
    (sequence,) = davis2017_reader(tree, "train").values()
    masks = davis2017_all_masks(sequence)
    assert masks.shape == (1, 3, 12, 16)
    assert masks[0, :2].sum() == 2 * 12 * 8
    assert files_of(tree, "JPEGImages") == files_of(source, "JPEGImages")


def test_davis_palette_masks_stay_byte_for_byte_void_too(source: Path, pull_as: Callable[..., tuple]) -> None:
    write_video(source, "bear", [(1, 2, 255), (2, 255), (1,)])
    write_video(source, "grey", [(1, 3), (3,)], mode="L")
    write_split(source, "val", "bear", "grey")
    tree, _ = pull_as("davis", "layout-davis-bytes")
    assert files_of(tree) == files_of(source)
    sequences = davis2017_reader(tree, "val")
    assert davis2017_all_masks(sequences["bear"]).shape[0] == 2
    assert davis2017_all_masks(sequences["grey"]).shape[0] == 3


def test_davis_void_zero_changes_only_masks_that_have_void(source: Path, pull_as: Callable[..., tuple]) -> None:
    write_video(source, "bear", [(1, 2), (2, 255)])
    tree, _ = pull_as("davis", "layout-davis-zero", void="zero")
    paths = [f"Annotations/480p/bear/{index:05d}.png" for index in (0, 1)]
    assert (tree / paths[0]).read_bytes() == (source / paths[0]).read_bytes()
    read = np.array(Image.open(tree / paths[1]))
    before = np.array(Image.open(source / paths[1]))
    assert np.array_equal(read, np.where(before == 255, 0, before))


def test_davis_objects_that_its_reader_drops_are_named(source: Path, pull_as: Callable[..., tuple]) -> None:
    write_video(source, "late", [(2,), (1, 2, 3), (3, 4)])
    write_split(source, "train", "late")
    tree, summary = pull_as("davis", "layout-davis-late")
    masks = davis2017_all_masks(davis2017_reader(tree, "train")["late"])
    dropped = {1, 2, 3, 4} - set(range(1, len(masks) + 1))
    assert summary.done[0].late_objects == sorted(dropped) == [3, 4]


def test_davis_frames_are_read_in_order(source: Path, pull_as: Callable[..., tuple]) -> None:
    write_video(source, "walk", [(1,)] * 11, stems=[f"frame_{number}" for number in range(5, 16)])
    write_split(source, "train", "walk")
    tree, summary = pull_as("davis", "layout-davis-order")
    images = davis2017_reader(tree, "train")["walk"]["images"]
    assert [Path(path).read_bytes() for path in images] == [
        (source / f"JPEGImages/480p/walk/frame_{number}.jpg").read_bytes() for number in range(5, 16)
    ]
    assert summary.done[0].renamed


def test_davis_masks_are_paired_by_its_reader_with_their_frames(source: Path, pull_as: Callable[..., tuple]) -> None:
    write_video(source, "first", [(1,), None, None])
    write_video(source, "sparse", [(1,), None, (2,), None], seed=50)
    write_split(source, "val", "first", "sparse")
    tree, summary = pull_as("davis", "layout-davis-sparse")
    sequences = davis2017_reader(tree, "val")
    assert [len(sequences["first"][kind]) for kind in ("images", "masks")] == [3, 3]
    for image, label in zip(*sequences["sparse"].values(), strict=True):
        assert Path(image).stem == Path(label).stem
    assert {placed.name: placed.left_out for placed in summary.done} == {"first": 0, "sparse": 2}


def test_davis_names_that_glob_takes_for_patterns_are_changed(source: Path, pull_as: Callable[..., tuple]) -> None:
    write_video(source, "bear [1]", [(1,)])
    write_split(source, "train", "bear [1]")
    tree, summary = pull_as("davis", "layout-davis-glob")
    assert list(davis2017_reader(tree, "train")) == ["bear _1_"]
    assert summary.plan.renamed == [("bear [1]", "bear _1_")]


# DAVIS 2016


def test_davis2016_has_binary_masks_and_pairs(source: Path, pull_as: Callable[..., tuple]) -> None:
    write_video(source, "b 1/bear", [(1, 2, 255), None, (3,)])
    write_video(source, "cat", [(255,), (255,)], mode="L", seed=20)
    write_split(source, "train", "b 1/bear", "cat")
    tree, summary = pull_as("davis2016", "layout-2016")
    pairs = davis2016_pairs(tree, "train")
    assert [name for name, *_ in pairs] == ["bear", "bear", "cat", "cat"]
    for _, image, label in pairs:
        assert image.shape[:2] == label.shape
        assert set(np.unique(label)) == {0, 255}
    assert pairs[0][2].sum() == 255 * 12 * 8  # ids 1 and 2; void is background
    assert files_of(tree, "Annotations/480p/cat") == files_of(source, "Annotations/480p/cat")
    assert summary.plan.renamed == [("b 1/bear", "b_1/bear")]
    assert next(placed for placed in summary.done if placed.name == "b 1/bear").left_out == 1


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_davis2016_masks_are_grey_whatever_they_were(source: Path, pull_as: Callable[..., tuple], mode: str) -> None:
    write_video(source, "bear", [(255,)], mode=mode)
    write_split(source, "train", "bear")
    tree, _ = pull_as("davis2016", f"layout-2016-{mode.lower()}")
    with Image.open(tree / "Annotations/480p/bear/00000.png") as picture:
        assert picture.mode == "L"
        assert np.array_equal(np.array(picture), decode_mask(mask((255,), "L")))


# YouTube-VOS


def test_youtube_vos_meta_says_what_the_masks_show(source: Path, pull_as: Callable[..., tuple]) -> None:
    write_video(source, "a/v1.5", [(1, 255), None, (1, 2), (2,)], stems=["00000", "00005", "00010", "00015"])
    write(source, "categories.csv", "video,object,category,attributes\na/v1.5,1,bear,\n")
    write_split(source, "train", "a/v1.5")
    tree, _ = pull_as("youtube-vos", "layout-ytvos")
    meta = YouTubeVOSMeta(tree)
    assert meta.sequences == ["a_v1_5"]
    assert meta.object_ids("a_v1_5") == ["1", "2"]
    assert [meta.category("a_v1_5", obj) for obj in "12"] == ["bear", None]
    for obj in "12":
        assert meta.object_frames("a_v1_5", obj) == list(meta.sizes("a_v1_5", obj))
    assert sorted(path.stem for path in (tree / "JPEGImages/a_v1_5").iterdir()) == ["00000", "00005", "00010", "00015"]
    assert (tree / "ImageSets/train.txt").read_text() == "a_v1_5\n"


def test_youtube_vos_frames_are_numbers(source: Path, pull_as: Callable[..., tuple]) -> None:
    write_video(source, "bear", [(255,), (255,)], mode="L", stems=["frame_74", "frame_76"])
    tree, _ = pull_as("youtube-vos", "layout-ytvos-numbers")
    assert YouTubeVOSMeta(tree).object_frames("bear", "1") == ["00000", "00001"]


# Cutie and XMem


def test_cutie_finds_a_mask_for_each_frame_and_no_void(source: Path, pull_as: Callable[..., tuple]) -> None:
    write_video(source, "a/long", [(1, 255), *[(1, 2)] * 8], suffix=".jpeg")
    write_video(source, "a/sparse", [(1,), None] * 8, seed=100)
    write_video(source, "a/binary", [(255,)] * 8, mode="L", seed=200)
    write_video(source, "a/short", [(1,)] * 7, seed=300)
    write_video(source, "a/none", [None] * 9, seed=400)
    tree, summary = pull_as("cutie", "layout-cutie")
    videos = cutie_training(tree, seq_length=8)
    assert {name: len(masks) for name, masks in videos.items()} == {"a_long": 9, "a_sparse": 8, "a_binary": 8}
    assert {int(value) for masks in videos.values() for each in masks for value in np.unique(each)} == {0, 1, 2}
    assert "a_short" in cutie_training(tree, seq_length=3)  # what its pre-training takes
    assert summary.plan.left_out == {"no frame has a mask": ["a/none"]}
    assert not (tree / "JPEGImages/a_none").exists()


def test_cutie_reads_grey_ids_as_they_are(source: Path, pull_as: Callable[..., tuple]) -> None:
    write_video(source, "grey", [(1, 7)] * 8, mode="L")
    tree, _ = pull_as("cutie", "layout-cutie-grey")
    assert {int(value) for each in cutie_training(tree, 8)["grey"] for value in np.unique(each)} == {0, 1, 7}


def test_all_frames_keeps_those_without_a_mask(source: Path, pull_as: Callable[..., tuple]) -> None:
    write_video(source, "first", [(1,), None, None])
    tree, _ = pull_as("cutie", "layout-cutie-all", all_frames=True)
    assert len(list((tree / "JPEGImages/first").iterdir())) == 3
    assert len(list((tree / "Annotations/first").iterdir())) == 1


# SAM 2


def test_sam2_gets_numbers_and_names_without_dots(source: Path, pull_as: Callable[..., tuple]) -> None:
    write_video(source, "a/cam.1", [(1, 255), (2,), None], stems=["frame_8", "frame_9", "frame_10"])
    write_video(source, "plain", [(255,)] * 3, mode="L", stems=["00074", "00075", "00080"], seed=50)
    write_split(source, "train", "a/cam.1", "plain")
    tree, _ = pull_as("sam2", "layout-sam2")
    for videos in (sam2_training(tree), sam2_training(tree, "ImageSets/train.txt")):
        assert {name: {frame: set(found) for frame, found in frames.items()} for name, frames in videos.items()} == {
            "a_cam_1": {0: {1}, 1: {2}},
            "plain": {74: {1}, 75: {1}, 80: {1}},
        }
    names = sam2_video_frames(tree / "JPEGImages/a_cam_1")
    assert [(tree / "JPEGImages/a_cam_1" / name).read_bytes() for name in names] == [
        (source / f"JPEGImages/480p/a/cam.1/frame_{number}.jpg").read_bytes() for number in (8, 9)
    ]


# All of them


@pytest.mark.parametrize("layout", ["davis2016", "cutie", "sam2"])
def test_void_cannot_be_kept_where_it_would_be_an_object(
    source: Path, pull_as: Callable[..., tuple], layout: str
) -> None:
    write_video(source, "bear", [(1,)])
    with pytest.raises(PullError, match="know no void"):
        pull_as(layout, f"layout-void-{layout}", void="keep")


@pytest.mark.parametrize("layout", ["youtube-vos", "cutie", "sam2"])
def test_names_that_become_one_are_refused_before_anything_comes(
    source: Path, pull_as: Callable[..., tuple], tmp_path: Path, layout: str
) -> None:
    write_video(source, "a/b_c", [(1,)])
    write_video(source, "a_b/c", [(1,)], seed=10)
    with pytest.raises(PullError, match="one place, 'a_b_c'"):
        pull_as(layout, f"layout-one-place-{layout}")
    assert not (tmp_path / "tree/JPEGImages").exists()


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_nothing_but_frames_and_masks_lies_where_loaders_list(
    source: Path, pull_as: Callable[..., tuple], layout: str
) -> None:
    write_video(source, "bear", [(1,)] * 2)
    write_split(source, "train", "bear")
    tree, _ = pull_as(layout, f"layout-strays-{layout}")
    assert set(os.listdir(tree)) <= {"JPEGImages", "Annotations", "ImageSets", "meta.json", ".gygo"}
    for top, suffix in (("JPEGImages", ".jpg"), ("Annotations", ".png")):
        folder = tree / top
        if LAYOUTS[layout].by_resolution:
            assert os.listdir(folder) == ["480p"]
            folder /= "480p"
        assert os.listdir(folder) == ["bear"]
        assert sorted(os.listdir(folder / "bear")) == [f"00000{suffix}", f"00001{suffix}"]


@pytest.mark.parametrize("layout", ["davis", "cutie", "sam2", "youtube-vos"])
def test_real_sequences_come_byte_for_byte(
    publish_tree: Callable[..., Report], service_url: str, public_tree: Path, tmp_path: Path, layout: str
) -> None:
    dataset = f"layout-real-{layout}"
    publish_tree(public_tree, dataset)
    pulled(service_url, dataset, tmp_path / "tree", layout=layout)
    by_resolution = "480p/" if LAYOUTS[layout].by_resolution else ""
    source = {path.replace("480p/", by_resolution): content for path, content in files_of(public_tree).items()}
    tree = files_of(tmp_path / "tree")
    binary = {video.name for video in connect(service_url).release(dataset).videos() if video.mask_kind == "binary"}
    masks = {path for path in source if path.startswith("Annotations")}
    assert masks <= tree.keys()
    assert len(tree) == (2 * len(masks) if LAYOUTS[layout].kept == "mask" else len(source))
    for path, content in tree.items():
        if path in masks and path.split("/")[-2] in binary:
            assert np.array_equal(decode_mask(content), decode_mask(source[path], "binary"))
        else:
            assert content == source[path], path


# Masks by themselves


def test_the_palette_is_davis_s() -> None:
    palette = davis_palette()
    assert len(palette) == 768
    assert palette[:15] == bytes([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128])
    assert palette[-3:] == bytes([224, 224, 192])


@pytest.mark.parametrize("values", [(0,), (0, 1), (0, 1, 255), (0, 3, 7, 15, 16), tuple(range(256))])
def test_written_masks_have_all_of_the_palette_and_read_as_meant(values: tuple[int, ...]) -> None:
    array = np.resize(np.array(values, np.uint8), (20, 30))
    content = write_mask(array, "ids")
    at = content.index(b"PLTE")
    assert struct.unpack(">I", content[at - 4 : at]) == (768,)
    assert np.array_equal(decode_mask(content), array)


def test_soft_edges_of_binary_masks_are_cut_in_the_middle() -> None:
    content = mask((127, 128, 254), "L")
    assert set(np.unique(decode_mask(fit_mask(content, "binary", "ids", "zero")))) == {0, 1}
    assert decode_mask(fit_mask(content, "binary", "binary", "zero")).sum() == 255 * 12 * 8


@pytest.mark.parametrize("stems", [["1", "01"], ["9", "10"], ["a", "b"], ["0001", "0002.5"], ["\uff11", "\uff12"]])
def test_stems_that_sam2_reads_in_another_order_are_not_kept(stems: list[str]) -> None:
    assert LAYOUTS["sam2"].stems(stems) == ["00000", "00001"]


@pytest.mark.parametrize("stems", [["00000", "00001"], ["00074", "00080"], ["1255", "1256"], ["0", "5"]])
def test_stems_in_order_are_kept(stems: list[str]) -> None:
    assert all(layout.stems(stems) == stems for layout in LAYOUTS.values())
