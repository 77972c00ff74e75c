"""Tiny frames and masks, for tests that want files rather than pictures."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image

SIZE = (16, 12)


@cache
def jpeg(seed: int = 0, size: tuple[int, int] = SIZE, quality: int = 80) -> bytes:
    """A picture of noise: no two seeds give the same bytes, and it hardly compresses."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    target = io.BytesIO()
    Image.fromarray(noise).save(target, "JPEG", quality=quality)
    return target.getvalue()


@cache
def mask(values: tuple[int, ...] = (1,), mode: str = "P", size: tuple[int, int] = SIZE) -> bytes:
    """A mask whose columns have these values in turn, beside columns of background."""
    width, height = size
    picture = Image.fromarray(np.resize(np.array([0, *values], np.uint8), width)[None, :].repeat(height, axis=0))
    if mode == "P":
        picture.putpalette([value for index in range(256) for value in (index, 255 - index, index // 2)])
    target = io.BytesIO()
    (picture if mode in ("P", "L") else picture.convert(mode)).save(target, "PNG")
    return target.getvalue()
