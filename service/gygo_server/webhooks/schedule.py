"""What a webhook is to be told, and when: events found, attempts counted, given up and begun again. No I/O.

The times of the attempts are those that Standard Webhooks recommends (standardwebhooks.com, "Deliverability and
reliability"): at once and then nine times within some three days.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from gygo_server.errors import HookChangeError
from gygo_server.model import Dataset
from gygo_server.webhooks.hook import Event, EventType, Hook, Subject
from gygo_server.webhooks.posting import GONE, Answer

#: How long to wait after the first failure, the second, …; after one more it is given up.
WAITS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)

#: A wait is longer by up to this part of it, by chance, so that many that failed together do not come back together.
JITTER = 0.1

#: A receiver that asks for more time than this (``Retry-After``) gets this.
LONGEST_WAIT = timedelta(days=1)

#: Who begins an attempt has the event to himself for this long: more than an attempt can take. Killed in the middle,
#: it is sent again after that.
LEASE = timedelta(seconds=60)

_random = secrets.SystemRandom()


def known_now(seen: Iterable[Dataset]) -> frozenset[Subject]:
    """The releases that somebody who sees these datasets knows."""
    return frozenset(
        Subject(dataset.id, entry.id) for dataset in seen for entry in dataset.releases if entry.withdrawn_at is None
    )


def noticed(hook: Hook, seen: Iterable[Dataset], at: datetime) -> Hook:
    """The hook with an event for all that it sees in these datasets and was not told of.

    A release that was withdrawn is told as such to whoever may know of it, and no longer as published.
    """
    had = {(event.type, event.subject): event for event in hook.events}
    found, moot = [], set()
    for subject, withdrawn in _subjects(hook, seen):
        published = had.get((EventType.PUBLISHED, subject))
        is_known = subject in hook.known or (published is not None and published.may_be_known)
        if withdrawn and published is not None and published.delivered_at is None:
            moot.add(published.id)
        if withdrawn and is_known and (EventType.WITHDRAWN, subject) not in had:
            found.append(_new_event(hook, EventType.WITHDRAWN, subject, at))
        if not withdrawn and published is None and subject not in hook.known:
            found.append(_new_event(hook, EventType.PUBLISHED, subject, at))
    if not found and not moot:
        return hook
    return replace(hook, events=(*(event for event in hook.events if event.id not in moot), *found))


def due(hook: Hook, seen: Iterable[Dataset], at: datetime) -> Event | None:
    """What is to be sent to the hook now: of all that is due, what has waited longest.

    What it was to be told of a release that it may not see any more waits until it may again.
    """
    if hook.disabled:
        return None
    visible = {subject for subject, _ in _subjects(hook, seen)}
    waiting = [
        (event.next_at, event)
        for event in hook.events
        if event.next_at is not None and event.next_at <= at and event.subject in visible
    ]
    return min(waiting, key=lambda each: each[0])[1] if waiting else None


def begun(event: Event, at: datetime) -> Event:
    """The event with one attempt more, which is under way."""
    return replace(event, attempts=event.attempts + 1, next_at=at + LEASE)


def ended(hook: Hook, event: Event, answer: Answer, at: datetime) -> Hook:
    """The hook after an attempt: delivered, to be tried again, or given up; gone receivers are disabled."""
    if answer.is_success:
        return hook.with_event(replace(event, next_at=None, delivered_at=at, failed_at=None, answer=answer.text))
    if event.attempts > len(WAITS):
        after = replace(event, next_at=None, failed_at=at, answer=answer.text)
    else:
        after = replace(event, next_at=at + _wait(event.attempts, answer), answer=answer.text)
    changed = hook.with_event(after)
    return replace(changed, disabled="its receiver answered 410 Gone") if answer.status == GONE else changed


def revived(hook: Hook, event_id: str | None, at: datetime) -> Hook:
    """The hook with its dead letters (or the one with this id) due again, with all attempts before them.

    Raises:
        HookChangeError: no dead letter has this id.
    """
    chosen = [event for event in hook.dead if event_id in {None, event.id}]
    if event_id is not None and not chosen:
        raise HookChangeError(f"webhook {hook.id} has no dead letter {event_id!r}; see `gygo-server webhooks failed`")
    for event in chosen:
        hook = hook.with_event(replace(event, attempts=0, next_at=at, failed_at=None))
    return hook


def hurried(hook: Hook, at: datetime) -> Hook:
    """The hook with all that is pending due now."""
    return replace(
        hook, events=tuple(replace(event, next_at=at) if event.is_pending else event for event in hook.events)
    )


def _subjects(hook: Hook, seen: Iterable[Dataset]) -> Iterator[tuple[Subject, bool]]:
    """The releases that the hook is for, and whether they are withdrawn."""
    for dataset in seen:
        if not hook.datasets or dataset.id in hook.datasets:
            for entry in dataset.releases:
                yield Subject(dataset.id, entry.id), entry.withdrawn_at is not None


def _new_event(hook: Hook, kind: EventType, subject: Subject, at: datetime) -> Event:
    # Made of what it is about, so that two who find the same at the same time make the same event.
    digest = hashlib.sha256(f"{hook.id} {kind} {subject}".encode()).hexdigest()
    return Event(f"msg_{digest[:24]}", kind, subject, created_at=at, next_at=at)


def _wait(attempts: int, answer: Answer) -> timedelta:
    usual = WAITS[max(attempts, 1) - 1] * _random.uniform(1, 1 + JITTER)
    # Compared as numbers: not every number of seconds is a timedelta.
    asked = min(answer.retry_after or 0, LONGEST_WAIT.total_seconds())
    return max(usual, timedelta(seconds=asked))
