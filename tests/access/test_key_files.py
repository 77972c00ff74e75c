"""A key's object in the bucket: what is written is read, and what is spoilt is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gygo_server.access import key_file
from gygo_server.access.api_key import Action, ApiKey, Scope, Secret
from gygo_server.errors import CorruptObjectError

slugs = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True)
times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001
    lambda time: time.replace(microsecond=0, tzinfo=UTC)
)
actions = st.frozensets(st.sampled_from(Action), min_size=1)
scopes = st.builds(Scope, slugs, st.none() | slugs, actions) | st.builds(Scope, st.just("*"), st.none(), actions)
api_keys = st.builds(
    ApiKey,
    id=st.from_regex(r"[a-z0-9]{10}", fullmatch=True),
    owner=st.text(st.characters(codec="utf-8"), min_size=1, max_size=100),
    secrets=st.lists(st.builds(Secret, st.from_regex(r"[0-9a-f]{64}", fullmatch=True), st.none() | times)).map(tuple),
    scopes=st.lists(scopes).map(tuple),
    created_at=times,
    expires_at=st.none() | times,
    revoked_at=st.none() | times,
    rate=st.none() | st.just("60/minute"),
    quota_bytes=st.none() | st.integers(0, 2**62),
)


@given(api_keys)
def test_what_is_written_is_read(key: ApiKey) -> None:
    assert key_file.decode(key_file.encode(key), key.id) == key


@given(scopes)
def test_a_scope_is_read_as_it_is_written(scope: Scope) -> None:
    assert Scope.parse(str(scope)) == scope


@pytest.mark.parametrize(
    "text",
    ["", "=read", "a=write", "a=read,", "A=read", "a/b", "a:b:c=read", "*:r1=read", "a:=read", "a =read", "a=READ"],
)
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no scope such as"):
        Scope.parse(text)


GOOD: dict[str, Any] = json.loads(
    key_file.encode(ApiKey("abc0123xyz", "Someone", (Secret("0" * 64, None),), (), datetime(2026, 1, 1, tzinfo=UTC)))
)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"id": "another-id"},
        {"secrets": [{"sha256": "0" * 63, "expires_at": None}]},
        {"secrets": None},
        {"scopes": ["a=everything"]},
        {"scopes": "a=read"},
        {"expires_at": "soon"},
        {"expires_at": "9999-12-31T23:59:59-01:00"},
        {"created_at": "0001-01-01T00:00:00+01:00"},
        {"revoked_at": 5},
        {"quota_bytes": -1},
        {"quota_bytes": "many"},
        {"owner": ""},
        {"rate": "fast"},
        {"rate": 60},
    ],
)
def test_a_spoilt_key_is_refused(change: dict[str, Any]) -> None:
    assert key_file.decode(json.dumps(GOOD).encode(), "abc0123xyz")
    with pytest.raises(CorruptObjectError, match="abc0123xyz"):
        key_file.decode(json.dumps(GOOD | change).encode(), "abc0123xyz")


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_key_without_a_field_is_refused(name: str) -> None:
    with pytest.raises(CorruptObjectError):
        key_file.decode(json.dumps({each: GOOD[each] for each in GOOD if each != name}).encode(), "abc0123xyz")


@given(st.binary(max_size=200))
def test_what_is_no_key_is_refused(content: bytes) -> None:
    with pytest.raises(CorruptObjectError):
        key_file.decode(content, "abc0123xyz")


def test_a_revoked_key_is_refused_whatever_the_clock_of_who_revoked_it_said() -> None:
    ahead = datetime(2100, 1, 1, tzinfo=UTC)
    key = ApiKey("abc0123xyz", "Someone", (), (), datetime(2026, 1, 1, tzinfo=UTC), revoked_at=ahead)
    assert key.why_not(datetime(2026, 6, 1, tzinfo=UTC))
