"""Questions about clips that cannot be asked: each is refused by name, cheaply, and none is a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest
from checked_client import PROBLEM, CheckedClient
from clip_trees import Tree
from tars import files_in, note_in, source_files
from werkzeug.test import TestResponse

from gygo_server.access.caller import Caller
from gygo_server.api.found_clips import ClipQuestion, Wanted, find_clip
from gygo_server.api.services import services
from gygo_server.app import MAX_QUESTION_BYTES

R1 = "/v1/datasets/clips/releases/r1"
CLIPS = f"{R1}/clips"
GOOD = {"video": "bare", "start": 0, "length": 1}


@pytest.fixture(scope="module", autouse=True)
def published_clips(clip_tree: Tree) -> None:
    """All of them are asked about `clip_tree`."""


def post(api: CheckedClient, body: str | bytes, **more: Any) -> TestResponse:
    return api.post(CLIPS, **{"data": body, "content_type": "application/json", **more})


def fields(answer: TestResponse) -> list[str]:
    assert (answer.status_code, answer.mimetype) == (422, PROBLEM)
    assert {error["location"] for error in answer.json["errors"]} == {"json"}
    return sorted(error["field"] for error in answer.json["errors"])


def clip_with(**changes: Any) -> str:
    return json.dumps({"clips": [GOOD, GOOD | changes]})


# JSON


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "clips=1",
        '{"clips": [}',
        '{"clips": [{"video": "bare", "start": NaN, "length": 1}]}',
        '{"clips": [{"video": "bare", "start": Infinity, "length": 1}]}',
        '{"clips": [{"video": "bare", "start": 01, "length": 1}]}',
        '{"clips": [{"video": "bare", "start": 1e999, "length": 1}]}',
        '{"clips": [{"video": "bare", "start": ' + "9" * 400 + "}]}",
        '{"clips": [{"video": "\\ud800", "start": 0, "length": 1}]}',
        '{"clips": [{"video": "\\udc00\\ud800", "start": 0, "length": 1}]}',
        "[" * 100_000,
        '{"clips":' * 100_000,
        "[" * 2000 + "]" * 2000,
        b'{"clips": [{"video": "\xff\xfe", "start": 0, "length": 1}]}',
        b'{"clips": [{"video": "\xed\xa0\x80", "start": 0, "length": 1}]}',
        json.dumps({"clips": [GOOD]}).encode("utf-16"),
        b"\x00" * 1000,
        b"\x1f\x8b\x08\x00",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_is_not_json_is_a_422(api: CheckedClient, body: str | bytes) -> None:
    answer = post(api, body)
    assert fields(answer) == [""]
    assert len(answer.data) < 2000


@pytest.mark.parametrize("body", ["null", "[]", '"clips"', "3", "true", "[[]]", '[{"clips": []}]'])
def test_json_that_is_no_object_is_a_422(api: CheckedClient, body: str) -> None:
    assert post(api, body).status_code == 422


@pytest.mark.parametrize("wrong", [True, False, "3", 3.0, 3.5, -1, None, [], {}, [3], 2**31, 2**63, 2**64, 10**30])
@pytest.mark.parametrize("field", ["start", "length", "step"])
def test_numbers_are_whole_numbers(api: CheckedClient, field: str, wrong: Any) -> None:
    assert fields(post(api, clip_with(**{field: wrong}))) == [f"clips.1.{field}"]


@pytest.mark.parametrize("wrong", [3, True, None, [], ["bare"], {}, "", "v" * 1025])
def test_videos_are_texts(api: CheckedClient, wrong: Any) -> None:
    assert fields(post(api, clip_with(video=wrong))) == ["clips.1.video"]


@pytest.mark.parametrize("wrong", [1, 0, 1.0, "true", "no", None, [], {}])
@pytest.mark.parametrize("field", ["images", "masks", "describe"])
def test_truths_are_true_or_false(api: CheckedClient, field: str, wrong: Any) -> None:
    assert fields(post(api, json.dumps({"clips": [GOOD], field: wrong}))) == [field]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("{}", ["clips"]),
        ('{"clips": null}', ["clips"]),
        ('{"clips": []}', ["clips"]),
        ('{"clips": {}}', ["clips"]),
        ('{"clips": "bare"}', ["clips"]),
        ('{"clips": [null]}', ["clips.0"]),
        ('{"clips": [3, {}]}', ["clips.0", "clips.1.length", "clips.1.start", "clips.1.video"]),
        (clip_with(color="red", stepp=2), ["clips.1.color", "clips.1.stepp"]),
        (json.dumps({"clips": [GOOD], "color": "red"}), ["color"]),
        (json.dumps({"clips": [GOOD], "delivery": "urls"}), ["delivery"]),
        (json.dumps({"clips": [GOOD], "on_error": "ignore"}), ["on_error"]),
        (json.dumps({"clips": [GOOD], "on_error": True}), ["on_error"]),
        (json.dumps({"clips": [GOOD], "resolution": ""}), ["resolution"]),
        (json.dumps({"clips": [GOOD], "resolution": 480}), ["resolution"]),
        (json.dumps({"clips": [GOOD], "images": False, "masks": False}), ["images"]),
        (clip_with(length=10_001), ["clips.1.length"]),
        (clip_with(length=0), ["clips.1.length"]),
        (clip_with(step=10_001), ["clips.1.step"]),
        (clip_with(step=0), ["clips.1.step"]),
    ],
)
def test_what_is_wrong_is_named(api: CheckedClient, body: str, wrong: list[str]) -> None:
    assert fields(post(api, body)) == wrong


@pytest.mark.parametrize("question", ["delivery=zip", "delivery=", "delivery=tar&delivery=urls", "resolution=480p"])
def test_a_wrong_query_is_named_too(api: CheckedClient, question: str) -> None:
    answer = api.post(f"{CLIPS}?{question}", json={"clips": [GOOD]})
    assert answer.status_code == 422
    assert [error["location"] for error in answer.json["errors"]] == ["query"]


@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/x-tar", "x"]
)
def test_what_is_not_sent_as_json_is_a_415(api: CheckedClient, kind: str | None) -> None:
    answer = post(api, json.dumps({"clips": [GOOD]}), content_type=kind)
    assert (answer.status_code, answer.mimetype) == (415, PROBLEM)
    assert "application/json" in answer.json["detail"]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/clips+json"])
def test_what_is_json_by_another_spelling_is_read(api: CheckedClient, kind: str) -> None:
    assert post(api, json.dumps({"clips": [GOOD]}), content_type=kind).status_code == 200


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/datasets/nope/releases/r1/clips", "dataset"),
        ("/v1/datasets/clips/releases/nope/clips", "release"),
        ("/v1/datasets/%00/releases/r1/clips", "dataset"),
    ],
)
def test_a_release_that_is_not_there_is_named(api: CheckedClient, path: str, kind: str) -> None:
    answer = api.post(path, json={"clips": [GOOD]})
    assert (answer.status_code, answer.json["type"]) == (404, f"urn:gygo:problem:{kind}-not-found")


# Limits


def test_a_thousand_clips_are_answered(api: CheckedClient, clip_tree: Tree) -> None:
    answer = post(api, json.dumps({"clips": [GOOD] * 1000}))
    assert files_in(answer.data) == source_files(clip_tree, "bare", [0]) * 1000
    located = api.post(f"{CLIPS}?delivery=urls", json={"clips": [GOOD] * 1000}).json["items"]
    assert len(located) == 1000


def test_a_clip_more_is_refused(api: CheckedClient) -> None:
    answer = post(api, json.dumps({"clips": [GOOD] * 1001}))
    assert fields(answer) == ["clips"]
    assert "1000" in answer.json["errors"][0]["message"]


def test_frames_are_limited_over_all_clips(api: CheckedClient) -> None:
    # None of these clips is there, so just what is asked counts.
    clips = [{"video": "nope", "start": 0, "length": 10_000}] * 10
    assert post(api, json.dumps({"clips": clips})).status_code == 200
    answer = post(api, json.dumps({"clips": [*clips, GOOD]}))
    assert fields(answer) == ["clips"]
    assert "100,000" in answer.json["detail"]


def test_a_body_too_long_is_a_413(api: CheckedClient) -> None:
    for body in (b" " * (MAX_QUESTION_BYTES + 1), json.dumps({"clips": [GOOD], "x": "y" * MAX_QUESTION_BYTES})):
        answer = post(api, body)
        assert (answer.status_code, answer.mimetype) == (413, PROBLEM)
    spaced = json.dumps({"clips": [GOOD]}).ljust(MAX_QUESTION_BYTES)
    assert post(api, spaced).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        '{"clips":[' + "0," * 2_000_000 + "0]}",
        '{"clips":[' + "{}," * 1_300_000 + "{}]}",
        '{"clips":[{' + ",".join(f'"{n:x}":1' for n in range(300_000)) + "}]}",
        '{"clips":[' + ",".join('{"a":1,"b":1,"c":1,"d":1,"e":1}' for _ in range(1000)) + "]}",
    ],
    ids=["numbers", "objects", "fields", "fields of many"],
)
def test_an_answer_is_short_however_much_is_wrong(api: CheckedClient, body: str) -> None:
    answer = post(api, body)
    assert answer.status_code == 422
    assert 1 <= len(answer.json["errors"]) <= 100
    assert len(answer.data) < 100_000


def test_names_go_into_notes_and_not_into_headers_or_paths(api: CheckedClient) -> None:
    video = '../../etc/passwd\r\nSet-Cookie: a=b\0"\u202e\ufeff😀'
    body = {"clips": [GOOD | {"video": video}], "resolution": "\r\nX: y"}
    answer = api.post(CLIPS, json=body)
    assert note_in(files_in(answer.data), "clips/00000.error.json")["video"] == video
    assert "X" not in answer.headers
    located = api.post(f"{CLIPS}?delivery=urls", json=body)
    assert located.json["items"][0]["video"] == video


def test_all_that_follow_is_refused_when_they_are_more_than_a_clip_may_have(
    api: CheckedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gygo_server.api.found_clips.MAX_LENGTH", 4)
    with api.application.test_request_context():
        release = services().library.release("clips", "r1", Caller.anonymous())
    assert len(find_clip(release, ClipQuestion("bare", 1, None, 1), Wanted(None, True, True)).frames) == 4
    answer = api.get(f"{R1}/videos/bare/clip")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json["errors"]] == ["length"]
