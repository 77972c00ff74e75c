"""Masks: values as they are written, their regions, and what kind of mask a video has."""

from __future__ import annotations

import contextlib
import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from gygo_server.media.masks import MaskReading, Patch, mask_kind, patches_of, read_mask, regions_of
from gygo_server.media.pictures import PictureFault
from gygo_server.model import Box, MaskKind, Region

COLOURS = [0, 0, 0, 128, 0, 0, 0, 128, 0] + [9] * (253 * 3)
GREYS = [value for entry in range(256) for value in (entry,) * 3]


def saved(image: Image.Image, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, "PNG", **options)
    return target.getvalue()


def palette_png(values: list[list[int]], palette: list[int] | None = None, **options: object) -> bytes:
    image = Image.fromarray(np.array(values, np.uint8))
    image.putpalette(palette or COLOURS)
    return saved(image, **options)


def grey_png(values: list[list[int]], mode: str = "L") -> bytes:
    return saved(Image.fromarray(np.array(values, np.uint8)).convert(mode))


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def raw_png(header: tuple[int, ...], *chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *header)) + b"".join(chunks)


def code_of(content: bytes, **limits: int) -> str:
    with pytest.raises(PictureFault) as caught:
        read_mask(content, **limits)
    return str(caught.value.code)


def areas(reading: MaskReading) -> dict[int, int]:
    return {patch.value: patch.area for patch in reading.patches}


VALUES = [[0, 0, 1, 1], [0, 2, 2, 1], [255, 0, 0, 0]]


def test_a_palettes_values_are_ids_and_not_colours() -> None:
    reading = read_mask(palette_png(VALUES))
    assert (reading.mode, reading.width, reading.height, reading.coloured) == ("P", 4, 3, True)
    assert reading.patches == (
        Patch(1, Box(2, 0, 2, 2), 3),
        Patch(2, Box(1, 1, 2, 1), 2),
        Patch(255, Box(0, 2, 1, 1), 1),
    )


@pytest.mark.parametrize("first", [(255, 255, 255), (0, 0, 0)])
def test_index_0_is_background_whatever_its_colour(first: tuple[int, int, int]) -> None:
    assert areas(read_mask(palette_png(VALUES, [*first, *COLOURS[3:]]))) == {1: 3, 2: 2, 255: 1}


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_packed_into_few_bits(bits: int) -> None:
    values = [[0, 1, 1], [1, 0, 1]]
    content = palette_png(values, COLOURS[: 3 * 2**bits], bits=bits)
    assert content[24] == bits
    assert areas(read_mask(content)) == {1: 4}


def test_transparency_changes_no_value() -> None:
    assert areas(read_mask(palette_png(VALUES, transparency=1))) == {1: 3, 2: 2, 255: 1}


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_grey_modes(mode: str) -> None:
    reading = read_mask(grey_png([[0, 7], [255, 255]], mode))
    assert (reading.mode, reading.coloured, areas(reading)) == (mode, False, {7: 1, 255: 2})


def test_one_bit_is_0_and_255() -> None:
    reading = read_mask(grey_png([[0, 255], [255, 255]], "1"))
    assert (reading.mode, areas(reading)) == ("1", {255: 3})


@pytest.mark.parametrize("entries", [2, 16, 256])
def test_a_grey_ramp(entries: int) -> None:
    reading = read_mask(palette_png([[0, 1]], GREYS[: 3 * entries]))
    assert reading.grey_ramp
    assert not reading.coloured


def test_all_zero_is_legitimate() -> None:
    assert read_mask(palette_png([[0, 0]])).patches == ()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_carry_no_ids(mode: str) -> None:
    content = saved(Image.new("RGB", (4, 3), (128, 0, 0)).convert(mode))
    assert code_of(content) == "mask-has-colours"


def test_a_grey_rgb_is_refused_too() -> None:
    assert code_of(grey_png([[0, 255]], "RGB")) == "mask-has-colours"


