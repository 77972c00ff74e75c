"""Pulls into one folder: what is fetched, resumed, verified, kept, removed, refused."""

from __future__ import annotations

import contextlib
import fcntl
import io
import resource
import shutil
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pull_trees import (
    HoldingStore,
    command,
    environment,
    files_of,
    pulled,
    run_gygo,
    write,
    write_split,
    write_video,
)
from scripted_server import Reply, ScriptedServer
from tcp_gate import Gate
from tiny_pictures import jpeg, mask

from gygo.client import Archive, Client, Release, Video, connect
from gygo.errors import CorruptDataError, PullError, ServerError, UnreachableError
from gygo.http import Http
from gygo.pull.download import Downloader
from gygo.pull.layouts import LAYOUTS, Rules, check_video_name
from gygo.pull.plan import check_places
from gygo.pull.tree import Tree
from gygo.pull.unpack import unpack
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.publication import Report
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

BIG = (400, 300)  # some 90 kB of noise a frame

Publish = Callable[..., Report]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    for number, name in enumerate(("bear", "cat", "dog")):
        write_video(root, name, [(1,), (1, 2)], seed=100 * number)
    write_split(root, "train", "bear", "cat")
    write_split(root, "val", "dog")
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "tree"


@pytest.fixture
def store(s3: SeaweedFS) -> object:
    with HoldingStore(s3.port) as relay:
        yield relay


def names(placed: list) -> list[str]:
    return sorted(each.name for each in placed)


def archive_of(url: str, dataset: str, video: str) -> Archive:
    return connect(url).release(dataset).video(video).archive()


# What is there stays


def test_a_second_pull_fetches_nothing(
    publish_tree: Publish, serve: Callable, store: HoldingStore, source: Path, tree: Path
) -> None:
    publish_tree(source, "pull-twice")
    url = serve(store.endpoint)
    assert names(pulled(url, "pull-twice", tree).done) == ["bear", "cat", "dog"]
    assert files_of(tree) == files_of(source)
    sent = store.sent
    again = pulled(url, "pull-twice", tree)
    assert (again.done, len(again.plan.whole), store.sent) == ([], 3, sent)


def test_what_a_user_deleted_truncated_or_put_beside_is_put_right(
    publish_tree: Publish, service_url: str, source: Path, tree: Path
) -> None:
    publish_tree(source, "pull-deleted")
    pulled(service_url, "pull-deleted", tree)
    (tree / "JPEGImages/480p/bear/00001.jpg").unlink()
    (tree / "Annotations/480p/cat/00000.png").write_bytes(b"")
    (tree / "JPEGImages/480p/dog/.DS_Store").write_bytes(b"")
    again = pulled(service_url, "pull-deleted", tree)
    assert names(again.done) == ["bear", "cat", "dog"]
    assert {job.why for job in again.plan.jobs} == {"incomplete"}
    assert files_of(tree) == files_of(source)


def test_splits_come_one_after_the_other(publish_tree: Publish, service_url: str, source: Path, tree: Path) -> None:
    publish_tree(source, "pull-splits")
    pulled(service_url, "pull-splits", tree, filters={"split": ("val",)})
    assert [path.name for path in (tree / "ImageSets/2017").iterdir()] == ["val.txt"]
    pulled(service_url, "pull-splits", tree, videos=("bear",))
    assert (tree / "ImageSets/2017/train.txt").read_text() == "bear\n"
    assert (tree / "ImageSets/2017/val.txt").read_text() == "dog\n"
    assert files_of(tree).keys() == {path for path in files_of(source) if "/cat/" not in path}


def test_a_dry_run_writes_nothing(publish_tree: Publish, service_url: str, source: Path, tree: Path) -> None:
    publish_tree(source, "pull-dry")
    assert len(pulled(service_url, "pull-dry", tree, dry_run=True).plan.jobs) == 3
    assert not tree.exists()


