"""Split lists: where they lie, what a line may say, and every fault of a list."""

from __future__ import annotations

import os

import pytest
from davis_trees import Tree, message_of
from hypothesis import given
from hypothesis import strategies as st

from gygo_server.formats.imagesets import Line, parse_line


def splits_of(tree: Tree) -> dict[str, tuple[str, ...]]:
    return {video.name: video.splits for video in tree.read().videos}


def test_lists_as_gygo_has_them(tree: Tree) -> None:
    tree.frames("batch-00002/car").frames("shoe").frames("toy")
    tree.write("ImageSets/Train.txt", "batch-00002/car\n")
    tree.write("ImageSets/val.txt", "shoe\n")
    tree.write("ImageSets/trainval.txt", "shoe\nbatch-00002/car\n")
    source = tree.read()
    assert source.findings == ()
    assert source.splits == {
        "train": "ImageSets/Train.txt",
        "trainval": "ImageSets/trainval.txt",
        "val": "ImageSets/val.txt",
    }
    assert splits_of(tree) == {"batch-00002/car": ("train", "trainval"), "shoe": ("trainval", "val"), "toy": ()}


def test_the_newest_year_gives_plain_names(tree: Tree) -> None:
    tree.frames("a").frames("b")
    tree.write("ImageSets/2016/train.txt", "a\n")
    tree.write("ImageSets/2017/train.txt", "a\nb\n")
    assert splits_of(tree) == {"a": ("2016-train", "train"), "b": ("train",)}


def test_a_plain_list_goes_before_the_newest_year(tree: Tree) -> None:
    tree.frames("a").frames("b")
    tree.write("ImageSets/train.txt", "a\n")
    tree.write("ImageSets/2017/train.txt", "b\n")
    tree.write("ImageSets/2017/val.txt", "b\n")
    assert splits_of(tree) == {"a": ("train",), "b": ("2017-train", "val")}


def test_lists_of_resolutions_are_one_split(tree: Tree) -> None:
    for resolution in ("480p", "1080p"):
        tree.frames("bear", resolution=resolution).masks("bear", resolution=resolution)
        line = f"/JPEGImages/{resolution}/bear/00000.jpg /Annotations/{resolution}/bear/00000.png \r\n"
        tree.write(f"ImageSets/{resolution}/train.txt", line)
    source = tree.read()
    assert source.findings == ()
    assert source.splits == {"train": "ImageSets/1080p/train.txt"}
    assert source.videos[0].splits == ("train",)


def test_lists_of_resolutions_give_way_to_the_newest_year(tree: Tree) -> None:
    tree.frames("a").frames("b")
    tree.write("ImageSets/480p/train.txt", "JPEGImages/480p/a/00000.jpg\n")
    tree.write("ImageSets/2017/train.txt", "b\n")
    assert splits_of(tree) == {"a": ("480p-train",), "b": ("train",)}


def test_any_other_folder_puts_its_name_before(tree: Tree) -> None:
    tree.frames("a").write("ImageSets/Youtube/train.txt", "a\n")
    assert splits_of(tree) == {"a": ("youtube-train",)}


@pytest.mark.parametrize(
    "content", ["\ufeffbear\r\n", "\n\n  bear \t\n", "bear", "bear\nbear\n", "\ufeff\r\nbear\r\n\r\n"]
)
def test_lists_as_editors_leave_them(tree: Tree, content: str) -> None:
    tree.frames("bear").write("ImageSets/train.txt", content)
    assert tree.read().findings == ()
    assert splits_of(tree) == {"bear": ("train",)}


@pytest.mark.parametrize(
    "path", ["ImageSets/.DS_Store", "ImageSets/._train.txt", "ImageSets/readme.md", "ImageSets/db.yml"]
)
def test_what_is_no_list_is_passed_over(tree: Tree, path: str) -> None:
    tree.frames("bear").write(path, b"\xff")
    assert tree.read().findings == ()
    assert tree.read().splits == {}


def test_lists_too_deep_are_a_warning(tree: Tree) -> None:
    tree.frames("bear").write("ImageSets/2017/old/train.txt", "bear\n")
    assert tree.warnings() == [("stray-file", "ImageSets/2017/old", None)]


@pytest.mark.parametrize("path", ["ImageSets/my split.txt", "ImageSets/_a.txt", "ImageSets/a b/train.txt"])
def test_bad_split_name(tree: Tree, path: str) -> None:
    tree.frames("bear").write(path, "bear\n")
    assert tree.faults() == [("bad-split-name", path, None)]
    assert tree.read().splits == {}


