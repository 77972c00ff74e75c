"""Every route, each with a conversation of its own here, and what holds for all of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from checked_client import PROBLEM, UNDOCUMENTED, CheckedClient

from gygo_server.api.cross_origin import ALLOWED, EXPOSED

R1 = "/v1/datasets/multi/releases/r1"
VIDEO = f"{R1}/videos/VIDEO"

#: Endpoint → a path that it answers with 200 (307 for archives). VIDEO stands for the first video of `multi`.
PATHS = {
    "index": "/",
    "openapi": "/openapi.json",
    "swagger_ui.show": "/docs/",
    "health.get_health": "/healthz",
    "health.get_readiness": "/readyz",
    "datasets.list_datasets": "/v1/datasets",
    "datasets.get_dataset": "/v1/datasets/multi",
    "releases.get_release": R1,
    "releases.get_imageset": f"{R1}/imagesets/train.txt",
    "videos.list_videos": f"{R1}/videos",
    "videos.get_video": VIDEO,
    "videos.get_archive": f"{VIDEO}/archive",
    "frames.list_frames": f"{VIDEO}/frames",
    "frames.get_frame": f"{VIDEO}/frames/0",
    "frames.get_image": f"{VIDEO}/frames/0/image",
    "frames.get_mask": f"{VIDEO}/frames/0/mask",
    "clips.get_clip": f"{VIDEO}/clip",
    "samples.get_sample": f"{R1}/sample",
    "changes.list_changes": f"{R1}/changes",
    "downloads.list_downloads": f"{R1}/downloads",
}
#: Endpoints that take a question in a request's body; their own tests hold conversations with them.
POSTED = {
    "clips.get_clips": f"{R1}/clips",
    "downloads.list_chosen_downloads": f"{R1}/downloads",
    "signed_links.create_link": f"{R1}/links",
}
#: What may be asked in both ways.
ALSO_POSTED = {path for path in POSTED.values() if path in PATHS.values()}
#: Their answers hold signed URLs: to be kept by nobody.
SIGNED = {"videos.get_archive", "downloads.list_downloads"}
MIMETYPES = {
    "downloads.list_downloads": "application/x-ndjson",
    "clips.get_clip": "application/x-tar",
    "frames.get_image": "image/jpeg",
    "frames.get_mask": "image/png",
    "releases.get_imageset": "text/plain",
}
IN_A_RELEASE = sorted(name for name, path in PATHS.items() if path.startswith(R1))
ENTITY_TAGGED = sorted(PATHS.keys() - {"health.get_health", "health.get_readiness"} - SIGNED)

every_route = pytest.mark.parametrize("endpoint", sorted(PATHS))


@pytest.fixture(scope="module")
def path_of(api: CheckedClient) -> dict[str, str]:
    video = api.get(f"{R1}/videos?limit=1").json["items"][0]["id"]
    return {endpoint: path.replace("VIDEO", video) for endpoint, path in PATHS.items()}


def test_every_route_is_in_the_table(api: CheckedClient) -> None:
    assert {rule.endpoint for rule in api.application.url_map.iter_rules()} == set(PATHS) | set(POSTED)


def test_every_route_but_the_description_is_described(api: CheckedClient) -> None:
    described = {
        operation["summary"]
        for path in api.get("/openapi.json").json["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    }
    assert len(described) == len(PATHS) + len(POSTED) - len(UNDOCUMENTED)


@pytest.mark.parametrize("path", sorted(set(POSTED.values()) - ALSO_POSTED))
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_what_is_only_posted_takes_no_other_method(api: CheckedClient, path: str, method: str) -> None:
    answer = api.open(path, method=method, json={})
    assert answer.status_code == 405
    assert set(answer.allow) == set(api.options(path).allow) == {"POST", "OPTIONS"}
    assert answer.mimetype == PROBLEM


@pytest.mark.parametrize("path", POSTED.values())
def test_pages_of_other_origins_may_post(api: CheckedClient, path: str) -> None:
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, range, if-range",
    }
    answer = api.options(path, headers=asked)
    assert answer.status_code == 200
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "content-type" in answer.headers["Access-Control-Allow-Headers"].lower()


@every_route
def test_get_answers(api: CheckedClient, path_of: dict[str, str], endpoint: str) -> None:
    answer = api.get(path_of[endpoint])
    assert answer.status_code == (307 if endpoint == "videos.get_archive" else 200)
    if endpoint not in {"swagger_ui.show", "videos.get_archive"}:
        assert answer.mimetype == MIMETYPES.get(endpoint, "application/json")
        assert answer.data
        assert "Cache-Control" in answer.headers


@every_route
def test_head_answers_with_the_headers_of_get_and_no_body(
    api: CheckedClient, path_of: dict[str, str], endpoint: str
) -> None:
    got, head = api.get(path_of[endpoint]), api.head(path_of[endpoint])
    assert (head.status_code, head.data) == (got.status_code, b"")
    differ = {"X-Request-Id", "Location", "Date"} | ({"Content-Length"} if endpoint == "videos.get_archive" else set())
    assert headers_but(head, differ) == headers_but(got, differ)


@every_route
def test_options_names_the_methods(api: CheckedClient, path_of: dict[str, str], endpoint: str) -> None:
    answer = api.options(path_of[endpoint])
    assert answer.status_code == 200
    assert set(answer.allow) == allowed(path_of[endpoint])


def allowed(path: str) -> set[str]:
    return {"GET", "HEAD", "OPTIONS"} | ({"POST"} if path in ALSO_POSTED else set())


@every_route
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_other_methods_are_a_405_that_names_those_there_are(
    api: CheckedClient, path_of: dict[str, str], endpoint: str, method: str
) -> None:
    answer = api.open(path_of[endpoint], method=method, data=b"{}")
    if method in allowed(path_of[endpoint]):
        assert answer.status_code == 415
        return
    assert answer.status_code == 405
    assert set(answer.allow) == allowed(path_of[endpoint])
    assert answer.mimetype == PROBLEM
    assert method in answer.json["detail"]


@pytest.mark.parametrize("endpoint", sorted(PATHS.keys() - {"swagger_ui.show"}))
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_unknown_parameters_are_a_422_that_names_them(
    api: CheckedClient, path_of: dict[str, str], endpoint: str, method: str
) -> None:
    answer = api.open(f"{path_of[endpoint]}?colour=red&size=1", method=method)
    assert answer.status_code == 422
    if method == "GET":
        assert {(error["location"], error["field"]) for error in answer.json["errors"]} == {
            ("query", "colour"),
            ("query", "size"),
        }


@pytest.mark.parametrize("endpoint", IN_A_RELEASE)
def test_a_dataset_or_release_that_is_not_there_is_named(
    api: CheckedClient, path_of: dict[str, str], endpoint: str
) -> None:
    for there, missing, kind in (("/multi/", "/nowhere/", "dataset"), ("/r1", "/r9", "release")):
        answer = api.get(path_of[endpoint].replace(there, missing, 1))
        assert answer.status_code == 404
        assert answer.json["type"] == f"urn:gygo:problem:{kind}-not-found"
        assert missing.strip("/") in answer.json["detail"]


@pytest.mark.parametrize("endpoint", [name for name in IN_A_RELEASE if "VIDEO" in PATHS[name]])
def test_a_video_that_is_not_there_is_named(api: CheckedClient, path_of: dict[str, str], endpoint: str) -> None:
    answer = api.get(PATHS[endpoint].replace("VIDEO", "no-such-thing"))
    assert answer.status_code == 404
    assert answer.json["type"] == "urn:gygo:problem:video-not-found"
    assert "no-such-thing" in answer.json["detail"]


@pytest.mark.parametrize("endpoint", ["frames.get_frame", "frames.get_image", "frames.get_mask"])
def test_a_frame_that_is_not_there_is_named_with_those_there_are(
    api: CheckedClient, path_of: dict[str, str], endpoint: str
) -> None:
    total = api.get(path_of["frames.list_frames"]).json["total"]
    answer = api.get(path_of[endpoint].replace("/frames/0", f"/frames/{total}"))
    assert answer.status_code == 404
    assert answer.json["type"] == "urn:gygo:problem:frame-not-found"
    assert f"0 to {total - 1}" in answer.json["detail"]


def test_a_split_that_is_not_there_is_named_with_those_there_are(api: CheckedClient) -> None:
    answer = api.get(f"{R1}/imagesets/nope.txt")
    assert answer.status_code == 404
    assert answer.json["type"] == "urn:gygo:problem:split-not-found"
    assert "train, val" in answer.json["detail"]


@pytest.mark.parametrize("path", ["/v2", "/v1", "/v1/nothing", "/favicon.ico", "/docs/nothing.js", f"{R1}/videos/a/b"])
def test_paths_that_are_no_route_are_a_404_problem(api: CheckedClient, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.mimetype) == (404, PROBLEM)
    assert answer.json["instance"] == path


@pytest.mark.parametrize("endpoint", ENTITY_TAGGED)
def test_a_known_answer_is_a_304_with_its_tag_and_cache_control(
    api: CheckedClient, path_of: dict[str, str], endpoint: str
) -> None:
    first = api.get(path_of[endpoint])
    tag = first.headers["ETag"]
    for method in ("GET", "HEAD"):
        again = api.open(path_of[endpoint], method=method, headers={"If-None-Match": tag})
        assert again.status_code == 304
        assert again.headers["ETag"] == tag
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
        assert "Content-Type" not in again.headers or not again.data
    assert api.get(path_of[endpoint], headers={"If-None-Match": '"another"'}).status_code == 200


@every_route
def test_caching_is_stated(api: CheckedClient, path_of: dict[str, str], endpoint: str) -> None:
    stated = api.get(path_of[endpoint]).headers["Cache-Control"]
    if endpoint in SIGNED:
        assert stated == "private, no-store"
    elif endpoint.startswith("health"):
        assert stated == "no-store"
    elif endpoint in IN_A_RELEASE:
        assert stated == "public, max-age=31536000, immutable"
    else:
        assert "no-cache" in stated


# Across origins


@every_route
def test_any_page_may_read_answers(api: CheckedClient, path_of: dict[str, str], endpoint: str) -> None:
    answer = api.get(path_of[endpoint], headers={"Origin": "https://shop.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Expose-Headers"] == EXPOSED
    assert "Access-Control-Allow-Credentials" not in answer.headers


@every_route
def test_preflights_allow_what_the_service_understands(
    api: CheckedClient, path_of: dict[str, str], endpoint: str
) -> None:
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "range, if-none-match",
    }
    answer = api.options(path_of[endpoint], headers=asked)
    assert answer.status_code == 200
    assert "GET" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == ALLOWED
    assert {"range", "if-none-match", "if-range"} <= {name.strip() for name in ALLOWED.lower().split(",")}
    assert int(answer.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize("path", ["/nowhere", f"{R1}/videos?limit=x", "/v1/datasets/nope"])
def test_errors_may_be_read_by_pages_too(api: CheckedClient, path: str) -> None:
    answer = api.get(path, headers={"Origin": "https://shop.example"})
    assert answer.status_code >= 400
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_only_the_origins_of_the_settings_may_read_answers(api_with: Any) -> None:
    only = api_with(cors_origins=("https://a.example", "https://b.example"))
    for origin, allowed in (("https://b.example", True), ("https://b.example.evil", False), ("null", False)):
        answer = only.get("/healthz", headers={"Origin": origin})
        assert (answer.headers.get("Access-Control-Allow-Origin") == origin) is allowed
        assert "Origin" in ", ".join(answer.headers.getlist("Vary"))
        preflight = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        assert ("Access-Control-Allow-Methods" in only.options("/healthz", headers=preflight).headers) is allowed
    assert "Access-Control-Allow-Origin" not in only.get("/healthz").headers


# Request ids


@pytest.mark.parametrize("given", ["a", "job-7:clip.3_x", "0" * 64])
def test_a_sensible_request_id_comes_back(api: CheckedClient, given: str) -> None:
    assert api.get("/healthz", headers={"X-Request-Id": given}).headers.getlist("X-Request-Id") == [given]
    assert api.get("/nowhere", headers={"X-Request-Id": given}).json["request_id"] == given


@pytest.mark.parametrize(
    "given", ["", " ", "0" * 65, "a b", "<script>", "a;b", "a,b", 'a"b', "ä", "a\tb", "../../x", "{}", "%0d%0aX: y"]
)
def test_a_hostile_request_id_is_replaced(api: CheckedClient, given: str) -> None:
    (replaced,) = api.get("/healthz", headers={"X-Request-Id": given}).headers.getlist("X-Request-Id")
    assert re.fullmatch(r"[0-9a-f]{32}", replaced)


def test_each_request_without_an_id_gets_its_own(api: CheckedClient) -> None:
    assert len({api.get("/healthz").headers["X-Request-Id"] for _ in range(20)}) == 20


def headers_but(answer: Any, without: set[str]) -> dict[str, list[str]]:
    return {name: answer.headers.getlist(name) for name in answer.headers.keys() if name not in without}  # noqa: SIM118
