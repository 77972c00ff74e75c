"""A request id in and out, and a log line for each request."""

from __future__ import annotations

import logging
import re
import sys
import time
from uuid import uuid4

import orjson
import structlog
from flask import Flask, Response, g, request

HEADER = "X-Request-Id"

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


def register(app: Flask, *, log_requests: bool) -> None:
    """Give every request an id, its caller's if it is a sensible one, and log every answer."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get(HEADER, "")
        g.request_id = given if _ID.fullmatch(given) else uuid4().hex
        g.began = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        response.headers[HEADER] = g.request_id
        if log_requests:
            log.info(
                "request",
                request_id=g.request_id,
                method=request.method,
                path=request.path,
                status=response.status_code,
                bytes=response.content_length,
                ms=round((time.perf_counter() - g.began) * 1000, 2),
            )
        return response
