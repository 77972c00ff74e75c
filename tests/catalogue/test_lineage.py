"""What has changed since each earlier release, against the same question asked of plain dictionaries."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from catalogues import make_video
from hypothesis import given, settings
from hypothesis import strategies as st

from gygo_server.catalogue.builder import CatalogueBuilder
from gygo_server.catalogue.reader import Catalogue
from gygo_server.catalogue.video_query import VideoFilter

#: Of each release, its videos: a name, and a number that stands for all that is said of it.
Content = dict[str, int]

CONTENTS = st.dictionaries(st.sampled_from(["a", "b", "b/1", "c d", "ü", "z"]), st.integers(1, 3), max_size=6)


def build(path: Path, release: str, content: Content, before: Path | None) -> Path:
    with CatalogueBuilder(path, before) as builder:
        for name in sorted(content):
            builder.add(make_video(name, frames=content[name]))
        builder.finish({"id": release, **builder.tally({})})
    return path


@contextmanager
def history(contents: Sequence[Content]) -> Iterator[list[Catalogue]]:
    """A catalogue for each content, each coming from the one before."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        catalogues, before = [], None
        for number, content in enumerate(contents):
            before = build(folder / f"{number}", f"r{number}", content, before)
            catalogues.append(stack.enter_context(closing(Catalogue(before, connections=1))))
        yield catalogues


def ids(names: Sequence[str]) -> list[str]:
    return [name.replace("/", ":") for name in sorted(names)]


def walk(catalogue: Catalogue, since: str, kind: str | None, limit: int) -> list[tuple[str, str]]:
    """All pages of changes, one after the other."""
    walked: list[tuple[str, str]] = []
    after = None
    while page := catalogue.changed(since, kind, after, limit):
        assert len(page) <= limit
        walked += [(change.kind, change.id) for change in page]
        after = page[-1].key
        assert len(walked) < 100, "a page came twice"
    return walked


@settings(max_examples=120)
@given(contents=st.lists(CONTENTS, min_size=1, max_size=5), limit=st.integers(1, 7))
def test_each_release_knows_what_has_changed_since_all_that_it_comes_from(contents: list[Content], limit: int) -> None:
    with history(contents) as catalogues:
        newest, now = catalogues[-1], contents[-1]
        assert newest.lineage == {f"r{number}": number for number in range(len(contents))}
        for number, then in enumerate(contents):
            added = ids([name for name in now if name not in then])
            changed = ids([name for name in now if name in then and now[name] != then[name]])
            removed = ids([name for name in then if name not in now])
            since = f"r{number}"
            assert newest.changes(since) == {"added": len(added), "changed": len(changed), "removed": len(removed)}
            found = newest.videos("name", newest.ranks(VideoFilter(changed_since=since), limit=100))
            assert sorted(video for video, _ in found) == sorted(added + changed)
            expected = {"added": added, "changed": changed, "removed": removed}
            pairs = [(kind, each) for kind, several in expected.items() for each in several]
            for kind in expected:
                assert sorted(walk(newest, since, kind, limit)) == sorted(pair for pair in pairs if pair[0] == kind)
            everything = walk(newest, since, None, limit)
            assert sorted(everything) == sorted(pairs)
            assert [each for kind, each in everything if kind != "removed"] == [video for video, _ in found]


@settings(max_examples=40)
@given(contents=st.lists(CONTENTS, min_size=1, max_size=4))
def test_a_release_s_own_page_tells_of_the_one_before(contents: list[Content]) -> None:
    with history(contents) as catalogues:
        assert catalogues[0].release["changes"] is None
        for number, catalogue in enumerate(catalogues[1:]):
            since = f"r{number}"
            assert catalogue.release["changes"] == {"since": since, **catalogue.changes(since)}


def test_what_becomes_again_what_it_was_has_not_changed_since_then() -> None:
    with history([{"a": 1, "b": 1}, {"a": 2}, {"a": 1, "b": 1}]) as catalogues:
        newest = catalogues[-1]
        assert newest.changes("r0") == {"added": 0, "changed": 0, "removed": 0}
        assert newest.changes("r1") == {"added": 1, "changed": 1, "removed": 0}


def test_the_filter_goes_with_others_and_with_any_order() -> None:
    with history([{"a": 1, "b": 1, "c": 1}, {"a": 3, "b": 1, "c": 2, "d": 3}]) as catalogues:
        newest, question = catalogues[-1], VideoFilter(changed_since="r0", min_frames=3)
        assert newest.count(question) == 2
        ranks = newest.ranks(question, sort="-frames", limit=9)
        assert [video for video, _ in newest.videos("-frames", ranks)] == ["d", "a"]


def test_a_past_that_is_the_same_gives_the_same_bytes(tmp_path: Path) -> None:
    first = build(tmp_path / "first", "r0", {"a": 1, "b": 2}, None)
    one = build(tmp_path / "one", "r1", {"a": 2, "c": 1}, first)
    assert one.read_bytes() == build(tmp_path / "two", "r1", {"a": 2, "c": 1}, first).read_bytes()
    assert first.read_bytes() == build(tmp_path / "again", "r0", {"a": 1, "b": 2}, None).read_bytes()
