"""Masks: labels that happen to be stored as pictures. A pixel's value is read as it is written, never as a colour."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from gygo_server.media import png as pngs
from gygo_server.media.pictures import MAX_PIXELS, PILLOW_RAISES, PictureCode, PictureFault, undecodable
from gygo_server.media.png import Png, read_png
from gygo_server.model import BACKGROUND, BINARY_OBJECT, VOID, Box, MaskKind, Region

Values = NDArray[np.uint8]

#: From this value on, a pixel of a binary mask belongs to the object.
BINARY_CUT = 128
#: Grey values up to here are taken for object ids: a soft edge reaches beyond, and a video hardly has more objects.
LARGEST_GREY_ID = 64

_STRIP = 1 << 20  # pixels counted at a time: the counting takes 8 bytes for each


class Patch(NamedTuple):
    """All pixels of one value: the value, the box around them in pixels, their number."""

    value: int
    box: Box
    area: int


@dataclass(frozen=True, slots=True)
class MaskReading:
    """What one mask holds. ``mode`` is Pillow's; ``patches`` has every value but 0 that occurs, in rising order.

    ``grey_ramp`` says that a palette maps each index to the grey of that value, so that the mask looks like an ``L``.
    """

    mode: str
    width: int
    height: int
    grey_ramp: bool
    patches: tuple[Patch, ...]

    @property
    def coloured(self) -> bool:
        """Whether somebody gave the values colours, which says that they are ids."""
        return self.mode == "P" and not self.grey_ramp

    @property
    def values(self) -> frozenset[int]:
        return frozenset(patch.value for patch in self.patches)


def read_mask(content: bytes, max_pixels: int = MAX_PIXELS) -> MaskReading:
    """The values of a PNG mask of mode ``P``, ``L``, ``1``, ``LA`` or ``RGBA``. Raises PictureFault and nothing else.

    ``1`` counts as 0 and 255; the alpha of ``LA`` and ``RGBA`` is not looked at.
    """
    png = read_png(content, max_pixels)
    _refuse_modes(png)
    try:
        with warnings.catch_warnings(action="ignore"), PngImageFile(io.BytesIO(content)) as picture:
            picture.load()
            mode, values = picture.mode, _values(picture)
    except PILLOW_RAISES as error:
        raise undecodable(error) from error
    if values.shape != (png.height, png.width):
        raise PictureFault(PictureCode.CORRUPT_PICTURE, "the PNG has two headers which disagree")
    return MaskReading(mode, png.width, png.height, _is_grey_ramp(png), patches_of(values))


def patches_of(values: Values) -> tuple[Patch, ...]:
    """A patch for each value but 0 in an array of shape (height, width), in rising order of value."""
    areas = _areas(values)
    return tuple(
        Patch(int(value), _box(values == value), int(areas[value]))
        for value in np.flatnonzero(areas)
        if value != BACKGROUND
    )


def _areas(values: Values) -> NDArray[np.int64]:
    pixels = values.ravel()
    areas = np.zeros(256, np.int64)
    for start in range(0, pixels.size, _STRIP):
        areas += np.bincount(pixels[start : start + _STRIP], minlength=256)
    return areas


def _box(inside: NDArray[np.bool_]) -> Box:
    down, across = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    x, y = int(across[0]), int(down[0])
    return Box(x, y, int(across[-1]) + 1 - x, int(down[-1]) + 1 - y)


def _refuse_modes(png: Png) -> None:
    if png.colour == pngs.RGB:
        raise _has_colours("it is an RGB picture")
    if png.depth == 16:
        raise PictureFault(PictureCode.MASK_MODE_UNSUPPORTED, "the mask has 16 bits a channel, object ids take 8")


def _values(picture: PngImageFile) -> Values:
    """Band by band, as all of an RGBA's in an array of their own take as much as the picture."""
    mode = picture.mode
    if mode == "1":
        return np.asarray(picture).astype(np.uint8) * np.uint8(VOID)
    if mode in ("P", "L"):
        return np.asarray(picture)
    if mode == "LA":
        return np.asarray(picture.getchannel("L"))
    if mode == "RGBA":
        red = np.asarray(picture.getchannel("R"))
        if any((red != np.asarray(picture.getchannel(other))).any() for other in "GB"):
            raise _has_colours("its red, green and blue differ")
        return red
    raise PictureFault(PictureCode.MASK_MODE_UNSUPPORTED, f"the mask has Pillow's mode {mode}")


def _has_colours(why: str) -> PictureFault:
    message = f"{why}, and colours carry no object ids: expected a palette or grey PNG"
    return PictureFault(PictureCode.MASK_HAS_COLOURS, message)


