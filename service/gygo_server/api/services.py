"""What the routes of one application work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app, request

from gygo_server.api.answers import AnswerCache
from gygo_server.library import Library
from gygo_server.settings import Settings
from gygo_server.store.archives import ArchiveReader
from gygo_server.store.bucket import Bucket

EXTENSION = "gygo"


@dataclass(frozen=True, slots=True)
class Services:
    """Made once an application, in ``app.py``. ``probe`` is the bucket with less patience, to ask whether it is there."""

    settings: Settings
    bucket: Bucket
    probe: Bucket
    library: Library
    archives: ArchiveReader
    answers: AnswerCache


def services() -> Services:
    """Those of the application that answers the current request."""
    return cast(Services, current_app.extensions[EXTENSION])


def base_url() -> str:
    """This service as the user reaches it, without a slash at the end."""
    return (services().settings.public_url or request.host_url).rstrip("/")
