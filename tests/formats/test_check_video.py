"""A video's pictures, read from disk: what is kept of them, and every fault they can have."""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from davis_trees import SIZE, Tree, as_row, jpeg, png

from gygo_server.formats.check import CheckedVideo, check_video
from gygo_server.formats.davis import read_davis
from gygo_server.formats.files import LocalFiles
from gygo_server.model import Box, Finding, MaskKind, Region, Severity


def check(tree: Tree, told: MaskKind | None = None) -> CheckedVideo:
    (video,) = tree.read().videos
    return check_video(video, tree.root, told)


def rows(findings: Sequence[Finding]) -> list[tuple[str, str, str | None]]:
    return [as_row(finding) for finding in findings]


IMAGE = "JPEGImages/480p/bear/00000.jpg"
MASK = "Annotations/480p/bear/00000.png"


def test_what_is_kept_of_a_video(tree: Tree) -> None:
    tree.frames("bear", ["00000.jpg", "00005.jpg"]).write(MASK, png((0, 1, 2, 255)))
    checked = check(tree)
    assert checked.findings == ()
    (sequence,) = checked.sequences
    assert (sequence.resolution, sequence.width, sequence.height) == ("480p", *SIZE)
    assert sequence.mask_kind is MaskKind.PALETTE
    first, second = sequence.frames
    assert (first.image, first.image_size) == (tree.root / IMAGE, len(jpeg()))
    assert first.image_sha256 == hashlib.sha256(jpeg()).hexdigest()
    assert first.mask_size == len(png((0, 1, 2, 255)))
    assert first.mask_sha256 == hashlib.sha256(png((0, 1, 2, 255))).hexdigest()
    assert first.regions == (Region(1, Box(1, 0, 13, 12), 48), Region(2, Box(2, 0, 13, 12), 48))
    assert (second.mask, second.mask_size, second.mask_sha256, second.regions) == (None, None, None, ())


def test_no_masks(tree: Tree) -> None:
    assert check(tree.frames("bear")).sequences[0].mask_kind is MaskKind.NONE


def test_a_sequence_without_masks_beside_one_with(tree: Tree) -> None:
    tree.frames("bear").frames("bear", resolution="original").masks("bear")
    assert [(s.resolution, s.mask_kind) for s in check(tree).sequences] == [
        ("480p", MaskKind.PALETTE),
        ("original", MaskKind.NONE),
    ]


def test_binary_masks(tree: Tree) -> None:
    tree.frames("bear").write(MASK, png((0, 255), "L"))
    (sequence,) = check(tree).sequences
    assert sequence.mask_kind is MaskKind.BINARY
    assert sequence.frames[0].regions == (Region(1, Box(1, 0, 15, 12), 96),)


def test_what_is_told_wins(tree: Tree) -> None:
    tree.frames("bear").write(MASK, png((0, 200)))
    assert check(tree).sequences[0].mask_kind is MaskKind.PALETTE
    assert check(tree, MaskKind.BINARY).sequences[0].mask_kind is MaskKind.BINARY
    assert check(tree, MaskKind.BINARY).sequences[0].frames[0].regions[0].area == 96


def test_masks_of_all_resolutions_decide_together(tree: Tree) -> None:
    tree.frames("bear").frames("bear", resolution="original")
    tree.write(MASK, png((0,)))
    tree.write("Annotations/original/bear/00000.png", png((0, 255), "L"))
    assert [sequence.mask_kind for sequence in check(tree).sequences] == [MaskKind.BINARY, MaskKind.BINARY]


def rgb_png() -> bytes:
    return png((0, 255), "RGB")


def sixteen_bits() -> bytes:
    content = bytearray(png((0, 1), "I;16"))
    return bytes(content)


