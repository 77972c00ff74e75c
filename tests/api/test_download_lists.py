"""Whatever videos are called, each format of a list gives back what went into it."""

from __future__ import annotations

import hypothesis.strategies as st
from download_readers import READERS, Listed
from hypothesis import example, given

from gygo_server.api.download_lists import FORMATS, About, Download
from gygo_server.api.file_names import MAX_BYTES, archive_name
from gygo_server.formats.names import video_name_fault
from gygo_server.model import video_id

ABOUT = About("toys/r1", "2026-01-02T03:04:05Z")

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(lambda name: not video_name_fault(name))
urls = st.text(st.sampled_from("abz019-._~/?&=%:+"), max_size=40).map(lambda rest: f"https://s3.example/{rest}")


@st.composite
def downloads(draw: st.DrawFn) -> Download:
    video = video_id(draw(names))
    file = archive_name("toys", "r1", video, "480p")
    return Download(video, "480p", file, draw(urls), draw(st.integers(0, 2**50)), draw(st.binary(min_size=32)).hex())


def not_xml_replaced(text: str) -> str:
    return text.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")


@given(st.lists(downloads(), max_size=7), st.integers(1, 3))
def test_what_is_written_is_what_others_read(made: list[Download], lot: int) -> None:
    lots = [made[place : place + lot] for place in range(0, len(made), lot)]
    written = {name: b"".join(each.write(ABOUT, lots)) for name, each in FORMATS.items()}
    everything = [Listed(each.url, each.file, each.bytes, each.sha256, each.id) for each in made]
    assert READERS["ndjson"](written["ndjson"]) == everything
    assert READERS["metalink"](written["metalink"]) == [
        each._replace(id=not_xml_replaced(each.id or "")) for each in everything
    ]
    assert READERS["uri-list"](written["uri-list"]) == [Listed(each.url) for each in made]
    assert READERS["curl"](written["curl"]) == [Listed(each.url, each.file) for each in made]


@given(st.lists(names, min_size=2, max_size=2, unique=True))
@example(["x\u200by", "x_y"])
@example(['a"b', "a_b"])
@example([f"{'long' * 60}1", f"{'long' * 60}2"])
@example(["é" * 200 + "1", "é" * 200 + "2"])
def test_names_of_files_are_distinct_and_fit_on_any_disk(two: list[str]) -> None:
    one, other = (
        archive_name("toys", "r1", video_id(name), "480p", alike=two[0].replace("/", "-") == two[1].replace("/", "-"))
        for name in two
    )
    assert one != other
    for file in (one, other):
        assert file.startswith("toys-r1-")
        assert file.endswith("-480p.tar")
        assert file.isprintable()
        assert not set('/\\:*?"<>|') & set(file)
        assert len(file.encode()) <= MAX_BYTES
