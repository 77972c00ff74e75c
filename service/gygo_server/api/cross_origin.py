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
    "Accept-Ranges, Content-Range, ETag, Link, RateLimit, RateLimit-Policy, Repr-Digest, Retry-After, X-Request-Id, "
    "X-Url-Expires-At"
)
#: Request headers that scripts may send, beside the few that they always may.
ALLOWED = "Authorization, Content-Type, If-Match, If-None-Match, If-Range, Range, X-Request-Id"

PREFLIGHT_SECONDS = 86400


class CrossOrigin:
    """WSGI middleware that says which origins may read the answer: ``origins``, or any if ``*`` is among them."""

    def __init__(self, app: WSGIApplication, origins: tuple[str, ...]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exception: Any) -> Any:
            headers.extend(self._headers(environ))
            return start_response(status, headers, *exception)

        return self._app(environ, start)

    def _headers(self, environ: WSGIEnvironment) -> list[tuple[str, str]]:
        headers = []
        if ANY in self._origins:
            headers += [("Access-Control-Allow-Origin", ANY), ("Access-Control-Expose-Headers", EXPOSED)]
        else:
            headers.append(("Vary", "Origin"))
            if environ.get("HTTP_ORIGIN") not in self._origins:
                return headers
            headers.append(("Access-Control-Allow-Origin", environ["HTTP_ORIGIN"]))
            headers.append(("Access-Control-Expose-Headers", EXPOSED))
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            headers += [
                ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS, POST"),
                ("Access-Control-Allow-Headers", ALLOWED),
                ("Access-Control-Max-Age", str(PREFLIGHT_SECONDS)),
            ]
        return headers