def test_options_of_the_tree_need_not_be_repeated_and_cannot_change(
    publish_tree: Publish, service_url: str, source: Path, tree: Path
) -> None:
    publish_tree(source, "pull-options")
    pulled(service_url, "pull-options", tree, layout="cutie")
    assert pulled(service_url, "pull-options", tree).plan.rules.layout.name == "cutie"
    for change in ({"layout": "davis"}, {"all_frames": True}):
        with pytest.raises(PullError, match="was pulled with layout cutie"):
            pulled(service_url, "pull-options", tree, **change)
    with pytest.raises(PullError, match="no resolution 'huge'"):
        pulled(service_url, "pull-options", tree / "other", resolution="huge")


def test_a_pull_that_came_to_nothing_binds_nobody(
    publish_tree: Publish, service_url: str, source: Path, tree: Path
) -> None:
    publish_tree(source, "pull-nothing")
    with pytest.raises(PullError, match="no video of pull-nothing@r1 is selected; it has splits: train, val;"):
        pulled(service_url, "pull-nothing", tree, filters={"split": ("trian",)})
    assert names(pulled(service_url, "pull-nothing", tree, layout="sam2").done) == ["bear", "cat", "dog"]


def test_videos_that_the_filters_leave_out_are_told(
    publish_tree: Publish, service_url: str, source: Path, tree: Path
) -> None:
    publish_tree(source, "pull-both")
    summary = pulled(service_url, "pull-both", tree, filters={"split": ("train",)}, videos=("bear", "dog"))
    assert (names(summary.done), summary.plan.left_out) == (["bear"], {"not selected by the filters": ["dog"]})


def test_another_dataset_needs_another_folder(
    publish_tree: Publish, service_url: str, source: Path, tree: Path
) -> None:
    publish_tree(source, "pull-one")
    publish_tree(source, "pull-other")
    pulled(service_url, "pull-one", tree)
    with pytest.raises(PullError, match="holds the dataset 'pull-one'"):
        pulled(service_url, "pull-other", tree)


def test_what_others_have_written_is_left_alone(
    publish_tree: Publish, service_url: str, source: Path, tree: Path
) -> None:
    publish_tree(source, "pull-strangers")
    write(tree, "JPEGImages/480p/mine/00000.jpg", jpeg())
    with pytest.raises(PullError, match="holds JPEGImages that gygo pull has not written"):
        pulled(service_url, "pull-strangers", tree)
    shutil.rmtree(tree)
    pulled(service_url, "pull-strangers", tree, videos=("cat",))
    write(tree, "Annotations/480p/bear/mine.png", mask())
    write(tree, "ImageSets/2017/mine.txt", "cat\n")
    with pytest.raises(PullError, match="move it away"):
        pulled(service_url, "pull-strangers", tree)
    assert (tree / "Annotations/480p/bear/mine.png").exists()
    assert (tree / "ImageSets/2017/mine.txt").exists()


def test_a_video_inside_of_another_is_refused_in_a_nested_layout(tree: Path) -> None:
    with pytest.raises(PullError, match="'a/b' would lie inside of the video 'a'"):
        check_places(Tree(tree), RULES, ["a", "a/b"])
    check_places(Tree(tree), Rules(LAYOUTS["sam2"], "480p", "zero"), ["a", "a/b"])


# Releases over time


