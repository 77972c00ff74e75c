"""A release fetched through the API and extracted is the tree that was published, and DAVIS loaders read it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import urllib3
from flask.testing import FlaskClient
from PIL import Image

from gygo_server.ingest.publication import Report


@pytest.fixture
def extracted(
    public_tree: Path, publish_tree: Callable[..., Report], fresh_client: FlaskClient, tmp_path: Path
) -> Path:
    """The real sequences, published, fetched as a user would and extracted."""
    publish_tree(public_tree, "extracted")
    release = "/v1/datasets/extracted/releases/r1"
    target = tmp_path / "DAVIS"
    for video in fresh_client.get(f"{release}/videos").json["items"]:
        moved = fresh_client.get(f"{release}/videos/{video['id']}/archive")
        assert moved.status_code == 307
        answer = urllib3.request("GET", moved.location)
        assert answer.status == 200
        with tarfile.open(fileobj=io.BytesIO(answer.data)) as tar:
            tar.extractall(target, filter="data")
    lists = target / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    for split in fresh_client.get(release).json["splits"]:
        (lists / f"{split['name']}.txt").write_bytes(fresh_client.get(split["imageset_url"]).data)
    return target


def files_of(root: Path, top: str) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in (root / top).rglob("*") if path.is_file()}


def test_the_extracted_tree_is_the_source_byte_for_byte(extracted: Path, public_tree: Path) -> None:
    for top in ("JPEGImages", "Annotations"):
        source = files_of(public_tree, top)
        assert source
        assert files_of(extracted, top) == source


def test_nothing_else_is_in_it(extracted: Path, public_tree: Path) -> None:
    assert {path.name for path in extracted.iterdir()} == {"JPEGImages", "Annotations", "ImageSets"}


def test_the_split_lists_name_the_same_videos(extracted: Path, public_tree: Path) -> None:
    for path in sorted((public_tree / "ImageSets" / "2017").glob("*.txt")):
        published = (extracted / "ImageSets" / "2017" / path.name).read_text().split()
        assert published == sorted(path.read_text().split())


class DavisSequences:
    """Reads as the public davis2017 package does: a list of names, then every file of a sequence, sorted as text."""

    def __init__(self, root: Path, subset: str) -> None:
        self.root = root
        self.names = (root / "ImageSets" / "2017" / f"{subset}.txt").read_text().splitlines()

    def images(self, name: str) -> list[np.ndarray]:
        return [_array(path) for path in sorted((self.root / "JPEGImages" / "480p" / name).glob("*.jpg"))]

    def masks(self, name: str) -> list[np.ndarray]:
        return [_array(path) for path in sorted((self.root / "Annotations" / "480p" / name).glob("*.png"))]

    def object_count(self, name: str) -> int:
        first = self.masks(name)[0]
        return int(np.where(first == 255, 0, first).max())


def _array(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def test_davis_loaders_read_it(extracted: Path, public_tree: Path) -> None:
    for subset in ("train", "val"):
        ours, theirs = DavisSequences(extracted, subset), DavisSequences(public_tree, subset)
        assert sorted(ours.names) == sorted(theirs.names)
        for name in ours.names:
            assert ours.object_count(name) == theirs.object_count(name)
            for read in (DavisSequences.images, DavisSequences.masks):
                mine, published = read(ours, name), read(theirs, name)
                assert len(mine) == len(published) > 0
                assert all(np.array_equal(a, b) for a, b in zip(mine, published, strict=True))
