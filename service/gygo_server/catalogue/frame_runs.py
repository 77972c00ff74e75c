"""How a catalogue keeps frames: up to 256 neighbours as one value, which takes about 85 bytes a frame.

::

    4 bytes      how many bytes of hashes follow, little-endian
    32 bytes     SHA-256 of each frame's image, then of each mask there is
    the rest     JSON, deflated: a list a field, an element a frame

Hashes are most of it and do not compress; all else nearly vanishes, as frames are much alike.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import orjson

from gygo_server.model import Box, FrameFiles, Member, Region

#: Frames of a run; the last one of an archive may have fewer.
RUN = 256

#: Runs that an archive may have.
_RUNS = 1 << 24

_HASH = 32
_HEAD = 4


def run_id(a: int, run: int) -> int:
    """The key of an archive's run: rows lie in the order of archives, and of frames."""
    return a * _RUNS + run


def pack(frames: Sequence[FrameFiles]) -> bytes:
    """Neighbouring frames as one value."""
    masks = [frame.mask for frame in frames]
    hashes = bytes.fromhex("".join([f.image.sha256 for f in frames] + [m.sha256 for m in masks if m]))
    fields = {
        "index": frames[0].index,
        "name": [f.name for f in frames],
        "start": [f.start for f in frames],
        "end": [f.end for f in frames],
        "image": [(f.image.offset - f.start, f.image.size) for f in frames],
        "mask": [m and (m.offset - f.start, m.size) for f, m in zip(frames, masks, strict=True)],
        "regions": [[(r.object_id, *r.box, r.area) for r in f.regions] for f in frames],
    }
    return len(hashes).to_bytes(_HEAD, "little") + hashes + zlib.compress(orjson.dumps(fields), 1)


def unpack(packed: bytes) -> list[FrameFiles]:
    """The frames in a value that :func:`pack` made."""
    end = _HEAD + int.from_bytes(packed[:_HEAD], "little")
    fields = orjson.loads(zlib.decompress(packed[end:]))
    hashes = _hashes(packed, end)
    images = [(offset, size, next(hashes)) for offset, size in fields["image"]]
    return [
        FrameFiles(
            index,
            name,
            start,
            end,
            Member(start + image[0], image[1], image[2]),
            Member(start + mask[0], mask[1], next(hashes)) if mask else None,
            tuple([Region(each[0], Box(*each[1:5]), each[5]) for each in regions]),
        )
        for index, (name, start, end, image, mask, regions) in enumerate(
            zip(fields["name"], fields["start"], fields["end"], images, fields["mask"], fields["regions"], strict=True),
            fields["index"],
        )
    ]


def _hashes(packed: bytes, end: int) -> Iterator[str]:
    return (packed[at : at + _HASH].hex() for at in range(_HEAD, end, _HASH))
