"""The archive's bytes: the same for the same content, read by every tar, and where the catalogue says they are."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gygo_server.formats.archive import MEMBER_TIME, SourceChangedError, write_archive
from gygo_server.formats.check import CheckedFrame, CheckedSequence
from gygo_server.model import Archive, Box, MaskKind, Member, Region

#: A frame: its stem, its picture's bytes, and its mask's if it has one.
Frame = tuple[str, bytes, bytes | None]

FRAMES: tuple[Frame, ...] = (
    ("00000", b"j" * 700, b"p" * 512),
    ("00005", b"k" * 1, None),
    ("00010", b"l" * 1024, b"q" * 100),
)
END = bytes(1024)


def sequence_of(
    root: Path, video: str, frames: Sequence[Frame], folder: str = "480p", regions: tuple[Region, ...] = ()
) -> CheckedSequence:
    """The frames as files below ``root``, and as if they had been checked."""
    checked = []
    for stem, image, mask in frames:
        paths = {}
        for top, suffix, content in (("JPEGImages", "jpg", image), ("Annotations", "png", mask)):
            path = root / top / folder / video / f"{stem}.{suffix}"
            if content is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                paths[top] = path
        checked.append(
            CheckedFrame(
                stem,
                paths["JPEGImages"],
                len(image),
                hashlib.sha256(image).hexdigest(),
                paths.get("Annotations"),
                None if mask is None else len(mask),
                None if mask is None else hashlib.sha256(mask).hexdigest(),
                regions,
            )
        )
    return CheckedSequence(folder, folder, 16, 12, MaskKind.PALETTE, tuple(checked))


def packed(root: Path, video: str, frames: Sequence[Frame], folder: str = "480p") -> tuple[bytes, Archive]:
    target = io.BytesIO()
    archive = write_archive(video, sequence_of(root, video, frames, folder), target)
    return target.getvalue(), archive


def files_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def members_of(content: bytes) -> list[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]


def test_equal_content_has_equal_bytes_whatever_the_disk_says(tmp_path: Path) -> None:
    content, archive = packed(tmp_path / "one", "bear", FRAMES)
    elsewhere = tmp_path / "other place"
    sequence_of(elsewhere, "bear", tuple(reversed(FRAMES)))  # written to disk in another order
    sequence = sequence_of(elsewhere, "bear", FRAMES)
    for number, path in enumerate(sorted(elsewhere.rglob("*"))):
        path.chmod(0o700)
        if os.geteuid() == 0:
            os.chown(path, 12345, 54321)
        os.utime(path, (10**9 + number, 10**9 + number))
    target = io.BytesIO()
    same = write_archive("bear", sequence, target)
    again = target.getvalue()
    assert again == content
    assert same == archive


@pytest.mark.parametrize(
    ("video", "frames", "folder"),
    [
        ("other", FRAMES, "480p"),
        ("bear", FRAMES, "original"),
        ("bear", FRAMES[:2], "480p"),
        ("bear", (("00001", *FRAMES[0][1:]), *FRAMES[1:]), "480p"),
        ("bear", ((FRAMES[0][0], b"J" + FRAMES[0][1][1:], FRAMES[0][2]), *FRAMES[1:]), "480p"),
        ("bear", ((FRAMES[0][0], FRAMES[0][1], None), *FRAMES[1:]), "480p"),
    ],
    ids=["video", "folder", "a frame less", "frame's name", "a byte", "a mask less"],
)
def test_other_content_has_another_hash(tmp_path: Path, video: str, frames: Sequence[Frame], folder: str) -> None:
    assert packed(tmp_path / "a", video, frames, folder)[1].sha256 != packed(tmp_path / "b", "bear", FRAMES)[1].sha256


def test_members_are_frame_mask_frame_mask_with_fixed_headers(tmp_path: Path) -> None:
    content, _ = packed(tmp_path, "batch-00002/cool-car", FRAMES)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == [
        "JPEGImages/480p/batch-00002/cool-car/00000.jpg",
        "Annotations/480p/batch-00002/cool-car/00000.png",
        "JPEGImages/480p/batch-00002/cool-car/00005.jpg",
        "JPEGImages/480p/batch-00002/cool-car/00010.jpg",
        "Annotations/480p/batch-00002/cool-car/00010.png",
    ]
    for member in members:
        assert member.isreg()
        assert (member.mode, member.uid, member.gid, member.uname, member.gname) == (0o644, 0, 0, "", "")
        assert member.mtime == MEMBER_TIME


def test_the_archive_knows_its_own_hash_and_size(tmp_path: Path) -> None:
    content, archive = packed(tmp_path, "bear", FRAMES)
    assert archive.sha256 == hashlib.sha256(content).hexdigest()
    assert archive.size == len(content)
    assert content.endswith(END)
    assert (archive.width, archive.height, archive.mask_kind) == (16, 12, MaskKind.PALETTE)


def test_regions_go_through_to_the_frames(tmp_path: Path) -> None:
    regions = (Region(3, Box(1, 2, 3, 4), 12),)
    archive = write_archive("bear", sequence_of(tmp_path, "bear", FRAMES, regions=regions), io.BytesIO())
    assert [frame.regions for frame in archive.frames] == [regions] * 3


@pytest.mark.parametrize("video", ["bear", "batch-00002/" + "long-name-" * 20, "Ünï/видео 猫"])
def test_the_system_s_tar_extracts_the_source(tmp_path: Path, video: str) -> None:
    content, _ = packed(tmp_path / "source", video, FRAMES)
    target = tmp_path / "extracted"
    target.mkdir()
    done = subprocess.run(["tar", "-x"], input=content, cwd=target, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert files_of(target) == files_of(tmp_path / "source")


def test_archives_of_several_videos_extract_into_one_tree(tmp_path: Path) -> None:
    target = tmp_path / "extracted"
    target.mkdir()
    for video in ("a/one", "a/two", "three"):
        for folder in ("480p", "original"):
            content, _ = packed(tmp_path / "source", video, FRAMES, folder)
            subprocess.run(["tar", "-x"], input=content, cwd=target, check=True)
    assert files_of(target) == files_of(tmp_path / "source")


PART = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="/\\:."), min_size=1)
NAME = st.lists(PART.filter(lambda part: len(part.encode()) <= 180), min_size=1, max_size=3).map("/".join)
CONTENT = st.binary(max_size=1200) | st.sampled_from([b"", bytes(511), bytes(512), bytes(513), bytes(10240)])
SEQUENCE = st.lists(st.tuples(CONTENT, st.none() | CONTENT), min_size=1, max_size=5)


@given(NAME, SEQUENCE, st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_frames_point_at_their_bytes_and_any_run_of_frames_is_a_tar(
    video: str, pictures: list[tuple[bytes, bytes | None]], draw: st.DataObject
) -> None:
    frames = [(f"{number * 5:05d}", image, mask) for number, (image, mask) in enumerate(pictures)]
    with TemporaryDirectory() as root:
        content, archive = packed(Path(root), video, frames)
        assert dict(members_of(content)) == files_of(Path(root))
    offset = 0
    for index, (files, (stem, image, mask)) in enumerate(zip(archive.frames, frames, strict=True)):
        assert (files.index, files.name, files.start) == (index, stem, offset)
        for member, expected in ((files.image, image), (files.mask, mask)):
            assert (member is None) == (expected is None)
            if member and expected is not None:
                assert content[member.offset : member.offset + member.size] == expected
                assert member == Member(member.offset, len(expected), hashlib.sha256(expected).hexdigest())
                assert files.start < member.offset <= files.end - member.size
        offset = files.end
    assert content[offset:] == END
    first = draw.draw(st.integers(0, len(frames) - 1))
    last = draw.draw(st.integers(first, len(frames) - 1))
    clip = content[archive.frames[first].start : archive.frames[last].end] + END
    expected_members = [
        (f"{top}/480p/{video}/{stem}.{suffix}", part)
        for stem, image, mask in frames[first : last + 1]
        for top, suffix, part in (("JPEGImages", "jpg", image), ("Annotations", "png", mask))
        if part is not None
    ]
    assert members_of(clip) == expected_members


@pytest.mark.parametrize("top", ["JPEGImages", "Annotations"])
def test_a_file_that_changed_after_the_check_is_refused(tmp_path: Path, top: str) -> None:
    sequence = sequence_of(tmp_path, "bear", FRAMES)
    (changed,) = (tmp_path / top).rglob("00010.*")
    changed.write_bytes(b"x" * changed.stat().st_size)
    with pytest.raises(SourceChangedError, match=r"00010.*changed while it was being published"):
        write_archive("bear", sequence, io.BytesIO())


def test_a_file_that_is_gone_after_the_check_is_an_error(tmp_path: Path) -> None:
    sequence = sequence_of(tmp_path, "bear", FRAMES)
    gone = replace(sequence.frames[0], image=tmp_path / "gone.jpg")
    with pytest.raises(OSError, match=r"gone\.jpg"):
        write_archive("bear", replace(sequence, frames=(gone,)), io.BytesIO())
