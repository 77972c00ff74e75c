"""Members of archives: from the cache when it can hold them, by a ranged GET when it cannot, never unsound."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from tcp_gate import Gate

from gygo_server.errors import CorruptObjectError, ObjectNotFoundError, StoreUnavailableError
from gygo_server.model import Member
from gygo_server.store import keys
from gygo_server.store.archives import ArchiveReader
from gygo_server.store.bucket import Bucket
from gygo.disk_cache import DiskCache

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
