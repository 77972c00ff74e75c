"""What is said of videos, frames and releases agrees with the source; filters, fields and signed URLs."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import urllib3
from checked_client import CheckedClient
from clip_trees import Clip, Tree
from PIL import Image

TOYS, MULTI = "/v1/datasets/toys/releases/r1", "/v1/datasets/multi/releases/r1"


def rows(tree: Path) -> list[dict[str, str]]:
    with (tree / "categories.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_videos_are_those_of_the_source(api: CheckedClient, published: dict[str, Path]) -> None:
    for dataset, tree in published.items():
        told = {row["video"]: row for row in rows(tree) if not row.get("object")}
        lists = {path.stem.lower(): path.read_text().split() for path in (tree / "ImageSets").rglob("*.txt")}
        items = api.get(f"/v1/datasets/{dataset}/releases/r1/videos").json["items"]
        assert {item["name"] for item in items} == set(told)
        for item in items:
            name = item["name"]
            assert item["id"] == name.replace("/", ":")
            assert item["category"] == told[name]["category"]
            assert item["attributes"] == [word for word in told[name]["attributes"].split(";") if word]
            assert sorted(item["splits"]) == sorted(split for split, names in lists.items() if name in names)
            frames = sorted((tree / "JPEGImages" / "480p" / name).iterdir())
            assert item["frame_count"] == len(frames)
            assert item["fps"] == 5
            assert item["mask_kind"] == {"toys": "binary", "multi": "palette"}[dataset]
            for each in item["resolutions"]:
                with Image.open(tree / "JPEGImages" / each["resolution"] / name / frames[0].name) as picture:
                    assert (each["width"], each["height"]) == picture.size


def test_objects_boxes_and_areas_are_those_of_the_masks(api: CheckedClient, published: dict[str, Path]) -> None:
    for item in api.get(f"{MULTI}/videos").json["items"]:
        seen: dict[int, list[int]] = {}
        for frame in api.get(f"{MULTI}/videos/{item['id']}/frames?resolution=original").json["items"]:
            with Image.open(published["multi"] / f"Annotations/original/{item['name']}/{frame['name']}.png") as mask:
                labels = np.array(mask)
            told = {region["id"]: region for region in frame["objects"]}
            assert set(told) == set(np.unique(labels).tolist()) - {0, 255}
            assert frame["timestamp"] == frame["index"] / 5
            for number, region in told.items():
                y, x = np.nonzero(labels == number)
                box = [x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1]
                assert (region["area"], region["box"]) == (len(x), box)
                seen.setdefault(number, []).append(frame["index"])
        for each in item["objects"]:
            indices = seen[each["id"]]
            assert (each["first_frame"], each["last_frame"], each["frame_count"]) == (
                indices[0],
                indices[-1],
                len(indices),
            )
            assert each["mask_value"] == each["id"]


def test_one_video_and_one_frame_are_as_in_the_list(api: CheckedClient) -> None:
    for item in api.get(f"{TOYS}/videos").json["items"]:
        assert api.get(item["links"]["self"]).json == item
        for frame in api.get(f"{TOYS}/videos/{item['id']}/frames").json["items"]:
            assert api.get(frame["links"]["self"]).json == frame


def test_a_release_counts_what_it_holds(api: CheckedClient) -> None:
    release = api.get(TOYS).json
    items = api.get(f"{TOYS}/videos").json["items"]
    assert release["counts"] == {
        "videos": len(items),
        "frames": sum(item["frame_count"] for item in items),
        "masks": sum(item["mask_count"] for item in items),
        "objects": sum(len(item["objects"]) for item in items),
    }
    for total in release["resolutions"]:
        sizes = [
            each["archive"]["bytes"]
            for item in items
            for each in item["resolutions"]
            if each["resolution"] == total["resolution"]
        ]
        assert (total["videos"], total["bytes"]) == (len(sizes), sum(sizes))
    for facet, name in (("categories", "category"), ("splits", "split"), ("attributes", "attribute")):
        assert release[facet]
        for each in release[facet]:
            found = api.get(f"{TOYS}/videos", query_string={name: each["name"]}).json
            assert found["total"] == each["videos"] == len(found["items"])
            assert each["frames"] == sum(item["frame_count"] for item in found["items"])
    assert release["license"] is None  # the source states none, so none is made up


def test_split_lists_are_those_of_the_source(api: CheckedClient, published: dict[str, Path]) -> None:
    for dataset, tree in published.items():
        lists = {path.stem.lower(): path for path in (tree / "ImageSets").rglob("*.txt")}
        splits = api.get(f"/v1/datasets/{dataset}/releases/r1").json["splits"]
        assert {split["name"] for split in splits} == set(lists)
        for split in splits:
            answer = api.get(split["imageset_url"])
            assert answer.mimetype == "text/plain"
            assert answer.data == lists[split["name"]].read_bytes()
            assert split["path"] == lists[split["name"]].relative_to(tree).as_posix()


def test_split_lists_of_real_sequences_name_the_same_videos(
    publish_tree: Callable[..., object], public_tree: Path, fresh_api: CheckedClient
) -> None:
    publish_tree(public_tree, "api-real-lists")
    for path in (public_tree / "ImageSets").rglob("*.txt"):
        answer = fresh_api.get(f"/v1/datasets/api-real-lists/releases/r1/imagesets/{path.stem}.txt")
        assert sorted(answer.text.split()) == sorted(path.read_text().split())


# Filters


@pytest.mark.parametrize("dataset", ["toys", "multi"])
def test_several_values_of_a_facet(api: CheckedClient, dataset: str) -> None:
    url = f"/v1/datasets/{dataset}/releases/r1/videos"
    items = api.get(url).json["items"]
    categories = sorted({item["category"] for item in items})[:2]
    attributes = sorted({name for item in items for name in item["attributes"]})[:2]

    def ids(**asked: object) -> list[str]:
        return [item["id"] for item in api.get(url, query_string=asked).json["items"]]

    either = {item["id"] for item in items if item["category"] in categories}
    assert set(ids(category=categories)) >= either  # or an object of it
    both = [item["id"] for item in items if set(attributes) <= set(item["attributes"])]
    assert ids(attribute=attributes) == both
    assert ids(category="no-such-category") == []


def test_a_category_finds_videos_by_their_objects_too(api: CheckedClient, published: dict[str, Path]) -> None:
    for category in {row["category"] for row in rows(published["multi"])}:
        expected = {row["video"] for row in rows(published["multi"]) if row["category"] == category}
        found = api.get(f"{MULTI}/videos?category={category}").json
        assert {item["name"] for item in found["items"]} == expected
        assert found["total"] == len(expected)


@pytest.mark.parametrize("chosen", ["id", "name,id", " links , id ", "id,id", "objects", "mask_kind,fps,splits"])
def test_fields_choose_what_is_answered(api: CheckedClient, chosen: str) -> None:
    names = {name.strip() for name in chosen.split(",")}
    whole = api.get(f"{TOYS}/videos").json["items"]
    page = api.get(f"{TOYS}/videos", query_string={"fields": chosen}).json["items"]
    assert page == [{name: item[name] for name in names} for item in whole]
    one = api.get(whole[0]["links"]["self"], query_string={"fields": chosen}).json
    assert one == page[0]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/datasets", "title"),
        ("/v1/datasets/toys", "releases"),
        (TOYS, "counts"),
        (f"{TOYS}/videos/VIDEO/frames", "range"),
        (f"{TOYS}/videos/VIDEO/frames/0", "mask"),
    ],
)
def test_fields_choose_everywhere(api: CheckedClient, path: str, field: str) -> None:
    path = path.replace("VIDEO", api.get(f"{TOYS}/videos?limit=1").json["items"][0]["id"])
    body = api.get(f"{path}?fields={field}").json
    assert all(set(each) == {field} for each in body.get("items", [body]))
    refused = api.get(f"{path}?fields={field},colour")
    assert refused.status_code == 422
    assert "'colour'" in refused.json["errors"][0]["message"]


def test_everything_wrong_is_told_at_once(api: CheckedClient) -> None:
    answer = api.get(f"{TOYS}/videos?limit=0&min_frames=x&sort=age&colour=red&q=")
    assert answer.status_code == 422
    errors = {error["field"]: error["message"] for error in answer.json["errors"]}
    assert set(errors) == {"limit", "min_frames", "sort", "colour", "q"}
    assert "there are: attribute, category" in errors["colour"]
    assert "-frames" in errors["sort"]
    assert answer.json["type"] == "urn:gygo:problem:invalid-request"


# Signed URLs


@pytest.mark.parametrize("resolution", [None, "original"])
def test_archive_urls_fetch_the_archives_and_say_when_they_end(api: CheckedClient, resolution: str | None) -> None:
    asked = {"include": "archive_url", **({"resolution": resolution} if resolution else {})}
    before = datetime.now(UTC)
    answer = api.get(f"{TOYS}/videos", query_string=asked)
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert "ETag" not in answer.headers
    for item in answer.json["items"]:
        fetched = urllib3.request("GET", item["archive_url"])
        assert fetched.status == 200
        (stated,) = [each for each in item["resolutions"] if each["resolution"] == (resolution or "480p")]
        assert hashlib.sha256(fetched.data).hexdigest() == stated["archive"]["sha256"]
        ends = datetime.fromisoformat(item["archive_url_expires_at"])
        # An hour, and what is left of the quarter of an hour in which all get the same URL.
        assert timedelta(hours=1) <= ends - before
        assert ends <= datetime.now(UTC) + timedelta(minutes=75)
        assert parse_qs(urlsplit(item["archive_url"]).query)["X-Amz-Expires"] == ["4500"]


def test_the_same_question_has_the_same_url_at_every_replica(
    api: CheckedClient, api_with: Callable[..., CheckedClient]
) -> None:
    def urls(replica: CheckedClient) -> list[str]:
        items = replica.get(f"{TOYS}/videos?include=archive_url").json["items"]
        return [item["archive_url"] for item in items] + [replica.get(items[0]["links"]["archive"]).location]

    first = urls(api)
    # Once more, should a quarter of an hour have ended in between.
    assert urls(api_with()) == first or urls(api_with()) == urls(api)


def test_archive_urls_come_with_chosen_fields(api: CheckedClient) -> None:
    for item in api.get(f"{TOYS}/videos?include=archive_url&fields=id").json["items"]:
        assert set(item) == {"id", "archive_url", "archive_url_expires_at"}


@pytest.mark.parametrize("include", ["", "&include=archive_url"])
def test_a_resolution_that_the_release_does_not_have_is_refused(api: CheckedClient, include: str) -> None:
    answer = api.get(f"{TOYS}/videos?resolution=8k{include}")
    assert answer.status_code == 404
    assert [error["field"] for error in answer.json["errors"]] == ["resolution"]


def test_a_tampered_url_is_refused_by_the_store(api: CheckedClient) -> None:
    first, second = (
        item["archive_url"] for item in api.get(f"{TOYS}/videos?include=archive_url&limit=2").json["items"]
    )
    assert urllib3.request("GET", first.replace("X-Amz-Expires=4500", "X-Amz-Expires=7200")).status == 403
    swapped = first.replace(urlsplit(first).path, urlsplit(second).path)
    assert urllib3.request("GET", swapped).status == 403
    assert urllib3.request("PUT", first, body=b"x").status == 403
    assert urllib3.request("GET", first.split("?", 1)[0]).status == 403


def test_urls_are_signed_for_the_address_that_users_reach(
    api_with: Callable[..., CheckedClient], settings: object
) -> None:
    from dataclasses import replace

    public = replace(settings.s3, public_endpoint="https://files.example.org:8443")  # type: ignore[attr-defined]
    api = api_with(s3=public, url_seconds=600)
    (item,) = api.get(f"{TOYS}/videos?include=archive_url&limit=1").json["items"]
    for url in (item["archive_url"], api.get(item["links"]["archive"]).location):
        assert url.startswith("https://files.example.org:8443/")
        assert "X-Amz-Expires=750" in url


# Sources of many kinds


def test_videos_at_some_resolutions_only(publish_clips: Callable[..., Tree], fresh_api: CheckedClient) -> None:
    publish_clips(
        "api-mixed",
        [
            Clip("both", ((1,),), resolutions=("480p", "original")),
            Clip("large", ((1,), None), resolutions=("original",)),
        ],
    )
    base = "/v1/datasets/api-mixed/releases/r1"
    frames = fresh_api.get(f"{base}/videos/large/frames").json["items"]
    assert [frame["resolution"] for frame in frames] == ["original", "original"]
    assert fresh_api.get(f"{base}/videos/large/frames/0/image").status_code == 200
    assert fresh_api.get(f"{base}/videos/large/frames/0/image?resolution=480p").status_code == 404
    listed = fresh_api.get(f"{base}/videos?include=archive_url").json["items"]
    assert [urllib3.request("GET", item["archive_url"]).status for item in listed] == [200, 200]
    small = fresh_api.get(f"{base}/videos?resolution=480p&include=archive_url").json
    assert ([item["id"] for item in small["items"]], small["total"]) == (["both"], 1)
    assert fresh_api.get(f"{base}/videos?resolution=original").json["total"] == 2


def test_names_that_need_quoting_have_links_that_work(
    publish_clips: Callable[..., Tree], fresh_api: CheckedClient
) -> None:
    names = ["a b", "b&c=d", "c%20", "d+e", "ünï/cödé", "f'g", "h,i;j", "k@l", "m~n!", "o(p)"]
    publish_clips("api-names", [Clip(name, ((1,),), splits=("train",)) for name in names])
    base = "/v1/datasets/api-names/releases/r1"
    items = fresh_api.get(f"{base}/videos").json["items"]
    assert {item["name"] for item in items} == set(names)
    for item in items:
        one = fresh_api.get(item["links"]["self"])
        assert one.json["name"] == item["name"]
        frame = fresh_api.get(item["links"]["frames"]).json["items"][0]
        assert fresh_api.get(frame["image"]["url"]).status_code == 200
        archive = fresh_api.get(item["links"]["archive"])
        assert urllib3.request("GET", archive.location).status == 200
    assert sorted(fresh_api.get(f"{base}/imagesets/train.txt").text.splitlines()) == sorted(names)
    walked, url = [], f"{base}/videos?limit=1"
    while url:
        page = fresh_api.get(url).json
        walked += [item["name"] for item in page["items"]]
        url = page["next"]
    assert sorted(walked) == sorted(names)


def test_what_the_source_does_not_say_is_null(publish_clips: Callable[..., Tree], fresh_api: CheckedClient) -> None:
    publish_clips("api-plain", [Clip("a", (None, None))])
    video = fresh_api.get("/v1/datasets/api-plain/releases/r1/videos/a").json
    assert (video["category"], video["fps"], video["mask_kind"], video["objects"]) == (None, None, "none", [])
    frame = fresh_api.get("/v1/datasets/api-plain/releases/r1/videos/a/frames/1").json
    assert (frame["timestamp"], frame["mask"], frame["objects"]) == (None, None, [])
    dataset = fresh_api.get("/v1/datasets/api-plain").json
    assert (dataset["license"], dataset["homepage"], dataset["description"]) == (None, None, None)


def test_fields_may_be_given_with_commas_or_several_times(api: CheckedClient) -> None:
    path = "/v1/datasets/toys/releases/r1/videos"
    found = [api.get(f"{path}?{asked}").json["items"] for asked in ("fields=id,name", "fields=id&fields=name")]
    assert found[0] == found[1]
    assert set(found[0][0]) == {"id", "name"}
    assert api.get(f"{path}?fields=id&fields=colour").status_code == 422
