"""The reader of the DAVIS layout: names as they occur, and every fault of a tree."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from davis_trees import Tree, jpeg, message_of

from gygo_server.formats.davis import read_davis
from gygo_server.formats.files import LocalFiles


def test_reads_videos_frames_and_masks(tree: Tree) -> None:
    tree.frames("bear", ["00000.jpg", "00001.jpg"]).masks("bear", ["00000.png", "00001.png"])
    tree.frames("bear", ["00000.jpg", "00001.jpg"], "original")
    source = tree.read()
    assert source.findings == ()
    (bear,) = source.videos
    assert [(s.resolution, s.folder) for s in bear.sequences] == [("480p", "480p"), ("original", "original")]
    first, second = bear.sequences[0].frames
    assert (first.name, first.number) == ("00000", 0)
    assert bear.sequences[0].image_path(first) == "JPEGImages/480p/bear/00000.jpg"
    assert bear.sequences[0].mask_path(second) == "Annotations/480p/bear/00001.png"
    assert [frame.mask for frame in bear.sequences[1].frames] == [None, None]


@pytest.mark.parametrize("folder", ["480p", "1080p", "original", "Full-Resolution"])
def test_a_resolution_is_called_as_its_folder(tree: Tree, folder: str) -> None:
    (video,) = tree.frames("bear", resolution=folder).read().videos
    assert (video.sequences[0].resolution, video.sequences[0].folder) == (folder, folder)


def test_the_old_name_of_the_original_resolution(tree: Tree) -> None:
    (video,) = tree.frames("bear", resolution="OriginalFrames").masks("bear", resolution="OriginalFrames").read().videos
    assert (video.sequences[0].resolution, video.sequences[0].folder) == ("original", "OriginalFrames")
    assert video.sequences[0].frames[0].mask is not None


def test_top_folders_in_any_case(tree: Tree) -> None:
    tree.write("jpegimages/480p/bear/00000.jpg")
    tree.write("ANNOTATIONS/480p/bear/00000.png")
    tree.write("imagesets/Train.TXT", "bear\n")
    source = tree.read()
    assert source.findings == ()
    assert source.splits == {"train": "imagesets/Train.TXT"}
    assert source.videos[0].sequences[0].frames[0].mask is not None


def test_nested_videos_keep_the_slash(tree: Tree) -> None:
    tree.frames("batch-00002/cool-car-gray").frames("batch-00002/red-shoe").masks("batch-00002/red-shoe")
    source = tree.read()
    assert [video.name for video in source.videos] == ["batch-00002/cool-car-gray", "batch-00002/red-shoe"]
    assert source.findings == ()


@pytest.mark.parametrize(
    ("files", "numbers"),
    [
        (["00000.jpg", "00001.jpg"], [0, 1]),
        (["00000074.jpg", "00000075.jpg"], [74, 75]),
        (["frame_000012.jpg", "frame_000013.jpg"], [12, 13]),
        (["01255.jpg", "01260.jpg"], [1255, 1260]),
        (["2.jpg", "10.jpg", "1.jpg"], [1, 2, 10]),
        (["00000.JPG", "00001.Jpg"], [0, 1]),
    ],
)
def test_frames_go_by_number(tree: Tree, files: list[str], numbers: list[int]) -> None:
    source = tree.frames("bear", files).read()
    assert [frame.number for frame in source.videos[0].sequences[0].frames] == numbers
    assert source.findings == ()


def test_published_names_are_kept(tree: Tree) -> None:
    tree.frames("bear", ["frame_000012.JPG"]).masks("bear", ["frame_000012.PNG"])
    (frame,) = tree.read().videos[0].sequences[0].frames
    assert (frame.name, frame.image) == ("frame_000012", "frame_000012.JPG")
    assert frame.mask == "frame_000012.PNG"


@pytest.mark.parametrize("masks", [[], ["00000.png"], ["00000.png", "00010.png"]])
def test_masks_may_be_absent_or_sparse(tree: Tree, masks: list[str]) -> None:
    source = tree.frames("bear", ["00000.jpg", "00005.jpg", "00010.jpg"]).masks("bear", masks).read()
    assert source.findings == ()
    assert sum(frame.mask is not None for frame in source.videos[0].sequences[0].frames) == len(masks)


def test_a_video_may_have_some_resolutions_only(tree: Tree) -> None:
    source = tree.frames("a").frames("a", resolution="original").frames("b").read()
    assert [len(video.sequences) for video in source.videos] == [2, 1]
    assert source.findings == ()


@pytest.mark.parametrize(
    "litter",
    [".DS_Store", "._00000.jpg", "Thumbs.db", "desktop.ini", ".hidden/00000.jpg", "__MACOSX/00000.jpg", "@eaDir/1.jpg"],
)
@pytest.mark.parametrize("place", ["JPEGImages", "JPEGImages/480p", "JPEGImages/480p/bear", "Annotations/480p/bear"])
def test_litter_is_passed_over(tree: Tree, place: str, litter: str) -> None:
    tree.frames("bear").masks("bear").write(f"{place}/{litter}")
    source = tree.read()
    assert source.findings == ()
    assert len(source.videos) == 1


@pytest.mark.parametrize(
    ("path", "video"),
    [
        ("JPEGImages/readme.md", None),
        ("JPEGImages/480p/list.txt", None),
        ("JPEGImages/480p/bear/notes.txt", "bear"),
        ("Annotations/480p/bear/meta.json", "bear"),
    ],
)
def test_stray_files_are_a_warning(tree: Tree, path: str, video: str | None) -> None:
    tree.frames("bear").masks("bear").write(path)
    assert tree.warnings() == [("stray-file", path, video)]
    assert tree.faults() == []


@pytest.mark.parametrize(
    ("path", "video"), [("JPEGImages/480p/empty", "empty"), ("JPEGImages/1080p", None), ("Annotations/480p/b", "b")]
)
def test_empty_folders_are_a_warning(tree: Tree, path: str, video: str | None) -> None:
    tree.frames("bear")
    (tree.root / path).mkdir(parents=True)
    source = tree.read()
    assert tree.warnings() == [("empty-folder", path, video)]
    assert [video.name for video in source.videos] == ["bear"]


def test_a_long_suffix_is_one_warning_a_video(tree: Tree) -> None:
    tree.frames("bear", ["00000.jpeg", "00001.JPEG", "00002.jpg"])
    assert tree.warnings() == [("jpeg-suffix", "JPEGImages/480p/bear/00000.jpeg", "bear")]
    assert len(tree.read().videos[0].sequences[0].frames) == 3


def test_what_is_no_data_set_has_no_videos_and_says_what_was_expected(tree: Tree) -> None:
    tree.write("README.md")
    tree.write("DAVIS/JPEGImages/480p/bear/00000.jpg")
    source = tree.read()
    assert source.videos == ()
    message = message_of(source, "no-jpegimages")
    assert "JPEGImages/<resolution>/<video>" in message
    assert "DAVIS, README.md" in message
    assert "DAVIS has one" in message


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_root_that_cannot_be_listed(tree: Tree, kind: str) -> None:
    root = tree.root / "missing" if kind == "missing" else tree.write("file")
    source = read_davis(LocalFiles(root))
    assert source.videos == ()
    assert [finding.code for finding in source.findings] == ["unreadable"]


def test_two_top_folders(tree: Tree) -> None:
    tree.frames("bear").write("jpegimages/480p/cow/00000.jpg")
    assert tree.faults() == [("ambiguous-folder", "JPEGImages", None)]
    assert [video.name for video in tree.read().videos] == ["bear"]


def test_no_videos(tree: Tree) -> None:
    (tree.root / "JPEGImages").mkdir()
    assert tree.faults() == [("no-videos", "JPEGImages", None)]


@pytest.mark.parametrize("folder", ["480 p", "_480p", "-p", "gr\u00f6\u00dfe"])
def test_bad_resolution_name(tree: Tree, folder: str) -> None:
    tree.frames("bear").frames("bear", resolution=folder)
    assert tree.faults() == [("bad-resolution-name", f"JPEGImages/{folder}", None)]


@pytest.mark.parametrize("pair", [("OriginalFrames", "original"), ("480P", "480p")])
def test_two_folders_for_one_resolution(tree: Tree, pair: tuple[str, str]) -> None:
    for folder in pair:
        tree.frames("bear", resolution=folder)
    assert tree.faults() == [("duplicate-resolution", f"JPEGImages/{pair[1]}", None)]


def test_pictures_above_the_videos(tree: Tree) -> None:
    tree.frames("bear").write("JPEGImages/00000.jpg")
    tree.write("JPEGImages/video/00000.jpg")
    tree.write("Annotations/480p/00000.png")
    assert tree.faults() == [
        ("misplaced-pictures", "JPEGImages", None),
        ("misplaced-pictures", "JPEGImages/video", None),
        ("misplaced-pictures", "Annotations/480p", None),
    ]
    messages = [finding.message for finding in tree.read().findings]
    assert "frames directly in a resolution folder; expected JPEGImages/<resolution>/<video>/" in messages[1]


def test_a_video_in_a_video(tree: Tree) -> None:
    tree.frames("bear").frames("bear/cub").frames("cow")
    assert tree.faults() == [
        ("nested-video", "JPEGImages/480p/bear", "bear"),
        ("nested-video", "JPEGImages/480p/bear/cub", "bear/cub"),
    ]


@pytest.mark.parametrize("file", ["00001.png", "00001.bmp", "00001.WEBP", "00001.tiff"])
def test_frames_of_another_kind(tree: Tree, file: str) -> None:
    tree.frames("bear", ["00000.jpg", file])
    assert tree.faults() == [("wrong-picture-kind", f"JPEGImages/480p/bear/{file}", "bear")]


@pytest.mark.parametrize("file", ["00000.jpg", "00000.gif"])
def test_masks_of_another_kind(tree: Tree, file: str) -> None:
    tree.frames("bear").masks("bear", [file])
    assert tree.faults() == [("wrong-picture-kind", f"Annotations/480p/bear/{file}", "bear")]


def test_a_frame_without_a_number(tree: Tree) -> None:
    tree.frames("bear", ["00000.jpg", "cover.jpg"]).masks("bear", ["cover.png"])
    assert tree.faults() == [("no-frame-number", "JPEGImages/480p/bear/cover.jpg", "bear")]


@pytest.mark.parametrize("stem", [b" 00001", b"a\\1", b"a\n1", b"caf\xe9-1"])
def test_a_frame_with_a_bad_name(tree: Tree, stem: bytes) -> None:
    tree.frames("bear")
    Path(os.fsdecode(os.fsencode(tree.root / "JPEGImages/480p/bear") + b"/" + stem + b".jpg")).write_bytes(jpeg())
    assert [(code, video) for code, _, video in tree.faults()] == [("bad-frame-name", "bear")]


@pytest.mark.parametrize("pair", [("00001.jpg", "1.jpg"), ("00001.jpeg", "00001.jpg"), ("00001.JPG", "00001.jpg")])
def test_two_frames_with_one_number(tree: Tree, pair: tuple[str, str]) -> None:
    tree.frames("bear", pair)
    assert tree.faults() == [("duplicate-frame-number", f"JPEGImages/480p/bear/{pair[1]}", "bear")]
    assert all(name in message_of(tree.read(), "duplicate-frame-number") for name in pair)


def test_two_masks_of_one_frame(tree: Tree) -> None:
    tree.frames("bear").masks("bear", ["00000.PNG", "00000.png"])
    assert tree.faults() == [("duplicate-mask", "Annotations/480p/bear/00000.png", "bear")]


def test_masks_without_frames_are_told_by_file(tree: Tree) -> None:
    tree.frames("bear").masks("bear", ["00000.png", "00001.png", "0.png"])
    assert tree.faults() == [
        ("mask-without-frame", "Annotations/480p/bear/0.png", "bear"),
        ("mask-without-frame", "Annotations/480p/bear/00001.png", "bear"),
    ]


def test_folders_of_masks_without_frames_are_told_by_folder(tree: Tree) -> None:
    tree.frames("bear").masks("cow", ["00000.png", "00001.png"]).masks("bear", resolution="1080p")
    assert tree.faults() == [
        ("mask-without-frame", "Annotations/1080p/bear", "bear"),
        ("mask-without-frame", "Annotations/480p/cow", "cow"),
    ]


def test_masks_one_folder_too_deep_are_their_videos_fault(tree: Tree) -> None:
    tree.frames("bear").masks("bear/000")  # SA-V: a folder for each object
    assert tree.faults() == [("mask-without-frame", "Annotations/480p/bear/000", "bear")]


def test_resolutions_must_have_the_same_frames(tree: Tree) -> None:
    tree.frames("bear", [f"{number:05}.jpg" for number in range(9)]).frames("bear", ["00000.jpg"], "original")
    assert tree.faults() == [("resolutions-differ", "JPEGImages/original/bear", "bear")]
    message = message_of(tree.read(), "resolutions-differ")
    assert message.startswith("8 frames")
    assert "00001, 00002, 00003, 00004, 00005 and 3 more" in message


def test_the_same_number_by_another_name_is_another_frame(tree: Tree) -> None:
    tree.frames("bear", ["00001.jpg"]).frames("bear", ["1.jpg"], "original")
    assert [code for code, _, _ in tree.faults()] == ["resolutions-differ"] * 2


@pytest.mark.parametrize(
    "name",
    [b"a:b", b"a\\b", b" bear", b"bear ", b"be\x1bar", b"be\nar", b"caf\xe9", b"x/ y", "\u2028".encode() + b"a"],
)
def test_bad_video_names(tree: Tree, name: bytes) -> None:
    folder = Path(os.fsdecode(os.fsencode(tree.root / "JPEGImages/480p") + b"/" + name))
    folder.mkdir(parents=True)
    (folder / "00000.jpg").write_bytes(jpeg())
    tree.frames("cow")
    assert [code for code, _, _ in tree.faults()] == ["bad-video-name"]
    assert [video.name for video in tree.read().videos] == ["cow"]


def test_a_list_may_name_a_video_whose_name_is_bad(tree: Tree) -> None:
    tree.frames("a:b").frames("cow").write("ImageSets/train.txt", "a:b\ncow\n")
    assert tree.faults() == [("bad-video-name", "JPEGImages/480p/a:b", "a:b")]


def test_a_dot_in_a_name_is_a_warning(tree: Tree) -> None:
    tree.frames("bear.v2")
    assert tree.warnings() == [("dot-in-video-name", "JPEGImages/480p/bear.v2", "bear.v2")]


@pytest.mark.parametrize("pair", [("Bear", "bear"), ("caf\u0065\u0301", "caf\u00e9")])
def test_names_that_collide_elsewhere_are_a_warning(tree: Tree, pair: tuple[str, str]) -> None:
    for name in pair:
        tree.frames(name)
    assert tree.warnings() == [("similar-video-names", f"JPEGImages/480p/{pair[1]}", pair[1])]


def test_all_faults_at_once(tree: Tree) -> None:
    tree.frames("a", ["x.jpg"]).frames("b", ["1.jpg", "01.jpg"]).masks("c").frames("d:e").frames("f", resolution="?")
    tree.write("ImageSets/train.txt", "zebra\n")
    codes = {code for code, _, _ in tree.faults()}
    assert codes == {
        "no-frame-number",
        "duplicate-frame-number",
        "mask-without-frame",
        "bad-video-name",
        "bad-resolution-name",
        "split-names-missing-video",
    }


def test_linked_folders_are_followed(tree: Tree) -> None:
    tree.frames("bear", resolution="480p")
    tree.link("JPEGImages/480p/cow", "bear")
    assert [video.name for video in tree.read().videos] == ["bear", "cow"]


@pytest.mark.parametrize("to", [".", "..", "../..", "../../../JPEGImages"])
def test_links_that_lead_back(tree: Tree, to: str) -> None:
    tree.frames("bear").link("JPEGImages/480p/batch/loop", to)
    codes = {code for code, _, _ in tree.warnings()}
    assert "folder-loop" in codes
    assert {video.name for video in tree.read().videos} >= {"bear"}


def test_folders_without_end(tree: Tree) -> None:
    tree.frames("/".join("abcdefghijklmnopqrstuvwxyz"))
    assert [code for code, _, _ in tree.faults()] == ["too-deep", "no-videos"]


@pytest.mark.parametrize("name", ["00001.jpg", "sub"])
def test_links_to_themselves(tree: Tree, name: str) -> None:
    tree.frames("bear").link(f"JPEGImages/480p/bear/{name}", name)
    assert tree.faults() == [("unreadable", f"JPEGImages/480p/bear/{name}", "bear")]


def test_links_to_nothing(tree: Tree) -> None:
    tree.frames("bear").link("JPEGImages/480p/bear/00001.jpg", "nowhere.jpg")
    tree.link("JPEGImages/480p/bear/notes.txt", "nowhere.txt")
    assert tree.faults() == [("unreadable", "JPEGImages/480p/bear/00001.jpg", "bear")]
    assert tree.warnings() == [("stray-file", "JPEGImages/480p/bear/notes.txt", "bear")]


def test_a_pipe_is_no_frame(tree: Tree) -> None:
    tree.frames("bear")
    os.mkfifo(tree.root / "JPEGImages/480p/bear/00001.jpg")
    assert tree.faults() == [("unreadable", "JPEGImages/480p/bear/00001.jpg", "bear")]


@pytest.fixture
def open_tree() -> Iterator[Tree]:
    """A tree which any user may reach, unlike pytest's own."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    yield Tree(root)
    shutil.rmtree(root)


@pytest.mark.parametrize("path", ["JPEGImages/480p/cow", "Annotations/480p", "ImageSets", "ImageSets/train.txt"])
def test_no_permission(open_tree: Tree, path: str) -> None:
    open_tree.frames("bear").frames("cow").masks("bear").write("ImageSets/train.txt", "bear\n")
    (open_tree.root / path).chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)  # root may read everything
    try:
        faults = open_tree.faults()
    finally:
        if is_root:
            os.seteuid(0)
        (open_tree.root / path).chmod(0o755)
    code = "unreadable-list" if path.endswith(".txt") else "unreadable"
    assert faults == [(code, path, "cow" if "cow" in path else None)]
