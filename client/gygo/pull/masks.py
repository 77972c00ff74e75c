"""Masks as a layout wants them: published bytes where those will do, and else a PNG that is read again and compared."""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gygo.errors import PullError, UnreadablePictureError
from gygo.pictures import MaskKind, Void, decode_mask, object_ids
from gygo.pull.layouts import MaskForm

#: Modes of Pillow in which loaders find values as they are.
_MODES: dict[MaskForm, frozenset[str]] = {"ids": frozenset({"P", "L"}), "binary": frozenset({"L"})}


def davis_palette() -> bytes:
    """DAVIS's 256 colours, red, green and blue of each: the bits of an id, dealt out to the three in turn."""
    colours = bytearray()
    for index in range(256):
        channels = [0, 0, 0]
        for place in range(8):
            channels[place % 3] |= (index >> place & 1) << (7 - place // 3)
        colours += bytes(channels)
    return bytes(colours)


_PALETTE = davis_palette()


def fit_mask(content: bytes, kind: MaskKind, form: MaskForm, void: Void) -> bytes:
    """A published mask as a PNG for a layout; the same object when it will do as it is.

    Raises:
        UnreadablePictureError: it cannot be decoded.
        PullError: what was written does not read as what was meant.
    """
    mode = _mode_of(content)
    if kind == "palette" and form == "ids" and void == "keep" and mode in _MODES[form]:
        return content
    raw = decode_mask(content)
    ids = object_ids(raw, kind, void)
    wanted = np.where(ids > 0, np.uint8(255), np.uint8(0)) if form == "binary" else ids
    if mode in _MODES[form] and np.array_equal(raw, wanted):
        return content
    return write_mask(wanted, form)


def write_mask(values: NDArray[np.uint8], form: MaskForm) -> bytes:
    """H×W uint8 values as a PNG: with DAVIS's palette for ``ids``, grey for ``binary``.

    Raises:
        PullError: what was written does not read as what was meant.
    """
    picture = Image.fromarray(values)
    if form == "ids":
        picture.putpalette(_PALETTE)  # all 256: a short one is packed into 2 bits, and 255 becomes 3
    target = io.BytesIO()
    picture.save(target, "PNG")
    content = target.getvalue()
    if not np.array_equal(decode_mask(content), values):
        raise PullError("a mask was written that does not read as it should: is Pillow broken?")
    return content


def _mode_of(content: bytes) -> str:
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            return picture.mode
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadablePictureError(f"a mask that cannot be decoded: {error}") from error
