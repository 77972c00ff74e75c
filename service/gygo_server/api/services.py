"""What the routes of one application work with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

from flask import current_app, request
from werkzeug.exceptions import BadRequest

from gygo_server.access.key_ring import KeyRing
from gygo_server.access.link import LinkSigner
from gygo_server.api.answers import AnswerCache
from gygo_server.library import Library
from gygo_server.limits.counters import Counters
from gygo_server.settings import Settings
from gygo_server.store.archives import ArchiveReader
from gygo_server.store.bucket import Bucket
from gygo_server.store.signed_urls import SignedUrls

EXTENSION = "gygo"

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?)(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Services:
    """Made once an application, in ``app.py``. ``probe`` is the bucket with less patience, to ask if it is there;
    ``links`` is None when no secret is set to sign them with."""

    settings: Settings
    bucket: Bucket
    probe: Bucket
    library: Library
    archives: ArchiveReader
    answers: AnswerCache
    signed_urls: SignedUrls
    keys: KeyRing
    links: LinkSigner | None
    counters: Counters


def services() -> Services:
    """Those of the application that answers the current request."""
    return cast(Services, current_app.extensions[EXTENSION])


def base_url() -> str:
    """This service as the user reaches it, without a slash at the end."""
    public_url = services().settings.public_url
    if public_url:
        return public_url.rstrip("/")
    # The header as it came: werkzeug decodes it, and what it decodes may not be fit for a URL or a header.
    host = request.environ.get("HTTP_HOST", "")
    if not _HOST.fullmatch(host):
        raise BadRequest("the Host header does not name a host")
    return f"{request.scheme}://{host}"
