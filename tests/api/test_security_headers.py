"""What browsers are told of every answer: by whom it may be read, framed, run or shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from checked_client import CheckedClient

R1 = "/v1/datasets/multi/releases/r1"
ORIGIN = {"Origin": "https://shop.example"}

#: Answers of all kinds: metadata, errors, redirects, lists, pages and their parts.
PATHS = [
    "/",
    "/healthz",
    "/openapi.json",
    "/docs/",
    "/docs/start.js",
    "/docs/swagger-ui.css",
    "/nowhere",
    "/v1/datasets",
    "/v1/datasets?x=1",
    "/v1/datasets/multi/releases/latest",
    f"{R1}/downloads",
    f"{R1}/videos",
]


@pytest.fixture(scope="module")
def paths(api: CheckedClient) -> dict[str, str]:
    """Paths of published bytes, by media type."""
    video = api.get(f"{R1}/videos?limit=1").json["items"][0]["id"]
    frame = f"{R1}/videos/{video}/frames/0"
    return {
        "image/jpeg": f"{frame}/image",
        "image/png": f"{frame}/mask",
        "application/x-tar": f"{R1}/videos/{video}/clip?start=0&length=1",
    }


def directives(policy: str) -> dict[str, list[str]]:
    return {name: values for name, *values in (part.split() for part in policy.split(";"))}


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize("path", PATHS)
def test_no_answer_is_taken_for_what_it_is_not(api: CheckedClient, path: str, method: str) -> None:
    headers = api.open(path, method=method).headers
    assert headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert headers.getlist("Referrer-Policy") == ["no-referrer"]
    (policy,) = headers.getlist("Content-Security-Policy")
    assert directives(policy)["default-src"] == ["'none'"]
    assert "unsafe" not in policy
    assert "Strict-Transport-Security" not in headers


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "application/x-tar"])
@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=0-9"}])
def test_published_bytes_run_nowhere_and_may_be_shown_anywhere(
    api: CheckedClient, paths: dict[str, str], media_type: str, asked: dict[str, str]
) -> None:
    answer = api.get(paths[media_type], headers=asked)
    assert answer.mimetype == media_type
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    again = api.get(paths[media_type], headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert again.headers["X-Content-Type-Options"] == "nosniff"


class _Page(HTMLParser):
    """The scripts, styles and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.loaded: list[str] = []
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        for name, value in attrs:
            if name == "style" or name.startswith("on") or (value or "").lower().startswith("javascript:"):
                self.inline.append(f"{tag} {name}")
            if name in {"src", "href"}:
                self.loaded.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in {"script", "style"} and data.strip():
            self.inline.append(data)


def test_the_page_of_the_documentation_obeys_its_strict_policy(api: CheckedClient) -> None:
    answer = api.get("/docs/")
    policy = directives(answer.headers["Content-Security-Policy"])
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == ["'self'"]
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == ["'none'"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    page = _Page(answer.text)
    assert page.inline == []
    assert any(source.endswith("start.js") for source in page.loaded)
    for source in page.loaded:
        assert source.startswith("/docs/")
        assert api.get(source).status_code == 200
    script = api.get("/docs/start.js")
    assert script.mimetype == "text/javascript"
    assert '"/openapi.json"' in script.text
    assert not re.search(r"https?://|eval\(|new Function", script.text)


def test_https_is_kept_to_where_it_is_the_public_way(api_with: Callable[..., CheckedClient]) -> None:
    for url, told in (("https://data.example", "max-age=31536000"), ("http://data.example", None), (None, None)):
        headers = api_with(public_url=url).get("/healthz").headers
        assert headers.get("Strict-Transport-Security") == told


def preflight(origin: str, method: str = "GET") -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "range"}


@pytest.mark.parametrize("path", [*PATHS, "/v1/datasets/nope/releases/x", "/%00", "*"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_every_path_answers_preflights(api: CheckedClient, path: str, method: str) -> None:
    answer = api.options(path, headers=preflight("https://shop.example", method))
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Range" in answer.headers["Access-Control-Allow-Headers"]
    assert "DELETE" not in answer.headers["Access-Control-Allow-Methods"]


def test_options_that_are_no_preflight_are_answered_by_the_path(api: CheckedClient) -> None:
    assert api.options("/nowhere", headers=ORIGIN).status_code == 404
    assert "GET" in api.options("/healthz", headers=ORIGIN).headers["Allow"]


@pytest.mark.parametrize("origin", ["null", "https://a.example.evil", "http://a.example", "https://A.example", "", "*"])
@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/v1/datasets?x=1", "/docs/"])
def test_other_origins_are_allowed_nothing(api_with: Callable[..., CheckedClient], origin: str, path: str) -> None:
    only = api_with(cors_origins=("https://a.example",))
    for answer in (only.get(path, headers={"Origin": origin}), only.options(path, headers=preflight(origin))):
        assert not [name for name in answer.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118
        assert "Cross-Origin-Resource-Policy" not in answer.headers
        assert "Origin" in answer.headers.getlist("Vary")


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/v1/datasets?x=1", "/docs/"])
def test_the_origin_of_the_settings_is_allowed_on_answers_and_errors(
    api_with: Callable[..., CheckedClient], path: str
) -> None:
    only = api_with(cors_origins=("https://a.example",))
    answer = only.get(path, headers={"Origin": "https://a.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.headers.getlist("Vary")
    assert only.options(path, headers=preflight("https://a.example")).status_code == 200
