"""What goes into a catalogue comes out of it, whatever it is; equal input gives equal bytes."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

import orjson
import pytest
from catalogues import build, make_archive, make_video
from hypothesis import given, settings
from hypothesis import strategies as st
from video_strategies import RELEASES

from gygo_server.catalogue.builder import CatalogueBuilder
from gygo_server.catalogue.connections import digests
from gygo_server.catalogue.reader import Catalogue
from gygo_server.catalogue.schema import SCHEMA_VERSION
from gygo_server.catalogue.video_query import VideoFilter
from gygo_server.model import Archive, MaskKind, Video, video_id


@contextmanager
def catalogue_of(videos: list[Video], connections: int = 2) -> Iterator[Catalogue]:
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Catalogue(build(Path(folder) / "c.sqlite", videos), connections)) as catalogue,
    ):
        yield catalogue


def annotated(video: Video) -> Archive:
    """The archive with most masks, the first of those, says what objects there are."""
    counts = [sum(frame.mask is not None for frame in archive.frames) for archive in video.archives]
    return video.archives[counts.index(max(counts))]


@settings(max_examples=60, deadline=None)
@given(RELEASES)
def test_archives_and_frames_come_out_as_they_went_in(videos: list[Video]) -> None:
    with catalogue_of(videos) as catalogue:
        for video in videos:
            for archive in video.archives:
                row = catalogue.archive(video.id, archive.resolution)
                assert row is not None
                assert row[1:] == (
                    archive.resolution,
                    archive.folder,
                    archive.sha256,
                    archive.size,
                    archive.width,
                    archive.height,
                    archive.mask_kind,
                    len(archive.frames),
                    sum(frame.mask is not None for frame in archive.frames),
                )
                assert tuple(catalogue.frames(row, limit=1000)) == archive.frames
                assert tuple(catalogue.frames(row, limit=1000, descending=True)) == archive.frames[::-1]
                assert catalogue.count_frames(row) == len(archive.frames)
                for frame in archive.frames:
                    assert catalogue.frame(row, frame.index) == frame
                    assert catalogue.image(row, frame.index) == frame.image
                    assert catalogue.mask(row, frame.index) == frame.mask
        listed = [(video, row.resolution, row.sha256) for video, row in catalogue.archives()]
        ordered = sorted(videos, key=lambda video: video.name)
        assert listed == [(v.id, each.resolution, each.sha256) for v in ordered for each in v.archives]


@settings(max_examples=60, deadline=None)
@given(RELEASES)
def test_what_is_said_of_a_video_is_what_was_published(videos: list[Video]) -> None:
    with catalogue_of(videos) as catalogue:
        for video in videos:
            text = catalogue.video(video.id)
            assert text is not None
            said, main = orjson.loads(text), annotated(video)
            assert said["id"] == video_id(video.name)
            assert (said["name"], said["category"], said["fps"]) == (video.name, video.category, video.fps)
            assert (tuple(said["attributes"]), tuple(said["splits"])) == (video.attributes, video.splits)
            assert said["frame_count"] == len(main.frames)
            assert said["mask_count"] == sum(frame.mask is not None for frame in main.frames)
            assert said["mask_kind"] == main.mask_kind
            assert catalogue.fps(video.id) == video.fps
            seen = sorted({region.object_id for frame in main.frames for region in frame.regions})
            assert [each["id"] for each in said["objects"]] == seen
            for each in said["objects"]:
                on = [f.index for f in main.frames if any(r.object_id == each["id"] for r in f.regions)]
                assert (each["first_frame"], each["last_frame"], each["frame_count"]) == (on[0], on[-1], len(on))
                assert each["mask_value"] == (255 if main.mask_kind == "binary" else each["id"])
            assert [(a["resolution"], a["archive"]) for a in said["resolutions"]] == [
                (a.resolution, {"bytes": a.size, "sha256": a.sha256}) for a in video.archives
            ]


@settings(max_examples=60, deadline=None)
@given(RELEASES)
def test_counts_are_those_of_the_videos(videos: list[Video]) -> None:
    with catalogue_of(videos) as catalogue:
        said, mains = catalogue.release, [annotated(video) for video in videos]
        assert said["counts"] == {
            "videos": len(videos),
            "frames": sum(len(main.frames) for main in mains),
            "masks": sum(frame.mask is not None for main in mains for frame in main.frames),
            "objects": sum(len({r.object_id for f in main.frames for r in f.regions}) for main in mains),
        }
        for split in said["splits"]:
            members = [video for video in videos if split["name"] in video.splits]
            assert split["videos"] == len(members)
            assert split["frames"] == sum(len(annotated(video).frames) for video in members)
            assert list(catalogue.ids(split["name"])) == [v.id for v in sorted(members, key=lambda v: v.name)]
        for each in said["resolutions"]:
            held = [a for video in videos for a in video.archives if a.resolution == each["resolution"]]
            assert (each["videos"], each["bytes"]) == (len(held), sum(archive.size for archive in held))
        assert {each["name"]: each["videos"] for each in said["attributes"]} == {
            name: sum(name in video.attributes for video in videos)
            for name in {name for video in videos for name in video.attributes}
        }


@settings(max_examples=25, deadline=None)
@given(RELEASES)
def test_equal_videos_give_equal_bytes(videos: list[Video]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        one = build(Path(folder) / "one", videos).read_bytes()
        two = build(Path(folder) / "two", [replace(video) for video in reversed(videos)]).read_bytes()
        assert one == two


def test_building_over_an_old_file_gives_the_same_bytes(tmp_path: Path) -> None:
    build(tmp_path / "a", [make_video(f"old-{n}") for n in range(50)])
    assert (
        build(tmp_path / "a", [make_video("new")]).read_bytes()
        == build(tmp_path / "b", [make_video("new")]).read_bytes()
    )


@pytest.mark.parametrize(
    "change",
    [
        {"category": "toys"},
        {"attributes": ("blur",)},
        {"splits": ("val",)},
        {"fps": 5.0},
        {"archives": (make_archive("other bytes"),)},
        {"object_categories": {1: "wheel"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_digest_changes_with_anything_that_is_said_of_a_video(tmp_path: Path, change: dict[str, object]) -> None:
    video = make_video("a")
    with CatalogueBuilder(tmp_path / "c") as builder:
        before, same = builder.add(video), builder.add(replace(video, name="a"))
        assert before == same
        assert builder.add(replace(video, **change)) != before  # type: ignore[arg-type]


def test_digests_are_listed_in_order_of_ids(tmp_path: Path) -> None:
    videos = [make_video(name) for name in ("b/1", "a", "B", "b-1")]
    with CatalogueBuilder(tmp_path / "c") as builder:
        expected = sorted((video.id, builder.add(video)) for video in videos)
        builder.finish(builder.tally({}))
    assert list(digests(tmp_path / "c")) == expected


def test_a_split_without_videos_is_told_with_none(tmp_path: Path) -> None:
    with CatalogueBuilder(tmp_path / "c") as builder:
        builder.add(make_video("a", splits=("train",)))
        splits = builder.tally({"train": "2017/train.txt", "test": "2017/test.txt"})["splits"]
    assert splits == [
        {"path": "2017/test.txt", "name": "test", "videos": 0, "frames": 0},
        {"path": "2017/train.txt", "name": "train", "videos": 1, "frames": 4},
    ]


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    with closing(Catalogue(build(tmp_path / "c", [make_video("a")]))) as catalogue:
        assert catalogue.video("b") is None
        assert catalogue.fps("b") is None
        assert catalogue.archive("a", "original") is None
        assert catalogue.archive("b", "480p") is None
        row = catalogue.archive("a", "480p")
        assert row is not None
        for index in (4, 2**31 - 1, 2**62):
            assert catalogue.frame(row, index) is None
            assert catalogue.image(row, index) is None
            assert catalogue.mask(row, index) is None
        assert list(catalogue.ids("train")) == []


# Frames


@settings(max_examples=60, deadline=None)
@given(RELEASES, st.integers(1, 7), st.booleans(), st.none() | st.integers(1, 254), st.none() | st.booleans())
def test_pages_of_frames_give_each_frame_once_in_order(
    videos: list[Video], limit: int, descending: bool, object_id: int | None, has_mask: bool | None
) -> None:
    with catalogue_of(videos) as catalogue:
        for video in videos:
            archive = video.archives[0]
            row = catalogue.archive(video.id, archive.resolution)
            assert row is not None
            present = sorted({r.object_id for f in archive.frames for r in f.regions})
            wanted = present[object_id % len(present)] if object_id and present else object_id
            expected = [
                frame
                for frame in (archive.frames[::-1] if descending else archive.frames)
                if (wanted is None or any(region.object_id == wanted for region in frame.regions))
                and (has_mask is None or (frame.mask is not None) == has_mask)
            ]
            walked, after = [], None
            asked = {"object_id": wanted, "has_mask": has_mask}
            while page := catalogue.frames(row, after=after, limit=limit, descending=descending, **asked):
                assert len(page) <= limit
                walked += page
                after = page[-1].index
            assert walked == expected
            assert catalogue.count_frames(row, **asked) == len(expected)


# Files that are none


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1])
def test_a_catalogue_of_another_schema_is_refused(tmp_path: Path, version: int) -> None:
    path = build(tmp_path / "c", [make_video("a")])
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={version}")
    with pytest.raises(sqlite3.DatabaseError, match=f"schema {version}"):
        Catalogue(path)


@pytest.mark.parametrize("content", [b"no database", b"x" * 100_000], ids=["short", "long"])
def test_a_file_that_is_no_catalogue_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(sqlite3.DatabaseError):
        Catalogue(tmp_path / "c")


def test_a_file_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        Catalogue(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_an_unfinished_catalogue_is_of_no_use(tmp_path: Path) -> None:
    with CatalogueBuilder(tmp_path / "c") as builder:
        builder.add(make_video("a"))
    with pytest.raises(sqlite3.DatabaseError), closing(Catalogue(tmp_path / "c")) as catalogue:
        _ = catalogue.release


# Readers


def test_a_catalogue_is_never_written(tmp_path: Path) -> None:
    path = build(tmp_path / "c", [make_video("a")])
    before = path.read_bytes()
    with closing(Catalogue(path)) as catalogue:
        assert list(catalogue.ranks(VideoFilter(q="a"), limit=5)) == [1]
        with catalogue._db.borrow() as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM videos")
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["c"]


def test_many_threads_read_one_catalogue_at_once(tmp_path: Path) -> None:
    videos = [make_video(f"v{n:03}", frames=n % 5 + 1, category=f"c{n % 3}") for n in range(60)]
    with closing(Catalogue(build(tmp_path / "c", videos), connections=3)) as catalogue:

        def read(number: int) -> None:
            video = videos[number % len(videos)]
            row = catalogue.archive(video.id, "480p")
            assert row is not None
            assert tuple(catalogue.frames(row, limit=10)) == video.archives[0].frames
            question = VideoFilter(category=(f"c{number % 3}",), min_frames=2)
            found = catalogue.videos("name", catalogue.ranks(question, limit=100))
            assert [each for each, _ in found] == [
                v.id for v in videos if v.category == f"c{number % 3}" and len(v.archives[0].frames) >= 2
            ]

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(read, range(600)))


def test_a_catalogue_deleted_while_it_is_open_stays_readable(tmp_path: Path) -> None:
    videos = [make_video(f"v{n:03}") for n in range(400)]
    path = build(tmp_path / "c", videos)
    with closing(Catalogue(path, connections=4)) as catalogue:
        path.unlink()

        def read(number: int) -> list[str]:
            ranks = catalogue.ranks(VideoFilter(), after=number * 90, limit=90)
            return [video for video, _ in catalogue.videos("name", ranks)]

        with ThreadPoolExecutor(4) as pool:
            assert list(chain(*pool.map(read, range(5)))) == [video.id for video in videos]


def test_paths_may_hold_any_character(tmp_path: Path) -> None:
    path = tmp_path / "100% ?mode=rw#ünï.sqlite"
    with closing(Catalogue(build(path, [make_video("a", kind=MaskKind.NONE)]))) as catalogue:
        assert catalogue.video("a") is not None
