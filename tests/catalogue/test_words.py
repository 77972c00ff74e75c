"""Words and their beginnings, where many words begin alike."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from catalogues import build, make_video
from hypothesis import given, settings
from hypothesis import strategies as st

from gygo_server.catalogue.reader import Catalogue
from gygo_server.catalogue.sets import FEW_WORDS
from gygo_server.catalogue.video_query import VideoFilter
from gygo_server.catalogue.words import words_of


@contextmanager
def catalogue_of(names: list[str]) -> Iterator[Catalogue]:
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Catalogue(build(Path(folder) / "c", map(make_video, names)), connections=1)) as catalogue,
    ):
        yield catalogue


def found(catalogue: Catalogue, q: str) -> list[str]:
    ranks = catalogue.ranks(VideoFilter(q=q), limit=10_000)
    assert catalogue.count(VideoFilter(q=q)) == len(ranks)
    return [video for video, _ in catalogue.videos("name", ranks)]


NAMES = st.lists(
    st.lists(st.text("abü", min_size=1, max_size=5), min_size=1, max_size=3).map("-".join),
    min_size=1,
    max_size=80,
    unique=True,
)


@settings(max_examples=60)
@given(names=NAMES, words=st.lists(st.text("abu", min_size=1, max_size=6), min_size=1, max_size=3))
def test_beginnings_are_found_however_many_words_have_them(names: list[str], words: list[str]) -> None:
    with catalogue_of(names) as catalogue:
        assert found(catalogue, " ".join(words)) == [
            name
            for name in sorted(names)
            if all(any(each.startswith(word) for each in words_of(name)) for word in words)
        ]


@pytest.mark.parametrize("count", [FEW_WORDS - 1, FEW_WORDS, FEW_WORDS + 1, 40 * FEW_WORDS])
def test_a_beginning_of_many_words_is_one_set(count: int) -> None:
    names = [f"toy{number:04}" for number in range(count)]
    with catalogue_of([*names, "tea", "to"]) as catalogue:
        for q in ("t", "to", "toy", "toy0", "toy00", names[-1]):
            assert found(catalogue, q) == [name for name in sorted([*names, "tea", "to"]) if name.startswith(q)]
        asked: list[str] = []
        with catalogue._db.borrow() as db:
            db.set_trace_callback(asked.append)
        catalogue._selected.cache_clear()
        catalogue._sets.cache_clear()
        catalogue.count(VideoFilter(q="toy"))
        assert len(asked) == (1 if count > FEW_WORDS else 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("batch-00002/Cool_Car", ["batch", "00002", "cool", "car"]),
        ("Crème BRÛLÉE", ["creme", "brulee"]),
        ("Straße", ["strasse"]),
        ("ﬁve №5", ["five", "no5"]),
        ("玩具车 2", ["玩具车", "2"]),
        ("a\u0301b", ["ab"]),
        ("", []),
        ("-_/!", []),
    ],
)
def test_words_are_letters_and_digits_without_case_and_accents(text: str, words: list[str]) -> None:
    assert words_of(text) == words
