"""A test client which holds every answer against the service's own description, whatever else a test asks of it."""

from __future__ import annotations

import copy
import json
import os
from functools import cache
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator, ValidationError
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
        documented = self.resolved(documented)
        self._check_headers(answer, documented)
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
        self._validator_for({"$ref": "#/components/schemas/Problem"}).validate(body)
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

    def _check_headers(self, answer: TestResponse, documented: dict[str, Any]) -> None:
        for name, found in documented["headers"].items():
            header = self.resolved(found)
            value = answer.headers.get(name)
            assert value is not None or not header["required"], f"{answer.request.full_path}: {name} is missing"
            if value is not None:
                typed = int(value) if header["schema"]["type"] == "integer" else value
                Draft202012Validator(header["schema"]).validate(typed)

    def _check_body(self, answer: TestResponse, documented: dict[str, Any]) -> None:
        content = documented.get("content")
        if content is None:
            return
        assert answer.mimetype in content, f"{answer.request.full_path}: {answer.mimetype} is not documented"
        if answer.mimetype not in {PROBLEM, "application/json"}:
            return
        schema, body = content[answer.mimetype]["schema"], answer.get_json()
        self._validator_for(schema).validate(body)
        if "anyOf" not in schema:
            return
        chosen = answer.request.args.getlist("fields")
        whole = schema["anyOf"][0]
        if not chosen:
            self._validator_for(whole).validate(body)
            return
        # An object, or each one of a page, has the fields that were chosen and no others.
        names = {part.strip() for each in chosen for part in each.split(",")}
        for each in body["items"] if whole["$ref"].endswith("Page") else [body]:
            assert set(each) - {"archive_url", "archive_url_expires_at"} == names

    def resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        """What a reference of the document refers to; anything else as it is."""
        if "$ref" not in node:
            return node
        _, kind, name = node["$ref"].removeprefix("#/").split("/")
        found: dict[str, Any] = self.document["components"][kind][name]
        return found

    def validate(self, schema: dict[str, Any], value: Any, media_type: str) -> None:
        """Fail unless the value is what the schema says; text is, where a text is meant."""
        try:
            self._validator_for(schema).validate(value)
        except ValidationError as error:
            raise AssertionError(f"{media_type}: {error}") from error

    def _validator_for(self, schema: dict[str, Any]) -> Draft202012Validator:
        return self._validator(json.dumps(schema).replace('"#/', f'"{DOCUMENT}#/'))

    def _validator_of(self, schema: str) -> Draft202012Validator:
        return Draft202012Validator(json.loads(schema), registry=self._registry)


def openapi_path(rule: str) -> str:
    """A Flask rule as OpenAPI spells it: ``<int(max=9):index>`` is ``{index}``."""
    return "/".join(
        part if "<" not in part else part[: part.index("<")] + "{" + part[part.index("<") + 1 :].split(":")[-1]
        for part in rule.replace(">", "}").split("/")
    )
