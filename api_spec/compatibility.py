"""Which changes of the OpenAPI document break clients that were written, or generated, for an earlier one.

A question that was good must stay good: what is sent may only be allowed more. An answer that was understood must stay
understood: what is received may only be narrower, but for fields that are new. Documents are plain dictionaries
(OpenAPI 3.1, whose schemas are JSON Schema 2020-12); of the two, only what this project writes is compared.

Not breaking, though it widens an answer: a new type of a problem, for which clients are told to be prepared. The types
stand beside the reference to the problem's schema, and that is compared alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

Node = dict[str, Any]
#: Whether clients write what a schema describes, or read it.
Direction = Literal["sent", "received"]

METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")
PROBLEM = "application/problem+json"

#: A least and a most of something.
_LEAST = ("minimum", "minLength", "minItems", "minProperties")
_MOST = ("maximum", "maxLength", "maxItems", "maxProperties")


def breaking_changes(old: Node, new: Node) -> list[str]:
    """Each change from ``old`` to ``new`` that may break a client, as a sentence that begins with where it is."""
    return list(dict.fromkeys(_Comparison(old, new).document()))


def may_break(old: str, new: str) -> bool:
    """Whether the version was raised enough (semver.org): the major one; while that is 0, the minor one."""
    (old_major, old_minor), (new_major, new_minor) = (
        tuple(int(part) for part in version.split(".")[:2]) for version in (old, new)
    )
    return new_major > old_major or (new_major == old_major == 0 and new_minor > old_minor)


class _Comparison:
    def __init__(self, old: Node, new: Node) -> None:
        self._old, self._new = old, new
        self._under_way: set[tuple[str, str, str]] = set()

    def document(self) -> Iterator[str]:
        for path, item in self._old["paths"].items():
            there = self._new["paths"].get(path)
            if there is None:
                yield f"{path}: the path is gone"
                continue
            for method in METHODS:
                if method not in item:
                    continue
                at = f"{method.upper()} {path}"
                if method not in there:
                    yield f"{at}: the operation is gone"
                    continue
                yield from self._operation(at, (item, item[method]), (there, there[method]))

    def _operation(self, at: str, old: tuple[Node, Node], new: tuple[Node, Node]) -> Iterator[str]:
        before, after = old[1], new[1]
        if before.get("operationId") != after.get("operationId"):
            yield f"{at}: its operationId was {before.get('operationId')}, and is {after.get('operationId')}"
        yield from self._security(at, before, after)
        yield from self._parameters(at, _parameters(self._old, *old), _parameters(self._new, *new))
        yield from self._body(at, before.get("requestBody"), after.get("requestBody"))
        yield from self._responses(at, before.get("responses", {}), after.get("responses", {}))
        yield from self._links(at, before.get("responses", {}), after.get("responses", {}))

    def _security(self, at: str, before: Node, after: Node) -> Iterator[str]:
        was = before.get("security", self._old.get("security")) or [{}]
        now = after.get("security", self._new.get("security")) or [{}]
        for option in was:
            if option not in now and {} not in now:
                yield f"{at}: it can no longer be asked {f'with {_names(option)}' if option else 'without a key'}"
        for option in was:
            for name in option:
                old = self._old["components"]["securitySchemes"].get(name)
                new = self._new.get("components", {}).get("securitySchemes", {}).get(name)
                if _sense(old) != _sense(new):
                    yield f"{at}: the security scheme {name} is another one"

    def _parameters(self, at: str, old: dict[tuple[str, str], Node], new: dict[tuple[str, str], Node]) -> Iterator[str]:
        for (place, name), parameter in old.items():
            there = new.get((place, name))
            where = f"{at}, {place} parameter {name}"
            if there is None:
                yield f"{where}: it is gone"
                continue
            if there.get("required") and not parameter.get("required"):
                yield f"{where}: it is required now"
            for keyword in ("style", "explode"):
                if parameter.get(keyword) != there.get(keyword):
                    yield f"{where}: it is written in another way ({keyword})"
            yield from self._schema(where, parameter.get("schema", {}), there.get("schema", {}), "sent")
        for (place, name), parameter in new.items():
            if (place, name) not in old and parameter.get("required"):
                yield f"{at}, {place} parameter {name}: it is new and required"

    def _body(self, at: str, old: Node | None, new: Node | None) -> Iterator[str]:
        if new is None:
            if old is not None:
                yield f"{at}, body: it is no longer taken"
            return
        if new.get("required") and not (old or {}).get("required"):
            yield f"{at}, body: it is required now"
        for kind, content in (old or {"content": {}})["content"].items():
            there = new["content"].get(kind)
            if there is None:
                yield f"{at}, body: {kind} is no longer taken"
            else:
                yield from self._schema(f"{at}, body", content.get("schema", {}), there.get("schema", {}), "sent")

    def _responses(self, at: str, old: Node, new: Node) -> Iterator[str]:
        for status, response in old.items():
            if status not in new:
                yield f"{at}, {status}: it is no longer answered"
                continue
            was, now = _resolved(self._old, response), _resolved(self._new, new[status])
            yield from self._headers(f"{at}, {status}", was.get("headers", {}), now.get("headers", {}))
            for kind, content in was.get("content", {}).items():
                there = now.get("content", {}).get(kind)
                where = f"{at}, {status}, {kind}"
                if there is None:
                    yield f"{where}: it is no longer answered"
                    continue
                schemas = [each.get("schema", {}) for each in (content, there)]
                if kind == PROBLEM:
                    schemas = [{"$ref": each["$ref"]} if "$ref" in each else each for each in schemas]
                yield from self._schema(where, *schemas, "received")
        for status in new:
            if status not in old and status.startswith("2"):
                yield f"{at}, {status}: a new status of success"

    def _headers(self, at: str, old: Node, new: Node) -> Iterator[str]:
        for name, header in old.items():
            was = _resolved(self._old, header)
            if name not in new:
                yield f"{at}, header {name}: it is gone"
                continue
            now = _resolved(self._new, new[name])
            if was.get("required") and not now.get("required"):
                yield f"{at}, header {name}: it may be missing now"
            yield from self._schema(f"{at}, header {name}", was.get("schema", {}), now.get("schema", {}), "received")

    def _links(self, at: str, old: Node, new: Node) -> Iterator[str]:
        for status, response in old.items():
            was = _resolved(self._old, response).get("links", {})
            now = _resolved(self._new, new.get(status, {})).get("links", {})
            yield from (f"{at}, {status}: the link {name} is gone" for name in was if name not in now)

    # Schemas

    def _schema(self, at: str, old: Node, new: Node, direction: Direction) -> Iterator[str]:
        pair = (old.get("$ref", ""), new.get("$ref", ""), direction)
        if all(pair):
            if pair in self._under_way:
                return
            self._under_way.add(pair)
        old, new = _merged(self._old, old), _merged(self._new, new)
        if "anyOf" in old or "anyOf" in new:
            yield from self._choices(at, old.get("anyOf", [old]), new.get("anyOf", [new]), direction)
        else:
            yield from self._one(at, old, new, direction)
        if all(pair):
            self._under_way.discard(pair)

    def _one(self, at: str, old: Node, new: Node, direction: Direction) -> Iterator[str]:
        sent = direction == "sent"
        yield from _kinds(at, old, new, sent=sent)
        if sent and old.get("default") != new.get("default"):
            yield f"{at}: its default was {old.get('default')}, and is {new.get('default')}"
        yield from _values(at, old, new, sent=sent)
        yield from _limits(at, old, new, sent=sent)
        yield from self._fields(at, old, new, direction)
        if "items" in old or "items" in new:
            yield from self._schema(f"{at}[]", old.get("items", {}), new.get("items", {}), direction)

    def _fields(self, at: str, old: Node, new: Node, direction: Direction) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        were, are = set(old.get("required", ())), set(new.get("required", ()))
        for name, schema in before.items():
            if name in after:
                yield from self._schema(f"{at}.{name}", schema, after[name], direction)
            elif direction == "received" or new.get("additionalProperties", True) is False:
                yield f"{at}.{name}: it is gone"
        if direction == "sent":
            yield from (f"{at}.{name}: it is required now" for name in sorted(are - were))
            if old.get("additionalProperties", True) is not False and new.get("additionalProperties", True) is False:
                yield f"{at}: other fields are no longer taken"
        else:
            yield from (f"{at}.{name}: it may be missing now" for name in sorted((were - are) & set(after)))
        was, now = old.get("additionalProperties"), new.get("additionalProperties")
        if isinstance(was, dict) and isinstance(now, dict):
            yield from self._schema(f"{at}.*", was, now, direction)

    def _choices(self, at: str, was: list[Node], now: list[Node], direction: Direction) -> Iterator[str]:
        """Each alternative there was (sent), or there is (received), must suit one of the other side."""
        for number, one in enumerate(was if direction == "sent" else now):
            tried = [
                list(self._schema(at, *((one, other) if direction == "sent" else (other, one)), direction))
                for other in (now if direction == "sent" else was)
            ]
            if all(tried):
                # The one in the same place says best what has changed.
                yield from tried[min(number, len(tried) - 1)]


def _parameters(document: Node, item: Node, operation: Node) -> dict[tuple[str, str], Node]:
    """The parameters of an operation and of its path, by place and name."""
    found = [_resolved(document, each) for each in (*item.get("parameters", []), *operation.get("parameters", []))]
    return {(each["in"], each["name"]): each for each in found}


def _resolved(document: Node, node: Node) -> Node:
    """What a reference refers to; anything else as it is."""
    while "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def _merged(document: Node, schema: Node) -> Node:
    """The schema with what it refers to; what stands beside a reference counts too (JSON Schema, 8.2.3)."""
    if "$ref" not in schema:
        return schema
    target = _merged(document, _resolved(document, {"$ref": schema["$ref"]}))
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    merged = target | beside
    if "properties" in beside:
        own = target.get("properties", {})
        merged["properties"] = own | {name: own.get(name, {}) | found for name, found in beside["properties"].items()}
    return merged


def _types(schema: Node) -> set[str]:
    """The types that a value may have; empty: any, or what its alternatives say."""
    found = schema.get("type", [])
    return {found} if isinstance(found, str) else set(found)


def _covers(wide: set[str], narrow: set[str]) -> bool:
    """Whether every value of the one's types is one of the other's; no type at all is every type."""
    if not wide:
        return True
    if "number" in wide:
        wide = wide | {"integer"}
    return bool(narrow) and narrow <= wide


def _kinds(at: str, old: Node, new: Node, *, sent: bool) -> Iterator[str]:
    was, now = _types(old), _types(new)
    lost, gained = (was, now) if sent else (now, was)
    if not _covers(gained, lost):
        if not sent and _covers(gained | {"null"}, lost):
            yield f"{at}: it may be null now"
        else:
            yield f"{at}: its type was {_names(was)}, and is {_names(now)}"
    if old.get("format") != new.get("format") and (new if sent else old).get("format"):
        yield f"{at}: its format was {old.get('format')}, and is {new.get('format')}"


def _values(at: str, old: Node, new: Node, *, sent: bool) -> Iterator[str]:
    was, now = (schema.get("enum", [schema["const"]] if "const" in schema else None) for schema in (old, new))
    if sent and now is not None:
        gone = None if was is None else [value for value in was if value not in now]
        if gone is None:
            yield f"{at}: only {_names(now)} are taken now"
        elif gone:
            yield f"{at}: {_names(gone)} are no longer taken"
    if not sent and was is not None:
        added = None if now is None else [value for value in now if value not in was]
        if added is None or added:
            yield f"{at}: it may have new values{'' if added is None else f', {_names(added)}'}"


def _limits(at: str, old: Node, new: Node, *, sent: bool) -> Iterator[str]:
    """Limits of what is sent may only be loosened, those of what is received only be tightened."""
    tight, loose = (new, old) if sent else (old, new)
    for keyword in (*_LEAST, *_MOST):
        limit, other = tight.get(keyword), loose.get(keyword)
        if limit is None or (other is not None and (other >= limit if keyword in _LEAST else other <= limit)):
            continue
        if keyword in ("minLength", "minItems", "minProperties") and limit == 0:
            continue
        yield f"{at}: its {keyword} was {old.get(keyword)}, and is {new.get(keyword)}"
    for keyword in ("pattern", "multipleOf", "uniqueItems"):
        if tight.get(keyword) and tight.get(keyword) != loose.get(keyword):
            yield f"{at}: its {keyword} was {old.get(keyword)}, and is {new.get(keyword)}"


def _sense(scheme: Node | None) -> Node | None:
    return scheme and {key: value for key, value in scheme.items() if key != "description"}


def _names(values: Any) -> str:
    return ", ".join(sorted(map(str, values))) or "any"
