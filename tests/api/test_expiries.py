"""``expires_in`` on every path that gives signed URLs, each of which says until when they are good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask.testing import FlaskClient

RELEASE = "/v1/datasets/multi/releases/r1"


def signed_for(url: str) -> int:
    return int(dict(parse_qsl(urlsplit(url).query))["X-Amz-Expires"])


def is_in(expires_at: str, seconds: int) -> bool:
    """Whether a time is so far away, or up to a quarter more."""
    left = datetime.fromisoformat(expires_at) - datetime.now(UTC)
    return timedelta(seconds=seconds - 5) <= left <= timedelta(seconds=seconds * 1.25)


@pytest.fixture(scope="module")
def video(client: FlaskClient) -> str:
    found: str = client.get(f"{RELEASE}/videos?limit=1").get_json()["items"][0]["id"]
    return found


def test_an_archive_s_redirect_takes_and_says_it(client: FlaskClient, video: str) -> None:
    answer = client.get(f"{RELEASE}/videos/{video}/archive?expires_in=100")
    assert (answer.status_code, signed_for(answer.headers["Location"])) == (307, 125)
    assert is_in(answer.headers["X-Url-Expires-At"], 100)
    usual = client.get(f"{RELEASE}/videos/{video}/archive")
    assert is_in(usual.headers["X-Url-Expires-At"], 3600)


def test_a_list_s_urls_take_and_say_it(client: FlaskClient) -> None:
    items = client.get(f"{RELEASE}/videos?include=archive_url&expires_in=200").get_json()["items"]
    assert {signed_for(each["archive_url"]) for each in items} == {250}
    (ends,) = {each["archive_url_expires_at"] for each in items}
    assert is_in(ends, 200)


def test_clips_urls_take_and_say_it(client: FlaskClient, video: str) -> None:
    body = {"clips": [{"video": video, "start": 0, "length": 1}]}
    (clip,) = client.post(f"{RELEASE}/clips?delivery=urls&expires_in=400", json=body).get_json()["items"]
    assert signed_for(clip["url"]) == 500
    assert is_in(clip["expires_at"], 400)


@pytest.mark.parametrize("form", ["ndjson", "metalink", "uri-list", "curl"])
def test_every_list_of_downloads_says_it_in_a_header(client: FlaskClient, form: str) -> None:
    answer = client.get(f"{RELEASE}/downloads?format={form}&expires_in=100")
    assert is_in(answer.headers["X-Url-Expires-At"], 100)


@pytest.mark.parametrize("wrong", ["0", "-1", "604801", "soon"])
@pytest.mark.parametrize("path", ["videos", "downloads", "archive"])
def test_what_is_no_time_is_refused_by_name(client: FlaskClient, video: str, path: str, wrong: str) -> None:
    path = f"videos/{video}/archive" if path == "archive" else path
    answer = client.get(f"{RELEASE}/{path}?expires_in={wrong}")
    assert answer.status_code == 422
    assert [each["field"] for each in answer.get_json()["errors"]] == ["expires_in"]
