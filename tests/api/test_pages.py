"""Walking all pages gives each item exactly once and in order: at any limit, in any order, through any filter."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from checked_client import CheckedClient
from clip_trees import Clip, Tree
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.store.bucket import Bucket

RELEASE = "/v1/datasets/api-pages/releases/r1"
CATEGORIES = ("toys", "clothes", "office")
ATTRIBUTES = ("occlusion", "fast-motion", "blur")
SPLITS = ("train", "val", "extra")


def clips() -> list[Clip]:
    """26 videos in which every value occurs, in many combinations, and no order is another one."""
    found = []
    for number in range(25):
        key = number * 7 % 25
        count = 1 + key % 4
        objects = tuple(range(1, 1 + key % 3)) or None
        found.append(
            Clip(
                f"batch-{key % 3}/{('red', 'blue', 'green')[key % 3]}-thing-{number:02d}"
                if number % 5
                else f"n{number}",
                tuple(objects if index % 2 == 0 else None for index in range(count)),
                category=CATEGORIES[key % 4] if key % 4 < 3 else None,
                attributes=tuple(name for bit, name in enumerate(ATTRIBUTES) if key >> bit & 1),
                splits=tuple(name for bit, name in enumerate(SPLITS) if (key + 1) >> bit & 1),
                size=(16, 12 + 2 * (key % 5)),
            )
        )
    frames = tuple(None if n % 3 == 1 else tuple(o for o in (1, 2, 3) if n % (o + 1) == 0) or (4,) for n in range(31))
    return [*found, Clip("long", frames, splits=("val",))]


@pytest.fixture(scope="session")
def pages(
    client: FlaskClient, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory
) -> tuple[CheckedClient, list[Clip]]:
    root = tmp_path_factory.mktemp("pages")
    made = clips()
    Tree(root / "source", made)
    publish(Publication(root / "source", "api-pages", "r1", workers=2), bucket, root / "state", Silent())
    api = CheckedClient(client.application)
    deadline = time.monotonic() + 10
    while api.get(RELEASE).status_code == 404:  # what was missing a moment ago is not looked up again at once
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return api, made


def walk(api: CheckedClient, url: str) -> Iterator[dict[str, Any]]:
    """The pages, by following `next`, which has to be what the Link header says too."""
    first = url
    while True:
        answer = api.get(url)
        assert answer.status_code == 200, answer.text
        page = answer.json
        links = dict(
            reversed(match) for match in re.findall(r'<([^>]*)>; rel="([a-z]+)"', answer.headers.get("Link", ""))
        )
        assert links.get("next") == page["next"]
        assert ("first" in links) is (url != first)
        if "first" in links:
            assert question(links["first"]) == question(first)
        yield page
        if page["next"] is None:
            return
        assert page["items"]
        assert {**question(page["next"]), "cursor": []} == {**question(first), "cursor": []}
        url = page["next"]


def question(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query, keep_blank_values=True)


def tokens(clip: Clip) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", " ".join([clip.name, clip.category or "", *clip.attributes]).lower()))


def selects(asked: dict[str, Any], clip: Clip) -> bool:
    return (
        (not asked.get("category") or clip.category in asked["category"])
        and (not asked.get("split") or bool(set(clip.splits) & set(asked["split"])))
        and set(asked.get("attribute", ())) <= set(clip.attributes)
        and len(clip.shown) >= asked.get("min_frames", 0)
        and len(clip.shown) <= asked.get("max_frames", 1000)
        and len(clip.objects) >= asked.get("min_objects", 0)
        and all(
            any(token.startswith(word.lower()) for token in tokens(clip))
            for word in re.findall(r"[a-zA-Z0-9]+", asked.get("q", ""))
        )
    )


some = st.lists
questions = st.fixed_dictionaries(
    {"limit": st.integers(1, 30)},
    optional={
        "sort": st.sampled_from([sign + name for name in ("name", "frames", "objects", "bytes") for sign in ("", "-")]),
        "category": some(st.sampled_from([*CATEGORIES, "none"]), max_size=3),
        "split": some(st.sampled_from([*SPLITS, "none"]), max_size=3),
        "attribute": some(st.sampled_from(ATTRIBUTES), max_size=2),
        "min_frames": st.integers(0, 5),
        "max_frames": st.integers(0, 40),
        "min_objects": st.integers(0, 3),
        "q": st.sampled_from(
            ["r", "RED", "thing 1", "batch-0/red", "toy", "n", "occ bl", "nothing", "fast-motion", "0"]
        ),
        "fields": st.sampled_from(["id", "id,frame_count", "id,links"]),
        "include": st.just("archive_url"),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=questions)
def test_each_video_once_and_in_order(pages: tuple[CheckedClient, list[Clip]], asked: dict[str, Any]) -> None:
    api, made = pages
    expected = sorted((clip for clip in made if selects(asked, clip)), key=lambda clip: clip.name)
    key = asked.get("sort", "name").removeprefix("-")
    if key in ("frames", "objects"):
        expected.sort(key=lambda clip: len(clip.shown if key == "frames" else clip.objects))
    if key == "bytes":
        sizes = {each["id"]: size_of(each) for each in api.get(f"{RELEASE}/videos?limit=1000").json["items"]}
        expected.sort(key=lambda clip: sizes[clip.id])
    if asked.get("sort", "").startswith("-"):
        expected.reverse()
    seen = []
    for page in walk(api, f"{RELEASE}/videos?{urlencode(asked, doseq=True)}"):
        assert page["total"] == len(expected)
        assert len(page["items"]) <= asked["limit"]
        assert len(page["items"]) == asked["limit"] or page["next"] is None
        seen += [item["id"] for item in page["items"]]
        if "include" in asked:
            assert all(item["archive_url"].startswith("http") for item in page["items"])
    assert seen == [clip.id for clip in expected]


def size_of(video: dict[str, Any]) -> int:
    return sum(each["archive"]["bytes"] for each in video["resolutions"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.fixed_dictionaries(
        {"limit": st.integers(1, 40)},
        optional={
            "sort": st.sampled_from(["index", "-index"]),
            "object": st.integers(1, 6),
            "has_mask": st.sampled_from(["true", "false"]),
            "resolution": st.just("480p"),
            "fields": st.just("index,name"),
        },
    )
)
def test_each_frame_once_and_in_order(pages: tuple[CheckedClient, list[Clip]], asked: dict[str, Any]) -> None:
    api, made = pages
    expected = [
        index
        for index, shown in enumerate(made[-1].shown)
        if ("object" not in asked or asked["object"] in (shown or ()))
        and ("has_mask" not in asked or (shown is not None) is (asked["has_mask"] == "true"))
    ]
    if asked.get("sort") == "-index":
        expected.reverse()
    seen = []
    for page in walk(api, f"{RELEASE}/videos/long/frames?{urlencode(asked)}"):
        assert page["total"] == len(expected)
        assert len(page["items"]) == asked["limit"] or page["next"] is None
        seen += [item["index"] for item in page["items"]]
        assert [item["name"] for item in page["items"]] == [f"{item['index']:05d}" for item in page["items"]]
    assert seen == expected


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
@pytest.mark.parametrize("sort", ["id", "-id"])
def test_each_dataset_once_and_in_order(api: CheckedClient, limit: int, sort: str) -> None:
    everything = [item["id"] for item in api.get("/v1/datasets?limit=1000").json["items"]]
    assert {"toys", "multi"} <= set(everything)
    seen = [item["id"] for page in walk(api, f"/v1/datasets?limit={limit}&sort={sort}") for item in page["items"]]
    assert seen == sorted(everything, reverse=sort == "-id")


def test_datasets_are_found_by_id_or_title(api: CheckedClient) -> None:
    for q in ("TOYS", "the toys", "oy"):
        assert "toys" in [item["id"] for item in api.get(f"/v1/datasets?q={q}").json["items"]]
    nothing = api.get("/v1/datasets?q=nothing-of-the-kind").json
    assert nothing == {"items": [], "next": None, "total": 0}


# Cursors


def a_cursor(api: CheckedClient, url: str) -> str:
    (cursor,) = question(api.get(url).json["next"])["cursor"]
    return cursor


@pytest.mark.parametrize(
    "other",
    [
        "videos?sort=-name",
        "videos?sort=frames",
        "videos?category=toys",
        "videos?category=",
        "videos?q=red",
        "videos?min_frames=2",
        "videos/long/frames",
        "videos/long/frames?object=1",
        "videos/long/frames?sort=-index",
    ],
)
def test_a_cursor_of_another_question_is_a_422(pages: tuple[CheckedClient, list[Clip]], other: str) -> None:
    api, _ = pages
    cursor = a_cursor(api, f"{RELEASE}/videos?limit=2")
    answer = api.get(f"{RELEASE}/{other}{'&' if '?' in other else '?'}cursor={cursor}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json["errors"]][-1] in {"cursor", "category"}


def test_a_cursor_of_another_release_or_list_is_a_422(pages: tuple[CheckedClient, list[Clip]]) -> None:
    api, _ = pages
    for cursor in (a_cursor(api, f"{RELEASE}/videos?limit=2"), a_cursor(api, f"{RELEASE}/videos/long/frames?limit=2")):
        for path in ("/v1/datasets/multi/releases/r1/videos", "/v1/datasets", "/v1/datasets/toys/releases/r1/videos"):
            answer = api.get(f"{path}?cursor={cursor}")
            assert answer.status_code == 422
            assert [error["field"] for error in answer.json["errors"]] == ["cursor"]


@pytest.mark.parametrize("more", ["limit=7", "fields=id", "include=archive_url"])
def test_how_a_page_looks_may_change_on_the_way(pages: tuple[CheckedClient, list[Clip]], more: str) -> None:
    api, made = pages
    cursor = a_cursor(api, f"{RELEASE}/videos?limit=2")
    items = api.get(f"{RELEASE}/videos?cursor={cursor}&{more}").json["items"]
    assert items[0]["id"] == sorted(clip.name for clip in made)[2].replace("/", ":")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 15), letter=st.sampled_from("AZaz09-_"))
def test_a_tampered_cursor_is_a_422(pages: tuple[CheckedClient, list[Clip]], at: int, letter: str) -> None:
    api, _ = pages
    cursor = a_cursor(api, f"{RELEASE}/videos?limit=2")
    tampered = cursor[:at] + letter + cursor[at + 1 :]  # the part that says which question it belongs to
    if tampered != cursor:
        answer = api.get(f"{RELEASE}/videos?limit=2&cursor={tampered}")
        assert answer.status_code == 422
        (error,) = answer.json["errors"]
        assert (error["location"], error["field"]) == ("query", "cursor")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_any_text_for_a_cursor_is_a_422(pages: tuple[CheckedClient, list[Clip]], text: str) -> None:
    api, _ = pages
    for path in ("/v1/datasets", f"{RELEASE}/videos", f"{RELEASE}/videos/long/frames"):
        assert api.get(path, query_string={"cursor": text}).status_code == 422


@pytest.mark.parametrize("cut", [1, 4, 9])
def test_a_cursor_that_was_cut_short_is_a_422(pages: tuple[CheckedClient, list[Clip]], cut: int) -> None:
    api, _ = pages
    cursor = a_cursor(api, f"{RELEASE}/videos?limit=2&sort=bytes")
    assert api.get(f"{RELEASE}/videos?limit=2&sort=bytes&cursor={cursor[:-cut]}").status_code == 422
