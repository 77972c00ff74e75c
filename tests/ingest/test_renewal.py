"""Publications that meet what others have published: in the meantime, or with an older version of this software."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from small_trees import write_video

from gygo_server.catalogue.reader import Catalogue
from gygo_server.errors import AlreadyPublishedError, PublicationError
from gygo_server.ingest.catalogues import open_catalogue
from gygo_server.ingest.datasets import change_dataset, read_dataset
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication, Report
from gygo_server.ingest.publish import publish
from gygo_server.ingest.releases import withdraw
from gygo_server.model import Dataset
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

Publish = Callable[..., Report]


def dataset_in(bucket: Bucket, dataset: str) -> Dataset:
    found, _ = read_dataset(bucket, dataset)
    assert found is not None
    return found


def changes_of(bucket: Bucket, dataset: str, release: str, folder: Path) -> object:
    entry = dataset_in(bucket, dataset).release(release)
    assert entry is not None
    folder.mkdir(exist_ok=True)
    with closing(open_catalogue(bucket, dataset, entry, folder)) as catalogue:
        return catalogue.release["changes"], list(catalogue.lineage)


class Meanwhile(Silent):
    """Publishes another release, once, when the archives are being uploaded."""

    def __init__(self, publish: Callable[[], object]) -> None:
        self._publish: Callable[[], object] | None = publish

    def stage(self, title: str, total: int) -> None:
        if title == "uploading archives" and self._publish is not None:
            publish, self._publish = self._publish, None
            publish()


def test_changes_are_since_the_release_that_is_the_newest_in_the_end(
    publish_tree: Publish, bucket: Bucket, dataset: str, tree: Path, tmp_path: Path
) -> None:
    publish_tree(tree, dataset, "r1")
    write_video(tree, "dog-of-another", frames=2)

    def overtake() -> None:
        publish(Publication(tree, dataset, "r2", workers=1), bucket, tmp_path / "other", Silent())
        write_video(tree, "never-seen", frames=2)  # after the checks: no part of r3

    publish(Publication(tree, dataset, "r3", workers=1), bucket, tmp_path / "state", Meanwhile(overtake))
    assert [entry.id for entry in dataset_in(bucket, dataset).releases] == ["r1", "r2", "r3"]
    assert changes_of(bucket, dataset, "r2", tmp_path / "2") == (
        {"since": "r1", "added": 1, "changed": 0, "removed": 0},
        ["r1", "r2"],
    )
    assert changes_of(bucket, dataset, "r3", tmp_path / "3") == (
        {"since": "r2", "added": 0, "changed": 0, "removed": 0},
        ["r1", "r2", "r3"],
    )


def make_old(bucket: Bucket, dataset: str, release: str, folder: Path) -> None:
    """As if an older version had published it: its catalogue says that its schema is another."""
    folder.mkdir()
    entry = dataset_in(bucket, dataset).release(release)
    assert entry is not None
    path = folder / "old.sqlite"
    path.write_bytes(bucket.get(keys.catalogue(dataset, release, entry.catalogue_sha256)).content)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=1")
    content = path.read_bytes()
    old = replace(entry, catalogue_sha256=sha256(content).hexdigest(), catalogue_size=len(content))
    bucket.put_file(keys.catalogue(dataset, release, old.catalogue_sha256), path, old.catalogue_sha256, "x/y")

    def change(found: Dataset | None) -> Dataset:
        assert found is not None
        return replace(found, releases=tuple(old if each.id == release else each for each in found.releases))

    change_dataset(bucket, dataset, change)


@pytest.fixture
def old(publish_tree: Publish, bucket: Bucket, dataset: str, tree: Path, tmp_path: Path) -> str:
    """A dataset whose one release was published by an older version."""
    publish_tree(tree, dataset, "r1")
    make_old(bucket, dataset, "r1", tmp_path / "old")
    return dataset


def test_a_release_of_an_older_version_is_told_as_such(old: str, fresh_client: FlaskClient) -> None:
    answer = fresh_client.get(f"/v1/datasets/{old}/releases/r1")
    assert answer.status_code == 502
    assert "schema 1" in answer.get_json()["detail"]


def test_publishing_it_again_renews_its_catalogue(
    old: str, publish_tree: Publish, bucket: Bucket, tree: Path, fresh_client: FlaskClient
) -> None:
    before = dataset_in(bucket, old).release("r1")
    report = publish_tree(tree, old, "r1")
    assert (report.published, report.renewed, report.transfer.sent) == (False, True, 0)
    after = dataset_in(bucket, old).release("r1")
    assert before is not None
    assert after is not None
    assert (after.id, after.published_at) == (before.id, before.published_at)
    assert fresh_client.get(f"/v1/datasets/{old}/releases/r1/videos").get_json()["total"] == 3
    assert not publish_tree(tree, old, "r1").renewed


def test_it_is_not_renewed_with_other_content(old: str, publish_tree: Publish, bucket: Bucket, tree: Path) -> None:
    before, stored = dataset_in(bucket, old), list(bucket.list(f"{old}/"))
    write_video(tree, "more", frames=2)
    with pytest.raises(AlreadyPublishedError, match="other content"):
        publish_tree(tree, old, "r1")
    assert (dataset_in(bucket, old), list(bucket.list(f"{old}/"))) == (before, stored)


def test_nothing_is_published_after_a_release_of_an_older_version_until_that_is_renewed(
    old: str, publish_tree: Publish, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    write_video(tree, "more", frames=2)
    with pytest.raises(PublicationError, match=r"'r1' was published by an older version: publish 'r1' again.*withdraw"):
        publish_tree(tree, old, "r2")
    assert [entry.id for entry in dataset_in(bucket, old).releases] == ["r1"]
    shutil.rmtree(tree / "JPEGImages/480p/more")
    shutil.rmtree(tree / "Annotations/480p/more", ignore_errors=True)
    assert publish_tree(tree, old, "r1").renewed
    write_video(tree, "more", frames=2)
    assert publish_tree(tree, old, "r2").published
    assert changes_of(bucket, old, "r2", tmp_path / "2")[1] == ["r1", "r2"]  # type: ignore[index]


def test_of_two_releases_of_an_older_version_the_first_is_renewed_first(
    old: str, publish_tree: Publish, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    publish_tree(tree, old, "r1")
    publish_tree(tree, old, "r2", fps=9)
    for release in ("r1", "r2"):
        make_old(bucket, old, release, tmp_path / f"old-{release}")
    with pytest.raises(PublicationError, match="'r1' was published by an older version"):
        publish_tree(tree, old, "r2", fps=9)
    assert publish_tree(tree, old, "r1").renewed
    assert publish_tree(tree, old, "r2", fps=9).renewed
    assert changes_of(bucket, old, "r2", tmp_path / "2")[1] == ["r1", "r2"]  # type: ignore[index]


def test_commands_that_read_a_catalogue_of_an_older_version_say_so(
    old: str, gygo_server: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    for command in (["show", old, "r1"], ["verify", old, "r1"]):
        ended = gygo_server("releases", *command)
        assert ended.returncode == 1
        assert "'r1' was published by another version; publishing it again renews it" in ended.stderr


# What the bucket has lost


def lose_catalogue(bucket: Bucket, dataset: str, release: str) -> None:
    entry = dataset_in(bucket, dataset).release(release)
    assert entry is not None
    bucket.delete(keys.catalogue(dataset, release, entry.catalogue_sha256))


def test_a_lost_catalogue_is_brought_back_by_publishing_again(
    publish_tree: Publish, bucket: Bucket, dataset: str, tree: Path, fresh_client: FlaskClient, tmp_path: Path
) -> None:
    publish_tree(tree, dataset, "r1")
    write_video(tree, "more", frames=2)
    publish_tree(tree, dataset, "r2")
    before = dataset_in(bucket, dataset)
    lose_catalogue(bucket, dataset, "r2")
    report = publish_tree(tree, dataset, "r2")
    assert (report.published, report.renewed) == (False, True)
    assert dataset_in(bucket, dataset) == before
    assert fresh_client.get(f"/v1/datasets/{dataset}/releases/r2/videos").get_json()["total"] == 4
    assert changes_of(bucket, dataset, "r2", tmp_path / "2")[1] == ["r1", "r2"]  # type: ignore[index]


def test_a_lost_catalogue_is_not_replaced_by_another(
    publish_tree: Publish, bucket: Bucket, dataset: str, tree: Path
) -> None:
    publish_tree(tree, dataset, "r1")
    lose_catalogue(bucket, dataset, "r1")
    before, stored = dataset_in(bucket, dataset), list(bucket.list(f"{dataset}/"))
    write_video(tree, "more", frames=2)
    with pytest.raises(AlreadyPublishedError, match="is lost, and this source gives another one"):
        publish_tree(tree, dataset, "r1")
    with pytest.raises(PublicationError, match=r"of 'r1' is not in the bucket.*publish 'r1' again.*or withdraw it"):
        publish_tree(tree, dataset, "r2")
    assert dataset_in(bucket, dataset) == before
    assert list(bucket.list(f"{dataset}/")) == stored
    withdraw(bucket, dataset, "r1", None)
    assert publish_tree(tree, dataset, "r2").published


def test_a_renewed_release_knows_what_it_comes_from_as_before(
    old: str, publish_tree: Publish, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    publish_tree(tree, old, "r1")
    write_video(tree, "more", frames=2)
    publish_tree(tree, old, "r2")
    make_old(bucket, old, "r2", tmp_path / "older")
    assert publish_tree(tree, old, "r2").renewed
    expected = {"since": "r1", "added": 1, "changed": 0, "removed": 0}
    assert changes_of(bucket, old, "r2", tmp_path / "2") == (expected, ["r1", "r2"])
    with closing(Catalogue(next((tmp_path / "2").iterdir()))) as catalogue:
        assert catalogue.changes("r1") == {"added": 1, "changed": 0, "removed": 0}
