"""The API's description of itself: valid, complete, the same in the repository, and shown without the internet."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
import yaml
from checked_client import UNDOCUMENTED, CheckedClient, Contract, openapi_path
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from gygo_server.api import documentation


@pytest.fixture(scope="module")
def document(api: CheckedClient) -> dict[str, Any]:
    found: dict[str, Any] = api.get("/openapi.json").json
    return found


@pytest.fixture(scope="module")
def contract(api: CheckedClient) -> Contract:
    return Contract(api.application)


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }


def test_it_is_a_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert re.fullmatch(r"3\.1\.\d", document["openapi"])
    validate(document, cls=OpenAPIV31SpecValidator)


def test_every_schema_is_valid_json_schema(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_the_file_in_the_repository_is_what_the_code_says(document: dict[str, Any]) -> None:
    from api_spec import write

    assert write.TARGET.read_text(encoding="utf-8") == write.current(), "run `make openapi`"
    assert yaml.safe_load(write.current()) == document


def test_every_route_is_in_it_and_nothing_else(api: CheckedClient, document: dict[str, Any]) -> None:
    rules = {
        openapi_path(rule.rule) for rule in api.application.url_map.iter_rules() if rule.endpoint not in UNDOCUMENTED
    }
    assert set(document["paths"]) == rules


def test_every_operation_says_what_it_does_and_what_it_answers(document: dict[str, Any], contract: Contract) -> None:
    for name, operation in operations(document).items():
        assert operation["summary"].endswith(".") or operation.get("description"), name
        assert {"200", "307"} & set(operation["responses"]), name
        assert "422" in operation["responses"], name
        for status, found in operation["responses"].items():
            response = contract.resolved(found)
            assert response["description"], name
            if status.startswith(("4", "5")) and (name, status) != ("GET /readyz", "503"):
                assert list(response["content"]) == ["application/problem+json"], name
        if "/releases/" in name:
            assert {"307", "404", "410", "502", "503"} <= set(operation["responses"]), name
            # What holds signed URLs is not kept, and so never known already.
            assert "304" in operation["responses"] or name.endswith(("/archive", "/downloads", "/links")), name
        for parameter in map(contract.resolved, operation["parameters"]):
            assert parameter["description"].endswith("."), (name, parameter["name"])


def test_operations_have_ids_of_their_own_for_generated_clients(document: dict[str, Any]) -> None:
    ids = [operation.get("operationId") for operation in operations(document).values()]
    assert None not in ids
    assert len(set(ids)) == len(ids)


def test_path_parameters_are_all_declared(document: dict[str, Any], contract: Contract) -> None:
    for path, item in document["paths"].items():
        declared = {each["name"] for each in map(contract.resolved, item.get("parameters", [])) if each["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path)), path


def test_every_schema_is_used(document: dict[str, Any]) -> None:
    used = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert used == set(document["components"]["schemas"])
    assert set(re.findall(r"#/components/responses/(\w+)", str(document))) == set(
        document["components"].get("responses", {})
    )


def test_enumerations_are_those_that_are_accepted(api: CheckedClient, document: dict[str, Any]) -> None:
    path = "/v1/datasets/{dataset}/releases/{release}/videos"
    (sort,) = [each for each in document["paths"][path]["get"]["parameters"] if each.get("name") == "sort"]
    for value in sort["schema"]["enum"]:
        assert api.get(f"/v1/datasets/toys/releases/r1/videos?sort={value}").status_code == 200


def test_every_parameter_has_limits(document: dict[str, Any], contract: Contract) -> None:
    limits = {"string": {"maxLength", "enum"}, "integer": {"maximum"}, "array": {"maxItems"}, "boolean": {"type"}}
    for name, operation in operations(document).items():
        for parameter in map(contract.resolved, operation["parameters"]):
            schema = contract.resolved(parameter["schema"])
            # What HTTP defines is not for us to limit.
            assert parameter["in"] == "header" or limits[schema["type"]] & set(schema), (name, parameter["name"])


def test_links_lead_to_operations_and_name_all_that_they_need(document: dict[str, Any], contract: Contract) -> None:
    paths = {each["operationId"]: name.split(" ")[1] for name, each in operations(document).items()}
    led_to = set()
    for name, operation in operations(document).items():
        for link in operation["responses"].get("200", {}).get("links", {}).values():
            path = paths[link["operationId"]]
            assert set(link["parameters"]) == set(re.findall(r"{(\w+)}", path)), name
            led_to.add(link["operationId"])
    assert set(paths) - led_to == {
        "list_datasets",
        "list_chosen_downloads",
        "create_link",
        "get_health",
        "get_readiness",
    }


def test_answers_may_grow_and_questions_may_not_have_what_is_unknown(document: dict[str, Any]) -> None:
    closed = {name for name, each in document["components"]["schemas"].items() if "additionalProperties" in each}
    assert {name for name in closed if document["components"]["schemas"][name]["additionalProperties"] is False} == {
        "Clip",
        "ClipsBody",
        "DownloadsBody",
        "LinkBody",
    }


def test_it_is_put_together_once(api_with: Callable[..., CheckedClient], monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    api = api_with()
    monkeypatch.setattr(documentation, "completed", lambda document: made.append(document) or {"paths": {}})
    assert [api.get("/openapi.json").json for _ in range(3)] == [{"paths": {}}] * 3
    assert len(made) == 1


# Its UI


class Sources(HTMLParser):
    """What a page loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data"}]


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_the_ui_is_made_of_local_files_that_are_there(api: CheckedClient, path: str) -> None:
    page = api.get(path)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    sources = Sources(page.text).found
    assert len(sources) >= 4
    for source in sources:
        assert re.match(r"/docs/[\w.-]+$", source), f"{source} is not a local file"
        file = api.get(source)
        assert file.status_code == 200
        assert len(file.data) > 100
    script = api.get("/docs/start.js").text
    assert re.findall(r'url: "([^"]+)"', script) == ["/openapi.json"]


def test_the_ui_loads_nothing_from_elsewhere(api: CheckedClient) -> None:
    page = api.get("/docs/").text
    style = "".join(api.get(source).text for source in Sources(page).found if source.endswith(".css"))
    assert style
    assert re.findall(r"url\(\s*['\"]?https?:", style) == []
    assert re.findall(r"@import", style) == []
    assert not re.search(r"(?:src|href)=['\"](?:https?:)?//", page)
