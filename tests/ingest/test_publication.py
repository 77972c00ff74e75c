"""What a publication leaves in the bucket, and what it refuses."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
from PIL import Image
from small_trees import jpeg, png, put, write_tree, write_video

from gygo_server.catalogue.reader import Catalogue
from gygo_server.errors import AlreadyPublishedError, FaultySourceError, PublicationError
from gygo_server.ingest.catalogues import open_catalogue
from gygo_server.ingest.datasets import read_dataset
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication, Report
from gygo_server.ingest.publish import dry_run
from gygo_server.ingest.releases import verify, withdraw
from gygo_server.model import Dataset, MaskKind
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

Publish = Callable[..., Report]


def dataset_in(bucket: Bucket, dataset: str) -> Dataset:
    found, _ = read_dataset(bucket, dataset)
    assert found is not None
    return found


def catalogue_of(bucket: Bucket, dataset: str, folder: Path, release: str = "r1") -> Catalogue:
    entry = dataset_in(bucket, dataset).release(release)
    assert entry is not None
    folder.mkdir(exist_ok=True)
    return open_catalogue(bucket, dataset, entry, folder)


def release_of(bucket: Bucket, dataset: str, folder: Path, release: str = "r1") -> dict[str, object]:
    return catalogue_of(bucket, dataset, folder, release).release


def objects_of(path: Path, kind: str) -> dict[int, tuple[tuple[int, int, int, int], int]]:
    """Box and area of each object of a mask, counted anew."""
    with Image.open(path) as picture:
        values = np.asarray(picture if picture.mode == "P" else picture.convert("L"))
    ids = np.where(values >= 128, 1, 0) if kind == "binary" else np.where(values == 255, 0, values)
    found = {}
    for number in np.unique(ids[ids > 0]):
        rows, columns = np.nonzero(ids == number)
        box = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
        found[int(number)] = (tuple(map(int, box)), len(rows))
    return found


@pytest.mark.parametrize("source", ["public", "toys", "multi"])
def test_what_the_catalogue_says_is_what_the_files_are(
    source: str, request: pytest.FixtureRequest, bucket: Bucket, tmp_path: Path
) -> None:
    if source == "public":
        root, dataset = request.getfixturevalue("public_tree"), "ingest-public"
        request.getfixturevalue("publish_tree")(root, dataset)
    else:
        root, dataset = request.getfixturevalue("published")[source], source
    catalogue = catalogue_of(bucket, dataset, tmp_path)
    on_disk = {path for top in ("JPEGImages", "Annotations") for path in (root / top).rglob("*.*g")}
    assert on_disk
    for video, archive in catalogue.archives():
        document = orjson.loads(catalogue.video(video) or "")
        key = keys.archive(dataset, archive.sha256)
        assert bucket.size(key) == archive.size
        content = bucket.get(key).content
        for frame in catalogue.frames(archive, limit=1000):
            image = root / "JPEGImages" / archive.folder / document["name"] / f"{frame.name}.jpg"
            mask = root / "Annotations" / archive.folder / document["name"] / f"{frame.name}.png"
            with Image.open(image) as picture:
                assert picture.size == (archive.width, archive.height)
            for path, member in ((image, frame.image), (mask, frame.mask)):
                assert (member is not None) == path.exists()
                if member is not None:
                    assert content[member.offset : member.offset + member.size] == path.read_bytes()
                    assert member.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
                    on_disk.remove(path)
            expected = objects_of(mask, archive.mask_kind) if frame.mask else {}
            assert {each.object_id: (tuple(each.box), each.area) for each in frame.regions} == expected
    assert not on_disk, "files that no archive holds"
    for split in catalogue.release["splits"]:
        names = sorted((root / split["path"]).read_text().split())
        assert sorted(name.replace(":", "/") for name in catalogue.ids(split["name"])) == names
        assert split["videos"] == len(names)


def test_a_release_is_whole_and_names_its_parts(
    publish_tree: Publish, bucket: Bucket, dataset: str, tree: Path, tmp_path: Path
) -> None:
    put(tree, "categories.csv", "video,category,attributes\nbear,toys,fast;small\ncat,clothes,\n")
    report = publish_tree(tree, dataset, title="Pets", license="CC0", homepage="https://example.org", fps=5)
    assert report.published
    assert (report.videos, report.transfer.sent, report.transfer.shared, report.left_out) == (3, 3, 0, [])
    found = dataset_in(bucket, dataset)
    assert (found.title, found.license, found.homepage) == ("Pets", "CC0", "https://example.org")
    assert [entry.id for entry in found.releases] == ["r1"]
    release = release_of(bucket, dataset, tmp_path / "fetched")
    assert release["counts"] == {"videos": 3, "frames": 9, "masks": 9, "objects": 9}
    assert (release["license"], release["default_resolution"], release["changes"]) == ("CC0", "480p", None)
    assert release["mask_kinds"] == {"palette": 3}
    assert [(each["name"], each["videos"]) for each in release["categories"]] == [("clothes", 1), ("toys", 1)]  # type: ignore[attr-defined]
    assert [each["name"] for each in release["attributes"]] == ["fast", "small"]  # type: ignore[attr-defined]
    stored = {key for key, _ in bucket.list(f"{dataset}/")}
    assert len(stored) == 3 + 2, "three archives, a catalogue and dataset.json, and nothing else"
    assert list(verify(bucket, dataset, "r1", Silent())) == []
    assert not any(path.is_dir() for path in (tmp_path / "state").iterdir()), "nothing is left of it on this machine"


def test_publishing_the_same_again_does_nothing(
    publish_tree: Publish, bucket: Bucket, dataset: str, tree: Path
) -> None:
    publish_tree(tree, dataset)
    before, stored = dataset_in(bucket, dataset), list(bucket.list(f"{dataset}/"))
    report = publish_tree(tree, dataset)
    assert (report.published, report.transfer.sent) == (False, 0)
    assert (before.title, before.license) == (dataset, None), "nothing is made up"
    assert (dataset_in(bucket, dataset), list(bucket.list(f"{dataset}/"))) == (before, stored)


def test_other_content_under_the_same_id_is_refused(
    publish_tree: Publish, bucket: Bucket, dataset: str, tree: Path
) -> None:
    publish_tree(tree, dataset)
    before, stored = dataset_in(bucket, dataset), list(bucket.list(f"{dataset}/"))

    def is_refused(source: Path, **more: object) -> None:
        with pytest.raises(AlreadyPublishedError, match=r"other content.*as a new release"):
            publish_tree(source, dataset, **more)
        assert (dataset_in(bucket, dataset), list(bucket.list(f"{dataset}/"))) == (before, stored)

    is_refused(tree, fps=7)
    split = put(tree, "ImageSets/2017/val.txt", "bear\n")
    is_refused(tree)
    split.unlink()
    label = put(tree, "categories.csv", "video,category\nbear,toys\n")
    is_refused(tree)
    label.unlink()
    assert not publish_tree(tree, dataset).published, "as it was: nothing to do"
    put(tree, "JPEGImages/480p/bear/00001.jpg", jpeg(4711))
    is_refused(tree)
    is_refused(write_tree(tree.parent / "fewer", ["bear", "cat"]))


def test_later_releases_send_only_what_changed_and_count_it(
    publish_tree: Publish, bucket: Bucket, dataset: str, tree: Path, tmp_path: Path
) -> None:
    publish_tree(tree, dataset, title="Pets", license="CC0", description="Some pets.")
    put(tree, "JPEGImages/480p/bear/00001.jpg", jpeg(4711))
    report = publish_tree(tree, dataset, "r2", description="More pets.")
    assert (report.transfer.sent, report.transfer.shared) == (1, 2)
    release = release_of(bucket, dataset, tmp_path / "fetched", "r2")
    assert release["changes"] == {"since": "r1", "added": 0, "changed": 1, "removed": 0}
    assert len(list(bucket.list(f"{dataset}/videos/"))) == 4, "three of the first release, one of the second"
    # What is not said again stays as it was.
    found = dataset_in(bucket, dataset)
    assert (found.title, found.license, found.description, found.homepage) == ("Pets", "CC0", "More pets.", None)
    assert release["license"] == "CC0"

    third = write_tree(tmp_path / "third", ["cat", "dog", "eel", "fox"])
    put(third, "categories.csv", "video,category\ncat,toys\n")
    report = publish_tree(third, dataset, "r3")
    assert (report.transfer.sent, report.transfer.shared) == (2, 2), "a new label is no upload"
    release = release_of(bucket, dataset, tmp_path / "fetched", "r3")
    assert release["changes"] == {"since": "r2", "added": 2, "changed": 1, "removed": 1}

    # A release that was withdrawn is nobody's measure.
    withdraw(bucket, dataset, "r3", "a mistake")
    publish_tree(third, dataset, "r4")
    release = release_of(bucket, dataset, tmp_path / "fetched", "r4")
    assert release["changes"] == {"since": "r2", "added": 2, "changed": 1, "removed": 1}
    assert [entry.id for entry in dataset_in(bucket, dataset).releases] == ["r1", "r2", "r3", "r4"]
    for each in ("r1", "r2", "r3", "r4"):
        assert list(verify(bucket, dataset, each, Silent())) == []


def test_the_default_resolution_is_the_one_that_most_videos_have_where_there_is_no_480p(
    publish_tree: Publish, bucket: Bucket, dataset: str, tmp_path: Path
) -> None:
    for video, resolution in (("bear", "original"), ("cat", "original"), ("cat", "Full-Resolution")):
        write_video(tmp_path / "tree", video, resolution=resolution)
    publish_tree(tmp_path / "tree", dataset)
    assert release_of(bucket, dataset, tmp_path / "fetched")["default_resolution"] == "original"


def test_the_kind_of_masks_can_be_told(
    publish_tree: Publish, bucket: Bucket, dataset: str, tree: Path, tmp_path: Path
) -> None:
    for path in (tree / "Annotations").rglob("*.png"):
        path.write_bytes(png((0, 255)))
    publish_tree(tree, dataset)
    publish_tree(tree, dataset, "r2", masks=MaskKind.PALETTE)
    assert release_of(bucket, dataset, tmp_path / "fetched")["mask_kinds"] == {"binary": 3}
    assert release_of(bucket, dataset, tmp_path / "fetched", "r2")["mask_kinds"] == {"palette": 3}


@pytest.mark.parametrize("wrong", ["", "A", "-a", ".a", "a/b", "a b", "..", "ü", "a\n", "a" * 65, "a\x00"])
def test_ids_that_cannot_stand_in_urls_are_refused(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(PublicationError, match=r"dataset .*use 1 to 64 of"):
        Publication(tmp_path, wrong, "r1")
    with pytest.raises(PublicationError, match=r"release .*use 1 to 64 of"):
        Publication(tmp_path, "d", wrong)


def test_latest_is_no_release_s_id(tmp_path: Path) -> None:
    with pytest.raises(PublicationError, match="stands for the newest release"):
        Publication(tmp_path, "d", "latest")


@pytest.mark.parametrize("field", ["title", "description", "license", "homepage"])
def test_text_that_is_not_unicode_is_refused_at_once(field: str, tmp_path: Path) -> None:
    with pytest.raises(PublicationError, match=field):
        Publication(tmp_path, "d", "r1", **{field: "caf\udce9"})


def test_a_withdrawn_release_s_id_stays_taken(publish_tree: Publish, bucket: Bucket, dataset: str, tree: Path) -> None:
    publish_tree(tree, dataset)
    withdraw(bucket, dataset, "r1", None)
    with pytest.raises(AlreadyPublishedError, match="withdrawn; its id stays taken"):
        publish_tree(tree, dataset)


def test_faulty_videos_are_left_out_when_asked_and_listed(
    publish_tree: Publish, bucket: Bucket, dataset: str, tree: Path, tmp_path: Path
) -> None:
    put(tree, "JPEGImages/480p/cat/00001.jpg", jpeg()[:-300])
    put(tree, "ImageSets/2017/train.txt", "bear\ncat\ndog\nyeti\n")
    with pytest.raises(FaultySourceError, match=r"2 fault\(s\)") as refused:
        publish_tree(tree, dataset)
    assert {(each.code, each.video) for each in refused.value.findings} == {
        ("truncated", "cat"),
        ("split-names-missing-video", "yeti"),
    }
    assert list(bucket.list(f"{dataset}/")) == []
    report = publish_tree(tree, dataset, leave_out_faulty=True)
    assert (report.videos, report.left_out) == (2, ["cat"])
    catalogue = catalogue_of(bucket, dataset, tmp_path / "fetched")
    assert [video for video, _ in catalogue.archives()] == ["bear", "dog"]
    assert list(catalogue.ids("train")) == ["bear", "dog"]
    left_out = {(each["video"], each["code"], each["path"]) for each in catalogue.release["left_out"]}
    assert left_out == {
        ("cat", "truncated", "JPEGImages/480p/cat/00001.jpg"),
        ("yeti", "split-names-missing-video", "ImageSets/2017/train.txt"),
    }
    assert all(each["message"] for each in catalogue.release["left_out"])


def test_videos_with_hostile_names_are_left_out_under_harmless_ones(
    publish_tree: Publish, bucket: Bucket, dataset: str, tree: Path, tmp_path: Path
) -> None:
    for name in ("red\x1b[31m", "caf\udce9", "a\nb", "a:b", " blank"):  # \udce9 is a byte that is not UTF-8
        put(tree, f"JPEGImages/480p/{name}/00000.jpg", jpeg())
    report = publish_tree(tree, dataset, leave_out_faulty=True)
    assert report.videos == 3
    left_out = catalogue_of(bucket, dataset, tmp_path / "fetched").release["left_out"]
    assert {each["code"] for each in left_out} == {"bad-video-name"}
    assert {each["video"] for each in left_out} == {"red\\x1b[31m", "caf\\xe9", "a\\nb", "a:b", " blank"}
    assert all(each["path"].isprintable() and each["message"].isprintable() for each in left_out)


def test_a_source_whose_every_video_is_at_fault_is_not_published(
    publish_tree: Publish, bucket: Bucket, dataset: str, tmp_path: Path
) -> None:
    put(tmp_path / "tree", "JPEGImages/480p/bear/00000.jpg", b"")
    with pytest.raises(FaultySourceError):
        publish_tree(tmp_path / "tree", dataset, leave_out_faulty=True)
    assert list(bucket.list(f"{dataset}/")) == []


def test_warnings_are_not_counted_as_faults(publish_tree: Publish, dataset: str, tree: Path) -> None:
    put(tree, "JPEGImages/480p/bear/notes.txt", "stray")
    put(tree, "JPEGImages/480p/bear/00001.jpg", b"")
    with pytest.raises(FaultySourceError, match=r"^1 fault\(s\)") as refused:
        publish_tree(tree, dataset)
    assert len(refused.value.findings) == 2


def test_a_dry_run_lists_faults_and_leaves_nothing(tree: Path, dataset: str, tmp_path: Path) -> None:
    put(tree, "JPEGImages/480p/bear/00001.jpg", b"")
    report = dry_run(Publication(tree, dataset, "r1", workers=1), tmp_path / "state", Silent())
    assert ([each.code for each in report.faults], report.videos, report.published) == (["empty-file"], 2, False)
    assert not any(path.is_dir() for path in (tmp_path / "state").iterdir())


def test_a_source_below_a_folder_whose_name_is_not_unicode(
    publish_tree: Publish, bucket: Bucket, dataset: str, tmp_path: Path
) -> None:
    root = tmp_path / "caf\udce9"
    write_tree(root)
    assert publish_tree(root, dataset).published
    assert list(verify(bucket, dataset, "r1", Silent())) == []


def test_what_an_earlier_release_s_archive_lost_is_sent_again(
    publish_tree: Publish, bucket: Bucket, dataset: str, tree: Path
) -> None:
    publish_tree(tree, dataset)
    (key, *_) = (key for key, _ in bucket.list(f"{dataset}/videos/"))
    bucket.delete(key)
    assert len(list(verify(bucket, dataset, "r1", Silent()))) == 1
    write_video(tree, "eel")
    report = publish_tree(tree, dataset, "r2")
    assert (report.transfer.sent, report.transfer.shared) == (2, 2)
    assert list(verify(bucket, dataset, "r1", Silent())) == []


# What is not as it was


def test_what_the_bucket_has_lost_is_sent_again(publish_tree: Publish, bucket: Bucket, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree")
    publish_tree(root, "ingest-lost")
    lost = next(archive for _, archive in catalogue_of(bucket, "ingest-lost", tmp_path / "c").archives())
    bucket.delete(keys.archive("ingest-lost", lost.sha256))
    assert [found.message for found in verify(bucket, "ingest-lost", "r1", Silent())] != []
    report = publish_tree(root, "ingest-lost")
    assert (report.published, report.transfer.sent, report.transfer.shared) == (False, 1, 2)
    assert list(verify(bucket, "ingest-lost", "r1", Silent())) == []


def test_a_new_title_is_taken_also_when_the_release_is_there(
    publish_tree: Publish, bucket: Bucket, tmp_path: Path
) -> None:
    root = write_tree(tmp_path / "tree")
    assert not publish_tree(root, "ingest-title", title="Old", homepage="https://example.org").described
    assert publish_tree(root, "ingest-title", title="New").described
    assert not publish_tree(root, "ingest-title", title="New").described
    found = dataset_in(bucket, "ingest-title")
    assert (found.title, found.homepage, len(found.releases)) == ("New", "https://example.org", 1)


def test_a_fault_that_was_mended_is_not_remembered(publish_tree: Publish, bucket: Bucket, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree")
    picture = root / "JPEGImages/480p/cat/00001.jpg"
    good, stat = picture.read_bytes(), picture.stat()
    picture.write_bytes(bytes([0]) + good[1:])
    os.utime(picture, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(FaultySourceError):
        publish_tree(root, "ingest-mended")
    picture.write_bytes(good)
    os.utime(picture, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert publish_tree(root, "ingest-mended").published


@pytest.mark.parametrize("fps", [0.0, -5.0, float("nan"), float("inf")])
def test_a_frame_rate_that_is_none_is_refused(fps: float, tmp_path: Path) -> None:
    with pytest.raises(PublicationError, match="fps"):
        Publication(tmp_path, "any", "r1", fps=fps)


def test_a_wrong_line_in_a_list_does_not_leave_its_video_out(
    publish_tree: Publish, bucket: Bucket, tmp_path: Path
) -> None:
    root = write_tree(tmp_path / "tree")
    put(root, "ImageSets/2017/val.txt", "/JPEGImages/480p/cat/00009.jpg /Annotations/480p/cat/00009.png\nghost\n")
    report = publish_tree(root, "ingest-lines", leave_out_faulty=True)
    assert (report.videos, report.left_out) == (3, [])
    told = release_of(bucket, "ingest-lines", tmp_path / "c")["left_out"]
    assert {each["code"] for each in told} == {"split-names-missing-file", "split-names-missing-video"}  # type: ignore[attr-defined]
