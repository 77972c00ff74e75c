"""Every link that an answer gives can be followed, from `/` to the last mask."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import urllib3
from checked_client import CheckedClient
from clip_trees import Clip, Tree

from gygo_server.app import create_app_with_settings
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.settings import Settings
from gygo_server.store.bucket import Bucket

PUBLIC = "https://vos.example.org:8443"


@pytest.fixture(scope="module")
def crawled(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> CheckedClient:
    """A service over a bucket of its own, with two datasets and all kinds of videos."""
    root = tmp_path_factory.mktemp("crawled")
    s3 = replace(settings.s3, bucket="gygo-crawled")
    bucket = Bucket(s3)
    bucket.create()
    clips = [
        Clip("batch-1/a b", ((1,), (1, 2), None), "toys", ("blur",), ("train",), resolutions=("480p", "original")),
        Clip("c", (None,), splits=("val",)),
        Clip("d", ((1,),), resolutions=("original",)),
    ]
    Tree(root / "one", clips)
    Tree(root / "two", [*clips, Clip("e", ((3,), (3,)))], seed=5)
    for dataset, release, source in (("x", "r1", "one"), ("x", "r2", "two"), ("y-1.z_", "r1", "one")):
        publish(Publication(root / source, dataset, release, workers=1), bucket, root / "state", Silent())
    changed = replace(settings, s3=s3, cache_dir=root / "cache")
    return CheckedClient(create_app_with_settings(changed))


def urls_in(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        for each in document:
            yield from urls_in(each)
    elif isinstance(document, str) and re.match(r"https?://|/", document):
        yield document


def crawl(api: CheckedClient, base: str, start: str) -> dict[str, int]:
    """Every URL reachable from ``start``, with its status; those of the store are fetched from there."""
    todo, seen = [start], {}
    while todo:
        url = todo.pop()
        if url in seen:
            continue
        if not url.startswith(f"{base}/"):
            assert "X-Amz-Signature" in url, f"{url} leads elsewhere"
            seen[url] = urllib3.request("GET", url).status
            continue
        answer = api.get(url.removeprefix(base))
        seen[url] = answer.status_code
        if answer.mimetype == "application/json" and not url.endswith("/openapi.json"):
            found = list(urls_in(answer.json))
            assert all(urlsplit(each).scheme for each in found), "links are absolute"
            todo += found
        todo += re.findall(r"<([^>]+)>; rel=", answer.headers.get("Link", ""))
        if answer.location:
            todo.append(urljoin(url, answer.location))
    return seen


@pytest.mark.parametrize(
    "start", ["/", "/v1/datasets?limit=1", "/v1/datasets/x/releases/r2/videos?limit=1&include=archive_url"]
)
def test_everything_reachable_is_there(crawled: CheckedClient, start: str) -> None:
    seen = crawl(crawled, "http://localhost", f"http://localhost{start}")
    assert {url: status for url, status in seen.items() if status not in {200, 307}} == {}
    for kind in ("/image", "/mask", "/frames", "/archive"):
        assert any(kind in url for url in seen)
    assert any("X-Amz-Signature" in url for url in seen)


def test_a_crawl_from_the_root_comes_to_every_kind_of_path(crawled: CheckedClient) -> None:
    seen = crawl(crawled, "http://localhost", "http://localhost/")
    reached = set()
    for url in seen:
        if url.startswith("http://localhost"):
            parts = urlsplit(url)
            rule, _ = crawled.application.url_map.bind("localhost").match(
                parts.path.replace("%20", " "), return_rule=True
            )
            reached.add(rule.endpoint)
    endpoints = {rule.endpoint for rule in crawled.application.url_map.iter_rules()}
    # No link leads to what is asked for with a question in the request's body.
    asked_in_bodies = {"clips.get_clips", "downloads.list_chosen_downloads", "signed_links.create_link"}
    assert endpoints - reached == asked_in_bodies | {"health.get_health", "health.get_readiness"}


def test_links_are_those_of_the_address_that_was_asked(crawled: CheckedClient) -> None:
    for base in ("http://localhost", "https://else.example:444"):
        answer = crawled.get("/v1/datasets/x/releases/r1/videos?limit=1", base_url=base)
        assert all(url.startswith(f"{base}/") for url in urls_in(answer.json))
        assert answer.headers["Link"].startswith(f"<{base}/")


@pytest.mark.parametrize("setting", [PUBLIC, f"{PUBLIC}/"])
def test_with_a_public_url_all_links_begin_with_it(
    settings: Settings, crawled: CheckedClient, tmp_path: Path, setting: str
) -> None:
    s3 = replace(settings.s3, bucket="gygo-crawled")
    changed = replace(settings, s3=s3, cache_dir=tmp_path / "cache", public_url=setting)
    api = CheckedClient(create_app_with_settings(changed))
    seen = crawl(api, PUBLIC, f"{PUBLIC}/")
    assert len(seen) > 30
    assert set(seen.values()) == {200, 307}
    for path in ("/v1/datasets/x/releases/latest/videos", "/v1/datasets/x/releases/latest"):
        assert api.get(path, headers={"Host": "evil.example"}).location.startswith(f"{PUBLIC}/v1/")
