"""What releases of a dataset added, changed and removed: counts, lists, and a filter of videos, URLs and clips."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zlib import crc32

import pytest
from checked_client import PROBLEM, CheckedClient
from clip_trees import Clip, Tree

from gygo_server.app import create_app_with_settings
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publish import Publication, publish
from gygo_server.ingest.releases import withdraw
from gygo_server.settings import Settings
from gygo_server.store.bucket import Bucket

DATASET = "/v1/datasets/changes"
KINDS = ("added", "changed", "removed")


class SteadyTree(Tree):
    """A tree in which the pictures of a video are those of its name, whatever stands beside it."""

    def _write_clip(self, clip: Clip, resolution: str, seed: int) -> None:
        super()._write_clip(clip, resolution, crc32(clip.name.encode()))


def clip(name: str, frames: int = 2, category: str | None = None) -> Clip:
    return Clip(name, ((1,),) * frames, category, (), ("train",), resolutions=("480p",))


STEADY = [clip("steady", 3), *(clip(f"many/{n}") for n in range(4))]

#: Releases in the order of their publication. `lost` is withdrawn before `four` is published, `two` after it.
RELEASES = {
    "one": [*STEADY, clip("a"), clip("b"), clip("c"), clip("d/1"), clip("x y/z")],
    "two": [*STEADY, clip("a"), clip("b", 4), clip("d/1"), clip("e"), clip("x y/z")],
    "three": [*STEADY, clip("a"), clip("b"), clip("c"), clip("d/1", category="toys"), clip("e")],
    "lost": [*STEADY, clip("a", 7), clip("only in lost")],
    "four": [
        *STEADY,
        clip("b"),
        clip("c", 5),
        clip("d/1", category="toys"),
        clip("e"),
        clip('f "?#%'),
        clip("x y/z", 4),
    ],
}
SERVED = ("one", "three", "four")
#: The releases that each comes from.
LINEAGES = {"one": [], "two": ["one"], "three": ["one", "two"], "four": ["one", "two", "three"]}

pairs = pytest.mark.parametrize(("release", "since"), [(one, since) for one in SERVED for since in LINEAGES[one]])


@pytest.fixture(scope="session")
def changing(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The dataset `changes` with all its releases."""
    root = tmp_path_factory.mktemp("changes")

    def issue(release: str) -> None:
        tree = SteadyTree(root / release, RELEASES[release])
        publish(Publication(tree.root, "changes", release, workers=1, fps=5), bucket, root / "state", Silent())

    for release in ("one", "two", "three", "lost"):
        issue(release)
    withdraw(bucket, "changes", "lost", "published too soon")
    issue("four")
    withdraw(bucket, "changes", "two", None)


