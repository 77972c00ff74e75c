"""A request id in and out, and a log line for each request."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Iterable
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from flask import request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADER = "X-Request-Id"
ENVIRON = "gygo.request_id"

_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")

log = structlog.get_logger()


def configure_logging(level: str) -> None:
    """JSON lines on standard error, from ``level`` up."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )


class RequestLog:
    """WSGI middleware, around all of Flask: cheaper than Flask's hooks, which shows on the way to a cached frame.

    Gives every request an id, its caller's if it is a sensible one, sends it back, and logs the answer.
    """

    def __init__(self, app: WSGIApplication, *, log_requests: bool) -> None:
        self._app = app
        self._log_requests = log_requests

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _ID.fullmatch(given) else token_hex(16)
        environ[ENVIRON] = request_id
        began = time.perf_counter()

        def start(status: str, headers: list[tuple[str, str]], *exception: Any) -> Any:
            if self._log_requests:
                log.info(
                    "request",
                    request_id=request_id,
                    method=environ["REQUEST_METHOD"],
                    path=environ["PATH_INFO"],
                    status=int(status[:3]),
                    bytes=next((int(value) for name, value in headers if name == "Content-Length"), None),
                    ms=round((time.perf_counter() - began) * 1000, 2),
                )
            headers.append((HEADER, request_id))
            return start_response(status, headers, *exception)

        return self._app(environ, start)


def current_request_id() -> str | None:
    """The id of the current request."""
    found: str | None = request.environ.get(ENVIRON)
    return found
