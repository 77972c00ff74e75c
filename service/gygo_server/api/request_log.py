"""A request id in and out, and a log line for each request."""

from __future__ import annotations

import json
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

from gygo_server.audit.line import shorten_keys

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADER = "X-Request-Id"
ENVIRON = "gygo.request_id"

_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")

#: What gives access, in a header or a URL that an exception or a path may quote: it is followed by the secret.
_SECRET = re.compile(
    rb"""((?:Bearer|Basic)(?:\s|%20|\+)+(?=[\w+/.~=-]{16})
       |(?:X-Amz-(?:Signature|Credential|Security-Token)|Signature|Policy|link)(?:=|%3D)
       |(?:token|api[_-]?key|secret_?access_?key)["'\\]{0,3}(?:=|%3D|:)[\s"'\\]{0,4})
       [^\s&;,"'\\<>)}]+""",
    re.IGNORECASE | re.VERBOSE,
)
#: What orjson leaves as it is: DEL, C1 controls, line and paragraph separator, in UTF-8.
_CONTROLS = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")
_PROCESSORS: tuple[structlog.typing.Processor, ...] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)

log = structlog.get_logger()


def configure_logging(level: str) -> None:
    """JSON lines on standard error, from ``level`` up; of the libraries, what they warn of."""
    # botocore and urllib3 log signed requests below this.
    logging.basicConfig(handlers=[json_handler()], level=logging.WARNING, force=True)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *_PROCESSORS, _RENDER],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )


def _level_of_record(_logger: Any, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event["level"] = event["_record"].levelname.lower()
    return event


def json_handler() -> logging.Handler:
    """A handler of the standard library's logging that writes lines as ours are."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    return handler


class JsonFormatter(structlog.stdlib.ProcessorFormatter):
    """Formats the standard library's records, gunicorn's for example, as JSON lines without secrets."""

    def __init__(self, *_: Any) -> None:
        super().__init__(
            processors=[
                _level_of_record,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_PROCESSORS[1:],
                structlog.processors.JSONRenderer(serializer=lambda event, **_: _line(event).decode()),
            ]
        )


def _line(event: Any, **_: Any) -> bytes:
    """An event as JSON, which escapes what could end the line or steer a terminal, without the secrets in it."""
    try:
        line = orjson.dumps(event, default=repr)
    except TypeError:  # half of a surrogate pair, a key that is no string
        line = json.dumps(event, default=repr, skipkeys=True).encode()
    if not line.isascii() or b"\x7f" in line:
        line = _CONTROLS.sub(lambda match: b"\\u%04x" % ord(match[0].decode()), line)
    # What tells of a request has none of these, which is seen in a tenth of the time.
    if (
        b"=" in line
        or b"%3" in line
        or b"earer" in line
        or b"asic" in line
        or b"oken" in line
        or b"ecret" in line
        or b"api" in line
    ):
        line = _SECRET.sub(rb"\1[redacted]", line)
    return shorten_keys(line)


_RENDER = structlog.processors.JSONRenderer(serializer=_line)


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
