"""Every endpoint, asked about every release by every caller, over real HTTP.

Which endpoints there are comes from the service's own routes and description: a new one is asked here as well, and
fails if nobody says with what.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from guarded_releases import CALLERS, COMMON, DATASETS, RELEASES, Asked, Guard, access, leaks, own_video

from gygo_server.api.documentation import specification
from gygo_server.app import create_app_with_settings
from gygo_server.settings import Settings

NOT_THERE = "zz-never-published"

#: What stands for a parameter of a path, of all there are.
PATH = {"video": COMMON.replace("/", ":"), "index": "1", "split": "train"}

DOCUMENT = json.loads(json.dumps(specification(create_app_with_settings(Settings.from_env({"GYGO_BUCKET": "any"})))))


class Question(NamedTuple):
    """A request that any release could be asked."""

    method: str
    path: str
    query: str
    body: dict[str, Any] | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}?{self.query}"

    def at(self, dataset: str, release: str) -> str:
        values = {**PATH, "dataset": dataset, "release": release}
        path = re.sub(r"\{(\w+)\}", lambda match: quote(values[match[1]], safe=":"), self.path)
        return f"{path}?{self.query}" if self.query else path


def questions() -> Iterator[Question]:
    """Every operation below ``/v1``, with each value of each parameter that has a list of them."""
    for path, operations in DOCUMENT["paths"].items():
        if not path.startswith("/v1/"):
            continue
        for method, operation in operations.items():
            if method not in {"get", "post", "put", "patch", "delete"}:
                continue
            body = _body(operation)
            yield Question(method.upper(), path, "", body)
            for parameter in map(_resolved, operation["parameters"]):
                if parameter["in"] == "query":
                    for value in _resolved(parameter["schema"]).get("enum", []):
                        yield Question(method.upper(), path, urlencode({parameter["name"]: value}), body)


def _resolved(part: dict[str, Any]) -> dict[str, Any]:
    """What a part of the document stands for."""
    while "$ref" in part:
        _, kind, name = part["$ref"].removeprefix("#/").split("/")
        part = DOCUMENT["components"][kind][name]
    return part


def _body(operation: dict[str, Any]) -> dict[str, Any] | None:
    """A body that any release answers, of the fields that must be there."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return _made(content["schema"]) if content else None


def _made(schema: dict[str, Any]) -> Any:
    schema = _resolved(schema)
    return {name: _value(name, schema["properties"][name]) for name in schema.get("required", [])}


def _value(name: str, schema: dict[str, Any]) -> Any:
    schema = _resolved(schema)
    known = {"video": COMMON, "url": f"videos/{PATH['video']}/frames/1/image", "start": 0, "length": 2}
    if name in known:
        return known[name]
    if schema.get("type") == "array":
        return [_made(schema["items"])]
    raise AssertionError(f"say what a body's {name} is here")


QUESTIONS = list(questions())
ABOUT_A_RELEASE = [each for each in QUESTIONS if "{release}" in each.path]
ABOUT_DATASETS = [each for each in QUESTIONS if "{release}" not in each.path]


def ask(guard: Guard, caller: str, question: Question, dataset: str, release: str) -> Asked:
    return guard.send(question.method, question.at(dataset, release), guard.guarded.headers(caller), question.body)


