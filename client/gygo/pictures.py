"""From published bytes to arrays: frames as RGB, masks as object ids.

A mask is labels, not a picture: its values are read as they are written, and only nearest neighbour resizes it.
"""

from __future__ import annotations

import io
import warnings
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gygo.errors import UnreadablePictureError

try:
    import simplejpeg
except ImportError:  # the extra `fast`
    simplejpeg = None

#: Height and width in pixels.
Size = tuple[int, int]
Void = Literal["keep", "zero"]
MaskKind = Literal["binary", "palette", "none"]

#: From this value on, a pixel of a binary mask belongs to the object, whose id is 1.
BINARY_CUT = 128
#: What files are opened as, and as nothing else: Pillow also knows formats that are programs, such as EPS.
_FRAMES, _MASKS = ("JPEG",), ("PNG",)
#: "Do not count this pixel", in palette masks.
VOID = 255


def decode_image(content: bytes, size: Size | None = None, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """A frame as H×W×3 uint8 RGB, in ``out`` if it has that shape. With ``size``, scaled to cover it and cut out of
    the middle.

    Raises:
        UnreadablePictureError: it cannot be decoded.
    """
    if size is None and simplejpeg is not None and simplejpeg.is_jpeg(content):
        return _decode_fast(content, out)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=_FRAMES) as picture:
            if size is not None:
                # libjpeg decodes at 1/2, 1/4 or 1/8 where that is still large enough: several times as fast.
                picture.draft("RGB", (size[1], size[0]))
                return np.asarray(_cover(picture.convert("RGB"), size, Image.Resampling.BILINEAR))
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadablePictureError(f"a frame that cannot be decoded: {error}") from error


def decode_mask(
    content: bytes, kind: MaskKind = "palette", size: Size | None = None, void: Void = "keep"
) -> NDArray[np.uint8]:
    """A mask as H×W uint8 object ids; 0 is background. With ``size``, as the frame: nearest neighbour, cut out.

    ``kind`` says how its values are to be read. ``void="zero"`` makes 255 of palette masks background.

    Raises:
        UnreadablePictureError: it cannot be decoded.
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=_MASKS) as picture:
            picture.load()
            labels = _labels(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadablePictureError(f"a mask that cannot be decoded: {error}") from error
    labels = object_ids(labels, kind, void)
    if size is not None:
        labels = np.asarray(_cover(Image.fromarray(labels), size, Image.Resampling.NEAREST))
    return labels


def object_ids(values: NDArray[np.uint8], kind: MaskKind, void: Void) -> NDArray[np.uint8]:
    """A mask's values, H×W uint8, as object ids; see :func:`decode_mask`."""
    if kind == "binary":
        return (values >= BINARY_CUT).astype(np.uint8)
    return np.where(values == VOID, np.uint8(0), values) if void == "zero" else values


def _decode_fast(content: bytes, out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    try:
        if out is not None and simplejpeg.decode_jpeg_header(content)[:2] != out.shape[:2]:
            out = None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(content, "RGB", buffer=out)
    except ValueError as error:
        raise UnreadablePictureError(f"a frame that cannot be decoded: {error}") from error
    return pixels


def _labels(picture: Image.Image) -> NDArray[np.uint8]:
    """The values of a mask of mode ``P``, ``L``, ``1``, ``LA`` or ``RGBA`` (grey): its first channel."""
    if picture.mode == "1":
        return np.asarray(picture).astype(np.uint8) * np.uint8(255)
    labels = np.asarray(picture).astype(np.uint8, copy=False)
    return labels if labels.ndim == 2 else np.ascontiguousarray(labels[:, :, 0])


def _cover(picture: Image.Image, size: Size, how: Image.Resampling) -> Image.Image:
    """Scaled so that it covers ``size``, as little as possible, and what stands over cut off on both sides."""
    height, width = size
    scale = max(width / picture.width, height / picture.height)
    # Not a hair outside, as rounding may have it: Pillow refuses that.
    across, down = min(width / scale, picture.width), min(height / scale, picture.height)
    left, top = (picture.width - across) / 2, (picture.height - down) / 2
    box = (left, top, min(left + across, picture.width), min(top + down, picture.height))
    return picture.resize((width, height), how, box=box)
