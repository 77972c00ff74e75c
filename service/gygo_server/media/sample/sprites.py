"""A product drawn once: its picture, lit from the upper left, and its exact silhouette."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from gygo_server.media.sample.shapes import Part

UNITS = 100
_LIGHT = (-0.55, -0.83)

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Sprite:
    picture: Image.Image
    """RGBA, square, with smooth edges."""
    silhouette: Image.Image
    """L, 0 or 255, drawn without antialiasing: labels come from here."""


def draw_sprite(parts: tuple[Part, ...], side: int) -> Sprite:
    colour: Pixels = np.zeros((side, side, 3), np.float32)
    alpha: Pixels = np.zeros((side, side), np.float32)
    silhouette = Image.new("L", (side, side))
    for part in parts:
        silhouette.paste(255, mask=_stencil(part, side))
        smooth = _stencil(part, side * 2).reduce(2)
        bounds = smooth.getbbox()
        if bounds is None:
            continue
        margin = side // 12
        left, top = max(bounds[0] - margin, 0), max(bounds[1] - margin, 0)
        right, bottom = min(bounds[2] + margin, side), min(bounds[3] + margin, side)
        window = np.s_[top:bottom, left:right]
        _paint(colour[window], alpha[window], part, smooth.crop((left, top, right, bottom)), side)
    picture = Image.fromarray(np.clip(colour, 0, 255).astype(np.uint8)).convert("RGBA")
    picture.putalpha(Image.fromarray(np.round(alpha * 255).astype(np.uint8)))
    return Sprite(picture, silhouette)


def _stencil(part: Part, side: int) -> Image.Image:
    stencil = Image.new("L", (side, side))
    pen = ImageDraw.Draw(stencil)
    scale = side / UNITS
    points = [(x * scale, y * scale) for x, y in part.outline]
    if not part.width:
        pen.polygon(points, fill=255)
        return stencil
    width = max(1, round(part.width * scale))
    pen.line(points, fill=255, width=width, joint="curve")
    for x, y in (points[0], points[-1]):
        pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    return stencil


def _paint(colour: Pixels, alpha: Pixels, part: Part, stencil: Image.Image, side: int) -> None:
    """Paint one piece: a shadow on what is below, then the colour, as if the piece were inflated."""
    shadow = np.asarray(stencil.filter(ImageFilter.GaussianBlur(side * 0.018)), np.float32) / 255
    shift = max(1, side // 120)
    colour *= (1 - 0.34 * min(part.puff, 1.0) * np.roll(shadow, (shift, shift), (0, 1)))[..., None]
    lit = np.zeros_like(shadow)
    if part.puff:
        for share, weight in ((0.012, 0.35), (0.035, 0.7), (0.09, 1.1)):
            lit += weight * part.puff * _lit(stencil, side * share)
    tone = 1 + 0.62 * np.clip(lit, -0.75, 0.32)
    glint = 255 * 0.55 * part.gloss * np.clip(lit * 1.9 - 0.12, 0, 1) ** 2
    shaded = np.asarray(part.colour, np.float32) * tone[..., None] + glint[..., None]
    cover = np.asarray(stencil, np.float32) / 255
    below = alpha * (1 - cover)
    total = cover + below
    seen = total > 0
    share_of_new = (cover[seen] / total[seen])[:, None]
    colour[seen] += (shaded[seen] - colour[seen]) * share_of_new
    alpha[:] = total


def _lit(stencil: Image.Image, radius: float) -> Pixels:
    """How much the sides of the stencil, inflated with that radius, face the light: about -1 to 1.

    In floats, for Pillow's blur of 8 bits leaves contour lines; at a lower resolution, for a blur has no detail.
    """
    factor = max(1, round(radius / 3))
    coarse = np.asarray(stencil.reduce(factor), np.float32) / np.float32(255)
    for _ in range(3):
        for axis in (0, 1):
            coarse = _box_blurred(coarse, max(1, round(radius / factor)), axis)
    down = np.gradient(coarse, axis=0) if coarse.shape[0] > 1 else np.zeros_like(coarse)
    right = np.gradient(coarse, axis=1) if coarse.shape[1] > 1 else np.zeros_like(coarse)
    # The gradient points inwards, away from the light on the sides that face it.
    facing = -(right * _LIGHT[0] + down * _LIGHT[1]) * (radius / factor)
    full_size = (coarse.shape[1] * factor, coarse.shape[0] * factor)
    smooth = Image.fromarray(facing.astype(np.float32)).resize(full_size, Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32)[: stencil.height, : stencil.width]


def _box_blurred(values: Pixels, reach: int, axis: int) -> Pixels:
    """The mean over `reach` neighbours on either side, nothing beyond the edge."""
    padding = [(0, 0), (0, 0)]
    padding[axis] = (reach + 1, reach)
    sums = np.cumsum(np.pad(values, padding), axis=axis, dtype=np.float32)
    span = 2 * reach + 1
    count = values.shape[axis]
    upto: Pixels = sums.take(range(span, span + count), axis)
    return np.asarray((upto - sums.take(range(count), axis)) / span, np.float32)