@pytest.mark.parametrize(
    "pair",
    [
        ("ImageSets/Train.txt", "ImageSets/train.txt"),
        ("ImageSets/480p/Train.txt", "ImageSets/480p/train.txt"),
        ("ImageSets/x-train.txt", "ImageSets/x/train.txt"),
    ],
)
def test_two_lists_for_one_split(tree: Tree, pair: tuple[str, str]) -> None:
    tree.frames("bear")
    for path in pair:
        tree.write(path, "bear\n")
    assert tree.faults() == [("duplicate-split", pair[1], None)]


@pytest.mark.parametrize("content", [b"caf\xe9\n", "bear\n".encode("utf-16")])
def test_a_list_that_is_not_utf_8(tree: Tree, content: bytes) -> None:
    tree.frames("bear").write("ImageSets/train.txt", content)
    assert tree.faults() == [("unreadable-list", "ImageSets/train.txt", None)]


@pytest.mark.parametrize("kind", ["pipe", "link to nothing", "link to itself"])
def test_a_list_that_is_no_file(tree: Tree, kind: str) -> None:
    tree.frames("bear").write("ImageSets/val.txt", "bear\n")
    if kind == "pipe":
        os.mkfifo(tree.root / "ImageSets/train.txt")
    else:
        tree.link("ImageSets/train.txt", "nowhere" if "nothing" in kind else "train.txt")
    code = "unreadable" if kind == "link to itself" else "unreadable-list"
    assert tree.faults() == [(code, "ImageSets/train.txt", None)]
    assert splits_of(tree) == {"bear": ("val",)}


def test_an_empty_list_is_a_warning(tree: Tree) -> None:
    tree.frames("bear").write("ImageSets/test.txt", "\n")
    assert tree.warnings() == [("empty-split", "ImageSets/test.txt", None)]
    assert tree.read().splits == {"test": "ImageSets/test.txt"}


def test_missing_videos_are_told_once_a_name(tree: Tree) -> None:
    tree.frames("bear").write("ImageSets/train.txt", "bear\nzebra\ngnu\nzebra\n")
    list_path = "ImageSets/train.txt"
    assert tree.faults() == [
        ("split-names-missing-video", list_path, "zebra"),
        ("split-names-missing-video", list_path, "gnu"),
    ]
    assert [finding.message.split(",")[0] for finding in tree.read().findings] == [
        "line 2 names the video zebra",
        "line 3 names the video gnu",
    ]
    assert splits_of(tree) == {"bear": ("train",)}


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("/JPEGImages/480p/bear/00009.jpg", "480p/bear/00009.jpg"),
        ("/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00009.png", "480p/bear/00009.png"),
        ("/JPEGImages/1080p/bear/00000.jpg", "1080p/bear/00000.jpg"),
        ("/JPEGImages/480p/bear/00000.JPG", "480p/bear/00000.JPG"),
    ],
)
def test_missing_files(tree: Tree, line: str, file: str) -> None:
    tree.frames("bear").masks("bear").write("ImageSets/480p/val.txt", f"\n{line}\n")
    assert tree.faults() == [("split-names-missing-file", "ImageSets/480p/val.txt", "bear")]
    assert message_of(tree.read(), "split-names-missing-file").startswith(f"line 2 names the file {file}")


def test_paths_of_a_missing_video(tree: Tree) -> None:
    tree.frames("bear").write("ImageSets/train.txt", "/JPEGImages/480p/a/b c/00000.jpg\n")
    assert tree.faults() == [("split-names-missing-video", "ImageSets/train.txt", "a/b c")]


NAMES = st.text(st.characters(categories=("L", "N", "P"), exclude_characters="/"), min_size=1, max_size=8)
VIDEOS = st.lists(st.lists(NAMES, min_size=1, max_size=2).map(" ".join), min_size=1, max_size=3).map("/".join)
BLANKS = st.text(" \t\r", max_size=3)


@given(VIDEOS, BLANKS, BLANKS, st.booleans())
def test_a_known_name_is_read_back(video: str, before: str, after: str, marked: bool) -> None:
    assert parse_line(("\ufeff" if marked else "") + before + video + after, {video}) == Line(video)


@given(VIDEOS, st.booleans(), st.booleans(), BLANKS.filter(bool), BLANKS)
def test_paths_are_read_back(video: str, slash: bool, with_mask: bool, between: str, after: str) -> None:
    start = "/" if slash else ""
    image, mask = f"JPEGImages/480p/{video}/00000.jpg", f"Annotations/480p/{video}/00000.png"
    line = start + image + (between + start + mask if with_mask else "") + after
    files = ("jpegimages" + image[10:], "annotations" + mask[11:]) if with_mask else ("jpegimages" + image[10:],)
    assert parse_line(line, {video}) == Line(video, files)


@given(st.text())
def test_any_line_is_a_name_or_blank(line: str) -> None:
    parsed = parse_line(line, ())
    assert (parsed is None) == (not line.strip().strip("\ufeff").strip())
    assert parsed is None or parsed.video or parsed.files
