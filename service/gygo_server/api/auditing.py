"""What the audit trail tells of a request: who, what, and how much of it was sent.

Routes note what cannot be seen from outside, above all the URLs that they sign; a middleware writes the lines. URLs are
told of before they are sent, so that none goes out unnoticed; bytes when the request has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from flask import request

from gygo_server.api.client_address import client_address
from gygo_server.api.request_log import ENVIRON as REQUEST_ID
from gygo_server.api.sent_bytes import count_sent
from gygo_server.audit.line import Event
from gygo_server.audit.trail import Trail

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Where a request's environment has the signature of the link by which it came.
LINK = "gygo.link"

#: URLs that one line tells of, at most.
LINE_URLS = 1000

#: Statuses of answers that give nothing because of who asks.
REFUSED = frozenset({401, 403, 429})

#: Where Flask leaves its request.
_REQUEST = "werkzeug.request"

_FACTS = "gygo.audit"
_SIGNED = "signed"


class GivenUrl(Protocol):
    """What a signed URL is of: a video's id, a resolution, and how many bytes are to be had by it."""

    @property
    def id(self) -> str: ...
    @property
    def resolution(self) -> str: ...
    @property
    def bytes(self) -> int: ...


Lot = TypeVar("Lot", bound=Sequence[GivenUrl])


def note(**facts: Any) -> None:
    """Note something of the current request.

    ``key``: the ApiKey behind it; ``claimed``: the id of a key that need not be good; ``resolution``, ``frames`` and
    ``videos`` of what is sent; ``problem``: the code of the one that is answered; ``shows`` and ``expires_at`` of a
    link that was made.
    """
    noted = request.environ.get(_FACTS)
    if noted is not None:
        noted.update(facts)


def note_urls(urls: Iterable[GivenUrl], expires_at: str) -> None:
    """Note URLs that the answer to the current request will hold."""
    noted = request.environ.get(_FACTS)
    if noted is not None:
        _sign(noted, urls, expires_at)


def noting_urls(lots: Iterable[Lot], expires_at: str) -> Iterable[Lot]:
    """The same lots, each noted as it is taken: for lists that are signed while they are sent."""
    noted = request.environ.get(_FACTS)
    return lots if noted is None else _noting(noted, lots, expires_at)


def _noting(noted: dict[str, Any], lots: Iterable[Lot], expires_at: str) -> Iterator[Lot]:
    for lot in lots:
        _sign(noted, lot, expires_at)
        yield lot


def _sign(noted: dict[str, Any], urls: Iterable[GivenUrl], expires_at: str) -> None:
    signed = noted.setdefault(_SIGNED, [])
    if not signed or signed[-1][0] != expires_at:
        signed.append((expires_at, []))
    signed[-1][1].extend([{"id": each.id, "resolution": each.resolution, "bytes": each.bytes} for each in urls])


class AuditedRequests:
    """WSGI middleware that writes the trail's lines. ``anonymous``: of requests without a key too."""

    def __init__(self, app: WSGIApplication, trail: Trail, *, anonymous: bool) -> None:
        self._app = app
        self._trail = trail
        self._anonymous = anonymous

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        noted: dict[str, Any] = {}
        environ[_FACTS] = noted
        told: _Told | None = None
        size: int | None = None

        def start(status: str, headers: list[tuple[str, str]], *exception: Any) -> Any:
            nonlocal told, size
            if self._concerns(environ, noted, int(status[:3])):
                # Here and not later: Flask forgets its request when the answer has begun.
                told = _Told(self._trail, noted, _common(environ, noted, int(status[:3])))
                size = next((int(value) for name, value in headers if name == "Content-Length"), None)
            return start_response(status, headers, *exception)

        body = self._app(environ, start)  # Flask begins its answer before it returns
        if told is None:
            return body
        if told.status in REFUSED:
            told.refused()
            return body
        told.signed()
        return count_sent(body, environ, size, told.ended, told.signed)

    def _concerns(self, environ: WSGIEnvironment, noted: dict[str, Any], status: int) -> bool:
        """Whether the answer is one that gives something, or refuses somebody."""
        # What answers before Flask, as a preflight, leaves no request of Flask's.
        method = environ["REQUEST_METHOD"]
        redirects = status == 307 and _SIGNED in noted
        # HEAD gives something where its Location is good for GET too.
        if method == "OPTIONS" or (method == "HEAD" and not redirects) or _REQUEST not in environ:
            return False
        if not (self._anonymous or "claimed" in noted or LINK in environ):
            return False
        if status in REFUSED:
            return True
        given = status in {200, 206} or redirects
        return given and bool(environ[_REQUEST].url_rule.rule.startswith("/v1/"))


def _common(environ: WSGIEnvironment, noted: dict[str, Any], status: int) -> dict[str, Any]:
    """What all lines of a request tell."""
    asked, key = environ[_REQUEST], noted.get("key")
    named = asked.view_args or {}
    return {
        "request_id": environ.get(REQUEST_ID),
        "key": noted.get("claimed"),
        "owner": key.owner if key else None,
        "by_link": LINK in environ,
        "address": client_address(),
        "method": asked.method,
        "operation": asked.endpoint.rpartition(".")[2] if asked.endpoint else None,
        "path": asked.path,
        "dataset": named.get("dataset"),
        "release": named.get("release"),
        "video": named.get("video"),
        "status": status,
    }


class _Told:
    """The lines of one request."""

    def __init__(self, trail: Trail, noted: dict[str, Any], common: dict[str, Any]) -> None:
        self._trail = trail
        self._noted = noted
        self._common = common
        self.status: int = common["status"]

    def refused(self) -> None:
        self._trail.write({"event": Event.REFUSED, **self._common, "problem": self._noted.get("problem")})

    def signed(self) -> None:
        """Tell of the URLs that were noted since the last time."""
        for expires_at, videos in self._noted.pop(_SIGNED, ()):
            for first in range(0, len(videos), LINE_URLS):
                lot = videos[first : first + LINE_URLS]
                given = {"urls": len(lot), "bytes_signed": sum(each["bytes"] for each in lot)}
                line = {"event": Event.SIGNED, **self._common, "expires_at": expires_at, **given, "videos": lot}
                self._trail.write(line)

    def ended(self, sent: int, cut: bool) -> None:
        """Tell how many bytes the answer had; ``cut``: before its end."""
        noted, event = self._noted, Event.ANSWER
        if "shows" in noted:
            event = Event.LINK
            more = {"shows": noted["shows"], "expires_at": noted["expires_at"]}
        else:
            more = {name: noted[name] for name in ("resolution", "frames", "videos") if name in noted}
        self._trail.write({"event": event, **self._common, **more, "bytes_sent": sent, "cut": cut})
