"""A PNG's structure, checked chunk by chunk, since Pillow passes over wrong checksums, missing rows and a missing end.

Source: PNG specification, third edition (W3C, 2025), sections 5 (chunks), 8 (interlacing) and 10 (compression).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from gygo_server.media.pictures import PictureCode, PictureFault, kind_of, refuse_large, refuse_stand_ins

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6

_CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
#: Adam7's passes: first column and row, step of columns and rows.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 1 << 20


class Png(NamedTuple):
    """What a PNG says of itself: size in pixels, bits a channel, one of the colour types above, its palette's bytes."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool
    palette: bytes


def read_png(content: bytes, max_pixels: int) -> Png:
    """The header and palette of a PNG whose chunks, checksums and rows are all there. Raises PictureFault."""
    refuse_stand_ins(content)
    if not content.startswith(SIGNATURE):
        raise PictureFault(PictureCode.NOT_A_PNG, f"expected a PNG, this is {kind_of(content)}")
    header, palette, pixels = b"", b"", []
    for name, body in _chunks(content):
        if not header and name != b"IHDR":
            raise _corrupt("the first chunk is not IHDR")
        if name == b"IHDR":
            header = body
        elif name == b"PLTE":
            palette = body
        elif name == b"IDAT":
            pixels.append(body)
    png = _header(header, palette)
    refuse_large(png.width, png.height, max_pixels)
    _check_rows(pixels, _raw_bytes(png))
    return png


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and bodies up to IEND; what comes after it is not looked at, as decoders do not."""
    at = len(SIGNATURE)
    while at + 12 <= len(content):
        (size,) = struct.unpack_from(">I", content, at)
        name, end = content[at + 4 : at + 8], at + 8 + size
        if end + 4 > len(content):
            break
        (checksum,) = struct.unpack_from(">I", content, end)
        if zlib.crc32(content[at + 4 : end]) != checksum:
            raise _corrupt(f"the checksum of the chunk {name!r} at byte {at} is wrong")
        if name == b"IEND":
            return
        yield name, content[at + 8 : end]
        at = end + 4
    raise PictureFault(PictureCode.TRUNCATED, f"the PNG ends after {len(content)} bytes, before its end chunk")


def _header(header: bytes, palette: bytes) -> Png:
    if len(header) != 13:
        raise _corrupt("the header is missing or has the wrong length")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    if not width or not height or colour not in _CHANNELS or depth not in (1, 2, 4, 8, 16) or interlace > 1:
        raise _corrupt("the header makes no sense")
    if colour == PALETTE and (not palette or len(palette) % 3 or len(palette) > 768):
        raise _corrupt("the palette is missing or has the wrong length")
    return Png(width, height, depth, colour, bool(interlace), palette)


def _raw_bytes(png: Png) -> int:
    """How many bytes the rows take before compression, each with its filter byte."""
    bits = png.depth * _CHANNELS[png.colour]
    passes = _PASSES if png.interlaced else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        columns = -(-(png.width - left) // across)
        rows = -(-(png.height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total


def _check_rows(pixels: list[bytes], expected: int) -> None:
    stream, found = zlib.decompressobj(), 0
    try:
        for piece in pixels:
            rest = piece
            while rest and not stream.eof and found < expected:
                found += len(stream.decompress(rest, _PIECE))
                rest = stream.unconsumed_tail
        while not stream.eof and found < expected and (held_back := stream.decompress(b"", _PIECE)):
            found += len(held_back)
    except zlib.error as error:
        raise _corrupt(str(error)) from error
    if found < expected:
        message = f"the PNG holds {found:,} of {expected:,} bytes of rows"
        raise PictureFault(PictureCode.TRUNCATED, message)


def _corrupt(reason: str) -> PictureFault:
    return PictureFault(PictureCode.CORRUPT_PICTURE, f"the PNG is broken: {reason}")
