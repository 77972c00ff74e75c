"""Frames: what is told good from bad, on bytes as they occur and on hostile ones."""

from __future__ import annotations

import contextlib
import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gygo_server.media.pictures import Frame, PictureFault, kind_of, read_frame


def picture(form: str = "JPEG", size: tuple[int, int] = (24, 16), mode: str = "RGB", **options: object) -> bytes:
    target = io.BytesIO()
    image = Image.effect_noise(size, 60).convert(mode)
    image.save(target, form, **options)
    return target.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


JPEG = picture()


def code_of(content: bytes, **limits: int) -> str:
    with pytest.raises(PictureFault) as caught:
        read_frame(content, **limits)
    assert str(caught.value) == f"{caught.value.code}: {caught.value.message}"
    return str(caught.value.code)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_good_frames(mode: str, progressive: bool) -> None:
    assert read_frame(picture(mode=mode, progressive=progressive)) == Frame(24, 16, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_told_and_not_obeyed(orientation: int) -> None:
    assert read_frame(picture(exif=exif(orientation))) == Frame(24, 16, orientation)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_mean_nothing(orientation: int) -> None:
    assert read_frame(picture(exif=exif(orientation))).orientation == 1


def test_broken_exif_is_no_fault() -> None:
    content = picture(exif=exif(6))
    start = content.index(b"Exif\0\0") + 6
    for cut in range(start, start + 26):
        broken = content[:cut] + b"\xff" * (start + 26 - cut) + content[start + 26 :]
        assert read_frame(broken)[:2] == (24, 16)


def test_a_phones_multi_picture_jpeg_is_a_jpeg() -> None:
    target = io.BytesIO()
    image = Image.new("RGB", (24, 16))
    image.save(target, "MPO", save_all=True, append_images=[image])
    assert read_frame(target.getvalue()) == Frame(24, 16, 1)


def test_cut_at_any_byte() -> None:
    assert code_of(JPEG[:0]) == "empty-file"
    for length in range(1, len(JPEG)):
        assert code_of(JPEG[:length]) in {"not-a-jpeg", "truncated", "corrupt-picture"}
    assert {code_of(JPEG[:length]) for length in range(len(JPEG) - 40, len(JPEG))} == {"truncated"}


def test_git_lfs_pointer() -> None:
    assert code_of(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n") == "git-lfs-pointer"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (picture("PNG"), "a PNG"),
        (picture("GIF", mode="L"), "a GIF"),
        (picture("BMP"), "a BMP"),
        (picture("WEBP"), "a WebP"),
        (picture("TIFF"), "a TIFF"),
        (b"\0\0\0\x1cftypheic\0\0\0\0", "a HEIC"),
        (b"\0\0\0\x20ftypisom\0\0\0\0", "an MP4"),
        (b"<!DOCTYPE html>", "HTML or XML"),
        (b"hello", "of an unknown kind (it begins with 68 65 6c 6c 6f)"),
    ],
)
def test_what_is_no_jpeg_is_named(content: bytes, kind: str) -> None:
    assert code_of(content) == "not-a-jpeg"
    assert kind_of(content) == kind


def test_limits_hold_before_decoding() -> None:
    assert code_of(JPEG, max_pixels=24 * 16 - 1) == "picture-too-large"
    assert read_frame(JPEG, max_pixels=24 * 16) == Frame(24, 16, 1)
    bomb = JPEG.replace(struct.pack(">HH", 16, 24), struct.pack(">HH", 60000, 60000))
    assert code_of(bomb) == "picture-too-large"


def test_the_largest_picture_takes_no_warning() -> None:
    size = (8192, 8192)
    target = io.BytesIO()
    Image.new("L", size).save(target, "JPEG", quality=1)
    assert read_frame(target.getvalue()) == Frame(*size, 1)
    with pytest.raises(PictureFault, match="67,117,056 pixels"):
        read_frame(target.getvalue().replace(struct.pack(">HH", *size), struct.pack(">HH", 8192, 8193)))


def test_a_picture_of_many_scans_is_refused_before_it_is_drawn_again_and_again() -> None:
    content = picture(progressive=True)
    last = content.rindex(b"\xff\xda")
    scan = content[last:-2]
    assert read_frame(content[:-2] + scan * 50 + content[-2:]).width == 24
    assert code_of(content[:-2] + scan * 100 + content[-2:]) == "picture-too-large"


@st.composite
def mutated(draw: st.DrawFn, good: tuple[bytes, ...]) -> bytes:
    content = bytearray(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(content) - 1))
        content[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=6))
        if not content:
            break
    return bytes(content)


SMALL = (picture(exif=exif(6)), picture(progressive=True, icc_profile=b"x" * 40, comment=b"c"), picture(mode="CMYK"))


@settings(max_examples=500)
@given(st.one_of(st.binary(), st.binary().map(b"\xff\xd8\xff".__add__), mutated(SMALL)))
def test_hostile_bytes(content: bytes) -> None:
    with contextlib.suppress(PictureFault):
        assert read_frame(content, max_pixels=1_000_000).width > 0
