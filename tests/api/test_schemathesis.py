"""Schemathesis reads the OpenAPI document and holds the running service to it, with good requests and with bad ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from clip_trees import Clip, Tree
from processes import Service
from schemathesis import Case
from schemathesis.checks import CHECKS
from schemathesis.schemas import BaseSchema

from gygo_server.api.documentation import specification
from gygo_server.app import create_app_with_settings
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.settings import Settings
from gygo_server.store.bucket import Bucket

BUCKET = "gygo-schemathesis"
THERE = {"dataset": "d", "release": "r1", "video": "batch-1:v", "split": "train"}
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "unsupported_method",
)
DOCUMENT = json.loads(json.dumps(specification(create_app_with_settings(Settings.from_env({"GYGO_BUCKET": "any"})))))


def described(examples: int, parameters: dict[str, str]) -> BaseSchema:
    config = {
        "generation": {"max-examples": examples, "deterministic": True, "no-shrink": True, "database": "none"},
        "parameters": {f"path.{name}": value for name, value in parameters.items()},
    }
    return schemathesis.openapi.from_dict(DOCUMENT, config=schemathesis.Config.from_dict(config))


@pytest.fixture(scope="module")
def service(s3: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("schemathesis")
    bucket = Bucket(s3.settings(BUCKET))
    bucket.create()
    clips = [
        Clip("batch-1/v", ((1,), None, (1, 2)), "toys", ("blur",), ("train",), resolutions=("480p", "original")),
        *(Clip(f"w{n}", (None,) * n) for n in range(1, 4)),
    ]
    tree = Tree(root / "source", clips)
    publish(Publication(tree.root, "d", "r1", workers=1, fps=5), bucket, root / "state", Silent())
    with Service(root, {"GYGO_BUCKET": BUCKET, "GYGO_S3_ENDPOINT": s3.endpoint}) as service:
        yield service


def test_the_running_service_gives_the_document(service: Service) -> None:
    assert service.get("/openapi.json").json() == DOCUMENT


def check(case: Case, service: Service) -> None:
    answer = case.call(base_url=service.url, allow_redirects=False)
    if answer.status_code == 414:  # gunicorn's own, before the service sees it
        assert len(answer.request.path_url) > 8000
        return
    query: dict[str, Any] = dict(case.query or {})
    skipped = set()
    if "fields" in query:
        skipped.add("response_schema_conformance")  # fewer fields than the schema requires, as was asked
    if "cursor" in query or says_what_no_schema_can(case):
        skipped.add("positive_data_acceptance")  # only cursors that a page gave are good
    case.validate_response(answer, checks=[CHECKS.get_one(name) for name in CHECKED if name not in skipped])
    assert b"Traceback" not in answer.content
    assert answer.headers["x-request-id"]


def says_what_no_schema_can(case: Case) -> bool:
    """Whether it may be wrong by how its fields, or they and the video, belong together; each has a test elsewhere."""
    operation = case.operation.label.rsplit("/", 1)[1]
    asked = set(case.query or {})
    if operation == "downloads":
        named = isinstance(case.body, dict) and "videos" in case.body
        return named or {"format", "limit"} <= asked
    return operation in {"clip", "clips"} or (
        operation == "sample" and bool({"rank", "world", "step", "max_skip"} & asked)
    )


@described(40, THERE).parametrize()
def test_questions_about_what_is_there(case: Case, service: Service) -> None:
    check(case, service)


@described(15, {}).parametrize()
def test_questions_about_anything(case: Case, service: Service) -> None:
    check(case, service)
