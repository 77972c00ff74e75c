"""What comes in: queries are validated by marshmallow, and everything wrong with one is told at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from functools import wraps
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

import orjson
from flask import Request, request
from flask_smorest import Blueprint as SmorestBlueprint
from gunicorn.http.errors import ParseException
from marshmallow import RAISE, Schema, ValidationError, fields, validate
from webargs.fields import DelimitedList
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from gygo_server.errors import FieldError, InvalidQuestionError
from gygo_server.model import SLUG
from gygo_server.store.sigv4 import MAX_SECONDS

#: How cursors look (base64url), and resolutions and releases; others are found to be none, not refused for their form.
CURSOR = "^[A-Za-z0-9_-]+$"
RESOLUTION = "^[A-Za-z0-9][A-Za-z0-9._-]*$"
RELEASE = f"^{SLUG.pattern}$"

#: Rows of a page, unless asked otherwise, and at most.
DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

#: Above any count of frames or objects, below what SQLite's integers hold.
MAX_COUNT = 2**31 - 1

#: Values of one parameter that may be given several times, at most.
MAX_VALUES = 50

#: Errors told of one request, at most: a question of megabytes may have hundreds of thousands.
MAX_ERRORS = 100

_WHOLE = re.compile(r"-?[0-9]{1,20}")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class _Parser(FlaskParser):
    """webargs with unknown parameters as errors, and errors as ours."""

    DEFAULT_UNKNOWN_BY_LOCATION = FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION | {"query": RAISE, "json": RAISE}

    def _raw_load_json(self, req: Request) -> Any:
        try:
            content = req.get_data()
        except (OSError, ParseException) as error:  # gunicorn's, of a chunked body
            raise BadRequest(f"the body is not whole ({type(error).__name__})") from None
        # Of a chunked body that is too long, werkzeug gives as much as may be, without a word.
        if req.content_length is None and len(content) >= (req.max_content_length or len(content) + 1):
            raise RequestEntityTooLarge
        # Not json.loads: it takes NaN, and nesting as deep as the stack.
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise InvalidQuestionError([FieldError("json", "", f"not JSON: {error}")]) from None

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
            field.data_key or name for name, field in schema().fields.items() if not isinstance(field, fields.List)
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

    def body(self, schema: type[Schema], *, optional: bool = False) -> Decorator:
        """Give the view the request's JSON, read by ``schema``, as its next argument; ``{}`` for no body at all, if
        that is allowed."""

        def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
            read = self.arguments(schema(), location="json")(view)

            @wraps(read)
            def wrapper(*arguments: Any, **path: Any) -> Any:
                if optional and not request.content_length and "Transfer-Encoding" not in request.headers:
                    return view(*arguments, {}, **path)
                if not request.is_json:
                    raise UnsupportedMediaType("the question is asked in JSON: send Content-Type: application/json")
                return read(*arguments, **path)

            return wrapper

        return decorate

    def route(self, rule: str, **options: Any) -> Decorator:
        """Register a view, whose name is also that of the operation in generated clients."""

        def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
            documented = vars(view).setdefault("_apidoc", {}).setdefault("manual_doc", {})
            documented["operationId"] = view.__name__
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
    """marshmallow's nested messages (location → field → …) as a flat list; inner fields as ``clips.3.start``."""
    found = (
        FieldError(location, field, text)
        for location, by_field in messages.items()
        for field, text in _flatten(by_field, schema, inner=location == "json")
    )
    return list(islice(found, MAX_ERRORS))


def _flatten(messages: Any, schema: Schema | None, *, inner: bool, field: str = "") -> Iterator[tuple[str, str]]:
    if not isinstance(messages, dict):
        yield field, _explain(messages, schema)
    elif field and not inner:  # a list in a query: the messages of its elements
        yield field, " ".join(_explain(each, None) for each in messages.values())
    else:
        for name, found in messages.items():
            below = schema if isinstance(name, int) else _schema_below(schema, name, found)
            path = field if name == "_schema" else f"{field}.{name}" if field else str(name)
            yield from _flatten(found, below, inner=inner, field=path)


def _schema_below(schema: Schema | None, name: str, messages: Any) -> Schema | None:
    """The schema that explains the messages of a field: its own, or the one it stands in when it has none."""
    field = schema.fields.get(name) if schema is not None else None
    element = field.inner if isinstance(field, fields.List) else field
    nested = element.schema if isinstance(element, fields.Nested) else None
    return nested if nested is not None and isinstance(messages, dict) else schema


def _explain(text: Any, schema: Schema | None) -> str:
    sentence = " ".join(map(str, text)) if isinstance(text, list) else str(text)
    if sentence == "Unknown field." and schema is not None:
        known = ", ".join(sorted(field.data_key or name for name, field in schema.fields.items()))
        return f"no such parameter here; there are: {known}" if known else "no parameters are taken here"
    return sentence


class Whole(fields.Integer):
    """A whole number in plain digits: Python's ``int`` also takes ``1_0``, ``+5`` and the digits of other scripts."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, str) and not _WHOLE.fullmatch(value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class JsonWhole(Whole):
    """A whole number in JSON: no text, no ``true``, no ``3.0``."""

    def _validated(self, value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class JsonTruth(fields.Boolean):
    """``true`` or ``false`` in JSON: no 1, no "yes"."""

    def _deserialize(self, value: Any, *more: Any, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, *more, **kwargs)


class BoundedList(fields.List):  # type: ignore[type-arg]
    """A list in JSON whose length is looked at before its elements are: a million of them are not worth the work."""

    def __init__(self, inner: fields.Field[Any], *, length: validate.Length, **more: Any) -> None:
        super().__init__(inner, validate=length, **more)
        self._length = length

    def _deserialize(self, value: Any, *more: Any, **kwargs: Any) -> Any:
        if isinstance(value, list):
            self._length(value)
        return super()._deserialize(value, *more, **kwargs)


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
        metadata={
            "description": "Where the page begins: taken from `next` of the page before, as it is.",
            "pattern": CURSOR,
        },
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
    """Names with commas between them, and space around them as you like; or given several times."""

    is_multiple = True  # so that webargs gives all of them: clients that are generated repeat a parameter

    def _deserialize(self, value: Any, *more: Any, **kwargs: Any) -> Any:
        names = ",".join(part.strip() for each in value for part in each.split(","))
        return super()._deserialize(names, *more, **kwargs)  # type: ignore[no-untyped-call]


def resolution_parameter(
    about: str = "`480p`, `original`, …; the release's default when it is not given.",
) -> fields.Field[Any]:
    """The parameter ``resolution``, on every path that gives pictures or bytes."""
    return fields.String(validate=validate.Length(1, 64), metadata={"description": about, "pattern": RESOLUTION})


def expiry_parameter() -> fields.Field[Any]:
    """The parameter ``expires_in``, on every path that gives signed URLs."""
    return Whole(
        validate=validate.Range(1, MAX_SECONDS),
        metadata={"description": "Seconds that signed URLs are to be good; the answer says how long they are."},
    )
