"""Signed URLs in bulk: what the lists hold in each format, and which videos filters and bodies select."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import Message
from typing import Any
from urllib.parse import quote, unquote

import pytest
import urllib3
from checked_client import PROBLEM, CheckedClient
from clip_trees import Tree
from download_readers import READERS, TYPES, Listed, life_of, sha256_of
from tars import files_in, source_files

from gygo_server.settings import Settings

R1 = "/v1/datasets/downloads/releases/r1"
DOWNLOADS = f"{R1}/downloads"

every_format = pytest.mark.parametrize("name", sorted(TYPES))


def listed(api: CheckedClient, query: str = "", body: Any = None, name: str = "ndjson") -> list[Listed]:
    """The list, asked for by its format's name; with a body, by a POST."""
    url = f"{DOWNLOADS}?format={name}{query and '&'}{query}"
    answer = api.get(url) if body is None else api.post(url, json=body)
    assert (answer.status_code, answer.mimetype) == (200, TYPES[name]), answer.text
    return READERS[name](answer.data)


def ids(api: CheckedClient, query: str = "", body: Any = None) -> list[str | None]:
    return [each.id for each in listed(api, query, body)]


def saved_as(header: str) -> str | None:
    """The file name in a Content-Disposition: by RFC 6266 the extended one if there are two."""
    extended = re.search(r"; filename\*=UTF-8''([^;]+)$", header)
    if extended:
        return unquote(extended[1], errors="strict")
    message = Message()
    message["Content-Disposition"] = header
    return message.get_filename()


# What a list holds


@every_format
def test_every_url_leads_to_the_archive_and_a_browser_saves_it_under_the_name_that_is_listed(
    api: CheckedClient, download_tree: Tree, name: str
) -> None:
    found = listed(api, name=name)
    told = {each.sha256: each for each in listed(api)}
    assert [sha256_of(each) for each in found] == list(told)
    for clip, each in zip(sorted(download_tree.clips, key=lambda clip: clip.name), found, strict=True):
        answer = urllib3.request("GET", each.url)
        assert answer.status == 200
        sha256 = hashlib.sha256(answer.data).hexdigest()
        known = told[sha256]
        assert each.size in (None, len(answer.data))
        assert each.sha256 in (None, sha256)
        assert each.file in (None, known.file)
        assert saved_as(answer.headers["Content-Disposition"]) == known.file
        resolution = clip.resolutions[0]
        wanted = source_files(download_tree, clip.name, range(len(clip.shown)), resolution=resolution)
        assert files_in(answer.data) == wanted


@every_format
def test_a_list_says_what_it_is_called_and_is_kept_by_nobody(
    api: CheckedClient, download_tree: Tree, name: str
) -> None:
    answer = api.get(f"{DOWNLOADS}?format={name}")
    suffix = {"ndjson": "ndjson", "metalink": "meta4", "uri-list": "txt", "curl": "curl"}[name]
    assert saved_as(answer.headers["Content-Disposition"]) == f"downloads-r1.{suffix}"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert {"Accept", "Accept-Encoding"} <= {each.strip() for each in answer.headers["Vary"].split(",")}
    assert "ETag" not in answer.headers


def test_json_lines_and_pages_hold_what_the_description_says(api: CheckedClient, download_tree: Tree) -> None:
    lines = [json.loads(line) for line in api.get(DOWNLOADS).data.splitlines()]
    page = api.get(f"{DOWNLOADS}?limit=1000").json  # which the client has held against its schema
    assert [stable(each) for each in page["items"]] == [stable(each) for each in lines]
    assert (page["total"], page["next"]) == (len(lines), None)
    for video in lines:
        known = api.get(f"{R1}/videos/{quote(video['id'])}").json
        (there,) = [each for each in known["resolutions"] if each["resolution"] == video["resolution"]]
        assert there["archive"] == {"bytes": video["bytes"], "sha256": video["sha256"]}


def stable(download: dict[str, Any]) -> dict[str, Any]:
    """A download without what the time of signing is in."""
    return {name: value for name, value in download.items() if name not in {"url", "expires_at"}}


def test_names_of_files_are_distinct_of_one_part_and_short_enough_for_any_disk(
    api: CheckedClient, download_tree: Tree
) -> None:
    files = {each.id: each.file or "" for each in listed(api)}
    assert files["plain"] == "downloads-r1-plain-480p.tar"
    assert files["only:original"] == "downloads-r1-only-original-original.tar"
    assert files["[1-3]{a,b}#1 ~'=x"] == "downloads-r1-[1-3]{a,b}#1 ~'=x-480p.tar"
    assert files["ä b:ü 100% é"] == "downloads-r1-ä b-ü 100% é-480p.tar"
    assert re.fullmatch(r"downloads-r1-say _hi_ _ _go_-[0-9a-f]{8}-480p.tar", files['say "hi" & <go>'])
    # These two would have been the same.
    assert re.fullmatch(r"downloads-r1-batch-1-a-[0-9a-f]{8}-480p.tar", files["batch-1:a"])
    assert re.fullmatch(r"downloads-r1-batch-1-a-[0-9a-f]{8}-480p.tar", files["batch-1-a"])
    assert len(set(files.values())) == len(download_tree.clips)
    for file in files.values():
        assert len(file.encode()) <= 240
        assert not set('/\\:*?"<>|') & set(file)
        assert file.isprintable()


