"""What no request may have, whatever it asks: checked once, before any route."""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from flask import Flask, request
from werkzeug.exceptions import HTTPException, RequestURITooLarge, UnsupportedMediaType, default_exceptions

from gygo_server.errors import FieldError, InvalidQuestionError

#: Bytes of a path, as it was sent: the longest names of a data set and a video, percent-encoded, take less.
MAX_PATH_BYTES = 4096

#: Parameters of a query: more than any question has, few enough to tell what is wrong with each.
MAX_PARAMETERS = 256

#: Where the environment of a request has the `Refusal` of the server in front, which could not read it.
REFUSAL = "gygo.refusal"


class Refusal(NamedTuple):
    """Why a request goes no further: an HTTP status, and what the client is told."""

    status: int
    detail: str


def register(app: Flask) -> None:
    """Refuse such requests of ``app``, each with a problem."""

    @app.before_request
    def check() -> None:
        environ = request.environ
        if REFUSAL in environ:
            _refuse(environ[REFUSAL])
        sent: str = environ.get("RAW_URI") or environ["PATH_INFO"]
        if len(sent.partition("?")[0]) > MAX_PATH_BYTES:
            raise RequestURITooLarge(f"the path is longer than {MAX_PATH_BYTES} bytes")
        if environ["QUERY_STRING"].count("&") >= MAX_PARAMETERS:
            message = f"more than {MAX_PARAMETERS} parameters"
            raise InvalidQuestionError([FieldError("query", "", message)])
        if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
            raise UnsupportedMediaType("the body is compressed (Content-Encoding): send it as it is")
        if environ.get("HTTP_TRANSFER_ENCODING", "chunked").strip().lower() != "chunked":
            raise UnsupportedMediaType("the body has a transfer coding other than chunked: send it as it is")


def _refuse(refusal: Refusal) -> NoReturn:
    error: HTTPException = default_exceptions[refusal.status](refusal.detail)
    raise error
