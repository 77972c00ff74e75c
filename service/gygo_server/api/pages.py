"""Pages: ``{"items": […], "next": URL or null, "total": N}`` with RFC 8288 links."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from flask import request

from gygo_server.api.answers import Answer
from gygo_server.api.links import with_query
from gygo_server.catalogue import cursor
from gygo_server.catalogue.cursor import BadCursorError
from gygo_server.errors import FieldError, InvalidQuestionError


def page(
    items: Iterable[bytes] | bytes,
    *,
    after: cursor.Key | None,
    question: object,
    total: int,
    immutable: bool = True,
) -> Answer:
    """A page of finished JSON items, each by itself or all with commas between.

    ``after`` is the sort key of the last item when there are more.
    """
    following = with_query(cursor=cursor.encode(after, question)) if after is not None else None
    joined = items if isinstance(items, bytes) else b",".join(items)
    body = b'{"items":[%s],"next":%s,"total":%d}' % (joined, orjson.dumps(following), total)
    links = [f'<{following}>; rel="next"'] if following else []
    if "cursor" in request.args:
        links.append(f'<{with_query(cursor=None)}>; rel="first"')
    return Answer(body, link=", ".join(links) or None, immutable=immutable)


def read_cursor(text: str | None, question: object, shape: tuple[type, ...]) -> Any:
    """The key that a page begins after; None for the first page.

    Raises:
        InvalidQuestionError: the cursor is not one, or one of another question.
    """
    if text is None:
        return None
    try:
        return cursor.decode(text, question, shape)
    except BadCursorError as error:
        raise InvalidQuestionError([FieldError("query", "cursor", str(error))]) from None


def only(document: dict[str, Any], names: list[str] | None) -> bytes:
    """The document as JSON, with only the fields of these names when there are any."""
    return orjson.dumps(document if names is None else {name: document[name] for name in names})
