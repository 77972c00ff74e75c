"""What may break a client is found, in questions and in answers; what cannot, is not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from api_spec.compatibility import breaking_changes, may_break

Node = dict[str, Any]

PROBLEM = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"type": "string"}, "detail": {"type": "string"}},
}
DOCUMENT: Node = {
    "openapi": "3.1.0",
    "info": {"title": "things", "version": "1.0.0"},
    "security": [{}, {"key": []}],
    "paths": {
        "/things/{id}": {
            "parameters": [{"$ref": "#/components/parameters/id"}],
            "get": {
                "operationId": "get_thing",
                "parameters": [
                    {
                        "in": "query",
                        "name": "limit",
                        "schema": {"type": "integer", "minimum": 1, "maximum": 9, "default": 5},
                    },
                    {"in": "query", "name": "sort", "schema": {"type": "string", "enum": ["a", "b"]}},
                    {"in": "query", "name": "q", "schema": {"type": "string", "maxLength": 9}},
                ],
                "responses": {
                    "200": {
                        "description": "It.",
                        "headers": {"ETag": {"required": True, "schema": {"type": "string"}}},
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}},
                        "links": {"again": {"operationId": "get_thing"}},
                    },
                    "404": {
                        "description": "None.",
                        "content": {
                            "application/problem+json": {
                                "schema": {
                                    "$ref": "#/components/schemas/Problem",
                                    "properties": {"type": {"enum": ["a", "b"]}},
                                }
                            }
                        },
                    },
                },
            },
            "post": {
                "operationId": "post_thing",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Question"}}}},
                "responses": {
                    "200": {"description": "Done.", "content": {"text/plain": {"schema": {"type": "string"}}}}
                },
            },
        }
    },
    "components": {
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        "parameters": {"id": {"in": "path", "name": "id", "required": True, "schema": {"type": "string"}}},
        "schemas": {
            "Problem": PROBLEM,
            "Thing": {
                "type": "object",
                "required": ["name", "kind", "inside", "choice"],
                "properties": {
                    "name": {"type": "string", "pattern": "^[a-z]+$"},
                    "kind": {"type": "string", "enum": ["x", "y"]},
                    "count": {"type": ["integer", "null"], "minimum": 0},
                    "inside": {"type": "array", "maxItems": 4, "items": {"$ref": "#/components/schemas/Thing"}},
                    "choice": {"anyOf": [{"$ref": "#/components/schemas/Problem"}, {"type": "null"}]},
                    "notes": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            },
            "Question": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "names": {"type": "array", "maxItems": 3, "items": {"type": "string"}},
                    "number": {"type": "number"},
                },
            },
        },
    },
}
GET = ("paths", "/things/{id}", "get")
POST = ("paths", "/things/{id}", "post")
LIMIT, SORT, Q = ((*GET, "parameters", number) for number in range(3))
OK = (*GET, "responses", "200")
THING, QUESTION = (("components", "schemas", name) for name in ("Thing", "Question"))
FIELDS, ASKED = (*THING, "properties"), (*QUESTION, "properties")
GONE = object()


def changed(*changes: tuple[tuple[Any, ...], Any]) -> Node:
    """The document with other values at these places, or without what is there."""
    document = copy.deepcopy(DOCUMENT)
    for (*above, last), value in changes:
        node: Any = document
        for part in above:
            node = node[part]
        if value is GONE:
            del node[last]
        elif isinstance(node, list) and last == len(node):
            node.append(value)
        else:
            node[last] = value
    return document


#: Each breaks clients, and says so in these words; the other way round, it is what is listed second, if that breaks.
BREAKING: dict[str, tuple[tuple[tuple[Any, ...], Any], str, str | None]] = {
    "a path that is gone": ((("paths", "/things/{id}"), GONE), "the path is gone", None),
    "an operation that is gone": ((POST, GONE), "the operation is gone", None),
    "another operationId": (((*GET, "operationId"), "fetch"), "its operationId was get_thing", "was fetch"),
    "a status that is gone": (((*GET, "responses", "404"), GONE), "404: it is no longer answered", None),
    "a new status of success": (
        ((*GET, "responses", "206"), {"description": "Part."}),
        "206: a new status",
        "206: it is",
    ),
    "a content type that is gone": (
        ((*OK, "content"), {"text/csv": {}}),
        "application/json: it is no longer",
        "text/csv",
    ),
    "a header that is gone": (((*OK, "headers"), {}), "header ETag: it is gone", None),
    "a header that may be missing": (((*OK, "headers", "ETag", "required"), False), "it may be missing now", None),
    "a link that is gone": (((*OK, "links"), {}), "the link again is gone", None),
    "a parameter that is gone": ((Q, GONE), "query parameter q: it is gone", None),
    "a new required parameter": (
        ((*GET, "parameters", 3), {"in": "query", "name": "n", "required": True, "schema": {}}),
        "query parameter n: it is new and required",
        "query parameter n: it is gone",
    ),
    "a parameter that is required now": (((*Q, "required"), True), "q: it is required now", None),
    "another way to write a parameter": (
        ((*Q, "explode"), False),
        "in another way (explode)",
        "in another way (explode)",
    ),
    "a lower maximum": (((*LIMIT, "schema", "maximum"), 8), "limit: its maximum was 9, and is 8", None),
    "a higher minimum": (((*LIMIT, "schema", "minimum"), 2), "limit: its minimum was 1, and is 2", None),
    "another default": (((*LIMIT, "schema", "default"), 6), "limit: its default was 5", "limit: its default was 6"),
    "a shorter text": (((*Q, "schema", "maxLength"), 8), "q: its maxLength was 9, and is 8", None),
    "a pattern of what is sent": (((*Q, "schema", "pattern"), "^a"), "q: its pattern was None", None),
    "a format of what is sent": (((*Q, "schema", "format"), "uri"), "q: its format was None", None),
    "another type of what is sent": (
        ((*Q, "schema", "type"), "integer"),
        "q: its type was string",
        "its type was integer",
    ),
    "a value that is not taken": (((*SORT, "schema", "enum"), ["a"]), "sort: b are no longer taken", None),
    "values where there was any": (((*Q, "schema", "enum"), ["a"]), "q: only a are taken now", None),
    "a pattern of a path": (
        (("components", "parameters", "id", "schema", "pattern"), "^a"),
        "path parameter id: its pattern was None",
        None,
    ),
    "a body that is required now": (((*POST, "requestBody", "required"), True), "body: it is required now", None),
    "a body that is not taken": (((*POST, "requestBody"), GONE), "body: it is no longer taken", None),
    "a type of body that is not taken": (
        ((*POST, "requestBody", "content"), {"text/plain": {}}),
        "body: application/json is no longer taken",
        "body: text/plain is no longer taken",
    ),
    "a field of a body that is required now": (
        ((*QUESTION, "required"), ["name", "names"]),
        "names: it is required",
        None,
    ),
    "a field of a body that is gone": (((*ASKED, "names"), GONE), "body.names: it is gone", None),
    "fewer elements": (((*ASKED, "names", "maxItems"), 2), "body.names: its maxItems was 3", None),
    "longer elements": (((*ASKED, "names", "items", "minLength"), 2), "body.names[]: its minLength was None", None),
    "whole numbers only": (((*ASKED, "number", "type"), "integer"), "body.number: its type was number", None),
    "a field of an answer that is gone": (((*FIELDS, "count"), GONE), "application/json.count: it is gone", None),
    "a field that may be missing": (
        ((*THING, "required"), ["kind", "inside", "choice"]),
        "name: it may be missing",
        None,
    ),
    "a field that may be null": (((*FIELDS, "name", "type"), ["string", "null"]), "name: it may be null now", None),
    "another type of a field": (
        ((*FIELDS, "name", "type"), "integer"),
        "name: its type was string",
        "type was integer",
    ),
    "an object that may be null": (
        (
            (*OK, "content", "application/json", "schema"),
            {"anyOf": [{"$ref": "#/components/schemas/Thing"}, {"type": "null"}]},
        ),
        "application/json: it may be null now",
        None,
    ),
    "another alternative": (
        ((*FIELDS, "choice", "anyOf"), [{"$ref": "#/components/schemas/Problem"}, {"type": "string"}]),
        "choice: its type was null, and is string",
        "choice: it may be null now",
    ),
    "a new value of a field": (((*FIELDS, "kind", "enum"), ["x", "y", "z"]), "kind: it may have new values, z", None),
    "any value of a field": (((*FIELDS, "kind"), {"type": "string"}), "kind: it may have new values", None),
    "no pattern of a field": (
        ((*FIELDS, "name"), {"type": "string"}),
        "name: its pattern was ^[a-z]+$, and is None",
        None,
    ),
    "a lower least of a field": (((*FIELDS, "count", "minimum"), -1), "count: its minimum was 0, and is -1", None),
    "more elements in an answer": (((*FIELDS, "inside", "maxItems"), 5), "inside: its maxItems was 4, and is 5", None),
    "another type of further fields": (
        ((*FIELDS, "notes", "additionalProperties", "type"), "integer"),
        "notes.*: its type was string",
        "notes.*: its type was integer",
    ),
    "no question without a key": ((("security",), [{"key": []}]), "it can no longer be asked without a key", None),
    "a key that is not taken": ((("security",), [{"other": []}]), "it can no longer be asked with key", None),
    "another kind of key": (
        (("components", "securitySchemes", "key", "scheme"), "basic"),
        "the security scheme key is another one",
        "the security scheme key is another one",
    ),
}
HARMLESS = {
    "a new path": (("paths", "/other"), {}),
    "a new problem status": ((*GET, "responses", "410"), {"description": "Gone."}),
    "a new type of a problem": (
        (*GET, "responses", "404", "content", "application/problem+json", "schema", "properties", "type", "enum"),
        ["a", "b", "c"],
    ),
    "a new field of an answer": ((*FIELDS, "colour"), {"type": "string"}),
    "a new field of a body": ((*ASKED, "colour"), {"type": "string"}),
    "a new parameter": ((*GET, "parameters", 3), {"in": "query", "name": "n", "schema": {"type": "string"}}),
    "a new value of a parameter": ((*SORT, "schema", "enum"), ["a", "b", "c"]),
    "a new header": ((*OK, "headers", "Link"), {"schema": {"type": "string"}}),
    "a new content type": ((*OK, "content", "text/csv"), {"schema": {"type": "string"}}),
    "a new way to ask": (("security",), [{}, {"key": []}, {"other": []}]),
    "other words": ((*OK, "description"), "The thing."),
    "another version": (("info", "version"), "1.0.1"),
    "a parameter that is deprecated": ((*Q, "deprecated"), True),
}


def test_a_document_is_compatible_with_itself() -> None:
    assert breaking_changes(DOCUMENT, copy.deepcopy(DOCUMENT)) == []


@pytest.mark.parametrize("name", BREAKING)
def test_what_may_break_a_client_is_found(name: str) -> None:
    change, words, _ = BREAKING[name]
    found = breaking_changes(DOCUMENT, changed(change))
    assert found
    assert any(words in sentence for sentence in found), found
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("name", BREAKING)
def test_the_other_way_round_most_of_it_is_harmless(name: str) -> None:
    change, _, words = BREAKING[name]
    found = breaking_changes(changed(change), DOCUMENT)
    if words is None:
        assert found == []
    else:
        assert any(words in sentence for sentence in found), found


@pytest.mark.parametrize("name", HARMLESS)
def test_what_cannot_break_a_client_passes(name: str) -> None:
    assert breaking_changes(DOCUMENT, changed(HARMLESS[name])) == []


def test_each_change_is_told_with_its_place() -> None:
    found = breaking_changes(DOCUMENT, changed(((*LIMIT, "schema", "maximum"), 3), ((*FIELDS, "count"), GONE)))
    assert found == [
        "GET /things/{id}, query parameter limit: its maximum was 9, and is 3",
        "GET /things/{id}, 200, application/json.count: it is gone",
    ]


@pytest.mark.parametrize(
    ("old", "new", "enough"),
    [
        ("1.4.2", "2.0.0", True),
        ("1.4.2", "1.5.0", False),
        ("1.4.2", "1.4.2", False),
        ("0.1.0", "0.2.0", True),
        ("0.1.0", "0.1.9", False),
        ("0.9.0", "1.0.0", True),
        ("2.0.0", "1.9.0", False),
        ("0.9.0", "0.10.0", True),
    ],
)
def test_only_a_version_that_was_raised_enough_may_break(old: str, new: str, enough: bool) -> None:
    assert may_break(old, new) is enough


# Against JSON Schema itself

texts = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", ["string", "null"]])},
    optional={
        "minLength": st.integers(0, 3),
        "maxLength": st.integers(0, 3),
        "enum": st.lists(st.sampled_from(["", "a", "bb", None]), min_size=1, unique=True),
    },
)
numbers = st.fixed_dictionaries(
    {"type": st.sampled_from(["integer", "number", ["integer", "null"]])},
    optional={"minimum": st.integers(-3, 3), "maximum": st.integers(-3, 3)},
)
simple = texts | numbers
alternatives = st.lists(simple, min_size=1, max_size=2).map(lambda found: {"anyOf": found})
objects = st.fixed_dictionaries(
    {
        "type": st.just("object"),
        "properties": st.dictionaries(st.sampled_from("ab"), simple | alternatives, max_size=2),
        "required": st.lists(st.sampled_from("ab"), unique=True),
    }
)
schemas = simple | alternatives | objects
scalars = st.none() | st.integers(-4, 4) | st.sampled_from([0.5, "", "a", "bb", "ccc", "dddd"])
values = scalars | st.dictionaries(st.sampled_from("ab"), scalars)


def answering(schema: Node) -> Node:
    return changed(((*OK, "content", "application/json", "schema"), schema))


def asking(schema: Node) -> Node:
    return changed(((*Q, "schema"), schema))


@given(schemas, schemas, values)
def test_what_passes_as_an_answer_is_an_answer_of_before(old: Node, new: Node, value: Any) -> None:
    if Draft202012Validator(new).is_valid(value) and not Draft202012Validator(old).is_valid(value):
        assert breaking_changes(answering(old), answering(new))


@given(schemas, schemas, values)
def test_what_passes_as_a_question_takes_all_questions_of_before(old: Node, new: Node, value: Any) -> None:
    if Draft202012Validator(old).is_valid(value) and not Draft202012Validator(new).is_valid(value):
        assert breaking_changes(asking(old), asking(new))


@given(schemas)
def test_no_schema_differs_from_itself(schema: Node) -> None:
    for document in (asking, answering):
        assert breaking_changes(document(schema), document(copy.deepcopy(schema))) == []