@pytest.mark.parametrize("colour", [0, 4, 6])
def test_16_bits_are_unsupported(colour: int) -> None:
    size = {0: 2, 4: 4, 6: 8}[colour]
    rows = zlib.compress(b"\0" + bytes(size))
    content = raw_png((1, 1, 16, colour, 0, 0, 0), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    assert code_of(content) == "mask-mode-unsupported"


def test_what_is_no_png() -> None:
    assert code_of(b"") == "empty-file"
    assert code_of(b"version https://git-lfs.github.com/spec/v1\n") == "git-lfs-pointer"
    target = io.BytesIO()
    Image.new("L", (4, 3)).save(target, "JPEG")
    assert code_of(target.getvalue()) == "not-a-png"


def test_cut_at_any_byte() -> None:
    content = palette_png(VALUES)
    for length in range(8, len(content)):
        assert code_of(content[:length]) == "truncated"


def test_any_flipped_byte_before_the_end_chunk() -> None:
    content = palette_png(VALUES)
    for at in range(8, len(content) - 12):
        broken = content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]
        assert code_of(broken) in {"corrupt-picture", "truncated"}


@pytest.mark.parametrize("interlaced", [0, 1])
def test_rows_that_are_missing_though_every_checksum_is_right(interlaced: int) -> None:
    header = (8, 8, 8, 0, 0, 0, interlaced)
    rows = bytes(64 + (15 if interlaced else 8))  # Adam7 has 15 rows for 8x8
    whole = raw_png(header, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    assert read_mask(whole).patches == ()
    for missing in (1, 9, 40):
        cut = raw_png(header, chunk(b"IDAT", zlib.compress(rows[:-missing])), chunk(b"IEND", b""))
        assert code_of(cut) == "truncated"


def test_the_rows_may_lie_in_many_chunks() -> None:
    rows = zlib.compress(bytes(9 * 8))
    pieces = [chunk(b"IDAT", rows[at : at + 1]) for at in range(len(rows))]
    assert read_mask(raw_png((8, 8, 8, 0, 0, 0, 0), *pieces, chunk(b"IEND", b""))).width == 8


@pytest.mark.parametrize(
    "header",
    [(0, 8, 8, 0, 0, 0, 0), (8, 8, 3, 0, 0, 0, 0), (8, 8, 8, 5, 0, 0, 0), (8, 8, 8, 0, 0, 0, 2), (8, 8, 8, 3, 0, 0, 0)],
)
def test_headers_that_make_no_sense(header: tuple[int, ...]) -> None:
    content = raw_png(header, chunk(b"IDAT", zlib.compress(bytes(72))), chunk(b"IEND", b""))
    assert code_of(content) == "corrupt-picture"


@pytest.mark.parametrize("size", [(100_000, 100_000), (70_000, 1), (1, 70_000)])
def test_limits_hold_before_decoding(size: tuple[int, int]) -> None:
    content = raw_png((*size, 8, 0, 0, 0, 0), chunk(b"IDAT", b""), chunk(b"IEND", b""))
    assert code_of(content) == "picture-too-large"
    assert code_of(palette_png(VALUES), max_pixels=11) == "picture-too-large"


PEAK = """
import resource, sys
from gygo_server.media.masks import read_mask
from gygo_server.media.pictures import PictureFault
content = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_mask(content)
    told = "read"
except PictureFault as fault:
    told = fault.code
print(told, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)
"""


def peak_of(size: tuple[int, int], colour: int, channels: int) -> tuple[str, int]:
    """What comes of a mask of nothing, in a process of its own, and the bytes of memory that it takes."""
    stream = zlib.compressobj(9)
    row = bytes(1 + size[0] * channels)
    rows = b"".join([*(stream.compress(row) for _ in range(size[1])), stream.flush()])
    content = raw_png((*size, 8, colour, 0, 0, 0), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    assert len(content) < 1 << 20
    done = subprocess.run([sys.executable, "-c", PEAK], input=content, capture_output=True, check=True)
    told, peak = done.stdout.split()
    return told.decode(), int(peak)


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (4, 2), (6, 4)])
def test_a_bomb_is_refused_before_it_takes_memory(colour: int, channels: int) -> None:
    told, peak = peak_of((13_000, 13_000), colour, channels)
    assert told == "picture-too-large"
    assert peak < 50 << 20


