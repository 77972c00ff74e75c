"""A source in S3: what comes of it is what comes of the same folder, and nothing that a key says leads astray."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import Machine
from small_trees import jpeg, put, write_faults, write_tree

from gygo_server.catalogue import connections
from gygo_server.errors import FaultySourceError, PublicationError
from gygo_server.formats.archive import SourceChangedError
from gygo_server.formats.files import FileState
from gygo_server.ingest.bucket_files import BucketFiles, KeyFolders
from gygo_server.ingest.catalogues import fetch_catalogue
from gygo_server.ingest.datasets import read_dataset
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Report
from gygo_server.ingest.releases import verify
from gygo_server.store.bucket import Bucket

Command = Callable[..., subprocess.CompletedProcess[str]]
MakeMachine = Callable[..., Machine]
Publish = Callable[..., Report]


@pytest.fixture
def url(bucket: Bucket, dataset: str) -> str:
    """A place in the bucket that no other test has."""
    return f"s3://{bucket.settings.bucket}/sources/{dataset}"


def files_of(bucket: Bucket, url: str) -> BucketFiles:
    return BucketFiles.from_url(url, bucket.settings)


def copy(tree: Path, bucket: Bucket, url: str) -> None:
    """Put a folder's files into the bucket, as `aws s3 cp --recursive` does it."""
    for path in tree.rglob("*"):
        if path.is_file():
            upload(bucket, url, path.relative_to(tree).as_posix(), path.read_bytes())


def upload(bucket: Bucket, url: str, path: str, content: bytes) -> None:
    key = files_of(bucket, url).prefix + path
    found = bucket.find(key)
    bucket.put(key, content, replaces=found.etag if found else None)


def digests(bucket: Bucket, dataset: str, folder: Path) -> dict[str, bytes]:
    assert list(verify(bucket, dataset, "r1", Silent())) == []
    found, _ = read_dataset(bucket, dataset)
    assert found is not None
    folder.mkdir()
    return dict(connections.digests(fetch_catalogue(bucket, dataset, found.releases[0], folder)))


def test_the_release_is_that_of_the_same_folder(
    gygo_server: Command, publish_tree: Publish, bucket: Bucket, dataset: str, url: str, tree: Path, tmp_path: Path
) -> None:
    write_tree(tree, ["batch-00002/cool-car-gray"], frames=4)
    put(tree, "ImageSets/train.txt", "bear\nbatch-00002/cool-car-gray\n")
    put(tree, "categories.csv", "video,category\nbear,toys\n")
    copy(tree, bucket, url)
    done = gygo_server("ingest", f"{url}/", "--dataset", dataset, "--release", "r1", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"published {dataset}/r1: 4 videos; 4 archives sent")
    publish_tree(tree, f"{dataset}-local")
    there, here = (digests(bucket, each, tmp_path / each) for each in (dataset, f"{dataset}-local"))
    assert there == here
    assert len(there) == 4


def test_faults_are_those_of_the_same_folder(
    gygo_server: Command, bucket: Bucket, dataset: str, url: str, tmp_path: Path
) -> None:
    faults = write_faults(tmp_path / "tree")
    copy(tmp_path / "tree", bucket, url)
    arguments = ("--dataset", dataset, "--release", "r1", "--workers", "1", "--dry-run")
    here, there = (gygo_server("ingest", source, *arguments) for source in (tmp_path / "tree", url))
    found = [line for line in there.stderr.splitlines() if line.startswith(("fault: ", "warning: "))]
    assert found == [line for line in here.stderr.splitlines() if line.startswith(("fault: ", "warning: "))]
    assert len(found) >= len(faults)
    assert (there.returncode, there.stdout) == (1, here.stdout)


