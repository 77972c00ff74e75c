"""Members of archives: from the cache when it can hold them, by a ranged GET when it cannot, never unsound."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tcp_gate import Gate

from gygo.disk_cache import DiskCache
from gygo_server.errors import CorruptObjectError, ObjectNotFoundError, StoreError, StoreUnavailableError
from gygo_server.model import Member, Piece
from gygo_server.store import keys
from gygo_server.store.archives import ArchiveReader
from gygo_server.store.bucket import Bucket

CONTENT = bytes(range(256)) * 40
OFFSET, SIZE = 512, 700


def member_of(content: bytes, offset: int = OFFSET, size: int = SIZE) -> Member:
    return Member(offset, size, hashlib.sha256(content[offset : offset + size]).hexdigest())


class Stored(NamedTuple):
    dataset: str
    sha256: str
    size: int


@pytest.fixture
def stored(bucket: Bucket, request: pytest.FixtureRequest, tmp_path: Path) -> Stored:
    """An archive in the bucket, in a dataset of the test's own."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    path = tmp_path / "a.tar"
    path.write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    dataset = f"archives-{name}"
    bucket.put_file(keys.archive(dataset, digest), path, digest, "application/x-tar")
    return Stored(dataset, digest, len(CONTENT))


def spoil(bucket: Bucket, stored: Stored, content: bytes) -> None:
    """Put other bytes in the archive's place, as nothing but a mishap does."""
    key = keys.archive(stored.dataset, stored.sha256)
    bucket.delete(key)
    bucket.put(key, content, replaces=None)


def reader(bucket: Bucket, folder: Path, limit: int = 10**6) -> ArchiveReader:
    return ArchiveReader(bucket, DiskCache(folder, limit))


def read(archives: ArchiveReader, stored: Stored, member: Member) -> bytes:
    file, offset = archives.open_member(*stored, member)
    with file:
        file.seek(offset)
        return file.read(member.size)


def test_a_member_is_read_from_the_archive_on_disk(bucket: Bucket, gate: Gate, stored: Stored, tmp_path: Path) -> None:
    archives = reader(Bucket(replace(bucket.settings, endpoint=gate.endpoint)), tmp_path / "cache")
    assert read(archives, stored, member_of(CONTENT)) == CONTENT[OFFSET : OFFSET + SIZE]
    gate.shut()
    assert read(archives, stored, member_of(CONTENT, 5000, 100)) == CONTENT[5000:5100]


@pytest.mark.parametrize("limit", [0, len(CONTENT) - 1])
def test_where_the_cache_cannot_hold_the_archive_just_the_member_is_fetched(
    bucket: Bucket, stored: Stored, tmp_path: Path, limit: int
) -> None:
    cache = DiskCache(tmp_path / "cache", limit)
    assert read(ArchiveReader(bucket, cache), stored, member_of(CONTENT)) == CONTENT[OFFSET : OFFSET + SIZE]
    assert cache.bytes_held() == 0


def test_where_the_disk_cannot_be_written_just_the_member_is_fetched(
    bucket: Bucket, stored: Stored, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    archives = reader(bucket, tmp_path / "file" / "cache")
    assert read(archives, stored, member_of(CONTENT)) == CONTENT[OFFSET : OFFSET + SIZE]


def test_a_corrupt_archive_is_refused_and_not_kept(bucket: Bucket, stored: Stored, tmp_path: Path) -> None:
    spoil(bucket, stored, bytes(len(CONTENT)))
    archives = reader(bucket, tmp_path / "cache")
    for _ in range(2):
        with pytest.raises(CorruptObjectError):
            archives.open_member(*stored, member_of(CONTENT))
    spoil(bucket, stored, CONTENT)
    assert read(archives, stored, member_of(CONTENT)) == CONTENT[OFFSET : OFFSET + SIZE]


def test_corrupt_bytes_of_a_range_are_refused(bucket: Bucket, stored: Stored, tmp_path: Path) -> None:
    spoil(bucket, stored, CONTENT[:600] + b"!" + CONTENT[601:])
    archives = reader(bucket, tmp_path / "cache", limit=0)
    with pytest.raises(CorruptObjectError, match="512"):
        archives.open_member(*stored, member_of(CONTENT))
    assert read(archives, stored, member_of(CONTENT, 1024, 10)) == CONTENT[1024:1034]


@pytest.mark.parametrize("length", [0, OFFSET, OFFSET + 10])
def test_an_archive_cut_short_in_the_bucket_is_refused(
    bucket: Bucket, stored: Stored, tmp_path: Path, length: int
) -> None:
    spoil(bucket, stored, CONTENT[:length])
    for limit in (0, 10**6):
        with pytest.raises(CorruptObjectError):
            reader(bucket, tmp_path / "cache", limit).open_member(*stored, member_of(CONTENT))


@pytest.mark.parametrize("limit", [0, 10**6])
def test_an_archive_that_is_gone_is_told(bucket: Bucket, stored: Stored, tmp_path: Path, limit: int) -> None:
    bucket.delete(keys.archive(stored.dataset, stored.sha256))
    with pytest.raises(ObjectNotFoundError, match=stored.sha256):
        reader(bucket, tmp_path / "cache", limit).open_member(*stored, member_of(CONTENT))


@pytest.mark.parametrize("limit", [0, 10**6])
def test_a_store_that_is_away_is_told_and_serves_again_when_it_is_back(
    bucket: Bucket, gate: Gate, stored: Stored, tmp_path: Path, limit: int
) -> None:
    archives = reader(Bucket(replace(bucket.settings, endpoint=gate.endpoint)), tmp_path / "cache", limit)
    gate.shut()
    with pytest.raises(StoreUnavailableError):
        archives.open_member(*stored, member_of(CONTENT))
    gate.open()
    assert read(archives, stored, member_of(CONTENT)) == CONTENT[OFFSET : OFFSET + SIZE]


def test_a_fetch_cut_off_is_not_kept(bucket: Bucket, gate: Gate, stored: Stored, tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 10**6)
    archives = ArchiveReader(Bucket(replace(bucket.settings, endpoint=gate.endpoint)), cache)
    gate.cut_after = 5000
    with pytest.raises(StoreUnavailableError):
        archives.open_member(*stored, member_of(CONTENT))
    assert cache.bytes_held() == 0
    gate.cut_after = None
    assert read(archives, stored, member_of(CONTENT)) == CONTENT[OFFSET : OFFSET + SIZE]


def test_a_cache_deleted_meanwhile_is_filled_again(bucket: Bucket, stored: Stored, tmp_path: Path) -> None:
    archives = reader(bucket, tmp_path / "cache")
    read(archives, stored, member_of(CONTENT))
    shutil.rmtree(tmp_path / "cache")
    assert read(archives, stored, member_of(CONTENT)) == CONTENT[OFFSET : OFFSET + SIZE]


# Pieces


def piece_of(start: int, end: int) -> Piece:
    """A piece whose member has 100 bytes before it and 12 after it."""
    return Piece(start, end, member_of(CONTENT, start + 100, end - start - 112))


PIECES = [piece_of(0, 600), piece_of(600, 1400), piece_of(2000, 2500), piece_of(9000, 9990)]
BYTES = CONTENT[0:1400] + CONTENT[2000:2500] + CONTENT[9000:9990]


def read_pieces(archives: ArchiveReader, stored: Stored, pieces: list[Piece] = PIECES, skip: int = 0) -> bytes:
    return b"".join(archives.read(*stored, pieces, skip))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.sampled_from(PIECES), max_size=5), data=st.data())
