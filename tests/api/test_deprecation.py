"""A route or a parameter that goes away says so: in each answer's headers, and in the document."""

from __future__ import annotations

from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from marshmallow import fields, validate

from gygo_server.api import documentation, problems
from gygo_server.api.arguments import Blueprint, Nothing, Whole
from gygo_server.api.deprecation import deprecated
from gygo_server.api.documented import answers
from gygo_server.api.documented import problems as may_answer
from gygo_server.errors import NotFoundError

SINCE, SUNSET = date(2027, 1, 31), date(2028, 3, 1)


class OldQuery(Nothing):
    number = Whole(validate=validate.Range(0, 9), metadata={"description": "Any digit."})
    count = fields.String(metadata={"description": "As `number`."})


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    app = Flask(__name__)
    problems.register(app)
    api = documentation.register(app)
    blueprint = Blueprint("things", __name__, url_prefix="/v1", description="Things")

    @blueprint.route("/old")
    @deprecated(since=SINCE, sunset=SUNSET, instead="/v1/new")
    @answers(200, {"type": "string"}, content_type="text/plain")
    @may_answer(404, 422)
    @blueprint.query(OldQuery)
    def get_old(query: dict[str, Any]) -> Response:
        """Get the old thing.

        It is no good.
        """
        if query.get("number") == 4:
            raise NotFoundError("thing", "there is no fourth thing")
        response = Response("old", mimetype="text/plain")
        response.headers["Link"] = '</v1/old?number=2>; rel="next"'
        return response

    @blueprint.route("/new")
    @deprecated(since=SINCE, sunset=SUNSET, instead="number", parameter="count")
    @answers(200, {"type": "string"}, content_type="text/plain")
    @may_answer(422)
    @blueprint.query(OldQuery)
    def get_new(query: dict[str, Any]) -> Response:
        """Get the new thing."""
        return Response("new", mimetype="text/plain")

    api.register_blueprint(blueprint)
    return app.test_client()


@pytest.mark.parametrize(
    ("question", "status"), [("", 200), ("?number=1", 200), ("?number=4", 404), ("?number=x", 422)]
)
def test_every_answer_of_a_deprecated_route_says_since_when_and_until_when(
    client: FlaskClient, question: str, status: int
) -> None:
    answer = client.get(f"/v1/old{question}")
    assert answer.status_code == status
    since = datetime.fromtimestamp(int(answer.headers["Deprecation"].removeprefix("@")), UTC)
    assert since == datetime(2027, 1, 31, tzinfo=UTC)
    assert parsedate_to_datetime(answer.headers["Sunset"]) == datetime(2028, 3, 1, tzinfo=UTC)
    links = ", ".join(answer.headers.getlist("Link"))
    assert '</v1/new>; rel="successor-version"' in links
    assert '</docs/>; rel="deprecation"' in links
    assert ('rel="next"' in links) == (status == 200)


def test_head_says_it_too(client: FlaskClient) -> None:
    assert client.head("/v1/old").headers["Sunset"] == client.get("/v1/old").headers["Sunset"]


def test_of_a_parameter_only_answers_to_questions_that_have_it_say_so(client: FlaskClient) -> None:
    assert "Deprecation" not in client.get("/v1/new?number=1").headers
    answer = client.get("/v1/new?count=1")
    assert answer.text == "new"
    assert answer.headers["Deprecation"] == f"@{int(datetime(2027, 1, 31, tzinfo=UTC).timestamp())}"
    assert "successor-version" not in answer.headers["Link"]


def test_the_document_says_it(client: FlaskClient) -> None:
    document = client.get("/openapi.json").json
    old, new = document["paths"]["/v1/old"]["get"], document["paths"]["/v1/new"]["get"]
    assert (old["operationId"], old["deprecated"], old["summary"]) == ("get_old", True, "Get the old thing.")
    assert old["description"] == "It is no good.\n\nDeprecated: it works until 2028-03-01; use `/v1/new` instead."
    for response in old["responses"].values():
        headers = (
            document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]["headers"]
            if "$ref" in response
            else response["headers"]
        )
        assert {"Deprecation", "Sunset"} <= set(headers)
    assert "deprecated" not in new
    marked = {each["name"]: each for each in new["parameters"] if each.get("deprecated")}
    assert list(marked) == ["count"]
    assert marked["count"]["description"] == "As `number`. Deprecated: it works until 2028-03-01; use `number` instead."
    assert "x-deprecated-parameters" not in new


def test_what_is_not_deprecated_has_no_such_headers(client: FlaskClient) -> None:
    assert not {"Deprecation", "Sunset"} & set(client.get("/v1/new").headers)


def test_nothing_ends_before_it_is_deprecated() -> None:
    with pytest.raises(ValueError, match="cannot end on"):
        deprecated(since=SUNSET, sunset=SINCE, instead="/v1/new")
