"""Who asks: the key in `Authorization: Bearer`, the key behind a signed link, or nobody in particular."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote, unquote_plus

from flask import g, request

from gygo_server.access.api_key import ApiKey
from gygo_server.access.caller import Caller
from gygo_server.access.link import PARAMETER
from gygo_server.access.token import read_token
from gygo_server.api.auditing import LINK, note
from gygo_server.api.services import services
from gygo_server.errors import KeyRefusedError, LinkRefusedError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

View = TypeVar("View", bound=Callable[..., Any])

#: Attribute of views of which links may be made.
LINKABLE = "may_be_linked"

_REFUSED = "there is no such key here"


class LinkedRequests:
    """WSGI middleware that takes the signature of a link out of the query: all else sees the question as it is."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        if PARAMETER in query:
            parts = query.split("&")
            signatures = [part.partition("=")[2] for part in parts if part.partition("=")[0] == PARAMETER]
            if signatures:
                environ[LINK] = unquote_plus(signatures[0]) if len(signatures) == 1 else ""
                environ["QUERY_STRING"] = "&".join(part for part in parts if part.partition("=")[0] != PARAMETER)
        return self._app(environ, start_response)


def linked() -> bool:
    """Whether the current request came by a signed link."""
    return LINK in request.environ


def caller() -> Caller:
    """Who asks the current request.

    Raises:
        KeyRefusedError: with a key that is none, or no longer good.
        LinkRefusedError: by a link that is none, or no longer good.
        StoreError: nothing is known of keys now.
    """
    if "caller" not in g:
        g.caller = _by_link(request.environ[LINK]) if linked() else _by_key(request.headers.get("Authorization"))
        if g.caller.key is not None:
            note(key=g.caller.key)
    return cast(Caller, g.caller)


def _by_key(header: str | None) -> Caller:
    now = datetime.now(UTC)
    if header is None:
        return Caller(None, now)
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer":
        raise KeyRefusedError("send the key as `Authorization: Bearer gygo_…`")
    token = read_token(text.strip())
    if token is None:
        raise KeyRefusedError("this is not a key as they are made here: compare it with the one you were given")
    note(claimed=token.key_id)
    key = services().keys.find(token.key_id)
    if key is None or not key.knows(token.sha256, now):
        raise KeyRefusedError(_REFUSED)
    _refuse_ended(key, now)
    return Caller(key, now)


def _by_link(signature: str) -> Caller:
    now = datetime.now(UTC)
    signer = services().links
    if signer is None or request.method not in {"GET", "HEAD"}:
        raise LinkRefusedError("links are not taken here")
    key_id = signer.read(signature, resource(), now)
    note(claimed=key_id)
    key = services().keys.find(key_id)
    if key is None or key.why_not(now):
        raise LinkRefusedError("the link is no longer good: the key that made it is not")
    return Caller(key, now)


def _refuse_ended(key: ApiKey, now: datetime) -> None:
    why = key.why_not(now)
    if why is not None:
        raise KeyRefusedError(why)


def may_be_linked(view: View) -> View:
    """Mark a view of which links may be made: of one thing, with nothing in it that a key would be needed for."""
    setattr(view, LINKABLE, True)
    return view


def resource() -> str:
    """What the current request asks for: its path, encoded in one way, and its query, as it came."""
    path, query = quote(request.path, safe="/:"), request.query_string.decode("latin-1")
    return f"{path}?{query}" if query else path
