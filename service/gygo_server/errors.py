"""The only tree of exceptions, but for those of the disk cache, which is the client's (`gygo.errors`).

GygoError
├── SettingsError            the service or a command cannot start with these settings
├── StoreError               the bucket, as `store` translates it from botocore
│   ├── ObjectNotFoundError
│   ├── PreconditionFailedError   somebody else wrote first
│   ├── StoreUnavailableError     no answer, or an answer that says "later"
│   │   └── StoreSilentError      no answer at all
│   ├── StoreRefusedError         wrong credentials, no such bucket
│   └── CorruptObjectError        the bytes are not those that were published
├── NotFoundError            no such dataset, release, video, frame … (404)
├── WithdrawnError           the release was published and taken back (410)
├── ReleaseComingError       this replica does not have the release yet, but will (503)
├── InvalidQuestionError     a field of a request is wrong (422)
├── KeyRefusedError          the API key is none, or no longer good (401)
├── LinkRefusedError         the signed link is none, or no longer good (403)
├── ScopeMissingError        the API key may see the release, but not do this with it (403)
├── LimitError               the caller has taken what they may for now (429)
│   ├── RateLimitedError
│   └── QuotaExceededError
├── KeyChangeError           an API key cannot be changed so
├── HookChangeError          a webhook cannot be made or changed so
├── HookTargetError          nothing may be sent to a webhook's URL
└── PublicationError         ingest, withdraw or verify stopped, and why
    ├── FaultySourceError    the source has faults; nothing was published
    └── AlreadyPublishedError
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gygo_server.model import Finding, Severity


class GygoError(Exception):
    """Everything this service raises on purpose. Its text may be shown to users."""


class SettingsError(GygoError):
    """A setting is missing or wrong."""


class StoreError(GygoError):
    """The bucket did not do what was asked."""


class ObjectNotFoundError(StoreError):
    """No object has this key."""


class PreconditionFailedError(StoreError):
    """A conditional write met an object that is not the one expected."""


class StoreUnavailableError(StoreError):
    """The store gave no answer, or one that says to come back later."""


class StoreSilentError(StoreUnavailableError):
    """The store cannot be reached, or says nothing in the time it has."""


class StoreRefusedError(StoreError):
    """The store does not accept our credentials, or has no such bucket."""


class CorruptObjectError(StoreError):
    """An object's bytes do not have the hash they were published with."""


class NotFoundError(GygoError):
    """What was asked for does not exist. ``kind`` is the word of the model: dataset, release, video, …

    ``field`` names the query parameter at fault where it is not the path.
    """

    def __init__(self, kind: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.field = field


class WithdrawnError(GygoError):
    """The release was published once and has been withdrawn."""


class FieldError(NamedTuple):
    """One thing wrong with a request: ``location`` is query, path, headers or json."""

    location: str
    field: str
    message: str


class ReleaseComingError(GygoError):
    """The release's catalogue is still being fetched."""


class InvalidQuestionError(GygoError):
    """Fields of a request that cannot be answered as they are."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field or 'the question'}: {error.message}" for error in errors))
        self.errors = tuple(errors)


class KeyRefusedError(GygoError):
    """The API key that came with a request is none, or no longer good."""


class LinkRefusedError(GygoError):
    """The signed link by which a request came is none, or no longer good."""


class ScopeMissingError(GygoError):
    """The caller may see a release, but not do this with it."""


class LimitError(GygoError):
    """The caller has taken what they may for now; there is room again in ``retry_after`` seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimitedError(LimitError):
    """Too much in too short a time."""


class QuotaExceededError(LimitError):
    """More bytes than there are left of the day's."""


class KeyChangeError(GygoError):
    """A key cannot be made or changed so."""


class HookChangeError(GygoError):
    """A webhook cannot be made or changed so."""


class HookTargetError(GygoError):
    """A webhook's URL is none, or leads to where nothing may be sent."""


class PublicationError(GygoError):
    """A publication, a verification or a withdrawal that stopped."""


class FaultySourceError(PublicationError):
    """The source has faults, all of them listed; nothing was published."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        faults = sum(finding.severity is Severity.FAULT for finding in findings)
        super().__init__(f"{faults} fault(s) in the source: nothing was published")
        self.findings = tuple(findings)


class AlreadyPublishedError(PublicationError):
    """The release exists, with other content."""