@pytest.fixture(scope="module")
def api(changing: None, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> CheckedClient:
    """A replica that has seen nothing but the end."""
    fresh = replace(settings, cache_dir=tmp_path_factory.mktemp("changes-cache"))
    return CheckedClient(create_app_with_settings(fresh))


def expected(release: str, since: str) -> dict[str, list[str]]:
    """The ids of what is different in a release, by what became of them."""
    now, then = ({each.id: each for each in RELEASES[name]} for name in (release, since))
    return {
        "added": [video for video in now if video not in then],
        "changed": [video for video in now if video in then and now[video] != then[video]],
        "removed": [video for video in then if video not in now],
    }


def there(release: str, since: str) -> list[str]:
    """The ids of what was added or has changed, in the order of names."""
    found = expected(release, since)
    names = {each.id: each.name for each in RELEASES[release]}
    return sorted(found["added"] + found["changed"], key=names.__getitem__)


def changes_of(api: CheckedClient, release: str, query: str = "") -> list[dict[str, Any]]:
    """All of the list, page after page."""
    url: str | None = f"{DATASET}/releases/{release}/changes?{query}"
    found: list[dict[str, Any]] = []
    total = None
    while url:
        answer = api.get(url)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        page = answer.json
        assert total in (None, page["total"])
        total, url = page["total"], page["next"]
        assert page["items"] or not found
        found += page["items"]
    assert len(found) == total
    return found


def test_the_model_has_changes_of_every_kind_and_some_that_were_taken_back() -> None:
    for kind in KINDS:
        assert expected("three", "two")[kind] or expected("four", "three")[kind]
    assert "b" not in expected("three", "one")["changed"]  # it is again as it was
    assert "c" in expected("three", "two")["added"]  # it has come back
    assert expected("three", "one")["added"] == ["e"]
    assert "x y:z" in expected("four", "three")["added"]
    assert "x y:z" in expected("four", "two")["changed"]


@pytest.mark.parametrize("release", SERVED)
def test_a_release_counts_what_is_new_since_the_one_before(api: CheckedClient, release: str) -> None:
    told = api.get(f"{DATASET}/releases/{release}").json
    if not LINEAGES[release]:
        assert told["changes"] is None
        return
    since = LINEAGES[release][-1]
    counted = {kind: len(videos) for kind, videos in expected(release, since).items()}
    assert told["changes"] == {"since": since, **counted}
    followed = api.get(told["links"]["changes"].removeprefix("http://localhost")).json
    assert followed["total"] == sum(counted.values())


@pairs
def test_each_change_since_any_earlier_release_is_listed_once(api: CheckedClient, release: str, since: str) -> None:
    found = changes_of(api, release, f"changed_since={since}")
    wanted = expected(release, since)
    for kind in KINDS:
        assert sorted(each["id"] for each in found if each["change"] == kind) == sorted(wanted[kind])
        assert [each["id"] for each in changes_of(api, release, f"changed_since={since}&change={kind}")] == [
            each["id"] for each in found if each["change"] == kind
        ]
    # First those that are there, in the order of their names.
    assert [each["id"] for each in found if each["change"] != "removed"] == there(release, since)
    assert [each["change"] == "removed" for each in found] == sorted(each["change"] == "removed" for each in found)
    for each in found:
        if each["change"] == "removed":
            assert each["links"] == {}
        else:
            video = api.get(each["links"]["video"].removeprefix("http://localhost")).json
            assert video["id"] == each["id"]


@pairs
@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
@pytest.mark.parametrize("kind", [None, *KINDS])
def test_pages_of_any_size_hold_the_same_changes(
    api: CheckedClient, release: str, since: str, limit: int, kind: str | None
) -> None:
    query = f"changed_since={since}{f'&change={kind}' if kind else ''}"
    assert changes_of(api, release, f"{query}&limit={limit}") == changes_of(api, release, query)


def test_without_a_release_to_compare_with_it_is_the_one_before(api: CheckedClient) -> None:
    for release in ("three", "four"):
        assert changes_of(api, release) == changes_of(api, release, f"changed_since={LINEAGES[release][-1]}")


def test_the_first_release_has_no_changes(api: CheckedClient) -> None:
    for query in ("", "change=added", "change=removed", "limit=1"):
        assert changes_of(api, "one", query) == []


def test_since_itself_nothing_has_changed(api: CheckedClient) -> None:
    for release in SERVED:
        assert changes_of(api, release, f"changed_since={release}") == []
        assert api.get(f"{DATASET}/releases/{release}/videos?changed_since={release}").json["items"] == []


@pairs
def test_lists_of_videos_urls_and_clips_are_filtered_alike(api: CheckedClient, release: str, since: str) -> None:
    base, wanted = f"{DATASET}/releases/{release}", there(release, since)
    query = f"changed_since={since}"
    videos = api.get(f"{base}/videos?{query}").json
    assert ([each["id"] for each in videos["items"]], videos["total"]) == (wanted, len(wanted))
    lines = api.get(f"{base}/downloads?{query}").data.splitlines()
    assert [json.loads(line)["id"] for line in lines] == wanted
    page = api.get(f"{base}/downloads?{query}&limit=1000").json
    assert ([each["id"] for each in page["items"]], page["total"]) == (wanted, len(wanted))
    every = [each.id for each in RELEASES[release]]
    named = api.post(f"{base}/downloads?{query}", json={"videos": every}).data.splitlines()
    assert [json.loads(line)["id"] for line in named] == wanted
    clips = api.get(f"{base}/sample?{query}&length=2&shuffle=false&batch=1000").json
    assert {each["video"] for each in clips["items"]} == set(wanted)


@pairs
def test_the_filter_goes_with_others_and_with_orders(api: CheckedClient, release: str, since: str) -> None:
    base, wanted = f"{DATASET}/releases/{release}", there(release, since)
    clips = {each.id: each for each in RELEASES[release]}
    for query, chosen in (
        ("min_frames=3", [video for video in wanted if len(clips[video].shown) >= 3]),
        ("category=toys", [video for video in wanted if clips[video].category == "toys"]),
        ("sort=-name", wanted[::-1]),
        ("sort=frames", sorted(wanted, key=lambda video: len(clips[video].shown))),
    ):
        items = api.get(f"{base}/videos?changed_since={since}&{query}").json["items"]
        assert [each["id"] for each in items] == chosen


@pytest.mark.parametrize("path", ["changes", "videos", "downloads", "sample"])
@pytest.mark.parametrize(
    ("release", "since"),
    [("one", "three"), ("three", "four"), ("four", "lost"), ("four", "never"), ("four", "latest"), ("one", "ONE")],
)
def test_a_release_that_it_does_not_come_from_is_a_404_that_names_the_field(
    api: CheckedClient, path: str, release: str, since: str
) -> None:
    answer = api.get(f"{DATASET}/releases/{release}/{path}?changed_since={since}")
    assert (answer.status_code, answer.mimetype) == (404, PROBLEM)
    assert answer.json["type"] == "urn:gygo:problem:release-not-found"
    assert [(each["location"], each["field"]) for each in answer.json["errors"]] == [("query", "changed_since")]
    assert since in answer.json["detail"]
    assert "one" in answer.json["detail"]  # what may be asked instead


@pytest.mark.parametrize("release", ["two", "lost"])
def test_a_withdrawn_release_says_nothing_and_hands_out_no_urls(api: CheckedClient, release: str) -> None:
    for path in (
        "",
        "/changes",
        "/changes?changed_since=one",
        "/videos",
        "/downloads",
        "/downloads?limit=1",
        "/sample",
    ):
        for method in ("GET", "HEAD"):
            answer = api.open(f"{DATASET}/releases/{release}{path}", method=method)
            assert answer.status_code == 410
    posted = api.post(f"{DATASET}/releases/{release}/downloads", json={"videos": ["a"]})
    assert (posted.status_code, posted.json["type"]) == (410, "urn:gygo:problem:release-withdrawn")


@pytest.mark.parametrize(
    "wrong", ["change=gone", "change=", "changed_since=", f"changed_since={'a' * 65}", "limit=0", "cursor=x"]
)
def test_a_question_that_cannot_be_is_a_422_that_names_the_field(api: CheckedClient, wrong: str) -> None:
    answer = api.get(f"{DATASET}/releases/four/changes?{wrong}")
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json["errors"]] == [wrong.split("=")[0]]


