"""CORS (the Fetch standard's HTTP part): pages of other origins may read answers.

Around Flask and not inside it as Flask-CORS is: that costs a seventh of a cached frame. There is nothing to decide but
the origin, since the service knows no cookies and every path has the same methods and headers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ANY = "*"

#: Answer headers that scripts may read, beside the few that they always may.
EXPOSED = (
    "Accept-Ranges, Content-Range, Deprecation, ETag, Link, RateLimit, RateLimit-Policy, Repr-Digest, Retry-After, "
    "Sunset, X-Request-Id, "
    "X-Url-Expires-At"
)
#: Request headers that scripts may send, beside the few that they always may.
ALLOWED = "Authorization, Content-Type, If-Match, If-None-Match, If-Range, Range, X-Request-Id"

PREFLIGHT_SECONDS = 86400

_VARY = [("Vary", "Origin")]
_TO_ANY = [
    ("Access-Control-Allow-Origin", ANY),
    ("Access-Control-Expose-Headers", EXPOSED),
    # Pages that isolate themselves (COEP) may show pictures, too.
    ("Cross-Origin-Resource-Policy", "cross-origin"),
]
_PREFLIGHT = [
    ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS, POST"),
    ("Access-Control-Allow-Headers", ALLOWED),
    ("Access-Control-Max-Age", str(PREFLIGHT_SECONDS)),
]


class CrossOrigin:
    """WSGI middleware that says which origins may read the answer: ``origins``, or any if ``*`` is among them."""

    def __init__(self, app: WSGIApplication, origins: tuple[str, ...]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers = self._headers(environ)
        if headers is not _VARY and _is_preflight(environ):
            # Of any path, also one that leads nowhere: the page's own request is then told so, and can read it.
            start_response("200 OK", [("Content-Length", "0"), *headers, *_PREFLIGHT])
            return []

        def start(status: str, of_answer: list[tuple[str, str]], *exception: Any) -> Any:
            of_answer.extend(headers)
            return start_response(status, of_answer, *exception)

        return self._app(environ, start)

    def _headers(self, environ: WSGIEnvironment) -> list[tuple[str, str]]:
        if ANY in self._origins:
            return _TO_ANY
        origin = environ.get("HTTP_ORIGIN")
        if origin not in self._origins:
            return _VARY
        return [*_VARY, ("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", EXPOSED)]


def _is_preflight(environ: WSGIEnvironment) -> bool:
    return environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
