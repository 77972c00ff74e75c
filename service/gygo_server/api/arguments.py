"""What comes in: queries are validated by marshmallow, and everything wrong with one is told at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn

from flask import request
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import RAISE, Schema, ValidationError, fields, validate
from webargs.fields import DelimitedList
from webargs.flaskparser import FlaskParser

from gygo_server.errors import FieldError, InvalidQuestionError

#: Rows of a page, unless asked otherwise, and at most.
DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

#: Above any count of frames or objects, below what SQLite's integers hold.
MAX_COUNT = 2**31 - 1

#: Values of one parameter that may be given several times, at most.
MAX_VALUES = 50

_WHOLE = re.compile(r"-?[0-9]{1,20}")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class _Parser(FlaskParser):
    """webargs with unknown parameters as errors, and errors as ours."""

    DEFAULT_UNKNOWN_BY_LOCATION = FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION | {"query": RAISE}

    def handle_error(
        self, error: ValidationError, req: Any, schema: Schema, *, error_status_code: Any, error_headers: Any
    ) -> NoReturn:
        del req, error_status_code, error_headers  # the signature is webargs'
        raise InvalidQuestionError(field_errors(error.messages, schema)) from None


class Blueprint(SmorestBlueprint):  # type: ignore[misc]
    """A blueprint whose arguments are read by our parser."""

    ARGUMENTS_PARSER = _Parser()

    def query(self, schema: type[Schema]) -> Decorator:
        """Give the view the request's query, read by ``schema``, as its first argument."""
        nothing_asked: dict[str, Any] = schema().load({})
        once = frozenset(
            field.data_key or name
            for name, field in schema().fields.items()
            if not isinstance(field, fields.List) or isinstance(field, DelimitedList)
        )

        def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
            read = self.arguments(schema(), location="query")(view)

            @wraps(read)
            def wrapper(**path: Any) -> Any:
                # Most requests for pictures ask nothing: their query need not be parsed.
                if not request.query_string:
                    return view(dict(nothing_asked), **path)
                _refuse_repeated(once)
                return read(**path)

            return wrapper

        return decorate

    def route(self, rule: str, **options: Any) -> Decorator:
        """Register a view, whose name is also that of the operation in generated clients."""

        def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
            vars(view).setdefault("_apidoc", {})["manual_doc"] = {"operationId": view.__name__}
            registered: Callable[..., Any] = super(Blueprint, self).route(rule, **options)(view)
            return registered

        return decorate

    if TYPE_CHECKING:  # flask-smorest has no types

        def arguments(self, schema: Schema, *, location: str) -> Decorator: ...
        def response(self, status_code: int, schema: Any = None, **documented: Any) -> Decorator: ...
        def alt_response(self, status_code: int, **documented: Any) -> Decorator: ...


def _refuse_repeated(once: Container[str]) -> None:
    """webargs would take one of the values and pass over the others in silence."""
    repeated = [name for name, values in request.args.lists() if name in once and len(values) > 1]
    if repeated:
        raise InvalidQuestionError([FieldError("query", name, "given more than once") for name in repeated])


def field_errors(messages: Any, schema: Schema) -> list[FieldError]:
    """marshmallow's nested messages (location → field → …) as a flat list."""
    known = ", ".join(sorted(field.data_key or name for name, field in schema.fields.items()))
    return [
        FieldError(location, field, _explain(text, known))
        for location, by_field in messages.items()
        for field, text in (by_field.items() if isinstance(by_field, dict) else [("", by_field)])
    ]


def _explain(text: Any, known: str) -> str:
    if isinstance(text, dict):  # a list field: the messages of its elements
        return " ".join(_explain(each, known) for each in text.values())
    sentence = " ".join(map(str, text)) if isinstance(text, list) else str(text)
    if sentence == "Unknown field.":
        return f"no such parameter here; there are: {known}" if known else "no parameters are taken here"
    return sentence


class Whole(fields.Integer):
    """A whole number in plain digits: Python's ``int`` also takes ``1_0``, ``+5`` and the digits of other scripts."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, str) and not _WHOLE.fullmatch(value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Nothing(Schema):
    """For paths that take no parameters."""


class Page(Schema):
    """Which page of a list."""

    limit = Whole(
        load_default=DEFAULT_LIMIT,
        validate=validate.Range(1, MAX_LIMIT),
        metadata={"description": "How many items a page has."},
    )
    cursor = fields.String(
        validate=validate.Length(1, 512),
        metadata={"description": "Where the page begins: taken from `next` of the page before, as it is."},
    )


def chosen_fields(names: list[str]) -> fields.Field[Any]:
    """The parameter ``fields``: which fields of each item to answer, as a list with commas."""
    name = fields.String(validate=validate.OneOf(names, error="no field {input!r}; there are: {choices}"))
    return _Names(
        name,
        data_key="fields",
        validate=validate.Length(min=1, max=MAX_VALUES, error="names no field"),
        metadata={"description": "Only these fields of each item."},
    )


class _Names(DelimitedList):
    """Names with commas between them, and space around them as you like."""

    def _deserialize(self, value: Any, *more: Any, **kwargs: Any) -> Any:
        names = ",".join(part.strip() for part in value.split(","))
        return super()._deserialize(names, *more, **kwargs)  # type: ignore[no-untyped-call]


def resolution_parameter(
    about: str = "`480p`, `original`, …; the release's default when it is not given.",
) -> fields.Field[Any]:
    """The parameter ``resolution``, on every path that gives pictures or bytes."""
    return fields.String(validate=validate.Length(1, 64), metadata={"description": about})
