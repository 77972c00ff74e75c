"""Answers that the service gave once, as examples in the OpenAPI document; `python -m api_spec.record` takes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

FILE = Path(__file__).with_name("recorded.json")

_RECORDED: dict[str, Any] = orjson.loads(FILE.read_bytes())

#: A problem of each type that was recorded, by its code.
PROBLEMS: dict[str, Any] = _RECORDED["problems"]


def recorded_answer(operation: str) -> Iterator[tuple[str, str, Any]]:
    """Status, media type and body of the operation's recorded answers."""
    for answer in _RECORDED["answers"]:
        if answer["operation"] == operation:
            yield str(answer["status"]), answer["media_type"], answer["body"]
