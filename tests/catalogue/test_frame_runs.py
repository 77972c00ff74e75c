"""Frames as a catalogue keeps them: whatever goes in comes out, in archives of any length."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from catalogues import build, make_archive
from hypothesis import given
from hypothesis import strategies as st
from video_strategies import archives

from gygo_server.catalogue.frame_runs import RUN, pack, unpack
from gygo_server.catalogue.reader import ArchiveRow, Catalogue
from gygo_server.model import Archive, MaskKind, Video

LENGTHS = (1, RUN - 1, RUN, RUN + 1, 3 * RUN + 17)


@given(archives("480p"))
def test_what_is_packed_comes_out(archive: Archive) -> None:
    assert tuple(unpack(pack(archive.frames))) == archive.frames


@given(archives("480p"), st.data())
def test_so_does_a_part(archive: Archive, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(archive.frames) - 1))
    assert tuple(unpack(pack(archive.frames[start:]))) == archive.frames[start:]


def test_a_frame_takes_little_more_than_its_hashes() -> None:
    archive = make_archive("long", frames=RUN, objects=(1, 2))
    assert len(pack(archive.frames)) < RUN * (2 * 32 + 20)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    videos = [Video(f"v{length}", (make_archive(f"v{length}", frames=length),)) for length in LENGTHS]
    videos.append(Video("bare", (make_archive("bare", frames=RUN + 2, objects=(), kind=MaskKind.NONE),)))
    with closing(Catalogue(build(tmp_path_factory.mktemp("long") / "c", videos))) as catalogue:
        yield catalogue


def row_of(catalogue: Catalogue, video: str) -> ArchiveRow:
    row = catalogue.archive(video, "480p")
    assert row is not None
    return row


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 100, RUN, RUN + 1, 5000])
def test_long_archives_are_listed_across_runs(long: Catalogue, length: int, descending: bool, limit: int) -> None:
    expected = make_archive(f"v{length}", frames=length).frames[:: -1 if descending else 1]
    row, walked, after = row_of(long, f"v{length}"), [], None
    if limit == 1:
        expected, after = expected[-2:], expected[-3].index if length > 2 else None
    while page := long.frames(row, after=after, limit=limit, descending=descending):
        walked += page
        after = page[-1].index
    assert tuple(walked) == expected


@pytest.mark.parametrize("length", LENGTHS)
def test_any_frame_of_a_long_archive_is_found(long: Catalogue, length: int) -> None:
    frames, row = make_archive(f"v{length}", frames=length).frames, row_of(long, f"v{length}")
    for index in {0, length // 2, length - 1, min(RUN, length - 1), min(RUN - 1, length - 1)}:
        assert long.frame(row, index) == frames[index]
        assert long.image(row, index) == frames[index].image
        assert long.mask(row, index) == frames[index].mask
    assert long.frame(row, length) is None


@pytest.mark.parametrize(("start", "count", "step"), [(0, 8, 1), (250, 12, 1), (3, 40, 9), (700, 500, 2), (785, 1, 1)])
def test_clips_reach_across_runs(long: Catalogue, start: int, count: int, step: int) -> None:
    length = LENGTHS[-1]
    frames, row = make_archive(f"v{length}", frames=length).frames, row_of(long, f"v{length}")
    assert tuple(long.clip(row, start, count, step)) == frames[start : start + count * step : step]


def test_frames_without_masks_are_counted_apart(long: Catalogue) -> None:
    row = row_of(long, "bare")
    assert [long.count_frames(row, has_mask=each) for each in (None, True, False)] == [RUN + 2, 0, RUN + 2]
    assert long.count_frames(row, object_id=1) == 0
    assert long.count_frames(row_of(long, f"v{LENGTHS[-1]}"), object_id=1) == LENGTHS[-1]


@pytest.mark.parametrize("after", [-(2**40), -1, 2**62])
@pytest.mark.parametrize("descending", [False, True])
def test_no_place_to_begin_is_an_error(long: Catalogue, after: int, descending: bool) -> None:
    row = row_of(long, f"v{RUN + 1}")
    found = long.frames(row, after=after, limit=5000, descending=descending)
    assert len(found) == (RUN + 1 if (after > 0) == descending else 0)
