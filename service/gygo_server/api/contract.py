"""What holds for many operations of the OpenAPI document and follows from what their routes say.

The headers that HTTP has for a status, the problems that a path may answer with, the API key, names for generated
clients: each is said here once, and the document says it of each operation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

import orjson
from werkzeug.http import HTTP_STATUS_CODES

from gygo_server.api.deprecation import PARAMETERS
from gygo_server.api.documented import MEANINGS
from gygo_server.api.operation_links import links_of
from gygo_server.api.problems import MIMETYPE, URN
from gygo_server.api.recorded import PROBLEMS, recorded_answer
from gygo_server.model import SLUG

Document = dict[str, Any]

_METHODS = ("get", "post")

#: Longest name of a video, in bytes (`formats.names`).
_MAX_NAME = 512

_SLUG = {"type": "string", "pattern": f"^{SLUG.pattern}$", "maxLength": 64}
_PATH_PARAMETERS = {
    "dataset": ("Id of a dataset.", _SLUG, "gygo-multi"),
    "release": ("Id of a release, or `latest`.", _SLUG, "sample"),
    "split": ("Name of a split.", {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[^/]+$"}, "train"),
    "video": (
        "Id of a video: its name with `:` for `/`.",
        {"type": "string", "minLength": 1, "maxLength": _MAX_NAME, "pattern": r"^[^/\\]+$"},
        "black-mug",
    ),
    "index": ("Of the frame, from 0.", {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}, 0),
}

#: Headers of requests. None has a pattern: HTTP wants those passed over that are not understood.
_REQUEST_HEADERS = {
    "X-Request-Id": (
        "Taken for the answer and the log when it has 1 to 64 letters, digits or `._:-`.",
        "import-2027-01-31.4711",
    ),
    "If-None-Match": (
        "Entity tags of answers that the client has: 304 if it is one of them.",
        '"5f1c8a0e9d7b4c2f8e6a1d3b5c7f9e0a"',
    ),
    "If-Match": ("Entity tags, one of which the answer must have: 412 if it has not.", "*"),
    "Range": ("`bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-LENGTH`: only these bytes, as a 206.", "bytes=0-1023"),
    "If-Range": (
        "An entity tag; if the answer has another one, `Range` is passed over.",
        '"5f1c8a0e9d7b4c2f8e6a1d3b5c7f9e0a"',
    ),
}

_TEXT = {"type": "string"}
_RESPONSE_HEADERS: dict[str, tuple[str, Document]] = {
    "X-Request-Id": (
        "Names the request in the service's log.",
        {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"},
    ),
    "Cache-Control": ("Whether and for how long the answer may be kept (RFC 9111).", _TEXT),
    "ETag": ("Entity tag of the answer (RFC 9110).", {"type": "string", "pattern": '^(W/)?"[^"]+"$'}),
    "Location": ("Where it is.", {"type": "string", "format": "uri"}),
    "Link": ("The next and the first page (RFC 8288).", _TEXT),
    "Retry-After": ("Seconds to wait.", {"type": "integer", "minimum": 0}),
    "Accept-Ranges": ("`bytes`: ranges may be asked for.", {"type": "string", "enum": ["bytes"]}),
    "Content-Range": ("Which bytes of how many these are.", {"type": "string", "pattern": r"^bytes (\d+-\d+|\*)/\d+$"}),
    "Content-Disposition": ("A name to save it under (RFC 6266).", _TEXT),
    "Repr-Digest": (
        "SHA-256 of the whole file (RFC 9530).",
        {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/=]+:$"},
    ),
    "X-Url-Expires-At": ("Until when the signed URLs are good.", {"type": "string", "format": "date-time"}),
    "Deprecation": (
        "Since when the route or a parameter is deprecated (RFC 9745).",
        {"type": "string", "pattern": "^@[0-9]+$"},
    ),
    "Sunset": ("Until when it works (RFC 8594).", _TEXT),
    "WWW-Authenticate": ("`Bearer`: send an API key.", _TEXT),
    "RateLimit": ("What is left of the limit (draft-ietf-httpapi-ratelimit-headers).", _TEXT),
    "RateLimit-Policy": ("The limits there are (draft-ietf-httpapi-ratelimit-headers).", _TEXT),
}

#: Headers that answers of a status have, and whether all of them.
_HEADERS_OF_STATUS = {
    "206": (("Content-Range", True),),
    "307": (("Location", True),),
    "401": (("WWW-Authenticate", True),),
    "416": (("Content-Range", True),),
    "429": (("Retry-After", True),),
    "503": (("Retry-After", True),),
}

_SECURITY_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key. What is public is answered without one.",
}


def completed(document: Document) -> Document:
    """The document that the routes gave, with all that follows from it."""
    document = orjson.loads(orjson.dumps(document))
    document["servers"] = [{"url": "/", "description": "The service that this document was fetched from."}]
    document["security"] = [{}, {"apiKey": []}]
    components = document["components"]
    components["securitySchemes"] = {"apiKey": _SECURITY_SCHEME}
    components["headers"] = {name: _header(name, required=True) for name in _RESPONSE_HEADERS}
    components["parameters"] = dict(_parameters())
    components["examples"] = {code: {"value": answer} for code, answer in PROBLEMS.items()}
    for path, item in document["paths"].items():
        _refer_to_path_parameters(path, item)
        for method in _METHODS:
            if method in item:
                _complete_operation(path, item[method])
    _name_enumerations(document)
    _share_responses(document)
    _open_answers(document)
    _drop_unused(document)
    return document


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Path, method and operation, of each."""
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _parameters() -> Iterator[tuple[str, Document]]:
    for name, (about, schema, example) in _PATH_PARAMETERS.items():
        yield (
            name,
            {
                "in": "path",
                "name": name,
                "required": True,
                "description": about,
                "schema": schema,
                "example": example,
            },
        )
    for name, (about, example) in _REQUEST_HEADERS.items():
        yield (
            name,
            {
                "in": "header",
                "name": name,
                "description": about,
                "schema": {"type": "string"},
                "example": example,
            },
        )


