"""Downloads of videos that a body names, and pages of them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from checked_client import PROBLEM, CheckedClient
from clip_trees import Tree

from gygo_server.api.downloads import MAX_VIDEOS

R1 = "/v1/datasets/downloads/releases/r1"
DOWNLOADS = f"{R1}/downloads"


def ids(api: CheckedClient, body: Any, query: str = "") -> list[str]:
    answer = api.post(f"{DOWNLOADS}{query}", json=body)
    assert answer.status_code == 200, answer.text
    return [json.loads(line)["id"] for line in answer.data.splitlines()]


def faults(answer: Any) -> dict[str, str]:
    assert (answer.status_code, answer.mimetype) == (422, PROBLEM)
    return {f"{each['location']} {each['field']}": each["message"] for each in answer.json["errors"]}


def test_ids_and_names_in_any_order_and_twice_are_each_once_in_the_order_of_names(
    api: CheckedClient, download_tree: Tree
) -> None:
    names = [clip.name for clip in download_tree.clips]
    in_order = [name.replace("/", ":") for name in sorted(names)]
    assert ids(api, {"videos": names}) == in_order
    assert ids(api, {"videos": in_order[::-1]}) == in_order
    assert ids(api, {"videos": ["plain", "batch-1:a", "batch-1/a", "plain"]}) == ["batch-1:a", "plain"]


def test_filters_and_a_body_select_what_both_do(api: CheckedClient, download_tree: Tree) -> None:
    videos = ["batch-1/a", "batch-1-a", "plain"]
    assert ids(api, {"videos": videos}, "?split=train") == ["batch-1:a", "plain"]
    assert ids(api, {"videos": videos}, "?split=train&category=toys") == ["batch-1:a"]


@pytest.mark.parametrize("query", ["", "?split=train"])
def test_no_body_and_an_empty_one_are_no_choice(api: CheckedClient, download_tree: Tree, query: str) -> None:
    every = [json.loads(line)["id"] for line in api.get(f"{DOWNLOADS}{query}").data.splitlines()]
    for sent in ({}, {"data": b""}, {"data": b"", "content_type": "application/json"}, {"json": {}}):
        answer = api.post(f"{DOWNLOADS}{query}", **sent)
        assert answer.status_code == 200
        assert [json.loads(line)["id"] for line in answer.data.splitlines()] == every


@pytest.mark.parametrize(
    "name", ["nope", "batch-1", "PLAIN", "plain ", "plain\0", "plain\0x", "%70lain", "a\ud7ff", "'"]
)
def test_a_video_that_there_is_not_is_named_by_its_place(api: CheckedClient, download_tree: Tree, name: str) -> None:
    found = faults(api.post(DOWNLOADS, json={"videos": ["plain", name, "batch-1/a"]}))
    assert found == {"json videos.1": f"there is no video {name!r} in this release"}


def test_a_video_without_the_resolution_is_named_by_its_place(api: CheckedClient, download_tree: Tree) -> None:
    asked = {"videos": ["batch-1/a", "plain", "nope"]}
    found = faults(api.post(f"{DOWNLOADS}?resolution=original", json=asked))
    assert found == {
        "json videos.1": "video 'plain' has no resolution 'original'",
        "json videos.2": "there is no video 'nope' in this release",
    }


def test_a_hundred_thousand_videos_may_be_named_and_no_more(api: CheckedClient, download_tree: Tree) -> None:
    asked = ["plain", "batch-1/a"] * (MAX_VIDEOS // 2)
    assert MAX_VIDEOS == 100_000
    assert ids(api, {"videos": asked}) == ["batch-1:a", "plain"]
    assert list(faults(api.post(DOWNLOADS, json={"videos": [*asked, "plain"]}))) == ["json videos"]
    # Of many faults, the first hundred.
    found = faults(api.post(DOWNLOADS, json={"videos": ["plain", *(["x"] * (MAX_VIDEOS - 1))]}))
    assert list(found) == [f"json videos.{place}" for place in range(1, 101)]
    assert len(faults(api.post(DOWNLOADS, json={"videos": [7] * MAX_VIDEOS}))) == 100


def test_a_body_that_is_too_long_is_a_413(api: CheckedClient, download_tree: Tree) -> None:
    answer = api.post(DOWNLOADS, json={"videos": ["v" * 1000] * 5000})
    assert (answer.status_code, answer.mimetype) == (413, PROBLEM)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], ""),
        (["plain"], ""),
        ("plain", ""),
        (None, ""),
        (1, ""),
        ({"videos": None}, "videos"),
        ({"videos": []}, "videos"),
        ({"videos": "plain"}, "videos"),
        ({"videos": {"0": "plain"}}, "videos"),
        ({"videos": ["plain", 1]}, "videos.1"),
        ({"videos": [None]}, "videos.0"),
        ({"videos": [["plain"]]}, "videos.0"),
        ({"videos": [""]}, "videos.0"),
        ({"videos": ["x" * 1025]}, "videos.0"),
        ({"video": ["plain"]}, "video"),
        ({"videos": ["plain"], "resolution": "480p"}, "resolution"),
    ],
)
def test_a_body_of_another_shape_is_a_422_that_names_the_field(
    api: CheckedClient, download_tree: Tree, body: Any, field: str
) -> None:
    answer = api.post(DOWNLOADS, data=json.dumps(body), content_type="application/json")
    assert list(faults(answer)) == [f"json {field}"]


@pytest.mark.parametrize(
    "data", [b"{", b"plain", b'{"videos": ["plain"]} x', b"\xff", b'{"videos": ["\\ud800"]}', b" "]
)
def test_a_body_that_is_no_json_is_a_422(api: CheckedClient, download_tree: Tree, data: bytes) -> None:
    (message,) = faults(api.post(DOWNLOADS, data=data, content_type="application/json")).values()
    assert message.startswith("not JSON")


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_is_not_sent_as_json_is_a_415(
    api: CheckedClient, download_tree: Tree, content_type: str | None
) -> None:
    answer = api.post(DOWNLOADS, data=b'{"videos": ["plain"]}', content_type=content_type)
    assert (answer.status_code, answer.mimetype) == (415, PROBLEM)


def test_unknown_and_repeated_parameters_are_a_422(api: CheckedClient, download_tree: Tree) -> None:
    assert list(faults(api.post(f"{DOWNLOADS}?colour=red", json={}))) == ["query colour"]
    assert list(faults(api.post(f"{DOWNLOADS}?format=curl&format=curl"))) == ["query format"]


# Pages


def stable(download: dict[str, Any]) -> dict[str, Any]:
    """A download without what the time of signing is in."""
    return {name: value for name, value in download.items() if name not in {"url", "expires_at"}}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("query", ["", "&split=train", "&resolution=original&expires_in=60", "&q=nothing"])
@pytest.mark.parametrize("named", [None, ["plain", "batch-1/a", "only/original", "plain", "batch-1-a"]])
def test_the_pages_hold_what_the_list_does(
    api: CheckedClient, download_tree: Tree, limit: int, query: str, named: list[str] | None
) -> None:
    if named is not None and "original" in query:
        named = ["only/original", "batch-1/a"]
    body = None if named is None else {"videos": named}
    lines = api.post(f"{DOWNLOADS}?{query}", json={} if body is None else body).data.splitlines()
    expected = [stable(json.loads(line)) for line in lines]
    seen: list[dict[str, Any]] = []
    url: str | None = f"{DOWNLOADS}?limit={limit}{query}"
    while url:
        answer = api.get(url) if body is None else api.post(url, json=body)
        assert answer.status_code == 200, answer.text
        page = answer.json
        assert page["total"] == len(expected)
        assert len(page["items"]) == limit or page["next"] is None
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert "ETag" not in answer.headers
        assert (f'<{page["next"]}>; rel="next"' in answer.headers.get("Link", "")) is (page["next"] is not None)
        seen += map(stable, page["items"])
        url = page["next"]
    assert seen == expected


def cursor_of(answer: Any) -> str:
    (cursor,) = parse_qs(urlsplit(answer.json["next"]).query)["cursor"]
    return cursor


def test_a_cursor_of_another_question_is_a_422(api: CheckedClient, download_tree: Tree) -> None:
    videos = ["plain", "batch-1/a", "batch-1-a"]
    cursors = [
        cursor_of(api.get(f"{DOWNLOADS}?limit=1")),
        cursor_of(api.get(f"{DOWNLOADS}?limit=1&split=train")),
        cursor_of(api.get(f"{DOWNLOADS}?limit=1&resolution=original")),
        cursor_of(api.post(f"{DOWNLOADS}?limit=1", json={"videos": videos})),
        cursor_of(api.post(f"{DOWNLOADS}?limit=1", json={"videos": videos[:2]})),
        cursor_of(api.get(f"{R1}/videos?limit=1")),
        cursor_of(api.get("/v1/datasets/multi/releases/r1/downloads?limit=1")),
    ]
    asked: list[tuple[str, Any]] = [
        ("", None),
        ("&split=train", None),
        ("&resolution=original", None),
        ("", {"videos": videos}),
        ("", {"videos": videos[:2]}),
    ]
    for mine, (query, body) in enumerate(asked):
        for number, cursor in enumerate(cursors):
            url = f"{DOWNLOADS}?cursor={cursor}{query}"
            answer = api.get(url) if body is None else api.post(url, json=body)
            if number == mine:
                assert answer.status_code == 200
            else:
                assert list(faults(answer)) == ["query cursor"]


def test_a_page_may_be_another_size_and_for_another_time_than_the_one_before(
    api: CheckedClient, download_tree: Tree
) -> None:
    cursor = cursor_of(api.get(f"{DOWNLOADS}?limit=1"))
    every = [each["id"] for each in api.get(f"{DOWNLOADS}?limit=1000").json["items"]]
    page = api.get(f"{DOWNLOADS}?cursor={cursor}&limit=3&expires_in=60").json
    assert [each["id"] for each in page["items"]] == every[1:4]


@pytest.mark.parametrize("wrong", ["limit=0", "limit=1001", "limit=x", "cursor=", "cursor=abc", f"cursor={'a' * 513}"])
def test_a_page_that_cannot_be_is_a_422(api: CheckedClient, download_tree: Tree, wrong: str) -> None:
    assert list(faults(api.get(f"{DOWNLOADS}?{wrong}"))) == [f"query {wrong.split('=')[0]}"]


# `latest`


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_latest_leads_to_the_newest_release_with_method_body_and_query(
    api: CheckedClient, download_tree: Tree, method: str
) -> None:
    sent = {"json": {"videos": ["plain"]}} if method == "POST" else {}
    query = "?split=train&split=val&q=pl%20a&format=curl"
    answer = api.open(f"/v1/datasets/downloads/releases/latest/downloads{query}", method=method, **sent)
    assert answer.status_code == 307  # which keeps method and body
    assert answer.location == f"http://localhost{DOWNLOADS}{query}"
    followed = api.post("/v1/datasets/downloads/releases/latest/downloads", **sent, follow_redirects=True)
    assert followed.status_code == 200
    assert (len(followed.data.splitlines()) == 1) is (method == "POST")
