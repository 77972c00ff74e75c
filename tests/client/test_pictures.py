"""Frames and masks as arrays, at any size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import gygo
from gygo.pictures import decode_image, decode_mask

sides = st.integers(1, 1300)


def png(values: np.ndarray, mode: str | None = None) -> bytes:
    target = io.BytesIO()
    Image.fromarray(values, mode).save(target, "PNG")
    return target.getvalue()


@given(sides, sides, sides, sides)
def test_any_picture_fits_any_size(height: int, width: int, to_height: int, to_width: int) -> None:
    content = png(np.zeros((height, width), np.uint8))
    assert decode_mask(content, size=(to_height, to_width)).shape == (to_height, to_width)


@pytest.mark.parametrize(
    ("source", "size"),
    [((480, 853), (240, 432)), ((480, 854), (352, 352)), ((480, 854), (60, 108)), ((720, 1280), (416, 416))],
)
def test_sizes_that_rounding_made_a_hair_too_large(source: tuple[int, int], size: tuple[int, int]) -> None:
    target = io.BytesIO()
    Image.fromarray(np.zeros((*source, 3), np.uint8)).save(target, "JPEG")
    assert decode_image(target.getvalue(), size).shape == (*size, 3)


@given(st.integers(2, 60), st.integers(2, 60), st.integers(1, 90), st.integers(1, 90))
def test_resizing_a_mask_makes_up_no_label(height: int, width: int, to_height: int, to_width: int) -> None:
    labels = np.random.default_rng(height * width).choice(np.array([0, 3, 7, 255], np.uint8), (height, width))
    resized = decode_mask(png(labels), size=(to_height, to_width))
    assert set(np.unique(resized)) <= {0, 3, 7, 255}
    assert 255 not in decode_mask(png(labels), size=(to_height, to_width), void="zero")


def test_a_picture_is_cut_out_of_the_middle() -> None:
    labels = np.repeat(np.array([[1, 2, 2, 3]], np.uint8), 2, axis=0)
    assert decode_mask(png(labels), size=(2, 2)).tolist() == [[2, 2], [2, 2]]


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "1", "P"])
def test_masks_of_every_mode_are_read_as_labels(mode: str) -> None:
    grey = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8))
    target = io.BytesIO()
    if mode == "P":
        grey = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8))
        grey.putpalette([value for index in range(256) for value in (255 - index, index, 9)])
        grey.save(target, "PNG")
    else:
        grey.convert(mode).save(target, "PNG")
    assert decode_mask(target.getvalue(), "binary").tolist() == [[0, 1], [1, 0]]
    assert decode_mask(target.getvalue()).tolist() == [[0, 255], [255, 0]]


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n{ } loop\n"


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0 broken", EPS, b"GIF89a" + bytes(20)])
def test_what_is_no_picture_is_told(content: bytes) -> None:
    for decode in (decode_image, decode_mask):
        with pytest.raises(gygo.UnreadablePictureError, match="cannot be decoded"):
            decode(content)