def _header(name: str, *, required: bool) -> Document:
    about, schema = _RESPONSE_HEADERS[name]
    return {"description": about, "required": required, "schema": schema}


def _refer_to_path_parameters(path: str, item: Document) -> None:
    names = re.findall(r"{(\w+)}", path)
    if names:
        item["parameters"] = [{"$ref": f"#/components/parameters/{name}"} for name in names]


def _complete_operation(path: str, operation: Document) -> None:
    responses = operation["responses"]
    below_v1 = path.startswith("/v1/")
    for added in (400, 401, 403, 414, 429, 500) if below_v1 else (400, 500):
        problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
        responses[str(added)] = {"description": MEANINGS[added].text, "content": {MIMETYPE: problem}}
    if not below_v1:
        operation["security"] = []
    read = ["X-Request-Id"]
    read += ["If-None-Match", "If-Match"] if "304" in responses else []
    read += ["Range", "If-Range"] if "206" in responses else []
    operation["parameters"] = operation.get("parameters", []) + [
        {"$ref": f"#/components/parameters/{name}"} for name in read
    ]
    for parameter in operation["parameters"]:
        schema = parameter.get("schema", {})
        if "null" in schema.get("type", ""):  # marshmallow's, where a parameter may be left out: none can be null
            schema["type"] = schema["type"][0]
            del schema["default"]
    for name, said in operation.pop(PARAMETERS, {}).items():
        (parameter,) = (each for each in operation["parameters"] if each.get("name") == name)
        parameter |= {"deprecated": True, "description": f"{parameter.get('description', '')} {said}".strip()}
    for status, response in responses.items():
        if MIMETYPE in response.get("content", {}):
            _tell_problems(path, operation, int(status), response)
        response["headers"] = {
            # A reference cannot say that the header may be missing.
            name: {"$ref": f"#/components/headers/{name}"} if always else _header(name, required=False)
            for name, always in _headers(operation, status)
        } | response.get("headers", {})
    # In the order of statuses, so that a reader finds the good ones first.
    operation["responses"] = dict(sorted(responses.items()))
    links = links_of(operation["operationId"])
    if links:
        responses["200"]["links"] = links
    for status, media_type, example in recorded_answer(operation["operationId"]):
        operation["responses"][status]["content"][media_type]["example"] = example


def _tell_problems(path: str, operation: Document, status: int, response: Document) -> None:
    """Say which problems the answer may be, and show them.

    The enumeration stands beside the reference, where JSON Schema counts it in and generators of clients pass over it:
    to them every problem is a `Problem`, and a new type is nothing that breaks one.
    """
    codes = [code for code in MEANINGS[status].codes if _may_answer(code, path, operation)]
    content = response["content"][MIMETYPE]
    content["schema"]["properties"] = {"type": {"enum": [URN + code for code in codes]}}
    shown = {code: {"$ref": f"#/components/examples/{code}"} for code in codes if code in PROBLEMS}
    if shown:
        content["examples"] = shown


def _may_answer(code: str, path: str, operation: Document) -> bool:
    match code:
        case "dataset-not-found":
            return "{dataset}" in path
        case "release-not-found" | "release-coming":
            return "{release}" in path
        case "video-not-found":
            return "{video}" in path
        case "frame-not-found":
            return "{index}" in path
        case "mask-not-found":
            return path.endswith("/mask")
        case "resolution-not-found":
            return "resolution" in _asked(operation)
        case "links-not-found":
            return path.endswith("/links")
        case "split-not-found":
            return "{split}" in path
    return True


def _headers(operation: Document, status: str) -> Iterator[tuple[str, bool]]:
    """Headers of an answer of this status, and whether every one has it."""
    always = [("X-Request-Id", True), ("Cache-Control", True)]
    if operation["operationId"] not in {"get_health", "get_readiness"}:  # which are free
        always += [("RateLimit", False), ("RateLimit-Policy", False)]
    gone = operation.get("deprecated", False)
    if gone or any(parameter.get("deprecated") for parameter in operation["parameters"]):
        always += [("Deprecation", gone), ("Sunset", gone)]
    return chain(always, _HEADERS_OF_STATUS.get(status, ()), _headers_of_content(operation, status))


