"""Filters, orders and pages of videos, against the same question asked of a plain Python list."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from catalogues import build, make_archive, make_video
from hypothesis import given, settings
from hypothesis import strategies as st

from gygo_server.catalogue.reader import Catalogue
from gygo_server.catalogue.schema import SORTS
from gygo_server.catalogue.video_query import VideoFilter
from gygo_server.model import Video

WORDS = ["car", "cool-car", "card", "red", "gray", "bear", "bears", "42"]
CATEGORIES = ["toys", "clothes", "models", "office items", "rare"]
SPLITS = ["train", "val", "test-dev"]
ATTRIBUTES = ["occlusion", "blur", "fast motion", "seldom"]
ORDERS = [sign + name for name in SORTS for sign in ("", "-")]


def made_up_videos(count: int = 160) -> list[Video]:
    """Many videos with equal counts, so that orders have ties; some facets are common, `rare` and `seldom` are not."""
    dice = random.Random(3)
    videos = []
    for number in range(count):
        name = f"batch-{dice.randrange(4)}/{dice.choice(WORDS)}-{dice.choice(WORDS)}-{number}"
        objects = tuple(range(1, dice.randrange(0, 5) + 1))
        archives = [make_archive(name, frames=dice.randrange(1, 12), objects=objects)]
        if dice.random() < 0.3:
            archives.append(make_archive(name, "original", frames=3, objects=()))
        category = dice.choice([*CATEGORIES[:4], None]) if number != 77 else "rare"
        labelled = {1: dice.choice(CATEGORIES[:4])} if dice.random() < 0.3 else {}
        attributes = [each for each in ATTRIBUTES[:3] if dice.random() < 0.4] + ["seldom"] * (number in (5, 6))
        splits = [each for each in SPLITS if dice.random() < 0.4]
        videos.append(Video(name, tuple(archives), tuple(splits), category, tuple(attributes), labelled))
    return sorted(videos, key=lambda video: video.name)


VIDEOS = made_up_videos()
PLACE = {video.id: place for place, video in enumerate(VIDEOS)}


def frames_of(video: Video) -> int:
    return len(_annotated(video).frames)


def objects_of(video: Video) -> int:
    return len({region.object_id for frame in _annotated(video).frames for region in frame.regions})


def _annotated(video: Video) -> Any:
    return max(video.archives, key=lambda archive: sum(frame.mask is not None for frame in archive.frames))


def categories_of(video: Video) -> set[str]:
    return {*video.object_categories.values(), *([video.category] if video.category else [])}


def is_chosen(video: Video, question: VideoFilter) -> bool:
    """The filter as a user understands it."""
    if question.category and not categories_of(video) & set(question.category):
        return False
    if question.split and not set(video.splits) & set(question.split):
        return False
    if not set(question.attribute) <= set(video.attributes):
        return False
    if question.min_frames is not None and frames_of(video) < question.min_frames:
        return False
    if question.max_frames is not None and frames_of(video) > question.max_frames:
        return False
    if question.min_objects is not None and objects_of(video) < question.min_objects:
        return False
    if question.resolution is not None and question.resolution not in {each.resolution for each in video.archives}:
        return False
    if question.q is None:
        return True
    text = words_of(" ".join([video.name, *categories_of(video), *video.attributes]))
    asked = words_of(question.q)
    return bool(asked) and all(any(word.startswith(each) for word in text) for each in asked)


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


KEYS: dict[str, Callable[[Video], tuple[int, ...]]] = {
    "name": lambda video: (PLACE[video.id],),
    "frames": lambda video: (frames_of(video), PLACE[video.id]),
    "objects": lambda video: (objects_of(video), PLACE[video.id]),
    "bytes": lambda video: (sum(archive.size for archive in video.archives), PLACE[video.id]),
}


def expected(question: VideoFilter, order: str = "name") -> list[str]:
    chosen = [video for video in VIDEOS if is_chosen(video, question)]
    chosen.sort(key=KEYS[order.removeprefix("-")], reverse=order.startswith("-"))
    return [video.id for video in chosen]


def walk(catalogue: Catalogue, question: VideoFilter, order: str, limit: int) -> list[str]:
    """All pages, one after the other."""
    walked: list[str] = []
    after = None
    while ranks := catalogue.ranks(question, sort=order, after=after, limit=limit):
        assert len(ranks) <= limit
        walked += [video for video, _ in catalogue.videos(order, ranks)]
        after = ranks[-1]
        assert len(walked) <= len(VIDEOS), "a page came twice"
    return walked


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    path = build(tmp_path_factory.mktemp("queries") / "c.sqlite", VIDEOS)
    with closing(Catalogue(path, connections=2)) as catalogue:
        yield catalogue


def some(values: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.just(()) | st.lists(st.sampled_from([*values, "unknown"]), min_size=1, max_size=3).map(tuple)


PREFIXES = st.sampled_from([*WORDS, "ca", "b", "BATCH", "toys", "Office", "4", "moti", "zebra", "c a r", "red gray"])
FILTERS = st.builds(
    VideoFilter,
    category=some(CATEGORIES),
    split=some(SPLITS),
    attribute=some(ATTRIBUTES),
    min_frames=st.none() | st.integers(0, 13),
    max_frames=st.none() | st.integers(0, 13),
    min_objects=st.none() | st.integers(0, 6),
    q=st.none() | PREFIXES,
    resolution=st.none() | st.sampled_from(["480p", "original", "8k"]),
)


@settings(max_examples=300, deadline=None)
@given(question=FILTERS, order=st.sampled_from(ORDERS), limit=st.integers(1, 200))
def test_pages_give_each_chosen_video_once_in_order(
    catalogue: Catalogue, question: VideoFilter, order: str, limit: int
) -> None:
    assert walk(catalogue, question, order, limit) == expected(question, order)


@settings(max_examples=200, deadline=None)
@given(question=FILTERS)
def test_counts_agree_with_the_lists(catalogue: Catalogue, question: VideoFilter) -> None:
    for _ in range(2):  # the second time from memory
        assert catalogue.count(question) == len(expected(question))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("limit", [1, 2, 7, 159, 160, 161])
def test_every_order_can_be_walked_at_any_limit(catalogue: Catalogue, order: str, limit: int) -> None:
    assert walk(catalogue, VideoFilter(), order, limit) == expected(VideoFilter(), order)


SINGLE = [
    *(VideoFilter(category=(value,)) for value in CATEGORIES),
    *(VideoFilter(split=(value,)) for value in SPLITS),
    *(VideoFilter(attribute=(value,)) for value in ATTRIBUTES),
    *(VideoFilter(min_frames=bound) for bound in (0, 1, 6, 11, 12, 2**31 - 1)),
    *(VideoFilter(max_frames=bound) for bound in (0, 1, 6, 11)),
    *(VideoFilter(min_objects=bound) for bound in (0, 1, 4, 5)),
    VideoFilter(category=("toys", "rare")),
    VideoFilter(category=("toys", "toys")),
    VideoFilter(attribute=("blur", "blur")),
    VideoFilter(attribute=("blur", "seldom")),
    VideoFilter(category=("Toys",)),
    VideoFilter(min_frames=5, max_frames=4),
    VideoFilter(category=("' OR 1=1 --",)),
]


@pytest.mark.parametrize("question", SINGLE, ids=repr)
def test_each_filter_by_itself(catalogue: Catalogue, question: VideoFilter) -> None:
    assert walk(catalogue, question, "name", 50) == expected(question)
    assert catalogue.count(question) == len(expected(question))


def test_the_filters_of_these_tests_choose_some_videos_and_not_others(catalogue: Catalogue) -> None:
    for question in SINGLE[:12]:
        assert 0 < len(expected(question)) < len(VIDEOS)
    assert len(expected(VideoFilter(category=("rare",)))) == 1
    assert len(expected(VideoFilter(attribute=("seldom",)))) == 2


def test_hundreds_of_values_may_be_asked_for(catalogue: Catalogue) -> None:
    question = VideoFilter(category=(*map(str, range(900)), "rare"))
    assert walk(catalogue, question, "name", 10) == expected(VideoFilter(category=("rare",)))


# Words

WHOLE = ["car", "cool-car", "bears", "42", "batch-2", "office items", "fast motion"]


@pytest.mark.parametrize(
    "q", [*WHOLE, "ca", "c", "CAR", "Cool-Car", "car red", "red car", "  car ", "car, red!", "mot off"]
)
def test_words_and_beginnings_of_words_are_found(catalogue: Catalogue, q: str) -> None:
    found = walk(catalogue, VideoFilter(q=q), "name", 50)
    assert found
    assert found == expected(VideoFilter(q=q))


@pytest.mark.parametrize("q", ["ar", "zebra", "car zebra", "!", "''", '"', "*", "-", "()", " ", "", "☂"])
def test_nothing_is_found_for_what_is_no_beginning_of_a_word(catalogue: Catalogue, q: str) -> None:
    assert walk(catalogue, VideoFilter(q=q), "name", 50) == []
    assert catalogue.count(VideoFilter(q=q)) == 0


HOSTILE = [
    'car"',
    '"car',
    'car" OR "red',
    "car OR red",
    "car NOT red",
    "car AND",
    "NEAR(car red, 2)",
    "text:car",
    "{text}: car",
    "^car",
    "car*",
    "*car",
    "car + red",
    "-car",
    "(car",
    "car) --",
    "'; DROP TABLE videos; --",
    "car\x00red",
    "\\",
    "%",
    "a" * 200,
    "rank:1",
]


@pytest.mark.parametrize("q", HOSTILE)
def test_the_query_language_of_the_index_is_not_for_users(catalogue: Catalogue, q: str) -> None:
    assert walk(catalogue, VideoFilter(q=q), "name", 50) == expected(VideoFilter(q=q))


@settings(max_examples=200, deadline=None)
@given(q=st.text(max_size=30) | st.text('car"*()-+:^{}, ORNEAT', max_size=30))
def test_no_words_whatever_are_an_error(catalogue: Catalogue, q: str) -> None:
    assert catalogue.count(VideoFilter(q=q)) == len(catalogue.ranks(VideoFilter(q=q), limit=1000))


@pytest.mark.parametrize(
    ("name", "q"),
    [
        ("Große Tasche", "große"),
        ("Große Tasche", "GROSSE".replace("SS", "ß")),
        ("café", "cafe"),
        ("cafe", "café"),
        ("кукла красная", "Кук"),
        ("玩具车", "玩具"),
        ("blue_car", "car"),
        ("blue_car", "blue_car"),
        ("blue_car", "blue_c"),
        ("blue_car", "_"),
        ("blue_car", "car _"),
        ("cafe\u0301s", "cafe\u0301"),
        ("cafe\u0301s", "cafe\u0301s"),
        ("cafés", "cafe\u0301s"),
    ],
)
def test_words_of_any_script_are_found(tmp_path_factory: pytest.TempPathFactory, name: str, q: str) -> None:
    path = build(tmp_path_factory.mktemp("script") / "c", [make_video(name), make_video("other")])
    with closing(Catalogue(path)) as catalogue:
        found = [video for video, _ in catalogue.videos("name", catalogue.ranks(VideoFilter(q=q), limit=5))]
        assert found == ([] if q == "_" else [name])


# What SQLite does


MANY = 4000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    """Thousands of videos: enough that SQLite would rather use an index where there is one."""
    videos = [
        make_video(
            f"v{number:05}",
            frames=number % 3 + 1,
            splits=("train" if number % 10 else "val",),
            category="rare" if number % 400 == 0 else "toys",
        )
        for number in range(MANY)
    ]
    with closing(Catalogue(build(tmp_path_factory.mktemp("plans") / "c", videos), connections=1)) as catalogue:
        yield catalogue


def statements(catalogue: Catalogue, ask: Callable[[], object]) -> list[str]:
    """The SQL that a question comes to, with its parameters."""
    said: list[str] = []
    with catalogue._db.borrow() as db:
        db.set_trace_callback(said.append)
    try:
        ask()
    finally:
        with catalogue._db.borrow() as db:
            db.set_trace_callback(None)
    return said


def plan(catalogue: Catalogue, ask: Callable[[], object]) -> str:
    said = statements(catalogue, ask)
    assert said
    with catalogue._db.borrow() as db:
        return "\n".join(row[3] for sql in said for row in db.execute(f"EXPLAIN QUERY PLAN {sql}"))


def steps(catalogue: Catalogue, ask: Callable[[], object]) -> int:
    """How many instructions of SQLite's machine a question takes."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    with catalogue._db.borrow() as db:
        db.set_progress_handler(step, 1)
    try:
        ask()
    finally:
        with catalogue._db.borrow() as db:
            db.set_progress_handler(None, 0)
    return count


