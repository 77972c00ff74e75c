"""What `dataset.json` may say: what is in it becomes names of files here, so anything else is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from gygo.disk_cache import DiskCache
from gygo_server.errors import CorruptObjectError
from gygo_server.model import Dataset, ReleaseEntry
from gygo_server.store import dataset_file

DATASET = Dataset(
    "gygo", "GyGO", None, "CC0", "https://example.org", (ReleaseEntry("r1", "2026-01-01T00:00:00Z", "ab" * 32, 4096),)
)


def changed(change: Callable[[Any], object]) -> bytes:
    document = orjson.loads(dataset_file.encode(DATASET))
    change(document)
    return orjson.dumps(document)


def test_what_is_written_is_read() -> None:
    assert dataset_file.decode(dataset_file.encode(DATASET), "gygo") == DATASET


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert dataset_file.decode(changed(lambda document: document.update(more=1)), "gygo") == DATASET


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(format=3),
        lambda document: document.update(id="other"),
        lambda document: document.update(id="../gygo"),
        lambda document: document.update(title=None),
        lambda document: document.update(title=["GyGO"]),
        lambda document: document.update(license=3),
        lambda document: document.update(releases=None),
        lambda document: document.update(releases=["r1"]),
        lambda document: document.pop("homepage"),
        lambda document: document["releases"][0].update(id="../r1"),
        lambda document: document["releases"][0].update(withdrawn_at=5),
        lambda document: document["releases"][0].update(catalogue=None),
        lambda document: document["releases"][0]["catalogue"].update(sha256="../../../../etc/hosts"),
        lambda document: document["releases"][0]["catalogue"].update(sha256="ab" * 32 + "\n"),
        lambda document: document["releases"][0]["catalogue"].update(sha256="AB" * 32),
        lambda document: document["releases"][0]["catalogue"].update(bytes=-1),
        lambda document: document["releases"][0]["catalogue"].update(bytes="4096"),
        lambda document: document["releases"][0]["catalogue"].update(bytes=2**70),
    ],
)
def test_anything_else_is_refused(change: Callable[[Any], object]) -> None:
    try:
        content = changed(change)
    except TypeError:  # an integer that JSON here does not take: as text
        content = dataset_file.encode(DATASET).replace(b"4096", b"1" * 30)
    with pytest.raises(CorruptObjectError):
        dataset_file.decode(content, "gygo")


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{", b"\xff", b'{"format": 1}'])
def test_no_dataset_file_at_all_is_refused(content: bytes) -> None:
    with pytest.raises(CorruptObjectError):
        dataset_file.decode(content, "gygo")


def test_the_disk_cache_takes_no_other_names_than_hashes(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    cache = DiskCache(tmp_path / "cache" / "inner", 10**6)
    for name in ("../../victim", os.fspath(victim), "ab", "AB" * 32, "ab" * 32 + "\n"):
        with pytest.raises(ValueError, match="not a SHA-256"):
            cache.open(name, 8, lambda file: None)
    assert victim.read_text() == "precious"