def test_every_route_of_the_api_is_asked() -> None:
    app = create_app_with_settings(Settings.from_env({"GYGO_BUCKET": "any"}))
    routes = {
        (method, re.sub(r"<(?:[^<>:]+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/v1")
    }
    assert routes == {(each.method, each.path) for each in QUESTIONS}


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("question", ABOUT_A_RELEASE, ids=str)
def test_a_release_is_for_those_who_may_see_it_and_does_not_exist_for_others(
    guard: Guard, question: Question, caller: str, dataset: str
) -> None:
    for release in RELEASES:
        asked = ask(guard, caller, question, dataset, release)
        may = access(caller, dataset, release)
        where = f"{question} of {dataset}:{release} as {caller}: {asked.status} {asked.text[:200]}"
        if may == "nothing":
            assert (asked.status, asked.kind) in {(404, "release-not-found"), (404, "dataset-not-found")}, where
        elif question.path.endswith("/links") and caller == "nobody":
            assert (asked.status, asked.kind) == (401, "key-refused"), where
        elif may == "read":
            assert asked.status in {200, 307} or (asked.status, asked.kind) == (403, "scope-missing"), where
            assert not holds_archive_bytes(asked), where
        else:
            assert asked.status in {200, 307}, where
        if asked.status in {200, 307} and access("nobody", dataset, release) != "all":
            assert "private" in asked.cache_control, where
        assert not leaks(asked, caller, dataset, {release}), where


def holds_archive_bytes(asked: Asked) -> bool:
    return "X-Amz-Signature" in asked.text + asked.headers or "application/x-tar" in asked.headers


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("question", ABOUT_A_RELEASE, ids=str)
def test_what_may_not_be_seen_answers_as_what_is_not_there(guard: Guard, question: Question, caller: str) -> None:
    for dataset in DATASETS:
        missing = ask(guard, caller, question, dataset, NOT_THERE)
        for release in RELEASES:
            if access(caller, dataset, release) == "nothing":
                assert alike(ask(guard, caller, question, dataset, release), release) == alike(missing, NOT_THERE)


def alike(asked: Asked, release: str) -> tuple[int, str, str]:
    """An answer without what differs from request to request."""
    text = re.sub(r'"request_id":"\w+"', "", asked.text).replace(release, "RELEASE")
    names = re.sub(r": .*", "", asked.headers)
    return asked.status, text, names


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("question", ABOUT_DATASETS, ids=str)
def test_lists_name_what_one_may_see_and_nothing_else(guard: Guard, question: Question, caller: str) -> None:
    for dataset in DATASETS:
        asked = ask(guard, caller, question, dataset, "")
        sees_any = dataset == "xx-shown" or any(access(caller, dataset, each) != "nothing" for each in RELEASES)
        if "{dataset}" in question.path and not sees_any:
            assert (asked.status, asked.kind) == (404, "dataset-not-found")
            continue
        assert asked.status in {200, 307}
        if "{dataset}" in question.path:
            visible = {each for each in RELEASES if access(caller, dataset, each) != "nothing"}
            told = {each for each in RELEASES if each in asked.text}
            assert told == visible
            assert not leaks(asked, caller, dataset)
        else:
            for other in DATASETS:
                seen = other == "xx-shown" or any(access(caller, other, each) != "nothing" for each in RELEASES)
                assert (other in asked.text) == seen


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(
    "question",
    [each for each in ABOUT_A_RELEASE if not each.query and each.method == "GET"],
    ids=str,
)
def test_latest_is_the_latest_one_may_see(guard: Guard, question: Question, caller: str) -> None:
    for dataset in DATASETS:
        asked = ask(guard, caller, question, dataset, "latest")
        visible = [each for each in RELEASES if access(caller, dataset, each) != "nothing"]
        if not visible:
            assert asked.status == 404
        else:
            assert asked.status == 307
            assert f"/releases/{visible[-1]}" in asked.headers
        assert not leaks(asked, caller, dataset)


def comparable() -> list[Question]:
    """Those that take ``changed_since``."""
    return [
        question
        for question in ABOUT_A_RELEASE
        if not question.query
        and any(
            each["name"] == "changed_since"
            for each in map(_resolved, DOCUMENT["paths"][question.path][question.method.lower()]["parameters"])
        )
    ]


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("question", comparable(), ids=str)
def test_nothing_is_compared_with_what_may_not_be_seen(guard: Guard, question: Question, caller: str) -> None:
    dataset = "xx-shown"
    order = list(RELEASES)
    for earlier, release in itertools.combinations(order, 2):
        if access(caller, dataset, release) != "all":
            continue
        asked = ask(guard, caller, question._replace(query=f"changed_since={earlier}"), dataset, release)
        if access(caller, dataset, earlier) == "nothing":
            missing = ask(guard, caller, question._replace(query=f"changed_since={NOT_THERE}"), dataset, release)
            assert asked.status == 404
            assert alike(asked, earlier)[:2] == alike(missing, NOT_THERE)[:2]
        else:
            assert asked.status == 200


@pytest.mark.parametrize("caller", CALLERS)
def test_a_release_is_compared_with_the_one_before_that_one_may_see(guard: Guard, caller: str) -> None:
    for dataset, release in itertools.product(DATASETS, RELEASES):
        if access(caller, dataset, release) == "nothing":
            continue
        path = f"/v1/datasets/{dataset}/releases/{release}"
        visible = [each for each in RELEASES if access(caller, dataset, each) != "nothing"]
        before = visible[: visible.index(release)]
        changes = json.loads(guard.send("GET", path, guard.guarded.headers(caller)).text)["changes"]
        assert (changes or {}).get("since") == (before[-1] if before else None)
        if before:
            listed = json.loads(guard.send("GET", f"{path}/changes", guard.guarded.headers(caller)).text)
            assert listed["total"] == sum(changes[kind] for kind in ("added", "changed", "removed"))
            assert own_video(release) in {item["id"] for item in listed["items"] if item["change"] == "added"}
            assert own_video(before[-1]) in {item["id"] for item in listed["items"] if item["change"] == "removed"}


def test_an_answer_kept_by_one_caller_says_nothing_to_another(guard: Guard) -> None:
    """The entity tag of an answer that somebody may see is no way in for those who may not."""
    path = "/v1/datasets/xx-hidden/releases/zz-secret/videos"
    seen = guard.send("GET", path, guard.guarded.headers("partner"))
    etag = re.search(r"(?im)^etag: (.*)$", seen.headers)
    assert etag
    again = guard.send("GET", path, {**guard.guarded.headers("partner"), "If-None-Match": etag[1]})
    assert again.status == 304
    for tag in (etag[1], "*"):
        assert guard.send("GET", path, {"If-None-Match": tag}).status == 404
        assert guard.send("GET", path, {**guard.guarded.headers("member"), "If-None-Match": tag}).status == 404


def test_a_cursor_from_a_release_that_one_may_not_see_opens_nothing(guard: Guard) -> None:
    page = guard.send(
        "GET", "/v1/datasets/xx-hidden/releases/zz-secret/videos?limit=1", guard.guarded.headers("partner")
    )
    following = json.loads(page.text)["next"].partition(guard.service.url)[2]
    assert guard.send("GET", following, guard.guarded.headers("partner")).status == 200
    assert guard.send("GET", following, {}).status == 404


@pytest.mark.parametrize("caller", CALLERS)
def test_pages_of_changes_say_nothing_of_releases_in_between(guard: Guard, caller: str) -> None:
    """A video that is gone went in some release, which the caller may not see: neither order nor cursors tell."""
    path = "/v1/datasets/xx-shown/releases/zz-ripe/changes?changed_since=zz-open&limit=1"
    listed, told = [], guard.send("GET", path, guard.guarded.headers(caller))
    while True:
        page = json.loads(told.text)
        listed += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        told = guard.send("GET", page["next"].partition(guard.service.url)[2], guard.guarded.headers(caller))
        state = base64.urlsafe_b64decode(parse_qs(urlsplit(page["next"]).query)["cursor"][0] + "==")
        _, number, gone = json.loads(state)
        assert (number, gone) == (0, listed[-1]) if gone else isinstance(number, int)
    assert [each for each in listed if each == own_video("zz-open")] == [own_video("zz-open")]
    assert {own_video(each) for each in ("zz-members", "zz-coming", "zz-secret")}.isdisjoint(listed)


def test_the_guarded_bucket_is_whole(guard: Guard) -> None:
    """The tests above would also pass over nothing: everything is there for who may see everything."""
    for dataset, release in itertools.product(DATASETS, RELEASES):
        path = f"/v1/datasets/{dataset}/releases/{release}/videos"
        found = json.loads(guard.send("GET", path, guard.guarded.headers("operator")).text)
        assert {item["name"] for item in found["items"]} == {COMMON, own_video(release)}