def _headers_of_content(operation: Document, status: str) -> Iterator[tuple[str, bool]]:
    responses, asked = operation["responses"], _asked(operation)
    content = responses[status].get("content", {})
    good, kept = status in {"200", "206"}, not asked & {"include", "delivery"}  # else it may hold signed URLs
    if "304" in responses and (good or status == "304"):
        yield "ETag", kept
    if "206" in responses and good:
        yield "Accept-Ranges", kept
    if any(name.startswith("image/") for name in content):
        yield "Repr-Digest", True
    if "application/x-tar" in content and kept:
        yield "Content-Disposition", True
    if status == "200" and "cursor" in asked:
        yield "Link", False
    if status == "200" and "format" in asked:
        yield from (("Content-Disposition", False), ("X-Url-Expires-At", False))
    if status == "307" and operation["operationId"] == "get_archive":
        yield "X-Url-Expires-At", False  # not when it stands for `latest`


def _asked(operation: Document) -> set[str]:
    """The names of its own parameters."""
    return {parameter["name"] for parameter in operation["parameters"] if "name" in parameter}


def _name_enumerations(document: Document) -> None:
    """Make enumerations that have a title, and those of ``fields``, types of their own."""
    for _, _, operation in operations(document):
        for parameter in operation["parameters"]:
            if parameter.get("name") == "fields":
                parameter["schema"]["items"]["title"] = f"{_item_of(operation)}Field"
    named: dict[str, Document] = {}
    document["paths"] = _with_references(document["paths"], named)
    schemas = document["components"]["schemas"] = _with_references(document["components"]["schemas"], named)
    schemas |= named


def _with_references(node: Any, named: dict[str, Document]) -> Any:
    """A copy that refers to the enumerations which have a title; those are put into ``named``."""
    if isinstance(node, list):
        return [_with_references(each, named) for each in node]
    if not isinstance(node, dict):
        return node
    if "enum" not in node or not isinstance(node.get("type"), str):
        return {name: _with_references(each, named) for name, each in node.items()}
    enumeration = {"type": node["type"], "enum": node["enum"]}
    if any(value.startswith("-") for value in node["enum"]):
        enumeration["x-enum-varnames"] = [_constant(value) for value in node["enum"]]
    title = node.get("title")
    if title is None:
        return node | enumeration
    if named.setdefault(title, enumeration) != enumeration:
        raise ValueError(f"two enumerations are called {title}")
    beside = {key: node[key] for key in ("description", "default") if key in node}
    return {"$ref": f"#/components/schemas/{title}"} | beside


def _item_of(operation: Document) -> str:
    """What the operation answers with or lists: the name of its schema, without `Page`."""
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"][0]
    name: str = schema["$ref"].rsplit("/", 1)[1]
    return name.removesuffix("Page")


def _constant(value: str) -> str:
    """The name of a value of a `sort`: `-frames` is FRAMES_DESCENDING."""
    return f"{value[1:]}_DESCENDING".upper() if value.startswith("-") else value.upper()


def _share_responses(document: Document) -> None:
    """Say of each status once what most operations mean by it."""
    shared = document["components"]["responses"] = {}
    for status in sorted({status for _, _, each in operations(document) for status in each["responses"]}):
        if status < "300":
            continue
        found = Counter(
            orjson.dumps(each["responses"][status])
            for _, _, each in operations(document)
            if status in each["responses"]
        )
        commonest, times = found.most_common(1)[0]
        if times == 1:
            continue
        name = HTTP_STATUS_CODES[int(status)].replace(" ", "")
        shared[name] = orjson.loads(commonest)
        for _, _, operation in operations(document):
            if operation["responses"].get(status) == shared[name]:
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}


def _open_answers(document: Document) -> None:
    """Let answers have fields that are not here yet; only questions are closed."""
    schemas = document["components"]["schemas"]
    asked = {name for _, _, each in operations(document) for name in _references(each.get("requestBody"))}
    while (more := asked.union(*(_references(schemas[name]) for name in asked))) != asked:
        asked = more
    for name, schema in schemas.items():
        if name not in asked and schema.get("additionalProperties") is False:
            del schema["additionalProperties"]


def _references(node: Any) -> set[str]:
    """The names of the schemas that it refers to."""
    return set(re.findall(r"#/components/schemas/(\w+)", str(node)))


def _drop_unused(document: Document) -> None:
    """Leave out components that nothing refers to."""
    used = set(re.findall(r"#/components/(\w+)/([\w.-]+)", str(document)))
    for kind, components in document["components"].items():
        if kind != "securitySchemes":
            for name in [name for name in components if (kind, name) not in used]:
                del components[name]