def test_what_marks_an_empty_folder_is_no_file(publish_tree: Publish, bucket: Bucket, url: str, dataset: str) -> None:
    copy_of = files_of(bucket, url)
    for path in ("JPEGImages/480p/", "JPEGImages/480p/bear/", "JPEGImages/480p/empty/", "Annotations/"):
        bucket.put(copy_of.prefix + path, b"", replaces=None)
    upload(bucket, url, "JPEGImages/480p/bear/00000.jpg", jpeg())
    report = publish_tree(copy_of, dataset)
    assert (report.published, report.videos) == (True, 1)
    assert [(each.code, each.path) for each in report.findings] == [("empty-folder", "JPEGImages/480p/empty")]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("s3://gygo-tests/no/such/prefix", "there are no objects below s3://gygo-tests/no/such/prefix/"),
        ("s3://no-such-bucket-here/x", "s3://no-such-bucket-here/x/: the store has no such bucket"),
        ("s3:///x", "s3:///x: expected s3://bucket/prefix"),
        ("s3://", "s3://: expected s3://bucket/prefix"),
    ],
)
def test_a_source_that_is_not_there(gygo_server: Command, dataset: str, source: str, why: str) -> None:
    done = gygo_server("ingest", source, "--dataset", dataset, "--release", "r1")
    assert done.returncode == 1
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_killed_it_goes_on_and_checks_again_what_changed(
    machine: MakeMachine, bucket: Bucket, dataset: str, url: str, tmp_path: Path
) -> None:
    tree = write_tree(tmp_path / "tree", [f"video-{number:02d}" for number in range(30)], frames=2)
    copy(tree, bucket, url)
    here = machine()
    run = here.ingest(url, dataset)
    here.wait_until_noted(5)
    run.send(signal.SIGKILL)
    run.end()
    assert run.is_deserted()
    assert 5 <= here.noted() < 30
    changed = "JPEGImages/480p/video-00/00001.jpg"
    upload(bucket, url, changed, jpeg(4711))
    again = here.ingest(url, dataset)
    assert again.end() == 0, again.said
    assert "of 30 videos were checked before" in again.said
    assert not list(here.state.rglob("scratch-*")), "what was fetched is left"
    put(tree, changed, jpeg(4711))
    local = machine("local").ingest(tree, f"{dataset}-local")
    assert local.end() == 0, local.said
    there, here_again = (digests(bucket, each, tmp_path / each) for each in (dataset, f"{dataset}-local"))
    assert there == here_again


# One video's files


IMAGE, MASK = "JPEGImages/480p/bear/00000.jpg", "Annotations/480p/bear/00000.png"


def test_a_video_s_files_are_there_for_a_while(bucket: Bucket, url: str, tree: Path, tmp_path: Path) -> None:
    copy(tree, bucket, url)
    files = files_of(bucket, url)
    states = files.states([IMAGE, MASK, "JPEGImages/480p/bear/99999.jpg"])
    assert {path: state.size for path, state in states.items()} == {
        path: (tree / path).stat().st_size for path in (IMAGE, MASK)
    }
    with files.on_disk(states, tmp_path) as root:
        fetched = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.*")}
        assert fetched == {path: (tree / path).read_bytes() for path in (IMAGE, MASK)}
    assert not root.exists()


def test_an_object_that_changes_on_the_way_is_not_taken(bucket: Bucket, url: str, tree: Path, tmp_path: Path) -> None:
    copy(tree, bucket, url)
    files = files_of(bucket, url)
    states = files.states([IMAGE, MASK])
    upload(bucket, url, IMAGE, jpeg(4711))
    with pytest.raises(SourceChangedError, match=f"^{IMAGE}: changed"), files.on_disk(states, tmp_path):
        pytest.fail("it was taken")
    assert files.states([IMAGE, MASK])[IMAGE] != states[IMAGE]
    assert [path.name for path in tmp_path.iterdir()] == ["tree"], "what was fetched is left"


