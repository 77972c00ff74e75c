"""A test client which holds every answer against the service's own description, whatever else a test asks of it."""

from __future__ import annotations

import copy
import json
import os
from functools import cache
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.test import TestResponse

from gygo_server.api.documentation import specification

PROBLEM = "application/problem+json"
DOCUMENT = "urn:gygo:openapi"

#: Routes that OpenAPI does not describe: the description itself, its UI and the way to both.
UNDOCUMENTED = frozenset({"index", "openapi", "swagger_ui.show"})


class CheckedClient(FlaskClient):
    """Flask's own, whose answers are checked before a test sees them."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app, app.response_class)
        self._contract = Contract(app)

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        answer = super().open(*args, **kwargs)
        answer.get_data()
        answer.close()
        self._contract.check(answer)
        return answer


class Contract:
    """What every answer of an application promises."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.document = json.loads(json.dumps(specification(app)))
        strict = copy.deepcopy(self.document)
        for schema in strict["components"]["schemas"].values():
            # A field that the description does not know is a mistake here, though clients must bear it.
            schema["additionalProperties"] = False
        self._registry = Registry().with_resource(DOCUMENT, Resource.from_contents(strict, DRAFT202012))
        self._validator = cache(self._validator_of)

    def check(self, answer: TestResponse) -> None:
        """Fail unless the answer is one that its operation documents."""
        asked = answer.request
        self.check_any(answer)
        if answer.status_code >= 500 and answer.status_code not in {502, 503}:
            raise AssertionError(f"{asked.method} {asked.full_path}: {answer.status} {answer.text}")
        operation = self._operation(asked.path, "GET" if asked.method == "HEAD" else asked.method)
        if operation is None:
            return
        documented = operation["responses"].get(str(answer.status_code))
        assert documented, f"{asked.method} {asked.full_path}: {answer.status_code} is not documented"
        if asked.method == "HEAD" or answer.headers.get("Content-Encoding"):
            return
        self._check_body(answer, documented)

    def check_any(self, answer: TestResponse) -> None:
        """What holds for every answer, routed or not."""
        headers, asked = answer.headers, answer.request
        assert headers["X-Request-Id"]
        assert "Set-Cookie" not in headers
        everything = str(headers).encode() + answer.data
        for secret in (os.environ.get("AWS_SECRET_ACCESS_KEY", "").encode(), b"Traceback (most recent call last)"):
            assert not secret or secret not in everything
        if asked.method == "HEAD" or answer.status_code == 304:
            assert answer.data == b""
        if answer.status_code >= 400:
            assert headers["Cache-Control"] == "no-store"
            if asked.method != "HEAD" and answer.mimetype == PROBLEM:
                self.check_problem(answer)
        if answer.status_code == 503:
            assert int(headers["Retry-After"]) > 0

    def check_problem(self, answer: TestResponse) -> None:
        body = answer.get_json()
        self._validator("Problem").validate(body)
        assert body["status"] == answer.status_code
        assert body["type"].startswith("urn:gygo:problem:")
        assert body["request_id"] == answer.headers["X-Request-Id"]
        assert body["detail"].strip()

    def _operation(self, path: str, method: str) -> dict[str, Any] | None:
        try:
            rule, _ = self.app.url_map.bind("localhost").match(path, method, return_rule=True)
        except (RequestRedirect, HTTPException):
            return None
        if rule.endpoint in UNDOCUMENTED or method == "OPTIONS":
            return None
        operation: dict[str, Any] = self.document["paths"][openapi_path(rule.rule)][method.lower()]
        return operation

    def _check_body(self, answer: TestResponse, documented: dict[str, Any]) -> None:
        content = documented.get("content")
        if content is None:
            return
        assert answer.mimetype in content, f"{answer.request.full_path}: {answer.mimetype} is not documented"
        schema = content[answer.mimetype].get("schema", {})
        if answer.mimetype not in {PROBLEM, "application/json"}:
            return
        name = schema["$ref"].rsplit("/", 1)[1]
        body = answer.get_json()
        chosen = answer.request.args.get("fields")
        if chosen is None or answer.status_code != 200:
            self._validator(name).validate(body)
        else:
            self._check_chosen(name, body, {part.strip() for part in chosen.split(",")})

    def _check_chosen(self, name: str, body: Any, chosen: set[str]) -> None:
        """With ``fields`` an object, or each one of a page, has those and no others."""
        schemas = self.document["components"]["schemas"]
        if name.endswith("Page"):
            item = schemas[name]["properties"]["items"]["items"]["$ref"].rsplit("/", 1)[1]
            self._validator(name).validate({**body, "items": []})
            objects = body["items"]
        else:
            item, objects = name, [body]
        for each in objects:
            assert set(each) - {"archive_url", "archive_url_expires_at"} == chosen
            for field, value in each.items():
                self._validator(item, field).validate(value)

    def _validator_of(self, name: str, field: str | None = None) -> Draft202012Validator:
        pointer = f"{DOCUMENT}#/components/schemas/{name}" + (f"/properties/{field}" if field else "")
        return Draft202012Validator({"$ref": pointer}, registry=self._registry)


def openapi_path(rule: str) -> str:
    """A Flask rule as OpenAPI spells it: ``<int(max=9):index>`` is ``{index}``."""
    return "/".join(
        part if "<" not in part else part[: part.index("<")] + "{" + part[part.index("<") + 1 :].split(":")[-1]
        for part in rule.replace(">", "}").split("/")
    )
