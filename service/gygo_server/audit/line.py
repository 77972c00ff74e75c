"""A line of the audit trail: a JSON object of ASCII only, so that nothing in it can be taken for the end of a line.

README, "Audit", says what its fields are.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson

#: An API key (`access/token.py`), also a mistyped one, a piece of one, and one that a parser put into capitals.
_KEY = re.compile(b"(gygo_[a-z0-9]{10})_[a-z0-9]+", re.IGNORECASE)


class Event(StrEnum):
    """What a line tells.

    ``signed``: URLs were given, up to 1,000. ``answer`` and ``link``: a request that was given something has ended; of
    the latter it was a signed link. ``refused``: a request was, for who asked. ``lost``: lines could not be written.
    """

    ANSWER = "answer"
    SIGNED = "signed"
    LINK = "link"
    REFUSED = "refused"
    LOST = "lost"


def encode(event: Mapping[str, Any]) -> bytes:
    """The event as JSON. A key that somebody wrote where it does not belong, as in a path, is shortened to its id."""
    try:
        encoded = orjson.dumps(event)
    except orjson.JSONEncodeError:  # surrogates
        encoded = b"\xff"
    if not encoded.isascii():
        encoded = json.dumps(event, separators=(",", ":")).encode()
    return shorten_keys(encoded).replace(b"\x7f", b"\\u007f")


def shorten_keys(text: bytes) -> bytes:
    """The text, with ``gygo_<id>_...`` in place of each API key."""
    if b"gygo_" in text or b"GYGO_" in text:
        return _KEY.sub(rb"\1_...", text)
    return text


class Clock:
    """Now, as lines tell it: RFC 3339, UTC, milliseconds. Not safe for threads."""

    def __init__(self) -> None:
        self._second, self._text = 0, ""

    def text(self, now: float) -> str:
        """The Unix time ``now``."""
        second, millisecond = divmod(int(now * 1000), 1000)
        if second != self._second:
            self._second, self._text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{millisecond:03}Z"


def time_of(text: Any) -> datetime:
    """When a line says that it was written.

    Raises:
        ValueError: it does not say.
    """
    if not isinstance(text, str) or not text.endswith("Z"):
        raise ValueError(f"{text!r} is no time")
    return datetime.fromisoformat(text).astimezone(UTC)
