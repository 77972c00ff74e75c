"""Headers that tell browsers what an answer is not: a page of somebody else's, a script, a thing to be framed.

Around Flask for what does not change, as `cross_origin.py` is, so that every answer has them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Pages load what this service serves, and nothing stands in them that could be injected. Swagger UI's style sheet has
#: pictures in `data:`.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: Bytes as somebody published them, whatever a browser takes them for.
BYTES_POLICY = "default-src 'none'; sandbox"
#: All else is read by programs.
POLICY = "default-src 'none'; frame-ancestors 'none'"

#: A year, in seconds.
HSTS_SECONDS = 31_536_000


class SecurityHeaders:
    """WSGI middleware. ``https``: the service is reached by https, and by nothing else from then on."""

    def __init__(self, app: WSGIApplication, *, https: bool) -> None:
        self._app = app
        self._always = [("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")]
        if https:
            self._always.append(("Strict-Transport-Security", f"max-age={HSTS_SECONDS}"))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exception: Any) -> Any:
            content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
            headers.extend(self._always)
            headers.extend(_of_type(content_type))
            return start_response(status, headers, *exception)

        return self._app(environ, start)


@cache  # the types are ours: a client has no say in them
def _of_type(content_type: str) -> list[tuple[str, str]]:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "text/html":
        return [("Content-Security-Policy", PAGE_POLICY), ("X-Frame-Options", "DENY")]
    published = media_type.startswith("image/") or media_type == "application/x-tar"
    return [("Content-Security-Policy", BYTES_POLICY if published else POLICY)]