@every_format
def test_all_of_a_list_ends_at_one_time_not_before_the_one_asked(
    api: CheckedClient, download_tree: Tree, name: str
) -> None:
    for asked, at_most in ((None, 3600 + 900), (1, 2), (60, 75), (86400, 86400 + 900), (7 * 86400, 7 * 86400)):
        before = int(time.time())
        found = listed(api, f"expires_in={asked}" if asked else "", name=name)
        ((signed, seconds),) = {life_of(each) for each in found}
        ends = datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp() + seconds
        assert seconds <= at_most
        least = min(asked or 3600, 7 * 86400 - 900)  # S3 counts the seven days from the time of signing
        assert ends >= before + least
        if name == "ndjson":
            lines = api.get(f"{DOWNLOADS}{'' if asked is None else f'?expires_in={asked}'}").data.splitlines()
            assert len({json.loads(line)["expires_at"] for line in lines}) == 1
        if name in ("metalink", "curl"):
            text = api.get(f"{DOWNLOADS}?format={name}&expires_in={asked or 3600}").text
            assert len(set(re.findall(r"until (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)", text))) == 1


def test_no_url_is_good_for_longer_than_the_setting_says(
    api_with: Callable[..., CheckedClient], download_tree: Tree, settings: Settings
) -> None:
    api = api_with(url_seconds=60, url_max_seconds=120, url_bucket_seconds=0)
    for asked, given in ((None, 60), (100, 100), (120, 120), (121, 120), (604800, 120)):
        before = int(time.time())
        answer = api.get(f"{DOWNLOADS}{'' if asked is None else f'?expires_in={asked}'}")
        for line in answer.data.splitlines():
            ends = datetime.fromisoformat(json.loads(line)["expires_at"]).timestamp()
            assert before + given <= ends <= time.time() + given + 1


@pytest.mark.parametrize("wrong", ["0", "-1", "604801", "1.5", "", "1_0", "soon"])
def test_a_life_that_cannot_be_is_a_422(api: CheckedClient, wrong: str) -> None:
    check_422(api.get(f"/v1/datasets/multi/releases/r1/downloads?expires_in={wrong}"), "query", "expires_in")


def check_422(answer: Any, location: str, *fields: str) -> list[str]:
    """The messages of a problem that names these fields and no others."""
    assert (answer.status_code, answer.mimetype) == (422, PROBLEM)
    assert [(error["location"], error["field"]) for error in answer.json["errors"]] == [
        (location, field) for field in fields
    ]
    return [error["message"] for error in answer.json["errors"]]


# Which format


