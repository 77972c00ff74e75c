"""What options and arguments of several commands are, with what is wrong with them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import click

from gygo_server.access.api_key import Scope
from gygo_server.limits.rate import parse_rate
from gygo_server.model import SLUG, Visibility, time_of
from gygo_server.setting_values import size_of

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_LONGEST = timedelta(days=36525)
_PLACE = re.compile(rf"({SLUG.pattern})(?::({SLUG.pattern}))?")


class VisibilityType(click.ParamType[Visibility]):
    """``public``, ``registered``, ``embargoed until 2026-12-01`` or ``private``."""

    name = "visibility"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Visibility:
        try:
            return value if isinstance(value, Visibility) else Visibility.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class ScopeType(click.ParamType[Scope]):
    """``<dataset>[:<release>][=read,download]``."""

    name = "scope"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Scope:
        try:
            return value if isinstance(value, Scope) else Scope.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class PlaceType(click.ParamType[tuple[str, str | None]]):
    """``<dataset>`` or ``<dataset>:<release>``, as a pair."""

    name = "dataset[:release]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str | None]:
        match = _PLACE.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is neither a dataset nor dataset:release", param, ctx)
        return match[1], match[2]


class DurationType(click.ParamType[timedelta]):
    """``90s``, ``30m``, ``12h``, ``7d`` or ``2w``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = _DURATION.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is no duration such as 12h or 7d", param, ctx)
        duration = timedelta(**{_UNITS[match[2]]: int(match[1])})
        if duration > _LONGEST:
            self.fail(f"{value!r} is more than a hundred years", param, ctx)
        return duration


class TimeType(click.ParamType[datetime]):
    """A date or a time."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return value if isinstance(value, datetime) else time_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class EndType(TimeType):
    """A date, a time, or how long from now."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, str) and _DURATION.fullmatch(value):
            return datetime.now(UTC).replace(microsecond=0) + DurationType().convert(value, param, ctx)
        return super().convert(value, param, ctx)

    def fail(self, message: str, param: click.Parameter | None = None, ctx: click.Context | None = None) -> NoReturn:
        super().fail(f"{message}, and no duration such as 90d", param, ctx)


class TextType(click.ParamType[str]):
    """Text in one line that JSON can hold, not empty."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not 0 < len(value.strip()) <= 200 or not value.isprintable():
            self.fail("write 1 to 200 printable characters", param, ctx)
        return str(value)


class BytesType(click.ParamType[int]):
    """A size such as ``500GB``."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else size_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class RateType(click.ParamType[str]):
    """A rate such as ``6000/minute``, or ``none``; it stays text."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            parse_rate(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)