def _is_grey_ramp(png: Png) -> bool:
    entries = range(len(png.palette) // 3)
    return png.colour == pngs.PALETTE and png.palette == bytes(entry for entry in entries for _ in range(3))


class MaskNote(NamedTuple):
    """Something about one of the readings that were judged together: its place among them, and what of it."""

    reading: int
    message: str


@dataclass(frozen=True, slots=True)
class MaskDecision:
    """How a video's masks are to be read. With ``binary``, values from BINARY_CUT on are the object.

    ``soft`` are the masks whose values the cut rounds; ``mixed`` those that are not of the kind of the others.
    """

    kind: MaskKind
    soft: tuple[MaskNote, ...] = ()
    mixed: tuple[MaskNote, ...] = ()


def mask_kind(readings: Sequence[MaskReading], told: MaskKind | None = None) -> MaskDecision:
    """Decides over all masks of a video, at all resolutions. ``told`` wins, though ``none`` tells nothing.

    Untold, ids are recognised by a palette with colours, or by grey values of at most LARGEST_GREY_ID beside 0 and 255.
    """
    if not readings:
        return MaskDecision(MaskKind.NONE)
    if told is MaskKind.PALETTE:
        return MaskDecision(MaskKind.PALETTE)
    if told is MaskKind.BINARY:
        return _binary(readings)
    if _found_kind(readings) is MaskKind.BINARY:
        return _binary(readings)
    return MaskDecision(MaskKind.PALETTE, mixed=_not_ids(readings))


def _found_kind(readings: Sequence[MaskReading]) -> MaskKind:
    values = _union(readings)
    ids = values - {VOID}
    coloured = [reading for reading in readings if reading.coloured]
    if _union(coloured) - {VOID}:
        return MaskKind.PALETTE
    if coloured and not values:
        return MaskKind.PALETTE
    # From here on colours say nothing: whatever palette there is has no id in use.
    if ids and max(ids) <= LARGEST_GREY_ID:
        return MaskKind.PALETTE
    return MaskKind.BINARY


def _union(readings: Sequence[MaskReading]) -> frozenset[int]:
    return frozenset().union(*(reading.values for reading in readings))


def _binary(readings: Sequence[MaskReading]) -> MaskDecision:
    values = _union(readings)
    if values and max(values) < BINARY_CUT:
        return _dark(readings, values)
    soft = []
    for at, reading in enumerate(readings):
        between = sorted(reading.values - {VOID})
        if between:
            pixels = sum(patch.area for patch in reading.patches if patch.value != VOID)
            message = f"{pixels:,} pixels have values between 0 and 255 ({between[0]} to {between[-1]})"
            soft.append(MaskNote(at, f"{message}; those from {BINARY_CUT} on count as the object"))
    return MaskDecision(MaskKind.BINARY, soft=tuple(soft))


def _dark(readings: Sequence[MaskReading], values: frozenset[int]) -> MaskDecision:
    """Told binary, without a value that counts as the object: 0 and 1 are object 1 all the same, read as ids."""
    if values == {BINARY_OBJECT}:
        return MaskDecision(MaskKind.PALETTE)
    message = f"told to be binary, but no value reaches {BINARY_CUT}: the highest is {max(values)}"
    notes = [MaskNote(at, message) for at, reading in enumerate(readings) if reading.values]
    return MaskDecision(MaskKind.BINARY, mixed=tuple(notes))


def _not_ids(readings: Sequence[MaskReading]) -> tuple[MaskNote, ...]:
    """The masks of a video with ids which cannot be ids: grey ones with nothing but 255, or with a soft edge."""
    notes = []
    for at, reading in enumerate(readings):
        between = reading.values - {VOID}
        if reading.coloured or not reading.values or (between and max(between) <= LARGEST_GREY_ID):
            continue
        held = f"grey values up to {max(between)}" if between else "only 0 and 255"
        notes.append(MaskNote(at, f"the mask holds {held}, while others of this video hold object ids"))
    return tuple(notes)


def regions_of(reading: MaskReading, decision: MaskDecision) -> tuple[Region, ...]:
    """The objects of one mask, in rising order of id; an object without a pixel is not there."""
    if decision.kind is MaskKind.PALETTE:
        return tuple(Region(patch.value, patch.box, patch.area) for patch in reading.patches if patch.value != VOID)
    inside = [patch for patch in reading.patches if patch.value >= BINARY_CUT]
    if decision.kind is MaskKind.NONE or not inside:
        return ()
    box = _around([patch.box for patch in inside])
    return (Region(BINARY_OBJECT, box, sum(patch.area for patch in inside)),)


def _around(boxes: Sequence[Box]) -> Box:
    x, y = min(box.x for box in boxes), min(box.y for box in boxes)
    right, bottom = max(box.x + box.width for box in boxes), max(box.y + box.height for box in boxes)
    return Box(x, y, right - x, bottom - y)