@pytest.fixture
def two_releases(publish_tree: Publish, source: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Publishes `r1`, and `r2` in which bear is the same, cat changed, dog gone and eel new; the tree of `r2`."""

    def run(dataset: str) -> Path:
        publish_tree(source, dataset, "r1")
        newer = tmp_path / "newer"
        write_video(newer, "bear", [(1,), (1, 2)], seed=0)
        write_video(newer, "cat", [(1,)] * 3, seed=900)
        write_video(newer, "eel", [(1,)], seed=800)
        write_split(newer, "train", "cat", "eel")
        write_split(newer, "test", "bear")
        publish_tree(newer, dataset, "r2")
        return newer

    return run


def test_a_newer_release_brings_what_changed(
    two_releases: Callable[[str], Path], service_url: str, source: Path, tree: Path
) -> None:
    newer = two_releases("pull-newer")
    pulled(service_url, "pull-newer@r1", tree)
    summary = pulled(service_url, "pull-newer@r2", tree)
    assert {job.video.name: job.why for job in summary.plan.jobs} == {"cat": "changed", "eel": "new"}
    assert names(summary.plan.removed) == ["dog"]
    dog = {path: content for path, content in files_of(source).items() if "/dog/" in path}
    assert files_of(tree) == files_of(newer) | dog
    assert {path.name: path.read_text() for path in (tree / "ImageSets/2017").iterdir()} == {
        "train.txt": "cat\neel\n",
        "test.txt": "bear\n",
    }


def test_delete_removes_what_the_release_has_not(
    two_releases: Callable[[str], Path], service_url: str, tree: Path
) -> None:
    newer = two_releases("pull-delete")
    pulled(service_url, "pull-delete@r1", tree)
    assert pulled(service_url, "pull-delete@r2", tree, delete=True).deleted == 1
    assert files_of(tree) == files_of(newer)
    assert pulled(service_url, "pull-delete@r2", tree).plan.removed == []


def test_filters_do_not_make_others_removed(two_releases: Callable[[str], Path], service_url: str, tree: Path) -> None:
    two_releases("pull-filters")
    pulled(service_url, "pull-filters@r1", tree)
    summary = pulled(service_url, "pull-filters@r2", tree, videos=("eel",), delete=True)
    assert (names(summary.plan.removed), summary.plan.outdated, names(summary.plan.others)) == (
        ["dog"],
        ["cat"],
        ["bear"],
    )
    assert {path.name for path in (tree / "JPEGImages/480p").iterdir()} == {"bear", "cat", "eel"}


def test_since_fetches_what_is_new_or_changed_whatever_is_there(
    two_releases: Callable[[str], Path], service_url: str, tree: Path
) -> None:
    two_releases("pull-since")
    summary = pulled(service_url, "pull-since", tree, since="r1")
    assert names(summary.done) == ["cat", "eel"]
    assert summary.plan.left_out == {"as in r1": ["bear"]}


# Bytes that come late, wrong, or not at all


def bytes_in(folder: Path) -> int:
    """Of all its files, while others write and rename them."""
    found = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found += path.stat().st_size if path.is_file() else 0
    return found


def test_killed_in_the_middle_it_goes_on_where_it_was(
    publish_tree: Publish, serve: Callable, store: HoldingStore, tmp_path: Path, tree: Path
) -> None:
    source = tmp_path / "big"
    for number in range(3):
        write_video(source, f"v{number}", [(1,)] * 8, seed=100 * number, size=BIG)
    publish_tree(source, "pull-killed")
    url = serve(store.endpoint)
    total = sum(video.archive().bytes for video in connect(url).release("pull-killed").videos())
    store.hold_after = total // 2
    pull = command("pull", "pull-killed", "--out", tree, "--workers", "2", "--layout", "cutie")
    with subprocess.Popen(pull, env=environment(url), stderr=subprocess.DEVNULL) as process:
        assert store.holding.wait(60)
        # What was sent is not yet what has come: it may lie in the sockets' buffers.
        deadline = time.monotonic() + 20
        while bytes_in(tree) < 0.8 * store.hold_after and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    there = [video for video in ("v0", "v1", "v2") if (tree / f"JPEGImages/{video}").exists()]
    assert len(there) < 3
    for video in there:
        assert len(list((tree / f"JPEGImages/{video}").iterdir())) == 8
    store.release()
    done = run_gygo(url, "pull", "pull-killed", "--out", tree)
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in (tree / "JPEGImages").rglob("*.jpg")} != {}
    images = {path.replace("480p/", ""): content for path, content in files_of(source, "JPEGImages").items()}
    assert files_of(tree, "JPEGImages") == images
    assert store.sent < total * 1.25  # what was in flight when it was killed comes twice, and nothing else
    assert not list((tree / ".gygo").glob("partial/*"))


def test_control_c_ends_it_at_once_and_says_how_to_go_on(
    publish_tree: Publish, serve: Callable, store: HoldingStore, source: Path, tree: Path
) -> None:
    publish_tree(source, "pull-interrupted")
    url = serve(store.endpoint)
    store.hold_after = 0
    pull = command("pull", "pull-interrupted", "--out", tree)
    with subprocess.Popen(pull, env=environment(url), stderr=subprocess.PIPE, text=True) as process:
        assert store.holding.wait(60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted; run the same command again to go on"
    assert "Traceback" not in said
    store.release()
    assert run_gygo(url, "pull", "pull-interrupted", "--out", tree).returncode == 0
    assert files_of(tree) == files_of(source)


def test_two_pulls_at_once_do_not_meet(
    publish_tree: Publish, serve: Callable, store: HoldingStore, source: Path, tree: Path
) -> None:
    publish_tree(source, "pull-at-once")
    url = serve(store.endpoint)
    store.hold_after = 0
    first = threading.Thread(target=lambda: pulled(url, "pull-at-once", tree))
    first.start()
    try:
        assert store.holding.wait(60)
        second = run_gygo(url, "pull", "pull-at-once", "--out", tree)
    finally:
        store.release()
        first.join(60)
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == f"error: another gygo pull is at work in {tree}\n"
    assert files_of(tree) == files_of(source)


def test_what_breaks_off_again_and_again_comes_in_parts(
    publish_tree: Publish, serve: Callable, s3: SeaweedFS, tmp_path: Path, tree: Path
) -> None:
    source = tmp_path / "big"
    write_video(source, "big", [(1,)] * 8, size=BIG)
    publish_tree(source, "pull-broken")
    with Gate(s3.port) as gate:
        gate.cut_after = 200_000
        url = serve(gate.endpoint)
        assert pulled(url, "pull-broken", tree).failed == []
        assert gate.connections > 3
    assert files_of(tree) == files_of(source)


def test_wrong_objects_do_not_reach_the_tree_and_the_others_do(
    publish_tree: Publish, service_url: str, bucket: Bucket, api_key: str, source: Path, tree: Path
) -> None:
    publish_tree(source, "pull-corrupt")
    wrong = {}
    for video, change in (
        ("bear", lambda content: content[:-600] + bytes([content[-600] ^ 1]) + content[-599:]),
        ("cat", lambda content: content + b"more"),
    ):
        key = keys.archive("pull-corrupt", archive_of(service_url, "pull-corrupt", video).sha256)
        wrong[video] = (key, bucket.get(key))
        bucket.put(key, change(wrong[video][1].content), replaces=wrong[video][1].etag)
    done = run_gygo(service_url, "pull", "pull-corrupt", "--out", tree, "--quiet", GYGO_API_KEY=api_key)
    assert (done.returncode, done.stdout) == (1, "")
    lines = sorted(done.stderr.splitlines())
    assert lines[0].startswith("error: 2 videos could not be fetched")
    assert lines[1].startswith("failed: bear: what the store holds is not what was published")
    assert lines[2].startswith("failed: cat: ")
    assert lines[2].endswith("the store holds more than was published")
    assert "X-Amz" not in done.stderr
    assert api_key not in done.stderr
    assert files_of(tree).keys() == {path for path in files_of(source) if "/dog/" in path}
    assert not (tree / "ImageSets/2017/train.txt").exists()
    for key, good in wrong.values():
        bucket.put(key, good.content, replaces=bucket.get(key).etag)
    assert run_gygo(service_url, "pull", "pull-corrupt", "--out", tree).returncode == 0
    assert files_of(tree) == files_of(source)


def test_a_lost_object_is_told(
    publish_tree: Publish, service_url: str, bucket: Bucket, source: Path, tree: Path
) -> None:
    publish_tree(source, "pull-lost")
    bucket.delete(keys.archive("pull-lost", archive_of(service_url, "pull-lost", "dog").sha256))
    summary = pulled(service_url, "pull-lost", tree)
    assert [name for name, _ in summary.failed] == ["dog"]
    assert "does not hold what was published" in summary.failed[0][1]
    assert names(summary.done) == ["bear", "cat"]


def test_a_partial_archive_that_is_wrong_is_fetched_anew(
    publish_tree: Publish, service_url: str, source: Path, tmp_path: Path
) -> None:
    publish_tree(source, "pull-partial")
    client = connect(service_url)
    video = client.release("pull-partial").video("bear")
    for number, left in enumerate((b"x" * 1000, bytes(video.archive().bytes), bytes(video.archive().bytes + 1))):
        partial = tmp_path / f"{number}.tar"
        partial.write_bytes(left)
        counted: list[int] = []
        Downloader(client.http, counted.append).fetch(video, video.archive(), partial)
        assert partial.stat().st_size == video.archive().bytes == sum(counted)


class ExpiredAtFirst(Http):
    """Gets URLs that the store refuses, so many times."""

    refusals = 1

    def location(self, url: str, query: object = None) -> str:
        found = super().location(url, query)  # type: ignore[arg-type]
        if self.refusals > 0:
            self.refusals -= 1
            return found.replace("X-Amz-Expires=", "X-Amz-Expires=1")  # no longer what was signed
        return found


def test_a_url_that_ended_is_asked_for_again(
    publish_tree: Publish, service_url: str, source: Path, tmp_path: Path
) -> None:
    publish_tree(source, "pull-expired")
    http = ExpiredAtFirst(service_url, patience=5)
    video = Client(http).release("pull-expired").video("bear")
    Downloader(http, lambda count: None).fetch(video, video.archive(), tmp_path / "first.tar")
    assert http.refusals == 0
    http.refusals = 99
    with pytest.raises(UnreachableError, match="refuses the signed URL") as caught:
        Downloader(http, lambda count: None).fetch(video, video.archive(), tmp_path / "second.tar")
    assert "X-Amz" not in str(caught.value)


def test_a_disk_that_takes_no_more_is_one_line(
    publish_tree: Publish, service_url: str, tmp_path: Path, tree: Path
) -> None:
    write_video(tmp_path / "big", "big", [(1,)] * 8, size=BIG)
    publish_tree(tmp_path / "big", "pull-full")
    done = subprocess.run(
        command("pull", "pull-full", "--out", tree),
        env=environment(service_url),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"error: {tree}: File too large"
    assert "Traceback" not in done.stderr
    assert not (tree / "JPEGImages").exists()
    assert run_gygo(service_url, "pull", "pull-full", "--out", tree).returncode == 0


def test_a_folder_that_cannot_be_is_one_line(
    publish_tree: Publish, service_url: str, source: Path, tmp_path: Path
) -> None:
    publish_tree(source, "pull-no-folder")
    file = tmp_path / "file"
    file.write_text("")
    for out in (file, file / "tree"):
        done = run_gygo(service_url, "pull", "pull-no-folder", "--out", out)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert str(out) in done.stderr


def test_a_crash_between_two_renames_leaves_no_half_video(
    publish_tree: Publish, service_url: str, source: Path, tree: Path
) -> None:
    publish_tree(source, "pull-half")
    pulled(service_url, "pull-half", tree, videos=("bear",))
    journal = tree / ".gygo/videos.jsonl"
    journal.write_text(journal.read_text() + '{"begun":"cat"}\n{"placed":{"na')
    shutil.copytree(tree / "Annotations/480p/bear", tree / "Annotations/480p/cat")
    pulled(service_url, "pull-half", tree, videos=("dog",))
    assert {path.split("/")[2] for path in files_of(tree)} == {"bear", "dog"}


def test_the_lock_is_free_again_when_a_pull_is_done(
    publish_tree: Publish, service_url: str, source: Path, tree: Path
) -> None:
    publish_tree(source, "pull-lock")
    pulled(service_url, "pull-lock", tree)
    with (tree / ".gygo/lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


# Archives that nobody should trust


def a_video(frames: int = 1, name: str = "bear") -> tuple[Video, Archive]:
    release = Release(Http("http://127.0.0.1:1"), "d", "r", {})
    archive = Archive("480p", 16, 12, "palette", frames, 1 << 20, "0" * 64)
    return Video(release, name, name, None, (), (), frames, frames, "palette", None, (), (archive,)), archive


def a_tar(*members: tuple[str, bytes] | tarfile.TarInfo) -> io.BytesIO:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                entry = tarfile.TarInfo(member[0])
                entry.size = len(member[1])
                tar.addfile(entry, io.BytesIO(member[1]))
    target.seek(0)
    return target


def a_link(name: str, kind: bytes, to: str = "/etc/passwd") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, to
    return entry


GOOD = ("JPEGImages/480p/bear/00000.jpg", jpeg())
RULES = Rules(LAYOUTS["davis"], "480p", "keep")


@pytest.mark.parametrize(
    "member",
    [
        ("/etc/passwd", b""),
        ("../outside.jpg", b""),
        ("JPEGImages/480p/bear/../../../../outside.jpg", b""),
        ("JPEGImages/480p/bear/..jpg", b""),
        ("JPEGImages/../bear/00001.jpg", b""),
        ("JPEGImages/480p/other/00001.jpg", b""),
        ("JPEGImages/480p/bear/deeper/00001.jpg", b""),
        ("JPEGImages/480p/bear/00001.sh", b""),
        ("JPEGImages/480p/bear/a\\b.jpg", b""),
        ("JPEGImages/480p/bear/a\nb.jpg", b""),
        ("JPEGImages/480p/bear/00000.jpg", b"twice"),
        ("JPEGImages/480p/bear/00001.png", b""),
        ("Annotations/480p/bear/00001.png", mask()),
        ("ImageSets/480p/bear/00001.jpg", b""),
        (".gygo/tree.json", b"{}"),
        a_link("JPEGImages/480p/bear/00001.jpg", tarfile.SYMTYPE),
        a_link("JPEGImages/480p/bear/00001.jpg", tarfile.LNKTYPE, GOOD[0]),
        a_link("JPEGImages/480p/bear/00001.jpg", tarfile.FIFOTYPE),
        a_link("JPEGImages/480p/bear/00001.jpg", tarfile.CHRTYPE),
        a_link("JPEGImages/480p/bear", tarfile.DIRTYPE),
    ],
)
def test_odd_members_are_refused_and_nothing_is_written_outside(member: object, tmp_path: Path) -> None:
    video, archive = a_video()
    target = tmp_path / "a/b/c/d/e"
    target.mkdir(parents=True)
    with pytest.raises(CorruptDataError, match="does not belong there"):
        unpack(a_tar(GOOD, member), video, archive, RULES, target)  # type: ignore[arg-type]
    assert {path for path in tmp_path.rglob("*") if not path.is_dir()} == set()


def test_a_member_larger_than_the_archive_is_refused(tmp_path: Path) -> None:
    video, archive = a_video()
    entry = tarfile.TarInfo(GOOD[0])
    entry.size = 1 << 40
    with pytest.raises(CorruptDataError):
        unpack(io.BytesIO(entry.tobuf() + bytes(2048)), video, archive, RULES, tmp_path)


@pytest.mark.parametrize("content", [b"", b"x" * 5000, a_tar(GOOD).getvalue()[:700]], ids=["empty", "noise", "cut"])
def test_what_is_no_tar_is_told(content: bytes, tmp_path: Path) -> None:
    video, archive = a_video(2)
    with pytest.raises(CorruptDataError):
        unpack(io.BytesIO(content), video, archive, RULES, tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", "/etc", "a/../b", "a//b", "a\\b", "a\nb", "a/", "\x00"])
def test_names_of_videos_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(CorruptDataError):
        check_video_name(name)


def test_a_mask_that_is_none_is_told_with_its_name(tmp_path: Path) -> None:
    video, archive = a_video()
    with pytest.raises(Exception, match=r"Annotations/480p/bear/00000.png: a mask that cannot be decoded"):
        unpack(a_tar(GOOD, ("Annotations/480p/bear/00000.png", b"none")), video, archive, RULES, tmp_path)


@pytest.mark.parametrize("status", [200, 307])
def test_a_service_that_does_not_lead_to_the_store_is_told(status: int) -> None:
    with ScriptedServer(lambda asked: Reply(status)) as server, pytest.raises(ServerError, match="does not lead"):
        Http(server.endpoint, patience=1).location("/v1/archive", {"resolution": "480p"})


def test_the_store_may_be_on_the_service_s_host_and_does_not_get_the_key() -> None:
    with ScriptedServer(lambda asked: Reply(307, headers={"Location": "/bucket/x.tar?X-Amz-Signature=1"})) as server:
        http = Http(server.endpoint, key="secret-key", patience=1)
        url = http.location("/v1/archive", {"resolution": "480p"})
        assert url == f"{server.endpoint}/bucket/x.tar?X-Amz-Signature=1"
        server.answer = lambda asked: Reply(200, b"content")
        target = io.BytesIO()
        assert http.download(url, target) == 7
        assert "Authorization" in server.asked[0].headers
        assert "Authorization" not in server.asked[1].headers
