"""``gygo-server releases``: what is in the bucket, whether it is what was published, and taking it back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from small_trees import write_tree

from gygo_server.errors import NotFoundError, PublicationError
from gygo_server.ingest.catalogues import open_catalogue
from gygo_server.ingest.datasets import read_dataset
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Report
from gygo_server.ingest.releases import Difference, find_release, verify, withdraw
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

Command = Callable[..., subprocess.CompletedProcess[str]]
Publish = Callable[..., Report]


def overwrite(bucket: Bucket, key: str, content: bytes) -> None:
    """As somebody with the keys could, or a failing disk."""
    settings = bucket.settings
    client = boto3.client("s3", endpoint_url=settings.endpoint, region_name=settings.region)
    try:
        client.put_object(Bucket=settings.bucket, Key=key, Body=content)
    finally:
        client.close()


def differences(bucket: Bucket, dataset: str) -> list[Difference]:
    return list(verify(bucket, dataset, "r1", Silent()))


@pytest.fixture
def release(publish_tree: Publish, dataset: str, tree: Path) -> str:
    """The id of a dataset with the release r1 of bear, cat and dog."""
    publish_tree(tree, dataset, title="Pets")
    return dataset


def test_verify_names_each_frame_and_mask_that_differs(
    bucket: Bucket, release: str, tmp_path: Path, gygo_server: Command
) -> None:
    _, entry = find_release(bucket, release, "r1")
    catalogue = open_catalogue(bucket, release, entry, tmp_path)
    archives = dict(catalogue.archives())
    sound = {}
    for video, archive in archives.items():
        sound[video] = bucket.get(keys.archive(release, archive.sha256)).content

    def store(video: str, content: bytes) -> str:
        key = keys.archive(release, archives[video].sha256)
        overwrite(bucket, key, content)
        return key

    bear = bytearray(sound["bear"])
    first, second, _ = catalogue.frames(archives["bear"], limit=3)
    assert second.mask is not None
    bear[first.image.offset] ^= 1
    bear[second.mask.offset + second.mask.size - 1] ^= 1
    key = store("bear", bytes(bear))
    assert differences(bucket, release) == [
        Difference(key, "bear at 480p: frame 00000 differs"),
        Difference(key, "bear at 480p: mask 00001 differs"),
    ]
    bear = bytearray(sound["bear"])
    bear[-1] ^= 1
    store("bear", bytes(bear))
    assert differences(bucket, release) == [Difference(key, "bear at 480p: a tar header or padding differs")]
    store("bear", sound["bear"][:-1024])
    size = archives["bear"].size
    assert differences(bucket, release) == [
        Difference(key, f"bear at 480p: {size - 1024} bytes, published with {size}")
    ]
    bucket.delete(keys.archive(release, archives["dog"].sha256))
    assert [each.message.partition(":")[0] for each in differences(bucket, release)] == ["bear at 480p", "dog at 480p"]

    done = gygo_server("releases", "verify", release, "r1")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert f"{keys.archive(release, archives['dog'].sha256)}: dog at 480p: the archive is not in the bucket\n" in (
        done.stdout
    )
    assert done.stderr.endswith(f"Error: {release}/r1: 2 difference(s)\n")
    for video, content in sound.items():
        store(video, content)
    done = gygo_server("releases", "verify", release, "r1")
    assert (done.returncode, done.stdout) == (0, f"{release}/r1: every byte is as published\n")


def test_verify_tells_of_a_catalogue_that_is_other_or_gone(bucket: Bucket, release: str, gygo_server: Command) -> None:
    _, entry = find_release(bucket, release, "r1")
    key = keys.catalogue(release, "r1", entry.catalogue_sha256)
    content = bytearray(bucket.get(key).content)
    content[len(content) // 2] ^= 1
    overwrite(bucket, key, bytes(content))
    (found,) = differences(bucket, release)
    assert found.key == key
    assert "published with SHA-256" in found.message
    shown = gygo_server("releases", "show", release, "r1")
    assert (shown.returncode, shown.stdout, shown.stderr.count("\n")) == (1, "", 1)
    bucket.delete(key)
    (found,) = differences(bucket, release)
    assert (found.key, found.message) == (key, f"{key}: no such object in the bucket")


def test_a_dataset_file_that_is_none_is_one_clear_line(bucket: Bucket, release: str, gygo_server: Command) -> None:
    overwrite(bucket, f"{release}/dataset.json", b'{"format": 1')
    for arguments in (("list", release), ("verify", release, "r1")):
        done = gygo_server("releases", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"error: {release}/dataset.json: not a dataset file")
        assert done.stderr.count("\n") == 1
    bucket.delete(f"{release}/dataset.json")  # it would stop those who list all datasets


def test_withdrawing_asks_first_and_cannot_be_undone(bucket: Bucket, release: str, gygo_server: Command) -> None:
    before = list(bucket.list(f"{release}/videos/"))
    asked = gygo_server("releases", "withdraw", release, "r1", "--reason", "wrong masks")  # nobody answers
    assert asked.returncode == 130
    assert f"withdraw {release}/r1 for good? [y/N]" in asked.stderr
    assert find_release(bucket, release, "r1")[1].withdrawn_at is None
    done = gygo_server("releases", "withdraw", release, "r1", "--reason", "wrong masks", "--yes")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"withdrew {release}/r1\n", "")
    entry = find_release(bucket, release, "r1")[1]
    assert entry.withdrawn_at is not None
    assert entry.withdrawn_reason == "wrong masks"
    again = gygo_server("releases", "withdraw", release, "r1", "--yes")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == f"error: release 'r1' was withdrawn at {entry.withdrawn_at}\n"
    assert list(bucket.list(f"{release}/videos/")) == before, "other releases may share them"
    listed = json.loads(gygo_server("releases", "list", release, "--json").stdout)
    assert [(each["release"], each["state"]) for each in listed] == [("r1", f"withdrawn {entry.withdrawn_at}")]
    shown = gygo_server("releases", "show", release, "r1")
    assert "withdrawn" in shown.stdout
    assert "wrong masks" in shown.stdout


def test_a_withdrawn_release_can_still_be_verified(bucket: Bucket, release: str) -> None:
    withdraw(bucket, release, "r1", None)
    assert differences(bucket, release) == []


def test_a_reason_that_is_not_unicode_is_refused(bucket: Bucket, release: str) -> None:
    with pytest.raises(PublicationError, match="reason: not UTF-8"):
        withdraw(bucket, release, "r1", "caf\udce9")
    assert find_release(bucket, release, "r1")[1].withdrawn_at is None


def test_list_and_show(
    bucket: Bucket, release: str, publish_tree: Publish, tmp_path: Path, gygo_server: Command
) -> None:
    publish_tree(write_tree(tmp_path / "more", ["bear", "cat", "dog", "eel"]), release, "r2", license="CC0")
    found, _ = read_dataset(bucket, release)
    assert found is not None
    for listed in (gygo_server("releases", "list", release), gygo_server("releases", "list")):
        assert listed.returncode == 0
        rows = [line for line in listed.stdout.splitlines() if release in line]
        assert [row.split("│")[2].strip() for row in rows] == ["r1", "r2"]
        assert all("public" in row for row in rows)
    shown = gygo_server("releases", "show", release, "r2").stdout
    for text in ("4 videos, 12 frames, 12 masks", "480p (", "train (4)", "Pets", "CC0", "nothing"):
        assert text in shown
    document = json.loads(gygo_server("releases", "show", release, "r2", "--json").stdout)
    assert document["counts"] == {"videos": 4, "frames": 12, "masks": 12, "objects": 12}
    assert (document["dataset"], document["release"], document["state"]) == (release, "r2", "public")
    assert document["changes"] == {"since": "r1", "added": 1, "changed": 0, "removed": 0}


@pytest.mark.parametrize("name", ["no-such-dataset", "../etc", "caf\udce9", "a\x1b[31m"])
def test_what_is_not_there_is_one_clear_line(gygo_server: Command, name: str) -> None:
    done = gygo_server("releases", "show", name, "r1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr


def test_a_release_that_is_not_there_names_those_that_are(bucket: Bucket, release: str, gygo_server: Command) -> None:
    with pytest.raises(NotFoundError, match="has no release 'r9'; it has: r1"):
        find_release(bucket, release, "r9")
    done = gygo_server("releases", "list", "no-such-dataset")
    assert (done.returncode, done.stderr) == (1, "Error: there is no dataset 'no-such-dataset' in the bucket\n")


def test_a_spoilt_dataset_file_does_not_hide_the_other_datasets(
    bucket: Bucket, release: str, gygo_server: Command
) -> None:
    bucket.put(keys.dataset_file(f"{release}-spoilt"), b"not JSON", replaces=None)
    listed = gygo_server("releases", "list")
    assert listed.returncode == 0
    assert release in listed.stdout
    assert f"warning: {release}-spoilt/dataset.json: not a dataset file" in listed.stderr
    asked = gygo_server("releases", "list", f"{release}-spoilt")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "not a dataset file" in asked.stderr