def page(
    catalogue: Catalogue, question: VideoFilter, sort: str = "name", after: int | None = None, limit: int = 100
) -> object:
    return catalogue.page(sort, catalogue.ranks(question, sort=sort, after=after, limit=limit), b"")


COMMON, RARE = VideoFilter(category=("toys",)), VideoFilter(category=("rare",))
QUESTIONS: dict[str, Callable[[Catalogue], object]] = {
    "first page": lambda c: page(c, VideoFilter()),
    "deep page": lambda c: page(c, VideoFilter(), after=3500),
    "last page, turned round": lambda c: page(c, VideoFilter(), "-name", 100),
    **{
        f"deep page by {order}": lambda c, order=order: page(c, VideoFilter(), order, 2000)  # type: ignore[misc]
        for order in ORDERS
        if not order.endswith("name")
    },
    "page of a common facet": lambda c: page(c, COMMON),
    "deep page of a common facet": lambda c: page(c, COMMON, after=3500),
    "deep page of a common facet, by frames": lambda c: page(c, COMMON, "frames", 3500),
    "page of a rare facet": lambda c: page(c, RARE),
    "page of bounded numbers": lambda c: page(c, VideoFilter(min_frames=2, max_frames=2, min_objects=1)),
    "page of words": lambda c: page(c, VideoFilter(q="toy v0")),
    "one video": lambda c: c.video("v02000"),
    "one archive": lambda c: c._archive("v02000", "480p"),
    "a page of archives": lambda c: c.archives_at(range(2000, 2100), "480p"),
    "a page of frames": lambda c: c.frames(c.archive("v02000", "480p"), limit=100),  # type: ignore[arg-type]
    "one frame": lambda c: c._read_run(c.archive("v02000", "480p").a, 0),  # type: ignore[union-attr]
    "count of a facet": lambda c: c.count(COMMON),
    "a split list": lambda c: list(c.ids("val")),
    "numbers of ids": lambda c: c.numbers_of(["v02000", "none"]),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_table_is_read_through_and_nothing_is_sorted(large: Catalogue, name: str) -> None:
    _ = large.release  # read once a process
    large._selected.cache_clear()
    large._sets.cache_clear()
    found = plan(large, lambda: QUESTIONS[name](large))
    assert "TEMP B-TREE" not in found, found
    # What is asked for comes in as a list of numbers, which is a table to SQLite.
    scans = {line for line in found.splitlines() if line.startswith("SCAN") and line != "SCAN j VIRTUAL TABLE INDEX 1:"}
    assert not scans, found


@pytest.mark.parametrize("question", [VideoFilter(), COMMON, VideoFilter(min_frames=1)], ids=["all", "common", "bound"])
@pytest.mark.parametrize("order", ORDERS)
def test_a_page_costs_the_same_at_any_depth(large: Catalogue, order: str, question: VideoFilter) -> None:
    _ = large.release
    large.count(question)
    ordered = list(large.ranks(question, sort=order, limit=MANY))
    costs = [
        steps(large, lambda after=after: page(large, question, order, after, 50))  # type: ignore[misc]
        for after in (None, ordered[10], ordered[2000], ordered[-60])
    ]
    assert max(costs) <= 1.2 * min(costs)
    assert max(costs) < 50 * 40


@pytest.mark.parametrize("question", [COMMON, RARE, VideoFilter(q="toys"), VideoFilter(min_frames=2)], ids=repr)
def test_counting_does_not_read_the_videos(large: Catalogue, question: VideoFilter) -> None:
    _ = large.release
    large._selected.cache_clear()
    large._sets.cache_clear()
    assert steps(large, lambda: large.count(question)) < 100


def test_one_video_costs_the_same_among_thousands(large: Catalogue) -> None:
    assert steps(large, lambda: large.video("v03999")) < 50


def test_a_count_that_is_asked_again_is_not_counted_again(large: Catalogue) -> None:
    question = VideoFilter(min_frames=2, q="v0")
    assert statements(large, lambda: large.count(question))
    assert statements(large, lambda: large.count(question)) == []


@pytest.mark.parametrize("after", [-(2**63), -1, 0, 161, 2**31, 2**32, 2**32 + 3, 2**63 - 1])
@pytest.mark.parametrize("question", [VideoFilter(), COMMON, VideoFilter(max_frames=6)], ids=["all", "facet", "bound"])
@pytest.mark.parametrize("order", ORDERS)
def test_no_place_to_begin_is_an_error(catalogue: Catalogue, order: str, question: VideoFilter, after: int) -> None:
    before_all = (after <= 0) != order.startswith("-")
    found = list(catalogue.ranks(question, sort=order, after=after, limit=1000))
    assert found == (list(catalogue.ranks(question, sort=order, limit=1000)) if before_all else [])


def test_an_unknown_order_is_no_sql(catalogue: Catalogue) -> None:
    with pytest.raises(ValueError, match="no order"):
        catalogue.ranks(VideoFilter(), sort="name; DROP TABLE videos", limit=1)


def test_the_readers_never_see_sqlite_s_own_error_for_words(catalogue: Catalogue) -> None:
    for q in HOSTILE:
        try:
            catalogue.count(VideoFilter(q=q))
        except sqlite3.Error as error:  # pragma: no cover
            pytest.fail(f"{q!r}: {error}")
