"""Errors, as RFC 9457 ``application/problem+json``: one payload, one table, one handler."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson
import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from gygo_server import errors
from gygo_server.api.auditing import note
from gygo_server.api.request_log import current_request_id

MIMETYPE = "application/problem+json"

#: How every problem's type begins.
URN = "urn:gygo:problem:"

#: Seconds after which a client is told to come back when the store is away.
RETRY_AFTER = 5

log = structlog.get_logger()


class Problem(NamedTuple):
    """A kind of problem: its HTTP status, the stable end of its type, and its title."""

    status: int
    code: str
    title: str


STORE_UNAVAILABLE = Problem(
    503, "store-unavailable", "The object store gives no answer; what is cached is still served"
)
STORED_BYTES_WRONG = Problem(502, "stored-bytes-wrong", "The object store does not hold what was published")
INTERNAL = Problem(500, "internal-error", "Something went wrong here; it has been logged under the request id")

#: What each of our exceptions is over HTTP; the first that fits counts.
TABLE: tuple[tuple[type[errors.GygoError], Problem], ...] = (
    (errors.NotFoundError, Problem(404, "not-found", "There is no such thing")),
    (errors.WithdrawnError, Problem(410, "release-withdrawn", "The release was withdrawn")),
    (errors.ReleaseComingError, Problem(503, "release-coming", "The release is on its way to this replica; come back")),
    (errors.KeyRefusedError, Problem(401, "key-refused", "The API key is not accepted")),
    (errors.LinkRefusedError, Problem(403, "link-refused", "The link is not accepted")),
    (errors.ScopeMissingError, Problem(403, "scope-missing", "The API key does not allow this")),
    (errors.RateLimitedError, Problem(429, "rate-limited", "Too much in too short a time")),
    (errors.QuotaExceededError, Problem(429, "quota-exceeded", "More bytes than are left for today")),
    (errors.InvalidQuestionError, Problem(422, "invalid-request", "The request cannot be answered as it is")),
    (errors.ObjectNotFoundError, STORED_BYTES_WRONG),
    (errors.CorruptObjectError, STORED_BYTES_WRONG),
    (errors.StoreError, STORE_UNAVAILABLE),
)


def register(app: Flask) -> None:
    """Answer every exception of ``app`` with a problem."""
    app.register_error_handler(errors.GygoError, _answer_ours)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_unforeseen)


def answer(problem: Problem, detail: str, found: list[errors.FieldError] | None = None) -> Response:
    """The problem as a response. ``found`` names the fields of the request that are at fault."""
    note(problem=problem.code)
    body: dict[str, Any] = {
        "type": f"{URN}{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "instance": request.path,
        "request_id": current_request_id(),
    }
    if found:
        body["errors"] = [error._asdict() for error in found]
    response = Response(orjson.dumps(body), problem.status, mimetype=MIMETYPE)
    response.headers["Cache-Control"] = "no-store"
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="gygo"'
    if problem.status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


def describe(error: errors.GygoError) -> dict[str, Any]:
    """One of our exceptions as part of another answer: `type`, `title`, `status`, `detail`."""
    problem = _problem_of(error) or INTERNAL
    return {
        "type": f"{URN}{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": str(error),
    }


def _problem_of(error: errors.GygoError) -> Problem | None:
    problem = next((problem for kind, problem in TABLE if isinstance(error, kind)), None)
    if problem is not None and isinstance(error, errors.NotFoundError):
        return problem._replace(code=f"{error.kind}-not-found")
    return problem


def _answer_ours(error: errors.GygoError) -> Response:
    problem = _problem_of(error)
    if problem is None:
        return _answer_unforeseen(error)
    found: list[errors.FieldError] = []
    if isinstance(error, errors.NotFoundError):
        found = [errors.FieldError("query", error.field, str(error))] if error.field else []
    elif isinstance(error, errors.InvalidQuestionError):
        found = list(error.errors)
    elif isinstance(error, errors.KeyRefusedError):
        found = [errors.FieldError("headers", "Authorization", str(error))]
    elif isinstance(error, errors.LinkRefusedError):
        found = [errors.FieldError("query", "link", str(error))]
    elif problem.status >= 500:
        log.error("request failed", problem=problem.code, reason=str(error), request_id=current_request_id())
    response = answer(problem, str(error), found)
    if isinstance(error, errors.LimitError):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _answer_http(error: HTTPException) -> Response:
    status = error.code or 500
    # Not http.HTTPStatus, whose phrases change with Python's version.
    phrase = HTTP_STATUS_CODES.get(status, "Error")
    if status == 405:
        detail = f"{request.method} is not allowed here; see the Allow header"
    elif status == 404:
        detail = f"there is nothing at {request.path}; the description of the API is at /docs"
    else:
        detail = error.description or phrase
    response = answer(Problem(status, phrase.lower().replace(" ", "-"), phrase), detail)
    for name, value in error.get_headers():
        if name not in {"Content-Type", "Content-Length"}:
            response.headers[name] = value
    return response


def _answer_unforeseen(error: Exception) -> Response:
    log.error("unforeseen", exc_info=error, request_id=current_request_id())
    return answer(INTERNAL, "see the service's log")