@pytest.mark.parametrize(
    ("path", "content", "code"),
    [
        (IMAGE, b"", "empty-file"),
        (MASK, b"", "empty-file"),
        (IMAGE, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs-pointer"),
        (MASK, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs-pointer"),
        (IMAGE, png(), "not-a-jpeg"),
        (MASK, jpeg(), "not-a-png"),
        (IMAGE, jpeg()[:-40], "truncated"),
        (MASK, png()[:-12], "truncated"),
        (IMAGE, jpeg()[:4] + b"\0" * 400, "corrupt-picture"),
        (MASK, png()[:40] + b"\0" + png()[41:], "corrupt-picture"),
        (
            IMAGE,
            jpeg().replace(struct.pack(">HH", SIZE[1], SIZE[0]), struct.pack(">HH", 65535, 65535)),
            "picture-too-large",
        ),
        (MASK, rgb_png(), "mask-has-colours"),
        (MASK, sixteen_bits(), "mask-mode-unsupported"),
        (MASK, png(size=(SIZE[0] - 1, SIZE[1])), "mask-size-differs"),
    ],
)
def test_faults_of_one_picture(tree: Tree, path: str, content: bytes, code: str) -> None:
    tree.frames("bear", ["00000.jpg", "00001.jpg"]).write(path, content)
    checked = check(tree)
    assert rows(checked.findings) == [(code, path, "bear")]
    assert checked.sequences == ()


def test_the_message_names_both_sizes_of_frame_and_mask(tree: Tree) -> None:
    tree.frames("bear").write(MASK, png(size=(15, 12)))
    assert check(tree).findings[0].message == "the mask is 15x12, its frame 16x12"


def test_frames_of_different_sizes(tree: Tree) -> None:
    tree.frames("bear", ["00000.jpg", "00001.jpg"])
    for number in (2, 3):
        tree.write(f"JPEGImages/480p/bear/0000{number}.jpg", jpeg(8, 8))
    checked = check(tree)
    assert rows(checked.findings) == [("frame-sizes-differ", "JPEGImages/480p/bear/00002.jpg", "bear")]
    assert checked.findings[0].message == "the frame is 8x8, those before it 16x12"


def test_all_faults_at_once(tree: Tree) -> None:
    tree.frames("bear", [f"0000{number}.jpg" for number in range(4)])
    tree.write(IMAGE, b"")
    tree.write("JPEGImages/480p/bear/00001.jpg", png())
    tree.write("JPEGImages/480p/bear/00003.jpg", jpeg(8, 8))
    tree.write(MASK, b"")
    codes = [finding.code for finding in check(tree).findings]
    assert codes == ["empty-file", "empty-file", "not-a-jpeg", "frame-sizes-differ"]


@pytest.mark.parametrize("path", [IMAGE, MASK])
@pytest.mark.parametrize("instead", ["nothing", "a folder"])
def test_files_that_vanish(tree: Tree, path: str, instead: str) -> None:
    tree.frames("bear").masks("bear")
    (video,) = tree.read().videos
    (tree.root / path).unlink()
    if instead == "a folder":
        (tree.root / path).mkdir()
    assert rows(check_video(video, tree.root, None).findings) == [("unreadable", path, "bear")]


def test_files_too_large_are_not_read(tree: Tree) -> None:
    tree.frames("bear")
    os.truncate(tree.root / IMAGE, 1 << 40)  # a hole: it takes no room
    assert rows(check(tree).findings) == [("picture-too-large", IMAGE, "bear")]


def test_exif_orientation_is_a_warning(tree: Tree) -> None:
    tree.write(IMAGE, jpeg(orientation=6))
    checked = check(tree)
    assert rows(checked.findings) == [("exif-orientation", IMAGE, "bear")]
    assert checked.findings[0].severity is Severity.WARNING
    assert len(checked.sequences) == 1


def test_soft_masks_are_a_warning_by_file(tree: Tree) -> None:
    tree.frames("bear", ["00000.jpg", "00001.jpg"])
    tree.write(MASK, png((0, 127, 128, 255), "L"))
    tree.write(MASK.replace("00000", "00001"), png((0, 255), "L"))
    checked = check(tree)
    assert rows(checked.findings) == [("soft-mask", MASK, "bear")]
    assert checked.sequences[0].frames[0].regions[0].area == 96


def test_an_object_may_appear_later_than_the_first_mask(tree: Tree) -> None:
    tree.frames("bear", ["00000.jpg", "00001.jpg"]).write(MASK, png((0, 1)))
    tree.write(MASK.replace("00000", "00001"), png((0, 1, 2)))
    frames = check(tree).sequences[0].frames
    assert [[region.object_id for region in frame.regions] for frame in frames] == [[1], [1, 2]]


def test_mixed_masks(tree: Tree) -> None:
    tree.frames("bear", ["00000.jpg", "00001.jpg"]).masks("bear")
    tree.write(MASK.replace("00000", "00001"), png((0, 255), "L"))
    assert rows(check(tree).findings) == [("mixed-mask-kinds", MASK.replace("00000", "00001"), "bear")]
    assert check(tree, MaskKind.PALETTE).findings == ()


def test_in_a_worker_process(tree: Tree) -> None:
    tree.frames("bear").masks("bear")
    (video,) = tree.read().videos
    here = check_video(video, tree.root, None)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(check_video, video, tree.root, None).result() == here
    assert pickle.loads(pickle.dumps(here)) == here


@pytest.fixture
def samples() -> Path:
    default = Path(__file__).parents[3] / "shared" / "vos"
    folder = Path(os.environ.get("GYGO_VOS_SAMPLES", default)) / "public"
    if not folder.is_dir():
        message = f"no sample data in {folder}: set GYGO_VOS_SAMPLES"
        pytest.fail(message) if "CI" in os.environ else pytest.skip(message)
    return folder


def test_published_videos(samples: Path) -> None:
    """Three sequences of DAVIS as others published them: ids beside 0/255 in one tree, a video with one mask."""
    source = read_davis(LocalFiles(samples))
    assert source.findings == ()
    assert source.splits == {"train": "ImageSets/2017/train.txt", "val": "ImageSets/2017/val.txt"}
    checked = {video.name: check_video(video, samples, None) for video in source.videos}
    assert [video.findings for video in checked.values()] == [(), (), ()]
    sequences = {name: video.sequences[0] for name, video in checked.items()}
    assert {(sequence.width, sequence.height) for sequence in sequences.values()} == {(854, 480)}
    assert {name: (sequence.mask_kind, len(sequence.frames)) for name, sequence in sequences.items()} == {
        "bmx-trees": (MaskKind.PALETTE, 4),
        "car-shadow": (MaskKind.BINARY, 40),
        "rollerblade": (MaskKind.BINARY, 35),
    }
    trees = sequences["bmx-trees"].frames
    assert [len(frame.regions) for frame in trees] == [2, 0, 0, 0]
    assert [frame.mask is None for frame in trees] == [False, True, True, True]
    assert all(frame.regions[0].object_id == 1 for frame in sequences["car-shadow"].frames)