@pytest.mark.parametrize(
    ("accept", "mimetype"),
    [
        (None, TYPES["ndjson"]),
        ("", TYPES["ndjson"]),
        ("*/*", TYPES["ndjson"]),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TYPES["ndjson"]),
        ("application/*", TYPES["ndjson"]),
        ("text/*", TYPES["uri-list"]),
        ("APPLICATION/METALINK4+XML", TYPES["metalink"]),
        ("text/uri-list;q=0.3, application/metalink4+xml;q=0.7", TYPES["metalink"]),
        ("text/uri-list;q=0.3, application/metalink4+xml;q=0.2, */*;q=0.1", TYPES["uri-list"]),
        ("application/x-ndjson;q=0, application/metalink4+xml;q=0.001", TYPES["metalink"]),
        ("application/x-ndjson;q=0, */*", TYPES["metalink"]),
        ("application/x-ndjson;q=0.1, */*;q=0.9", TYPES["metalink"]),
        ("text/x-curl-config, image/png", TYPES["curl"]),
        ("application/json", "application/json"),
        ("application/json, text/plain, */*", "application/json"),  # what axios sends
        ("application/json; charset=utf-8", "application/json"),
        ("text/uri-list;charset=utf-8;q=0.9, text/html", TYPES["uri-list"]),
        ("*", TYPES["ndjson"]),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_accept_chooses_the_format(
    api: CheckedClient, download_tree: Tree, accept: str | None, mimetype: str, method: str
) -> None:
    answer = api.open(DOWNLOADS, method=method, headers={} if accept is None else {"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, mimetype)
    assert "Accept" in [each.strip() for each in answer.headers["Vary"].split(",")]


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "application/*;q=0, image/*", "nonsense"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_no_format_that_the_client_takes_is_a_406_that_names_those_there_are(
    api: CheckedClient, accept: str, method: str
) -> None:
    answer = api.open("/v1/datasets/multi/releases/r1/downloads", method=method, headers={"Accept": accept})
    assert answer.status_code == 406
    if method != "HEAD":
        assert all(each in answer.json["detail"] for each in (*TYPES.values(), "application/json"))


@every_format
def test_the_parameter_beats_accept(api: CheckedClient, download_tree: Tree, name: str) -> None:
    for accept in ("text/html", "application/json", "*/*;q=0", *TYPES.values()):
        answer = api.get(f"{DOWNLOADS}?format={name}", headers={"Accept": accept})
        assert (answer.status_code, answer.mimetype) == (200, TYPES[name])


@pytest.mark.parametrize("wrong", ["json", "", "NDJSON", "meta4"])
def test_a_format_that_there_is_not_is_a_422(api: CheckedClient, wrong: str) -> None:
    check_422(api.get(f"/v1/datasets/multi/releases/r1/downloads?format={wrong}"), "query", "format")


@pytest.mark.parametrize("page", ["limit=2", "cursor=x", "limit=2&cursor=x"])
def test_a_page_in_another_format_is_a_422_and_not_json_unasked(api: CheckedClient, page: str) -> None:
    answer = api.get(f"/v1/datasets/multi/releases/r1/downloads?format=metalink&{page}")
    (message,) = check_422(answer, "query", "format")
    assert "a page is JSON" in message


@every_format
def test_head_says_what_get_would_and_sends_nothing(api: CheckedClient, download_tree: Tree, name: str) -> None:
    got, head = (api.open(f"{DOWNLOADS}?format={name}", method=method) for method in ("GET", "HEAD"))
    assert (head.status_code, head.data) == (200, b"")
    for header in ("Content-Type", "Content-Disposition", "Cache-Control", "Vary"):
        assert head.headers[header] == got.headers[header]


# Which videos


@pytest.mark.parametrize(
    "query",
    [
        "",
        "category=toys",
        "category=toys&category=clothes",
        "split=val",
        "split=train&split=val",
        "attribute=blur",
        "attribute=blur&attribute=occlusion",
        "min_frames=3",
        "max_frames=2",
        "min_objects=2",
        "q=batch",
        "q=%C3%BC",
        "resolution=original",
        "resolution=480p",
        "split=train&category=toys&min_frames=2&q=bat",
        "split=train&resolution=original",
    ],
)
def test_filters_are_those_of_the_videos_list(api: CheckedClient, download_tree: Tree, query: str) -> None:
    expected = [each["id"] for each in api.get(f"{R1}/videos?limit=1000&{query}").json["items"]]
    assert expected
    assert len(expected) < len(download_tree.clips) or not query
    for name in TYPES:
        assert [sha256_of(each) for each in listed(api, query, name=name)] == [
            sha256_of(each) for each in listed(api, query)
        ]
    assert ids(api, query) == ids(api, query, {}) == expected
    page = api.get(f"{DOWNLOADS}?limit=1000&{query}").json
    assert ([each["id"] for each in page["items"]], page["total"]) == (expected, len(expected))


@pytest.mark.parametrize("query", ["category=none", "min_frames=1000", "q=nothing+of+the+kind", "split=a&split=b"])
def test_filters_that_select_nothing_give_an_empty_list(api: CheckedClient, download_tree: Tree, query: str) -> None:
    for name in TYPES:
        assert listed(api, query, name=name) == listed(api, query, {"videos": ["plain"]}, name=name) == []
    assert api.get(f"{DOWNLOADS}?limit=5&{query}").json == {"items": [], "next": None, "total": 0}


def test_a_resolution_that_some_videos_have(api: CheckedClient, download_tree: Tree) -> None:
    having = [clip.id for clip in download_tree.clips if "original" in clip.resolutions]
    lines = [json.loads(line) for line in api.get(f"{DOWNLOADS}?resolution=original").data.splitlines()]
    assert [each["id"] for each in lines] == sorted(having)
    assert {each["resolution"] for each in lines} == {"original"}
    first = urllib3.request("GET", lines[0]["url"])
    with tarfile.open(fileobj=io.BytesIO(first.data)) as tar:
        assert all(name.split("/")[1] == "original" for name in tar.getnames())
    # When none is asked for, each video comes at the release's default or else as it is.
    told = {each["id"]: each["resolution"] for each in map(json.loads, api.get(DOWNLOADS).data.splitlines())}
    assert told == {clip.id: clip.resolutions[0] for clip in download_tree.clips}


def test_a_resolution_that_no_video_has_is_a_404(api: CheckedClient, download_tree: Tree) -> None:
    for answer in (
        api.get(f"{DOWNLOADS}?resolution=8K"),
        api.post(f"{DOWNLOADS}?resolution=8K", json={"videos": ["plain"]}),
    ):
        assert answer.status_code == 404
        assert answer.json["errors"][0]["field"] == "resolution"


def test_a_release_that_is_not_there_is_a_404_whichever_way_it_is_asked(api: CheckedClient) -> None:
    for dataset, release in (("nowhere", "r1"), ("multi", "r9")):
        url = f"/v1/datasets/{dataset}/releases/{release}/downloads"
        for answer in (api.get(url), api.post(url), api.post(url, json={"videos": ["a"]})):
            assert answer.status_code == 404
