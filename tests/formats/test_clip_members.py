"""The small JSON files that speak for clips in a tar: of any size that is wanted, whatever they have to say."""

from __future__ import annotations

import io
import json
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from gygo_server.formats.archive import file_header, padding
from gygo_server.formats.clips import END, note, note_filling, pieces
from gygo_server.model import FrameFiles, Member

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=600)
documents = st.fixed_dictionaries(
    {
        "clip": st.integers(0, 999),
        "video": texts,
        "start": st.integers(0, 2**31),
        "type": st.just("urn:gygo:problem:stored-bytes-wrong"),
        "title": st.just("The object store does not hold what was published"),
        "status": st.just(502),
        "detail": texts,
    }
)


def only_member(content: bytes) -> tuple[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content + END), mode="r|") as tar:
        ((name, file),) = [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    return name, file


@given(documents)
def test_a_note_is_a_member(document: dict[str, object]) -> None:
    content = note("clips/00007.json", document)
    assert len(content) % 512 == 0
    name, file = only_member(content)
    assert (name, json.loads(file)) == ("clips/00007.json", document)


@given(documents, st.integers(2, 12))
def test_a_note_fills_what_it_stands_for(document: dict[str, object], blocks: int) -> None:
    size = 512 * blocks
    content = b"".join(note_filling("clips/00007.error.json", document, size))
    assert len(content) == size
    name, file = only_member(content)
    assert (name, len(file)) == ("clips/00007.error.json", size - 512)
    said = json.loads(file)
    assert said.items() >= {each: document[each] for each in ("clip", "type", "status")}.items()
    if len(json.dumps(document, ensure_ascii=False).encode()) <= size - 512:
        assert said == document


def test_a_large_note_comes_in_pieces() -> None:
    document = {"clip": 1, "type": "t", "status": 502, "detail": "d"}
    size = 512 * 5000
    chunks = list(note_filling("n", document, size))
    assert sum(map(len, chunks)) == size
    assert max(map(len, chunks)) <= 1 << 18


def frame(index: int, start: int, *, masked: bool, long: bool) -> FrameFiles:
    """A frame of two files of 700 bytes, with headers of one block or, for long names, of three."""
    header = 1536 if long else 512
    image = Member(start + header, 700, "")
    end = start + header + 1024
    mask = Member(end + header, 700, "") if masked else None
    return FrameFiles(index, "n", start, end + header + 1024 if masked else end, image, mask, ())


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=8))
def test_files_and_their_neighbours_touch(shape: list[tuple[bool, bool]]) -> None:
    frames: list[FrameFiles] = []
    for index, (masked, long) in enumerate(shape):
        frames.append(frame(index, frames[-1].end if frames else 0, masked=masked, long=long))
    both = list(pieces(frames, images=True, masks=True))
    assert [piece.start for piece in both] == [0, *[piece.end for piece in both]][: len(both)]
    assert sum(piece.end - piece.start for piece in both) == (frames[-1].end if frames else 0)
    assert all(piece.start + 512 <= piece.member.offset < piece.end for piece in both)
    assert list(pieces(frames, images=True, masks=False)) == [
        piece for piece in both if piece.member in [each.image for each in frames]
    ]
    assert list(pieces(frames, images=False, masks=True)) == [
        piece for piece in both if piece.member in [each.mask for each in frames]
    ]
    assert list(pieces(frames, images=False, masks=False)) == []


def test_headers_are_those_of_archives() -> None:
    with tarfile.open(fileobj=io.BytesIO(file_header("a/b.txt", 5) + b"hello" + bytes(padding(5)) + END)) as tar:
        (member,) = tar.getmembers()
    assert (member.name, member.size, member.mode, member.uid, member.mtime) == ("a/b.txt", 5, 0o644, 0, 315532800)
