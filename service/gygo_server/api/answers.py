"""How an answer is sent: entity tags, 304, cache headers; finished answers of releases kept in memory.

A release never changes, so an answer is a function of the release's digest and the question: its entity tag is a hash
of those two, known before any work is done, and the finished bytes may be kept.
"""

from __future__ import annotations

import hashlib
import threading
from typing import NamedTuple

from cachetools import LRUCache
from flask import Response, request
from werkzeug.datastructures import ETags
from werkzeug.exceptions import PreconditionFailed

from gygo_server import __version__

IMMUTABLE = "public, max-age=31536000, immutable"
#: For what may change: keep it, but ask before using it.
REVALIDATE = "public, no-cache"
#: For what not everybody may see, or not everybody sees alike.
GUARDED = "private, no-cache"
#: For what holds a signed URL.
PRIVATE = "private, no-store"
#: Header of answers that are or hold signed URLs: until when those are good.
EXPIRES_AT = "X-Url-Expires-At"


class Answer(NamedTuple):
    """A finished answer. ``immutable``: it will always be the same, to everyone."""

    body: bytes
    mimetype: str = "application/json"
    link: str | None = None
    immutable: bool = True


class AnswerCache:
    """Finished answers by entity tag, of at most ``limit`` bytes in all; the least recently used go first."""

    def __init__(self, limit: int) -> None:
        self._answers: LRUCache[str, Answer] = LRUCache(max(1, limit), getsizeof=lambda answer: len(answer.body) + 512)
        self._lock = threading.Lock()

    def get(self, etag: str) -> Answer | None:
        with self._lock:
            return self._answers.get(etag)

    def keep(self, etag: str, answer: Answer) -> None:
        if len(answer.body) + 512 <= self._answers.maxsize:
            with self._lock:
                self._answers[etag] = answer


def question_etag(digest: str, base_url: str) -> str:
    """The entity tag of the answer to the current request's question, put to what has this digest."""
    query = request.query_string.decode("latin-1")
    question = f"{__version__}\0{digest}\0{base_url}\0{request.path}\0{query}"
    return hashlib.sha256(question.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def known_tag(etag: str) -> str | None:
    """The tag under which the client says it has the answer with this entity tag; None when it does not.

    Raises:
        PreconditionFailed: the client wants another answer than this, or none (`If-Match`).
    """
    if "If-Match" in request.headers and not _names(request.if_match, etag):
        raise PreconditionFailed("the answer's entity tag is not among those of If-Match")
    if "If-None-Match" not in request.headers:
        return None
    known = request.if_none_match
    if known.star_tag:
        return etag
    # Flask-Compress tells encodings apart by a suffix: "tag:br".
    return next((tag for tag in known.as_set(include_weak=True) if _is(tag, etag)), None)


def not_modified(etag: str, cache_control: str) -> Response:
    """304 for an answer that the client has."""
    response = Response(status=304)
    response.headers["Cache-Control"] = cache_control
    response.headers["ETag"] = f'"{etag}"'
    _vary(response, cache_control)
    return response


def send(answer: Answer, etag: str | None, cache_control: str) -> Response:
    """A finished answer, as a response."""
    response = Response(answer.body, mimetype=answer.mimetype)
    headers = response.headers
    headers["Cache-Control"] = cache_control
    if etag is not None:
        headers["ETag"] = f'"{etag}"'
    if answer.link is not None:
        headers["Link"] = answer.link
    _vary(response, cache_control)
    return response


def _vary(response: Response, cache_control: str) -> None:
    if cache_control in {GUARDED, REVALIDATE}:
        response.vary.add("Authorization")


def _names(tags: ETags, etag: str) -> bool:
    """Whether the header names this entity tag, strongly, of an answer compressed or not."""
    return tags.star_tag or any(_is(tag, etag) for tag in tags.as_set())


def _is(tag: str | None, etag: str) -> bool:
    """Whether a tag is this one, of an answer compressed or not; the empty one is None to werkzeug."""
    return tag is not None and tag.split(":", 1)[0] == etag
