"""Schemathesis reads the OpenAPI document and holds the running service to it, with good requests and with bad ones.

All of its checks, in all of its phases: the document's examples, each limit's edges, anything, and walks along links.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from clip_trees import Clip, Tree
from processes import Service
from schemathesis import Case
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.generation.meta import CoveragePhaseData
from schemathesis.openapi.checks import RejectedPositiveData
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
#: Those of the document's examples, so that these are answered here as well.
THERE = {"dataset": "gygo-multi", "release": "sample", "video": "black-mug", "split": "train"}
DOCUMENT = json.loads(json.dumps(specification(create_app_with_settings(Settings.from_env({"GYGO_BUCKET": "any"})))))


@pytest.fixture(scope="module")
def service(s3: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("schemathesis")
    bucket = Bucket(s3.settings(BUCKET))
    bucket.create()
    clips = [
        Clip("black-mug", ((1,), None, (1, 2)), "toys", ("blur",), ("train",), resolutions=("480p", "original")),
        Clip("batch-1/v", ((1,),) * 9, "toys", (), ("train",)),
        *(Clip(f"w{n}", (None,) * n) for n in range(1, 4)),
    ]
    tree = Tree(root / "source", clips)
    publish(Publication(tree.root, THERE["dataset"], THERE["release"], workers=1, fps=5), bucket, root / "s", Silent())
    with Service(root, {"GYGO_BUCKET": BUCKET, "GYGO_S3_ENDPOINT": s3.endpoint}) as service:
        yield service


def test_the_running_service_gives_the_document(service: Service) -> None:
    assert service.get("/openapi.json").json() == DOCUMENT


def described(service: Service, parameters: dict[str, str], *, examples: int, walks: int, edges: bool) -> BaseSchema:
    generation = {"max-examples": examples, "deterministic": True, "no-shrink": True, "database": "none"}
    config: dict[str, Any] = {
        "base-url": service.url,
        "max-redirects": 0,  # signed URLs lead elsewhere
        "continue-on-failure": True,
        "generation": generation,
        "phases": {
            "coverage": {"enabled": edges},
            "stateful": {"generation": {**generation, "max-examples": walks}},
        },
        "parameters": {f"path.{name}": value for name, value in parameters.items()},
    }
    schema = schemathesis.openapi.from_dict(DOCUMENT, config=schemathesis.Config.from_dict(config))
    schema.hook(filter_failure)
    return schema


def filter_failure(context: Any, failure: Failure, case: Case, response: Response) -> bool:
    """Whether it counts; those which do not are what no schema can say."""
    if response.status_code in {414, 431}:
        return False  # a line or a header that is too long never comes to the service
    if isinstance(failure, AcceptedNegativeData):
        # `latest` takes the question along: it is looked at where that leads.
        return response.status_code != 307 and not is_replaced(case)
    if not isinstance(failure, RejectedPositiveData):
        return True
    return not fails_as_a_condition(case, response) and not says_what_no_schema_can(case, response)


def is_replaced(case: Case) -> bool:
    """Whether what is wrong is a part of the path in whose place a name was put that is there."""
    edge = case.meta.phase.data if case.meta else None
    return (
        isinstance(edge, CoveragePhaseData)
        and edge.parameter_location == ParameterLocation.PATH
        and (case.path_parameters or {}).get(edge.parameter) == THERE.get(edge.parameter or "")
    )


def fails_as_a_condition(case: Case, response: Response) -> bool:
    """What headers ask for, the answer may not be."""
    header = {412: "If-Match", 416: "Range"}.get(response.status_code)
    return header is not None and header in (case.headers or {})


def says_what_no_schema_can(case: Case, response: Response) -> bool:
    """Whether it may be wrong by how its fields, or they and the video, belong together; each has a test elsewhere."""
    if response.status_code != 422:
        return False
    asked = set(case.query or {})
    operation = case.operation.definition.raw["operationId"]
    if "cursor" in asked and operation != "get_sample":
        return True  # only those that a page gave are good
    match operation:
        case "list_downloads" | "list_chosen_downloads":
            named = isinstance(case.body, dict) and "videos" in case.body
            return named or {"format", "limit"} <= asked
        case "get_clip" | "get_clips" | "create_link":
            return True
        case "get_sample":
            return bool({"rank", "world", "step", "max_skip"} & asked)
    return False


def hold(schema: BaseSchema) -> set[str]:
    """Fail with each request whose answer is not as described; the phases that asked something."""
    wrong: dict[str, None] = {}
    phases = set()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            pytest.fail(f"schemathesis itself failed: {event}")
        if not isinstance(event, events.ScenarioFinished):
            continue
        found = [each.failure_info for checks in event.recorder.checks.values() for each in checks]
        wrong |= {f"{event.phase.name}: {each.failure}\n{each.code_sample}": None for each in found if each}
        answered = [each.response for each in event.recorder.interactions.values() if each.response is not None]
        if answered:
            phases.add(event.phase.name)
        for answer in answered:
            assert b"Traceback" not in (answer.content or b"")
            assert "x-request-id" in answer.headers or answer.status_code in {400, 414, 431}
    assert not wrong, f"{len(wrong)} failures\n\n" + "\n\n".join(wrong)
    return phases


def test_questions_about_what_is_there(service: Service) -> None:
    schema = described(service, THERE, examples=10, walks=15, edges=True)
    assert hold(schema) == {"EXAMPLES", "COVERAGE", "FUZZING", "STATEFUL_TESTING"}


def test_questions_about_anything(service: Service) -> None:
    assert hold(described(service, {}, examples=10, walks=30, edges=False)) >= {"FUZZING", "STATEFUL_TESTING"}
