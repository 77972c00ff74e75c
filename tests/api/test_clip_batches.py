"""Many clips in one answer: in the order asked, notes where one cannot be had, gone on with where it broke off."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import urllib3
from checked_client import PROBLEM, CheckedClient
from clip_trees import Tree, files_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tars import Files, files_in, note_in, source_files
from werkzeug.test import TestResponse

R1 = "/v1/datasets/clips/releases/r1"
CLIPS = f"{R1}/clips"

Asked = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def published_clips(clip_tree: Tree) -> None:
    """All of them are asked about `clip_tree`."""


def asked(video: str, start: int = 0, length: int = 1, step: int | None = None) -> Asked:
    clip = {"video": video, "start": start, "length": length}
    return clip if step is None else {**clip, "step": step}


def wanted(tree: Tree, *clips: Asked, **more: Any) -> Files:
    """The source's files of these clips."""
    found = []
    for clip in clips:
        frames = [clip["start"] + n * clip.get("step", 1) for n in range(clip["length"])]
        found += source_files(tree, clip["video"].replace(":", "/"), frames, **more)
    return found


def post(api: CheckedClient, *clips: Asked, headers: dict[str, str] | None = None, **more: Any) -> TestResponse:
    return api.post(CLIPS, json={"clips": list(clips), **more}, headers=headers)


MANY = (
    asked("batch-1/b", 1, 2),
    asked("sparse", 0, 3, 2),
    asked("batch-1/a", 3, 4),
    asked("batch-1:a", 5, 4),
    asked("bare", 0, 5),
    asked("batch-1/a", 3, 4),
    asked("batch-1/b", 0, 1),
)


def test_clips_come_in_the_order_asked_repeated_and_overlapping_ones_too(api: CheckedClient, clip_tree: Tree) -> None:
    answer = post(api, *MANY)
    assert (answer.status_code, answer.mimetype) == (200, "application/x-tar")
    assert files_in(answer.data) == wanted(clip_tree, *MANY)
    assert answer.headers["Content-Length"] == str(len(answer.data))
    backwards = post(api, *reversed(MANY))
    assert files_in(backwards.data) == wanted(clip_tree, *reversed(MANY))


def test_in_between_they_are_the_bytes_of_single_clips(api: CheckedClient) -> None:
    single = [
        api.get(f"{R1}/videos/{clip['video'].replace('/', ':')}/clip", query_string=clip | {"video": None}).data
        for clip in MANY
    ]
    assert post(api, *MANY).data == b"".join(single) + bytes(1024)


@pytest.mark.parametrize("choice", [{"images": False}, {"masks": False}, {"resolution": "480p"}])
def test_what_of_the_clips_is_wanted(api: CheckedClient, clip_tree: Tree, choice: Asked) -> None:
    assert files_in(post(api, *MANY, **choice).data) == wanted(clip_tree, *MANY, **choice)


def test_another_resolution_and_those_that_do_not_have_it(api: CheckedClient, clip_tree: Tree) -> None:
    there, missing = asked("batch-1/a", 2, 2), asked("bare")
    files = files_in(post(api, there, missing, there, resolution="original").data)
    clip = wanted(clip_tree, there, resolution="original")
    assert files[:4] == clip == files[5:]
    note = note_in(files, "clips/00001.error.json")
    assert note["type"] == "urn:gygo:problem:resolution-not-found"


