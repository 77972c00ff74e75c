"""A marshmallow field for text that one of our own functions reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from marshmallow import ValidationError, fields

T = TypeVar("T")


class ParsedField(fields.Field[T], Generic[T]):
    """What ``parse`` makes of the text; its ValueError says what is wrong with it."""

    def __init__(self, parse: Callable[[str], T], **more: Any) -> None:
        super().__init__(**more)
        self._parse = parse

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> T:
        try:
            return self._parse(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from None
