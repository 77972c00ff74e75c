"""Clips as tar members: which bytes of an archive they are, and the small JSON files that speak for them in a tar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from gygo_server.formats.archive import BLOCK, END_OF_ARCHIVE, file_header, padding
from gygo_server.model import FrameFiles, Piece

#: What a tar ends with.
END = END_OF_ARCHIVE

#: Bytes of filling at a time.
_FILLING = 256 << 10


def pieces(frames: Sequence[FrameFiles], *, images: bool, masks: bool) -> Iterator[Piece]:
    """The frames' images and masks in the order of the archive: one's end is the start of its neighbour."""
    for frame in frames:
        after_image = frame.image.offset + frame.image.size + padding(frame.image.size)
        if images:
            yield Piece(frame.start, after_image, frame.image)
        if masks and frame.mask is not None:
            yield Piece(after_image, frame.end, frame.mask)


def note(name: str, document: dict[str, Any]) -> bytes:
    """A JSON file, as a tar member."""
    content = orjson.dumps(document)
    return file_header(name, len(content)) + content + bytes(padding(len(content)))


def note_filling(name: str, document: dict[str, Any], size: int) -> Iterator[bytes]:
    """A JSON file as a tar member that is ``size`` bytes in all, filled up with spaces, as JSON allows.

    In chunks. ``size`` is a multiple of 512 and at least 1,024; of the document only what fits is kept: at worst its
    ``clip``, ``type`` and ``status``.
    """
    room = size - BLOCK
    shorter = {**document, "detail": document["detail"][:80]}
    shortest = {each: document[each] for each in ("clip", "type", "status")}
    fitting = (content for content in map(orjson.dumps, (document, shorter, shortest)) if len(content) <= room)
    begin = file_header(name, room) + next(fitting)
    yield begin
    left = size - len(begin)
    while left > 0:
        yield b" " * min(left, _FILLING)
        left -= _FILLING