def test_an_object_that_goes_away_is_not_there(bucket: Bucket, url: str, tree: Path, tmp_path: Path) -> None:
    copy(tree, bucket, url)
    files = files_of(bucket, url)
    states = files.states([IMAGE, MASK])
    bucket.delete(files.prefix + IMAGE)
    with files.on_disk(states, tmp_path) as root:
        assert [(root / path).exists() for path in (IMAGE, MASK)] == [False, True]
    with pytest.raises(PublicationError, match="its objects went away"):
        files.states([IMAGE])


def test_an_object_too_large_for_a_picture_is_not_fetched(bucket: Bucket, url: str, tmp_path: Path) -> None:
    # It is not there either: who asked for it would get nothing.
    with files_of(bucket, url).on_disk({IMAGE: FileState(1 << 40, "x")}, tmp_path) as root:
        assert (root / IMAGE).stat().st_size == 1 << 40


# Keys


@pytest.mark.parametrize(
    ("key", "odd"),
    [
        ("480p/bear//0.jpg", ("/0.jpg", "480p/bear")),
        ("480p/../../../etc/cron.d/0.jpg", ("../../../etc/cron.d/0.jpg", "480p")),
        ("480p/./0.jpg", ("./0.jpg", "480p")),
        ("480p/bear/..", ("..", "480p/bear")),
        ("480p/nul\0/0.jpg", ("nul\0/0.jpg", "480p")),
        ("480p/" + "é" * 128 + "/0.jpg", ("é" * 128 + "/0.jpg", "480p")),
        ("//0.jpg", ("//0.jpg", "")),
    ],
)
def test_a_key_that_is_no_path_is_odd_where_it_leaves_the_folders(key: str, odd: tuple[str, str]) -> None:
    folders = KeyFolders("JPEGImages")
    folders.add("JPEGImages/480p/bear/00000.jpg")
    folders.add(f"JPEGImages/{key}")
    name, folder = odd
    listing = folders.take(f"JPEGImages/{folder}".rstrip("/"))
    assert [each.name for each in listing.odd] == [name]
    assert "no path of a file" in listing.odd[0].why


PARTS = st.sampled_from(["", ".", "..", "a", "b", "a.jpg", "A", "\\", "a\\..\\b", " ", "\n", "nul\0", "x" * 256, "é"])


@given(st.sets(st.lists(PARTS, min_size=1, max_size=5).map("/".join), max_size=12))
def test_every_key_is_a_safe_file_or_is_told_of(keys: set[str]) -> None:
    folders = KeyFolders("top")
    for key in sorted(keys, key=str.encode):
        folders.add(f"top/{key}")
    files: set[str] = set()
    odd: list[str] = []
    todo = ["top"]
    while todo:
        folder = todo.pop()
        listing = folders.take(folder)
        files |= {f"{folder}/{name}" for name in listing.files}
        odd += [f"{folder}/{each.name}" for each in listing.odd]
        todo += [f"{folder}/{name}" for name in listing.folders]
    placeholders = {f"top/{key}" for key in keys if f"top/{key}".endswith("/")}
    assert {f"top/{key}" for key in keys} - placeholders == (files | set(odd)) - placeholders
    assert len(odd) == len(set(odd))
    assert not files & set(odd)
    for path in files:
        assert not set(path.split("/")) & {"", ".", ".."}
        assert PurePosixPath(path).is_relative_to("top")
        assert "\0" not in path


def test_keys_that_are_no_paths_are_faults_with_their_name(
    publish_tree: Publish, bucket: Bucket, dataset: str, url: str, tree: Path
) -> None:
    copy(tree, bucket, url)
    long = "x" * 256
    upload(bucket, url, f"JPEGImages/480p/{long}/00000.jpg", jpeg())
    with pytest.raises(FaultySourceError) as refused:
        publish_tree(files_of(bucket, url), dataset)
    assert [(each.code, each.path) for each in refused.value.findings] == [
        ("unreadable", f"JPEGImages/480p/{long}/00000.jpg")
    ]
