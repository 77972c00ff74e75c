"""Who may see what, by what a dataset and a release say, and what the bucket keeps of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gygo_server.access.api_key import Action, ApiKey, Scope
from gygo_server.access.caller import Caller
from gygo_server.errors import CorruptObjectError
from gygo_server.model import PUBLIC, Audience, Dataset, ReleaseEntry, Visibility
from gygo_server.store import dataset_file

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001
    lambda time: time.replace(microsecond=0, tzinfo=UTC)
)
visibilities = st.sampled_from([Audience.PUBLIC, Audience.REGISTERED, Audience.PRIVATE]).map(Visibility) | times.map(
    lambda until: Visibility(Audience.EMBARGOED, until)
)


@given(visibilities)
def test_a_visibility_is_read_as_it_is_written(visibility: Visibility) -> None:
    assert Visibility.parse(str(visibility)) == visibility


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("embargoed until 2026-12-01", "2026-12-01T00:00:00Z"),
        ("embargoed until 2026-12-01T09:00:00Z", "2026-12-01T09:00:00Z"),
        ("embargoed until 2026-12-01T09:00:00+02:00", "2026-12-01T07:00:00Z"),
    ],
)
def test_an_embargo_ends_at_a_time_in_utc(text: str, until: str) -> None:
    assert str(Visibility.parse(text)) == f"embargoed until {until}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Public",
        "secret",
        "embargoed",
        "embargoed until",
        "embargoed until tomorrow",
        "embargoed until 0001-01-01T00:00:00+01:00",
        "public until 2026-12-01",
    ],
)
def test_what_is_no_visibility_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="2026-12-01"):
        Visibility.parse(text)


def key(*scopes: str) -> ApiKey:
    return ApiKey("abc0123xyz", "Someone", (), tuple(map(Scope.parse, scopes)), NOW)


def entry(visibility: Visibility, release: str = "r1") -> ReleaseEntry:
    return ReleaseEntry(release, "2026-01-01T00:00:00Z", "0" * 64, 1, visibility)


def test_an_embargo_ends_to_the_second() -> None:
    dataset = Dataset("d", "D", releases=(entry(Visibility(Audience.EMBARGOED, NOW)),))
    before = Caller(None, NOW - timedelta(seconds=1)).view(dataset)
    after = Caller(None, NOW).view(dataset)
    assert before is not None
    assert before.releases == ()
    assert before.latest is None
    assert after is not None
    assert after.releases == dataset.releases


@given(visibilities, visibilities, st.lists(st.sampled_from(["d", "d:r1=read", "d:r2", "e", "*=read"]), max_size=2))
def test_a_key_never_takes_anything_away(of_dataset: Visibility, of_release: Visibility, scopes: list[str]) -> None:
    dataset = Dataset("d", "D", visibility=of_dataset, releases=(entry(of_release),))
    anybody, somebody = Caller(None, NOW), Caller(key(*scopes), NOW)
    assert anybody.actions(dataset, dataset.releases[0]) <= somebody.actions(dataset, dataset.releases[0])
    seen = somebody.view(dataset)
    assert bool(somebody.actions(dataset, dataset.releases[0])) == (seen is not None and seen.releases != ())
    if anybody.view(dataset) is not None:
        assert seen is not None


def test_scopes_of_a_release_and_of_its_dataset_add_up() -> None:
    dataset = Dataset("d", "D", visibility=Visibility(Audience.PRIVATE), releases=(entry(PUBLIC), entry(PUBLIC, "r2")))
    caller = Caller(key("d=read", "d:r2=download"), NOW)
    assert caller.actions(dataset, dataset.releases[0]) == {Action.READ}
    assert caller.actions(dataset, dataset.releases[1]) == {Action.READ, Action.DOWNLOAD}


# dataset.json


@given(visibilities, visibilities)
def test_the_bucket_keeps_who_may_see_what(of_dataset: Visibility, of_release: Visibility) -> None:
    dataset = Dataset("d", "D", visibility=of_dataset, releases=(entry(of_release),))
    assert dataset_file.decode(dataset_file.encode(dataset), "d") == dataset


def test_readers_that_show_everything_refuse_what_not_everybody_may_see() -> None:
    """Software from before there were visibilities reads format 1 alone."""
    formats = {
        str(visibility): json.loads(dataset_file.encode(Dataset("d", "D", releases=(entry(visibility),))))["format"]
        for visibility in (PUBLIC, Visibility(Audience.PRIVATE), Visibility(Audience.REGISTERED))
    }
    assert formats == {"public": 1, "private": 2, "registered": 2}
    assert json.loads(dataset_file.encode(Dataset("d", "D", visibility=Visibility(Audience.PRIVATE))))["format"] == 2


def test_a_file_from_before_is_public() -> None:
    document = json.loads(dataset_file.encode(Dataset("d", "D", releases=(entry(PUBLIC),))))
    del document["visibility"]
    assert dataset_file.decode(json.dumps(document).encode(), "d").visibility == PUBLIC


def test_a_visibility_that_is_not_understood_shows_nothing() -> None:
    document = json.loads(dataset_file.encode(Dataset("d", "D")))
    for spoilt in ("publik", None, 5, "embargoed"):
        with pytest.raises(CorruptObjectError):
            dataset_file.decode(json.dumps(document | {"visibility": spoilt}).encode(), "d")
