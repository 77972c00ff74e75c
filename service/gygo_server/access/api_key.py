"""An API key: whose it is, what it may see, how much it may take, how long."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Self

from gygo_server.model import SLUG, time_text

ANY = "*"

_SCOPE = re.compile(rf"(?P<dataset>\*|{SLUG.pattern})(?::(?P<release>{SLUG.pattern}))?(?:=(?P<actions>[a-z,]+))?")


class Action(StrEnum):
    """What a key may do with a release. ``read``: all but ``download``, which is archives, clips and signed URLs."""

    READ = "read"
    DOWNLOAD = "download"


class Scope(NamedTuple):
    """What a key may do where: in one release (None: all) of one dataset (``*``: all)."""

    dataset: str
    release: str | None
    actions: frozenset[Action]

    @classmethod
    def parse(cls, text: str) -> Self:
        """The scope that ``<dataset>[:<release>][=read,download]`` says; without actions, both.

        Raises:
            ValueError: it says none.
        """
        match = _SCOPE.fullmatch(text)
        known = {each.value for each in Action}
        named = set((match["actions"] or "read,download").split(",")) if match else set()
        if match is None or not named <= known or (match["dataset"] == ANY and match["release"]):
            raise ValueError(f"{text!r} is no scope such as gygo=read,download or gygo:part-1=read or '*=read'")
        return cls(match["dataset"], match["release"], frozenset(map(Action, named)))

    def __str__(self) -> str:
        where = self.dataset if self.release is None else f"{self.dataset}:{self.release}"
        return f"{where}={','.join(each for each in Action if each in self.actions)}"

    def in_dataset(self, dataset: str) -> bool:
        """Whether it says anything of this dataset."""
        return self.dataset in {ANY, dataset}

    def covers(self, dataset: str, release: str) -> bool:
        """Whether it says anything of this release."""
        return self.in_dataset(dataset) and self.release in {None, release}


class Secret(NamedTuple):
    """The SHA-256 of one of a key's secrets, and until when that is good; None: as long as the key."""

    sha256: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the bucket keeps it. ``rate`` and ``quota_bytes`` None: as the service's settings say."""

    id: str
    owner: str
    secrets: tuple[Secret, ...]
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rate: str | None = None
    quota_bytes: int | None = None

    def knows(self, sha256: str, at: datetime) -> bool:
        """Whether this is the hash of one of its secrets, good at this time. Takes as long whatever the hash."""
        equal = [hmac.compare_digest(each.sha256, sha256) for each in self.secrets]
        return any(
            same and (each.expires_at is None or at < each.expires_at)
            for each, same in zip(self.secrets, equal, strict=True)
        )

    def why_not(self, at: datetime) -> str | None:
        """Why it is not good at this time; None when it is."""
        if self.revoked_at is not None:  # whatever the clock of who revoked it said
            return f"the key was revoked at {time_text(self.revoked_at)}"
        if self.expires_at is not None and at >= self.expires_at:
            return f"the key expired at {time_text(self.expires_at)}"
        return None