def test_the_largest_mask_takes_a_bounded_amount_of_memory() -> None:
    told, peak = peak_of((8192, 8192), 6, 4)
    assert told == "read"
    assert peak < 12 * 8192 * 8192


def naive_patches(values: np.ndarray) -> tuple[Patch, ...]:
    found = []
    for value in sorted({int(value) for value in values.flat} - {0}):
        places = [(x, y) for y, row in enumerate(values) for x, cell in enumerate(row) if cell == value]
        xs, ys = [x for x, _ in places], [y for _, y in places]
        box = Box(min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1)
        found.append(Patch(value, box, len(places)))
    return tuple(found)


MASKS = arrays(
    np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 2, 7, 254, 255])
)


@given(MASKS)
def test_patches_are_those_of_the_naive_way(values: np.ndarray) -> None:
    assert patches_of(values) == naive_patches(values)
    assert read_mask(palette_png(values.tolist())).patches == naive_patches(values)


def test_patches_across_strips() -> None:
    values = np.zeros((3000, 1000), np.uint8)
    values[100:2900, 7:900] = 3
    assert patches_of(values) == (Patch(3, Box(7, 100, 893, 2800), 893 * 2800),)


@given(MASKS, st.sampled_from([MaskKind.BINARY, MaskKind.PALETTE]))
def test_regions_are_those_of_the_naive_way(values: np.ndarray, kind: MaskKind) -> None:
    reading = read_mask(palette_png(values.tolist()))
    decision = mask_kind([reading], kind)
    if kind is MaskKind.PALETTE:
        ids = np.where(values == 255, 0, values)
    else:
        ids = (values >= 128).astype(np.uint8)
        assume(values.max() != 1)  # told binary, 0 and 1 are read as ids
    assert regions_of(reading, decision) == tuple(Region(*patch) for patch in naive_patches(ids))


def reading(mode: str, *values: int, ramp: bool = False) -> MaskReading:
    patches = tuple(Patch(value, Box(0, 0, 1, 1), 1) for value in sorted(set(values) - {0}))
    return MaskReading(mode, 16, 16, ramp, patches)


def coloured(*values: int) -> MaskReading:
    return reading("P", *values)


def grey(*values: int) -> MaskReading:
    return reading("L", *values)


NONE, BINARY, PALETTE = MaskKind.NONE, MaskKind.BINARY, MaskKind.PALETTE


@pytest.mark.parametrize(
    ("readings", "kind", "soft", "mixed"),
    [
        ([], NONE, [], []),
        ([coloured(1, 2, 255)], PALETTE, [], []),
        ([coloured(1), coloured()], PALETTE, [], []),
        ([coloured()], PALETTE, [], []),
        ([coloured(255)], BINARY, [], []),
        ([coloured(), coloured(255)], BINARY, [], []),
        ([coloured(1), coloured(255)], PALETTE, [], []),
        ([coloured(200)], PALETTE, [], []),
        ([grey(255)], BINARY, [], []),
        ([grey()], BINARY, [], []),
        ([grey(1, 2)], PALETTE, [], []),
        ([grey(1, 64, 255)], PALETTE, [], []),
        ([grey(65, 255)], BINARY, [0], []),
        ([grey(255), grey(3, 130, 255), grey(254)], BINARY, [1, 2], []),
        ([reading("P", 255, ramp=True)], BINARY, [], []),
        ([reading("P", 1, 2, ramp=True)], PALETTE, [], []),
        ([reading("P", ramp=True)], BINARY, [], []),
        ([reading("1", 255)], BINARY, [], []),
        ([reading("LA", 255), reading("RGBA", 255)], BINARY, [], []),
        ([coloured(), grey(255)], BINARY, [], []),
        ([coloured(), grey(90, 255)], BINARY, [1], []),
        ([coloured(), grey(1)], PALETTE, [], []),
        ([coloured(1), grey(255)], PALETTE, [], [1]),
        ([coloured(1), grey(1, 2)], PALETTE, [], []),
        ([coloured(1), grey()], PALETTE, [], []),
        ([coloured(1), grey(90, 255)], PALETTE, [], [1]),
        ([grey(1, 2), grey(255)], PALETTE, [], [1]),
    ],
)
def test_the_kind_is_found_out(readings: list[MaskReading], kind: MaskKind, soft: list[int], mixed: list[int]) -> None:
    decision = mask_kind(readings, None)
    assert (decision.kind, [note.reading for note in decision.soft]) == (kind, soft)
    assert [note.reading for note in decision.mixed] == mixed