def test_gnu_tar_extracts_it_without_a_word(api: CheckedClient, clip_tree: Tree, tmp_path: Path) -> None:
    long = asked(clip_tree.clips[-1].name, 1, 2)
    content = post(api, *MANY, long, asked("nope"), describe=True).data
    done = subprocess.run(["tar", "-x"], input=content, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert files_of(tmp_path) == dict(wanted(clip_tree, *MANY, long))
    assert len(files_of(tmp_path, "clips")) == len(MANY) + 2


# Notes


def test_what_cannot_be_had_is_noted_in_its_place(api: CheckedClient, clip_tree: Tree) -> None:
    good = asked("batch-1/b", 0, 2)
    wrong = [asked("no/such"), asked("bare", 5, 1), asked("bare", 3, 3), asked("bare\0"), asked("v" * 1024)]
    files = files_in(post(api, good, *wrong, good).data)
    clip = wanted(clip_tree, good)
    assert files[: len(clip)] == clip == files[-len(clip) :]
    assert [path for path, _ in files[len(clip) : -len(clip)]] == [f"clips/{n:05}.error.json" for n in range(1, 6)]
    first = note_in(files, "clips/00001.error.json")
    assert first == {
        "clip": 1,
        "video": "no/such",
        "start": 0,
        "length": 1,
        "step": 1,
        "type": "urn:gygo:problem:video-not-found",
        "title": "There is no such thing",
        "status": 404,
        "detail": first["detail"],
    }
    assert "no:such" in first["detail"]
    for number, field in ((2, "start"), (3, "length")):
        note = note_in(files, f"clips/{number:05}.error.json")
        assert (note["status"], note["type"]) == (422, "urn:gygo:problem:invalid-request")
        assert note["detail"].startswith(f"{field}: ")


def test_described_clips_have_a_note_before_each(api: CheckedClient, clip_tree: Tree) -> None:
    clips = [asked("sparse", 0, 3, 2), asked("nope"), asked("batch-1/b", 1, 2)]
    content = post(api, *clips, describe=True).data
    files = files_in(content)
    tops = [path.split("/")[0] for path, _ in files]
    frame = ["JPEGImages", "Annotations"]
    assert tops == ["clips", *frame, *frame, "JPEGImages", "clips", "clips", *frame, *frame]
    note = note_in(files, "clips/00000.json")
    alone = api.get(f"{R1}/videos/sparse/clip?length=3&step=2").data
    assert note == {
        "clip": 0,
        "video": "sparse",
        "start": 0,
        "length": 3,
        "step": 2,
        "resolution": "480p",
        "mask_kind": "palette",
        "bytes": len(alone),
        "frames": [
            {"index": 0, "name": "00000", "mask": True},
            {"index": 2, "name": "00002", "mask": True},
            {"index": 4, "name": "00004", "mask": False},
        ],
    }
    assert note_in(files, "clips/00001.error.json")["status"] == 404
    assert alone in content
    assert [file for file in files if not file[0].startswith("clips/")] == wanted(clip_tree, clips[0], clips[2])


def test_on_error_fail_refuses_all_and_names_each(api: CheckedClient, clip_tree: Tree) -> None:
    good = asked("batch-1/b", 0, 2)
    assert files_in(post(api, good, on_error="fail").data) == wanted(clip_tree, good)
    wrong = [good, asked("nope"), asked("bare", 9), asked("bare", 1, 9), good]
    for delivery in ("tar", "urls"):
        answer = api.post(f"{CLIPS}?delivery={delivery}", json={"clips": wrong, "on_error": "fail"})
        assert (answer.status_code, answer.mimetype) == (422, PROBLEM)
        assert [(error["location"], error["field"]) for error in answer.json["errors"]] == [
            ("json", "clips.1.video"),
            ("json", "clips.2.start"),
            ("json", "clips.3.length"),
        ]
    other = post(api, asked("bare"), asked("batch-1/a"), on_error="fail", resolution="original")
    assert [error["field"] for error in other.json["errors"]] == ["clips.0.resolution"]


# HTTP


def test_equal_questions_have_equal_tags_and_others_have_others(api: CheckedClient) -> None:
    def tag(*clips: Asked, **more: Any) -> str:
        return post(api, *clips, **more).headers["ETag"]

    one, two = asked("batch-1/a", 0, 2), asked("batch-1/b", 0, 2)
    assert tag(one, two) == tag(one, two, images=True, on_error="note") == tag(one | {"step": 1}, two)
    others = [tag(one, two), tag(two, one), tag(one), tag(one, one), tag(one, two, masks=False)]
    others += [tag(one, two, describe=True), tag(one, two, resolution="original"), tag(asked("nope"), two)]
    assert len(set(others)) == len(others)
    answer = post(api, one, headers={"If-None-Match": tag(one)})
    assert (answer.status_code, answer.data) == (304, b"")
    assert post(api, one, headers={"If-Match": tag(two)}).status_code == 412
    assert post(api, one).headers["Cache-Control"] == "private, no-store"


clips_to_ask = st.builds(
    asked,
    st.sampled_from(["batch-1/a", "batch-1:b", "sparse", "bare", "nope"]),
    st.integers(0, 6),
    st.integers(1, 5),
    st.integers(1, 3),
)
questions = st.fixed_dictionaries(
    {"clips": st.lists(clips_to_ask, min_size=1, max_size=6), "describe": st.booleans(), "masks": st.booleans()}
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(questions, st.data())
def test_whatever_is_asked_it_can_be_gone_on_with_anywhere(
    api: CheckedClient, question: Asked, data: st.DataObject
) -> None:
    whole = api.post(CLIPS, json=question)
    assert whole.headers["Content-Length"] == str(len(whole.data))
    assert whole.data.endswith(bytes(1024))
    files_in(whole.data)
    cut = data.draw(st.integers(0, len(whole.data) - 1), "cut")
    headers = {"Range": f"bytes={cut}-", "If-Range": whole.headers["ETag"]}
    rest = api.post(CLIPS, json=question, headers=headers)
    assert rest.status_code == 206
    assert rest.data == whole.data[cut:]
    assert rest.headers["Content-Range"] == f"bytes {cut}-{len(whole.data) - 1}/{len(whole.data)}"
    stop = data.draw(st.integers(cut, len(whole.data) + 10), "stop")
    part = api.post(CLIPS, json=question, headers=headers | {"Range": f"bytes={cut}-{stop}"})
    assert part.data == whole.data[cut : stop + 1]


def test_a_range_of_another_answer_gives_the_whole(api: CheckedClient) -> None:
    whole, other = post(api, *MANY), post(api, *MANY[1:])
    answer = post(api, *MANY, headers={"Range": "bytes=9-", "If-Range": other.headers["ETag"]})
    assert (answer.status_code, answer.data) == (200, whole.data)
    outside = post(api, *MANY, headers={"Range": f"bytes={len(whole.data)}-"})
    assert (outside.status_code, outside.headers["Content-Range"]) == (416, f"bytes */{len(whole.data)}")


def test_tars_are_not_compressed(api: CheckedClient) -> None:
    answer = post(api, *MANY, headers={"Accept-Encoding": "gzip, br, zstd"})
    assert "Content-Encoding" not in answer.headers
    assert answer.data == post(api, *MANY).data


def test_latest_leads_to_the_release_with_the_question(api: CheckedClient) -> None:
    moved = api.post(f"{CLIPS}?delivery=urls".replace("/r1/", "/latest/"), json={"clips": [asked("bare")]})
    assert moved.status_code == 307  # which keeps the method and the body
    assert moved.location.endswith(f"{CLIPS}?delivery=urls")


# As signed URLs


def test_signed_urls_and_ranges_give_the_bytes_of_the_tar(api: CheckedClient, clip_tree: Tree) -> None:
    clips = [asked("batch-1/a", 3, 4), asked("nope"), asked("sparse", 1, 5), asked("batch-1:a", 0, 12), asked("bare")]
    answer = api.post(f"{CLIPS}?delivery=urls", json={"clips": clips})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert "ETag" not in answer.headers
    items = answer.json["items"]
    assert items[1] == {**clips[1], "step": 1, "error": items[1]["error"]}
    assert items[1]["error"]["status"] == 404
    pieces = []
    for clip, item in zip(clips, items, strict=True):
        if "error" in item:
            continue
        assert item["video"] == clip["video"].replace("/", ":")
        assert (item["start"], item["length"], item["step"]) == (clip["start"], clip["length"], 1)
        assert item["resolution"] == "480p"
        fetched = urllib3.request("GET", item["url"], headers=item["headers"])
        assert fetched.status == 206
        assert len(fetched.data) == item["range"]["end"] - item["range"]["start"]
        assert fetched.headers["Content-Range"].endswith(f"/{item['archive']['bytes']}")
        pieces.append(fetched.data)
        assert datetime.fromisoformat(item["expires_at"]) > datetime.now(UTC)
    assert b"".join(pieces) + bytes(1024) == post(api, *[clip for clip in clips if clip["video"] != "nope"]).data
    # Clips of one archive have one URL: clients may keep it.
    assert items[0]["url"] == items[3]["url"] != items[2]["url"]


@pytest.mark.parametrize("choice", [{}, {"images": False}, {"masks": False}, {"resolution": "original"}])
def test_places_of_frames_are_those_of_the_published_bytes(
    api: CheckedClient, clip_tree: Tree, choice: dict[str, Any]
) -> None:
    clips = [asked("batch-1/a", 1, 4, 3)]
    if "resolution" not in choice:
        clips += [asked("sparse", 0, 6), asked("bare", 1, 2)]
    items = api.post(f"{CLIPS}?delivery=urls", json={"clips": clips, **choice}).json["items"]
    for clip, item in zip(clips, items, strict=True):
        content = urllib3.request("GET", item["url"]).data
        found = [
            content[place["offset"] : place["offset"] + place["size"]]
            for frame in item["frames"]
            for place in (frame["image"], frame["mask"])
            if place
        ]
        assert found == [file for _, file in wanted(clip_tree, clip, **choice)]
        indices = [clip["start"] + n * clip.get("step", 1) for n in range(clip["length"])]
        assert [frame["index"] for frame in item["frames"]] == indices
        assert [frame["name"] for frame in item["frames"]] == [f"{index:05}" for index in indices]
        for place in (place for frame in item["frames"] for place in (frame["image"], frame["mask"]) if place):
            assert item["range"]["start"] < place["offset"] < place["offset"] + place["size"] <= item["range"]["end"]


def test_a_clip_of_nothing_does_not_give_the_whole_archive(api: CheckedClient) -> None:
    question = {"clips": [asked("bare", 0, 5)], "images": False}
    (item,) = api.post(f"{CLIPS}?delivery=urls", json=question).json["items"]
    assert item["range"]["start"] == item["range"]["end"]
    assert {(frame["image"], frame["mask"]) for frame in item["frames"]} == {(None, None)}
    assert len(urllib3.request("GET", item["url"], headers=item["headers"]).data) == 1
    assert post(api, asked("bare", 0, 5), images=False).data == bytes(1024)
