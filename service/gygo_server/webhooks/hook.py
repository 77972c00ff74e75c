"""A webhook: whose URL is told of releases, how messages to it are signed, and what it was told. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class EventType(StrEnum):
    """What messages are about; the ``type`` of a message."""

    PUBLISHED = "release.published"
    WITHDRAWN = "release.withdrawn"
    PING = "ping"


class Subject(NamedTuple):
    """The release that an event is about."""

    dataset: str
    release: str

    def __str__(self) -> str:
        return f"{self.dataset}/{self.release}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a receiver is to be told of a release, and how far that is.

    ``id`` is the same at each attempt (the header ``webhook-id``), so that a receiver can drop what it has.
    ``attempts`` are those begun; ``next_at`` is when it is due, None when it is not to be sent (any more); ``answer``
    is what came of the last attempt.
    """

    id: str
    type: EventType
    subject: Subject
    created_at: datetime
    attempts: int = 0
    next_at: datetime | None = None
    delivered_at: datetime | None = None
    failed_at: datetime | None = None
    answer: str | None = None

    @property
    def is_pending(self) -> bool:
        return self.next_at is not None

    @property
    def is_dead(self) -> bool:
        """Whether it was given up."""
        return self.failed_at is not None

    @property
    def may_be_known(self) -> bool:
        """Whether the receiver may have heard it: also an attempt that failed may have reached it."""
        return self.attempts > 0 or self.answer is not None


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """What messages are signed with (``whsec_…``), and until when that is so; None: as long as the webhook."""

    text: str = field(repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as the bucket keeps it.

    ``key_id`` is the API key on whose behalf it is told (None: what is public), ``datasets`` those it is for (none:
    all that the key may see). ``known`` are the releases that it knew when it was added, and is not told of.
    ``disabled`` says why it is; None: it is not.
    """

    id: str
    url: str
    secrets: tuple[SigningSecret, ...]
    created_at: datetime
    description: str | None = None
    key_id: str | None = None
    datasets: tuple[str, ...] = ()
    disabled: str | None = None
    known: frozenset[Subject] = frozenset()
    events: tuple[Event, ...] = ()

    @property
    def pending(self) -> list[Event]:
        return [event for event in self.events if event.is_pending]

    @property
    def dead(self) -> list[Event]:
        """The dead letters: what was given up, until it is sent again by hand."""
        return [event for event in self.events if event.is_dead]

    def good_secrets(self, at: datetime) -> list[str]:
        """Those to sign with at this time, the newest first."""
        return [each.text for each in self.secrets if each.expires_at is None or at < each.expires_at]

    def event(self, event_id: str) -> Event | None:
        return next((event for event in self.events if event.id == event_id), None)

    def with_event(self, changed: Event) -> Hook:
        """The hook with this in place of the event that has its id."""
        return replace(self, events=tuple(changed if each.id == changed.id else each for each in self.events))