@pytest.mark.parametrize("limit", [0, 10**6])
def test_pieces_come_one_after_the_other_from_wherever_they_are_read(
    bucket: Bucket, stored: Stored, tmp_path: Path, limit: int, chosen: list[Piece], data: st.DataObject
) -> None:
    archives = reader(bucket, tmp_path / "cache", limit)
    wanted = b"".join(CONTENT[piece.start : piece.end] for piece in chosen)
    skip = data.draw(st.integers(0, len(wanted) + 1))
    assert read_pieces(archives, stored, chosen, skip) == wanted[skip:]


def test_pieces_on_disk_need_no_store(bucket: Bucket, gate: Gate, stored: Stored, tmp_path: Path) -> None:
    archives = reader(Bucket(replace(bucket.settings, endpoint=gate.endpoint)), tmp_path / "cache")
    assert read_pieces(archives, stored) == BYTES
    gate.shut()
    assert read_pieces(archives, stored) == BYTES
    assert gate.connections == 1


def test_pieces_are_read_in_chunks_and_none_before_it_is_wanted(
    bucket: Bucket, gate: Gate, stored: Stored, tmp_path: Path
) -> None:
    archives = reader(Bucket(replace(bucket.settings, endpoint=gate.endpoint)), tmp_path / "cache", limit=0)
    chunks = archives.read(*stored, PIECES)
    assert gate.connections == 0
    assert next(chunks) == CONTENT[:600]
    gate.shut()
    with pytest.raises(StoreUnavailableError):
        next(chunks)


@pytest.mark.parametrize("limit", [0, 10**6])
def test_pieces_of_a_lost_archive_are_told(bucket: Bucket, stored: Stored, tmp_path: Path, limit: int) -> None:
    bucket.delete(keys.archive(stored.dataset, stored.sha256))
    with pytest.raises(ObjectNotFoundError, match=stored.sha256):
        next(reader(bucket, tmp_path / "cache", limit).read(*stored, PIECES, 700, dashes))


def dashes(error: StoreError, size: int, skip: int) -> Iterator[bytes]:
    assert isinstance(error, CorruptObjectError)
    yield b"-" * (size - skip)


def test_a_spoilt_archive_is_told_before_the_first_chunk(bucket: Bucket, stored: Stored, tmp_path: Path) -> None:
    spoil(bucket, stored, CONTENT[:-1] + b"!")
    with pytest.raises(CorruptObjectError):
        next(reader(bucket, tmp_path / "cache").read(*stored, PIECES, 0, dashes))


@pytest.mark.parametrize(
    ("content", "stand_in"),
    [
        (CONTENT[:800] + b"!" + CONTENT[801:], [600, 1400]),
        (CONTENT[:1390], [600, 3000]),  # the member is there, its last bytes of padding are not
        (CONTENT[:1200], [600, 3000]),
        (CONTENT[:9500], [1900, 3000]),
    ],
)
def test_without_a_cache_other_bytes_stand_for_spoilt_files(
    bucket: Bucket, stored: Stored, tmp_path: Path, content: bytes, stand_in: list[int]
) -> None:
    spoil(bucket, stored, content)
    archives = reader(bucket, tmp_path / "cache", limit=0)
    start, stop = stand_in[0], min(stand_in[1], len(BYTES))
    wanted = BYTES[:start] + b"-" * (stop - start) + BYTES[stop:]
    for skip in (0, 1, 599, 600, 601, 1399, 1400, 1901, len(BYTES) - 1, len(BYTES)):
        assert b"".join(archives.read(*stored, PIECES, skip, dashes)) == wanted[skip:]
    with pytest.raises(CorruptObjectError):
        read_pieces(archives, stored)