@pytest.mark.parametrize("readings", [[coloured(1), grey(255)], [grey(255)], [coloured(130)], [grey(190)]])
@pytest.mark.parametrize("told", [BINARY, PALETTE])
def test_what_is_told_wins(readings: list[MaskReading], told: MaskKind) -> None:
    decision = mask_kind(readings, told)
    assert decision.kind is told
    assert decision.mixed == ()
    assert mask_kind([], told).kind is NONE


@pytest.mark.parametrize(("values", "area"), [((1,), 1), ((1, 128), 1), ((255,), 1), ((127, 128, 255), 2), ((), 0)])
def test_told_binary(values: tuple[int, ...], area: int) -> None:
    decision = mask_kind([grey(*values)], BINARY)
    assert sum(region.area for region in regions_of(grey(*values), decision)) == area


def test_told_binary_in_0_and_1_is_object_1_read_as_an_id() -> None:
    assert mask_kind([grey(1), grey()], BINARY).kind is PALETTE


def test_told_binary_without_a_value_that_counts_is_a_fault() -> None:
    decision = mask_kind([grey(1, 38), grey()], BINARY)
    assert [note.reading for note in decision.mixed] == [0]
    assert "highest is 38" in decision.mixed[0].message


def test_the_cut_is_one_for_the_whole_video() -> None:
    readings = [grey(1), grey(255)]
    decision = mask_kind(readings, BINARY)
    assert [len(regions_of(each, decision)) for each in readings] == [0, 1]


def test_255_is_void_in_a_palette_and_the_object_in_a_binary_mask() -> None:
    assert regions_of(coloured(1, 255), mask_kind([coloured(1, 255)])) == (Region(1, Box(0, 0, 1, 1), 1),)
    assert regions_of(grey(255), mask_kind([grey(255)])) == (Region(1, Box(0, 0, 1, 1), 1),)


def test_a_binary_region_goes_around_all_its_values() -> None:
    values = MaskReading("L", 9, 9, False, (Patch(200, Box(1, 2, 2, 2), 3), Patch(255, Box(4, 0, 3, 3), 9)))
    assert regions_of(values, mask_kind([values])) == (Region(1, Box(1, 0, 6, 4), 12),)


@st.composite
def mutated(draw: st.DrawFn, good: tuple[bytes, ...]) -> bytes:
    """A PNG with bodies of chunks changed and, mostly, their checksums made right again."""
    content = draw(st.sampled_from(good))
    parts, at = [content[:8]], 8
    while at < len(content):
        (size,) = struct.unpack_from(">I", content, at)
        name, body = content[at + 4 : at + 8], bytearray(content[at + 8 : at + 8 + size])
        if body and draw(st.booleans()):
            place = draw(st.integers(0, len(body) - 1))
            body[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
        if draw(st.integers(0, 9)) == 0:
            name = draw(
                st.sampled_from([b"tRNS", b"acTL", b"fcTL", b"zTXt", b"iCCP", b"eXIf", b"PLTE", b"IHDR", b"IEND"])
            )
        parts.append(chunk(name, bytes(body)))
        at += 12 + size
    whole = b"".join(parts)
    return whole if draw(st.booleans()) else whole[: draw(st.integers(0, len(whole)))]


GOOD = (
    palette_png(VALUES),
    palette_png(VALUES, transparency=1),
    grey_png(VALUES),
    grey_png(VALUES, "LA"),
    grey_png(VALUES, "RGBA"),
    grey_png(VALUES, "1"),
)


@settings(max_examples=600)
@given(st.one_of(st.binary(), st.binary().map(b"\x89PNG\r\n\x1a\n".__add__), mutated(GOOD)))
def test_hostile_bytes(content: bytes) -> None:
    with contextlib.suppress(PictureFault):
        assert read_mask(content, max_pixels=1_000_000).width > 0