def test_a_cursor_of_another_question_is_a_422(api: CheckedClient) -> None:
    queries = ["changed_since=one", "changed_since=three", "changed_since=one&change=added"]
    cursors = []
    for query in queries:
        following = api.get(f"{DATASET}/releases/four/changes?{query}&limit=1").json["next"]
        cursors += parse_qs(urlsplit(following).query)["cursor"]
    for mine, query in enumerate(queries):
        for number, cursor in enumerate(cursors):
            answer = api.get(f"{DATASET}/releases/four/changes?{query}&cursor={cursor}")
            assert answer.status_code == (200 if number == mine else 422)
    for path in (
        "three/changes?changed_since=one",
        "four/videos?changed_since=one",
        "four/downloads?changed_since=one",
    ):
        assert api.get(f"{DATASET}/releases/{path}&cursor={cursors[0]}").status_code == 422


def test_what_a_release_changed_is_known_again(api: CheckedClient) -> None:
    url = f"{DATASET}/releases/four/changes?changed_since=one"
    first = api.get(url)
    again = api.get(url, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    other = api.get(f"{url}&change=added", headers={"If-None-Match": first.headers["ETag"]})
    assert other.status_code == 200


def test_latest_leads_to_the_changes_of_the_newest(api: CheckedClient) -> None:
    moved = api.get(f"{DATASET}/releases/latest/changes?changed_since=one")
    assert moved.status_code == 307
    assert moved.location.endswith("/releases/four/changes?changed_since=one")
