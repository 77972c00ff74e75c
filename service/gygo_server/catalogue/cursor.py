"""Keyset cursors: opaque, and good only for the question they were given out for.

A cursor holds the sort key of the last row a page showed. It costs the same at any depth, and a page is never shifted
by what came before it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

import orjson

Key = list[int | str]


class BadCursorError(ValueError):
    """The text is not a cursor, or one of another question."""


def encode(key: Key, question: object) -> str:
    """The cursor that goes on after ``key``; ``question`` is what the list was asked for, without its page."""
    return base64.urlsafe_b64encode(orjson.dumps([_tag(question), *key])).decode().rstrip("=")


def decode(text: str, question: object, shape: tuple[type, ...]) -> Key:
    """The key in a cursor, checked against the question and the types of its sort key.

    Raises:
        BadCursorError: what is wrong with it.
    """
    try:
        tag, *key = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadCursorError("not a cursor; take it as it is from a page's `next`") from error
    if tag != _tag(question):
        raise BadCursorError("a cursor of another question; keep the filters and the order when you turn the page")
    if len(key) != len(shape) or any(type(part) is not kind for part, kind in zip(key, shape, strict=True)):
        raise BadCursorError("not a cursor; take it as it is from a page's `next`")
    if any(isinstance(part, int) and not -(2**63) <= part < 2**63 for part in key):
        raise BadCursorError("not a cursor; take it as it is from a page's `next`")
    return list(key)


def _tag(question: object) -> str:
    return hashlib.sha256(orjson.dumps(question, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]
