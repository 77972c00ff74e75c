"""One clip: a tar of some frames and their masks, as published, that any reader of tars takes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3
from checked_client import PROBLEM, CheckedClient
from clip_trees import Clip, Tree, files_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tars import files_in, source_files
from werkzeug.test import TestResponse

from gygo_server.model import video_id

R1 = "/v1/datasets/clips/releases/r1"
A = f"{R1}/videos/batch-1:a/clip"

#: Question → frames it means.
QUESTIONS: dict[str, list[int]] = {
    "": [*range(12)],
    "?start=0": [*range(12)],
    "?start=3": [*range(3, 12)],
    "?start=11": [11],
    "?length=1": [0],
    "?length=12": [*range(12)],
    "?start=4&length=5": [*range(4, 9)],
    "?start=4&length=5&step=1": [*range(4, 9)],
    "?start=1&length=4&step=3": [1, 4, 7, 10],
    "?start=11&length=1&step=10000": [11],
    "?step=5": [0, 5, 10],
    "?start=2&step=10000": [2],
}


@pytest.fixture(scope="module", autouse=True)
def published_clips(clip_tree: Tree) -> None:
    """All of them are asked about `clip_tree`."""


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_clip_holds_its_frames_and_masks_as_published(api: CheckedClient, clip_tree: Tree, question: str) -> None:
    answer = api.get(A + question)
    assert (answer.status_code, answer.mimetype) == (200, "application/x-tar")
    assert files_in(answer.data) == source_files(clip_tree, "batch-1/a", QUESTIONS[question])
    assert answer.headers["Content-Length"] == str(len(answer.data))


def test_a_browser_saves_a_clip_under_a_name_that_says_what_it_is(api: CheckedClient) -> None:
    named = {
        f"{A}?start=3&length=4": 'attachment; filename="clips-r1-batch-1-a-480p-3-4.tar"',
        f"{A}?resolution=original&step=5": 'attachment; filename="clips-r1-batch-1-a-original-0-3.tar"',
    }
    for url, disposition in named.items():
        assert api.get(url).headers["Content-Disposition"] == disposition
        assert api.head(url).headers["Content-Disposition"] == disposition
        assert api.get(url, headers={"Range": "bytes=0-9"}).headers["Content-Disposition"] == disposition


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 11), st.integers(1, 12), st.integers(1, 12), st.booleans(), st.booleans())
def test_whatever_is_asked_it_is_the_source(
    api: CheckedClient, clip_tree: Tree, start: int, length: int, step: int, images: bool, masks: bool
) -> None:
    query = {"start": start, "length": length, "step": step, "images": images, "masks": masks}
    answer = api.get(A, query_string=query)
    frames = [start + n * step for n in range(length)]
    if not (images or masks):
        assert [error["field"] for error in answer.json["errors"]] == ["images"]
    elif frames[-1] > 11:
        assert [error["field"] for error in answer.json["errors"]] == ["length"]
    else:
        assert files_in(answer.data) == source_files(clip_tree, "batch-1/a", frames, images=images, masks=masks)


@pytest.mark.parametrize("resolution", ["480p", "original"])
@pytest.mark.parametrize(("start", "length"), [(0, 12), (0, 1), (5, 3), (11, 1)])
def test_with_step_1_a_clip_is_one_range_of_the_archive(
    api: CheckedClient, resolution: str, start: int, length: int
) -> None:
    video = f"{R1}/videos/batch-1:a"
    asked = {"resolution": resolution}
    frames = api.get(f"{video}/frames", query_string=asked).json["items"]
    archive = urllib3.request("GET", api.get(f"{video}/archive", query_string=asked).location).data
    clip = api.get(A, query_string={**asked, "start": start, "length": length})
    assert clip.data == archive[frames[start]["range"]["start"] : frames[start + length - 1]["range"]["end"]]


def test_without_images_or_without_masks_the_others_are_there(api: CheckedClient, clip_tree: Tree) -> None:
    for images, masks in ((True, False), (False, True)):
        answer = api.get(A, query_string={"start": 2, "length": 3, "images": images, "masks": masks})
        assert files_in(answer.data) == source_files(clip_tree, "batch-1/a", range(2, 5), images=images, masks=masks)


def test_frames_without_a_mask_come_without(api: CheckedClient, clip_tree: Tree) -> None:
    for video in ("sparse", "bare"):
        url = f"{R1}/videos/{video}/clip"
        assert files_in(api.get(url).data) == source_files(clip_tree, video, range(6))
    masks = api.get(f"{R1}/videos/sparse/clip?images=false")
    assert files_in(masks.data) == source_files(clip_tree, "sparse", range(6), images=False)
    assert len(files_in(masks.data)) == 3


def test_a_clip_of_nothing_is_empty(api: CheckedClient) -> None:
    url = f"{R1}/videos/bare/clip?images=false"
    answer = api.get(url)
    assert (answer.status_code, answer.data, answer.headers["Content-Length"]) == (200, b"", "0")
    assert api.head(url).headers["Content-Length"] == "0"
    assert api.get(url, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    part = api.get(url, headers={"Range": "bytes=0-"})
    assert (part.status_code, part.headers["Content-Range"]) == (416, "bytes */0")


@pytest.mark.parametrize("resolution", ["480p", "original"])
def test_clips_of_another_resolution(api: CheckedClient, clip_tree: Tree, resolution: str) -> None:
    answer = api.get(f"{A}?start=1&length=2&resolution={resolution}")
    assert files_in(answer.data) == source_files(clip_tree, "batch-1/a", (1, 2), resolution=resolution)


def test_names_that_are_long_and_not_ascii(api: CheckedClient, clip_tree: Tree) -> None:
    name = clip_tree.clips[-1].name
    answer = api.get(f"{R1}/videos/{video_id(name)}/clip?start=1&step=2")
    assert files_in(answer.data) == source_files(clip_tree, name, (1, 3))


def test_real_sequences(fresh_api: CheckedClient, publish_tree: Callable[..., object], public_tree: Path) -> None:
    publish_tree(public_tree, "clips-real")
    release = "/v1/datasets/clips-real/releases/r1"
    found = {}
    for video in fresh_api.get(f"{release}/videos").json["items"]:
        found |= dict(files_in(fresh_api.get(f"{release}/videos/{video['id']}/clip").data))
    assert found == files_of(public_tree)


# GNU tar


@pytest.mark.parametrize("question", ["", "?start=3&length=2&step=4", "?images=false", "?masks=false"])
@pytest.mark.parametrize("video", ["batch-1:a", "sparse", "LONG"])
def test_gnu_tar_lists_and_extracts_it_without_a_word(
    api: CheckedClient, clip_tree: Tree, tmp_path: Path, video: str, question: str
) -> None:
    name = clip_tree.clips[-1].name if video == "LONG" else video.replace(":", "/")
    if video == "LONG" and "start" in question:
        question = "?start=1&length=1"
    if video == "sparse" and "start" in question:
        question = "?start=1&length=2&step=3"
    content = api.get(f"{R1}/videos/{video_id(name)}/clip{question}").data
    listed = gnu_tar("-tv", content, tmp_path)
    wanted = dict(files_in(content))
    assert len(listed.stdout.splitlines()) == len(wanted) > 0
    gnu_tar("-x", content, tmp_path)
    assert files_of(tmp_path) == wanted


def test_clips_one_after_the_other_are_a_tar(api: CheckedClient, clip_tree: Tree, tmp_path: Path) -> None:
    content = api.get(f"{A}?length=2").data + api.get(f"{R1}/videos/bare/clip?start=3").data
    gnu_tar("-x", content, tmp_path)
    wanted = source_files(clip_tree, "batch-1/a", range(2)) + source_files(clip_tree, "bare", range(3, 5))
    assert files_of(tmp_path) == dict(wanted) == dict(files_in(content))


def gnu_tar(what: str, content: bytes, folder: Path) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(["tar", what], input=content, cwd=folder, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done


# HTTP


def test_head_says_what_get_gives(api: CheckedClient) -> None:
    got, head = api.get(f"{A}?start=2"), api.head(f"{A}?start=2")
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag", "Cache-Control", "Accept-Ranges"):
        assert head.headers[name] == got.headers[name]
    assert got.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert got.headers["Accept-Ranges"] == "bytes"


def test_equal_questions_have_equal_tags_and_others_have_others(api: CheckedClient) -> None:
    def tag(question: str) -> str:
        found = api.get(A + question).headers["ETag"]
        assert found.startswith('"')
        return found

    assert tag("") == tag("?start=0") == tag("?start=0&length=12&step=1") == tag("?masks=true")
    others = ["", "?start=1", "?length=2", "?step=2", "?images=false", "?masks=false", "?resolution=original"]
    assert len({tag(question) for question in others}) == len(others)
    assert api.get(f"{R1}/videos/batch-1:b/clip?length=2").headers["ETag"] != tag("?length=2")


def test_what_is_known_is_not_sent_again(api: CheckedClient) -> None:
    tag = api.get(A).headers["ETag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = api.get(A, headers={"If-None-Match": known})
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", tag)
    assert api.get(A, headers={"If-None-Match": '"x"'}).status_code == 200
    assert api.get(A, headers={"If-Match": tag}).status_code == 200
    assert api.get(A, headers={"If-Match": '"x"'}).status_code == 412
    assert api.get(f"{A}?start=1", headers={"If-Match": tag}).status_code == 412


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=700-1999", slice(700, 2000)),
        ("bytes=1000-", slice(1000, None)),
        ("bytes=-512", slice(-512, None)),
        ("bytes=0-99999999999999999999", slice(None)),
        ("bytes=-99999999999999999999", slice(None)),
    ],
)
def test_a_range_is_just_those_bytes(api: CheckedClient, asked: str, span: slice) -> None:
    whole = api.get(f"{A}?step=3")
    part = api.get(f"{A}?step=3", headers={"Range": asked, "If-Range": whole.headers["ETag"]})
    assert part.status_code == 206
    assert part.data == whole.data[span]
    first = span.indices(len(whole.data))[0]
    assert part.headers["Content-Range"] == f"bytes {first}-{first + len(part.data) - 1}/{len(whole.data)}"


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=0-1,5-6", "bytes=x-", "lines=0-1", "bytes=" + "9" * 40 + "-"])
def test_ranges_that_are_not_understood_give_the_whole(api: CheckedClient, asked: str) -> None:
    answer = api.get(A, headers={"Range": asked})
    assert (answer.status_code, answer.data) == (200, api.get(A).data)


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0"])
def test_ranges_outside_are_a_416(api: CheckedClient, asked: str) -> None:
    answer = api.get(A, headers={"Range": asked})
    assert (answer.status_code, answer.mimetype) == (416, PROBLEM)
    assert answer.headers["Content-Range"] == f"bytes */{len(api.get(A).data)}"


def test_a_range_of_another_answer_gives_the_whole(api: CheckedClient) -> None:
    whole = api.get(A)
    for other in (api.get(f"{A}?step=2").headers["ETag"], f"W/{whole.headers['ETag']}", '""'):
        answer = api.get(A, headers={"Range": "bytes=1-3", "If-Range": other})
        assert (answer.status_code, answer.data) == (200, whole.data)


def test_latest_leads_to_the_release(api: CheckedClient) -> None:
    moved = api.get(f"{A}?start=1&length=2".replace("/r1/", "/latest/"))
    assert moved.status_code == 307
    assert moved.location.endswith(f"{A}?start=1&length=2")


# What cannot be had


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/datasets/nope/releases/r1/videos/bare/clip", "dataset"),
        ("/v1/datasets/clips/releases/nope/videos/bare/clip", "release"),
        (f"{R1}/videos/nope/clip", "video"),
        (f"{R1}/videos/nope/clip?start=99&resolution=nope", "video"),
        (f"{R1}/videos/%FF%FE/clip", "video"),
        (f"{R1}/videos/%ED%A0%80/clip", "video"),
        (f"{R1}/videos/bare%00/clip", "video"),
        (f"{R1}/videos/BARE/clip", "video"),
        (f"{R1}/videos/{'v' * 3000}/clip", "video"),
        (f"{R1}/videos/bare/clip?resolution=original", "resolution"),
        (f"{R1}/videos/bare/clip?resolution=%0d%0aSet-Cookie:%20a=b", "resolution"),
    ],
)
def test_what_is_not_there_is_a_404_that_says_what(api: CheckedClient, path: str, kind: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json["type"]) == (404, f"urn:gygo:problem:{kind}-not-found")


@pytest.mark.parametrize(
    ("question", "fields"),
    [
        ("start=12", ["start"]),
        ("start=2147483647", ["start"]),
        ("start=12&length=1", ["start"]),
        ("length=13", ["length"]),
        ("start=11&length=2", ["length"]),
        ("start=0&length=3&step=6", ["length"]),
        ("length=10000&step=10000", ["length"]),
        ("images=false&masks=false", ["images"]),
        ("length=0", ["length"]),
        ("length=10001", ["length"]),
        ("step=0", ["step"]),
        ("step=10001", ["step"]),
        ("start=-1", ["start"]),
        ("start=2147483648", ["start"]),
        ("start=1e1&length=2.0&step=x&images=perhaps", ["images", "length", "start", "step"]),
        ("start=", ["start"]),
        ("start=0&start=1", ["start"]),
        ("resolution=", ["resolution"]),
        ("frames=3&color=red", ["color", "frames"]),
    ],
)
def test_what_is_wrong_is_a_422_that_names_it(api: CheckedClient, question: str, fields: list[str]) -> None:
    answer = api.get(f"{A}?{question}")
    assert (answer.status_code, answer.mimetype) == (422, PROBLEM)
    assert sorted(error["field"] for error in answer.json["errors"]) == fields
    assert {error["location"] for error in answer.json["errors"]} == {"query"}


def test_a_clip_of_a_lost_archive_is_no_success_that_caches_would_keep(
    publish_clips: Callable[..., Tree], fresh_api: CheckedClient, lose: Callable[..., None]
) -> None:
    publish_clips("clips-lost", [Clip("v", ((1,),) * 3)], seed=41000)
    lose("clips-lost", "v")
    answer: TestResponse = fresh_api.get("/v1/datasets/clips-lost/releases/r1/videos/v/clip?length=2")
    assert (answer.status_code, answer.json["type"]) == (502, "urn:gygo:problem:stored-bytes-wrong")
    assert answer.headers["Cache-Control"] == "no-store"
