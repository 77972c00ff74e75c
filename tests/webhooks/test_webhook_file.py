"""A webhook's object in the bucket: what is written is read again, and what is none is refused without its secrets."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gygo_server.errors import CorruptObjectError
from gygo_server.model import Dataset, ReleaseEntry
from gygo_server.webhooks import hook_file, schedule
from gygo_server.webhooks.hook import Event, EventType, Hook, SigningSecret, Subject
from gygo_server.webhooks.message import release_message, signed_headers
from gygo_server.webhooks.posting import Answer, Sender

times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001
    lambda time: time.replace(microsecond=0, tzinfo=UTC)
)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100)
slugs = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True)
secrets = st.binary(min_size=24, max_size=64).map(lambda key: f"whsec_{base64.b64encode(key).decode()}")
subjects = st.builds(Subject, slugs, slugs)
events = st.builds(
    Event,
    id=st.from_regex(r"msg_[a-z0-9]{1,64}", fullmatch=True),
    type=st.sampled_from(EventType),
    subject=subjects,
    created_at=times,
    attempts=st.integers(0, 99),
    next_at=st.none() | times,
    delivered_at=st.none() | times,
    failed_at=st.none() | times,
    answer=st.none() | texts,
)
hooks = st.builds(
    Hook,
    id=st.from_regex(r"[a-z0-9]{10}", fullmatch=True),
    url=texts,
    secrets=st.lists(st.builds(SigningSecret, secrets, st.none() | times), min_size=1, max_size=3).map(tuple),
    created_at=times,
    description=st.none() | texts,
    key_id=st.none() | texts,
    datasets=st.lists(slugs, max_size=3).map(tuple),
    disabled=st.none() | texts,
    known=st.frozensets(subjects, max_size=5),
    events=st.lists(events, max_size=4).map(tuple),
)

GOOD = Hook(
    "aaaaaaaaaa", "https://example.org/", (SigningSecret("whsec_" + "A" * 32),), datetime(2026, 1, 1, tzinfo=UTC)
)


@given(hooks)
def test_what_is_written_is_read_again(hook: Hook) -> None:
    assert hook_file.decode(hook_file.encode(hook), hook.id) == hook


@given(hooks)
def test_no_secret_is_in_a_repr(hook: Hook) -> None:
    assert not any(secret.text in repr(hook) for secret in hook.secrets)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"id": "bbbbbbbbbb"},
        {"url": ""},
        {"url": None},
        {"secrets": []},
        {"secrets": [{"text": "hunter2-hunter2-hunter2-hunter2", "expires_at": None}]},
        {"secrets": [{"text": "whsec_" + "A" * 33, "expires_at": None}]},
        {"secrets": [{"text": "whsec_" + "A" * 31 + "\n", "expires_at": None}]},
        {"secrets": [{"text": "whsec_" + "A" * 32, "expires_at": "soon"}]},
        {"created_at": None},
        {"datasets": ["../other"]},
        {"known": {"toys": ["Not an id"]}},
        {"known": []},
        {"events": [{"id": "msg_1"}]},
        {"events": "none"},
    ],
)
def test_what_is_none_is_refused_and_no_secret_told(change: dict[str, Any]) -> None:
    document = {**json.loads(hook_file.encode(GOOD)), **change}
    with pytest.raises(CorruptObjectError) as caught:
        hook_file.decode(json.dumps(document).encode(), GOOD.id)
    assert str(caught.value).startswith("_webhooks/aaaaaaaaaa.json: ")
    assert "hunter2" not in str(caught.value)
    assert "AAAA" not in str(caught.value)


offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
#: What may stand where something else is meant; the texts are those that programs trip over.
odd_times = st.sampled_from(["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00Z"])
odd = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.datetimes(timezones=offsets).map(datetime.isoformat)
    | st.sampled_from(["../x", "\0", 2**64 - 1]),
    lambda each: st.lists(each, max_size=2) | st.dictionaries(st.text(st.sampled_from("ab.é"), max_size=3), each),
    max_leaves=4,
)


@st.composite
def spoilt_files(draw: st.DrawFn) -> bytes:
    """A webhook's object, up to three of whose values (also of an event or secret) are something else, or missing."""
    document = json.loads(hook_file.encode(replace(draw(hooks), id=GOOD.id)))
    for _ in range(draw(st.integers(1, 3))):
        lists = (document[name] for name in ("events", "secrets") if isinstance(document.get(name), list))
        inner = [each for found in lists for each in found if isinstance(each, dict) and each]
        place = draw(st.sampled_from([document, *inner]))
        name = draw(st.sampled_from(sorted(place)))
        if draw(st.integers(0, 5)):
            place[name] = draw(odd_times | odd if name.endswith("_at") else odd)
        else:
            del place[name]
    return json.dumps(document).encode()


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300, deadline=None)
@given(spoilt_files(), times)
def test_what_is_spoilt_is_refused_or_can_be_sent_to(content: bytes, at: datetime) -> None:
    try:
        hook = hook_file.decode(content, GOOD.id)
    except CorruptObjectError:
        return
    entries = [ReleaseEntry(each.subject.release, "2026-11-01T09:00:00Z", "0" * 64, 1) for each in hook.events]
    seen = [Dataset(each.subject.dataset, "Toys", releases=tuple(entries)) for each in hook.events]
    noticed = schedule.noticed(hook, seen, at)
    for event in noticed.events:
        begun = schedule.begun(event, at)
        message = release_message(begun, seen[0], entries[0], None)
        assert signed_headers(hook, message, at)["webhook-id"] == event.id
        sent = schedule.ended(noticed.with_event(begun), begun, Answer(500, "500", 0.1, 10**18), at)
        assert hook_file.decode(hook_file.encode(sent), sent.id).id == sent.id
    assert Sender([], lambda _: []).post(hook.url, {}, b"", 1).status is None


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
@pytest.mark.parametrize("name", ["created_at", "next_at", "delivered_at", "failed_at"])
def test_a_time_that_no_clock_shows_is_refused(name: str, time: str) -> None:
    event = Event("msg_1", EventType.PUBLISHED, Subject("toys", "r1"), GOOD.created_at)
    document = json.loads(hook_file.encode(replace(GOOD, events=(event,))))
    document["events"][0][name] = time
    with pytest.raises(CorruptObjectError, match="not a time of the years 1 to 9999"):
        hook_file.decode(json.dumps(document).encode(), GOOD.id)


@pytest.mark.parametrize("header", ["msg_1\r\nX-Evil: 1", "msg_ü", "msg_", "msg_1.2", ""])
def test_an_id_that_could_not_be_a_header_is_refused(header: str) -> None:
    event = Event("msg_1", EventType.PUBLISHED, Subject("toys", "r1"), GOOD.created_at)
    document = json.loads(hook_file.encode(replace(GOOD, events=(event,))))
    document["events"][0]["id"] = header
    with pytest.raises(CorruptObjectError):
        hook_file.decode(json.dumps(document).encode(), GOOD.id)


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(CorruptObjectError):
        hook_file.decode(content, GOOD.id)
