"""Short forms for what several routes say of themselves in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gygo_server.api.arguments import Blueprint, Decorator
from gygo_server.api.problems import MIMETYPE
from gygo_server.api.schemas import ProblemSchema

BINARY = {"type": "string", "format": "binary"}

_MEANINGS = {
    404: "There is no such thing.",
    410: "The release was withdrawn.",
    416: "The range lies outside of the file.",
    422: "A parameter is wrong or unknown; `errors` names it.",
    502: "The object store does not hold what was published.",
    503: "The object store gives no answer and it is not cached; `Retry-After` says when to come back.",
}


def problems(blueprint: Blueprint, *statuses: int) -> Decorator:
    """Document these statuses, each with a problem as its body."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        for status in statuses:
            view = blueprint.alt_response(
                status, schema=ProblemSchema, content_type=MIMETYPE, description=_MEANINGS[status]
            )(view)
        return view

    return decorate


def not_modified(blueprint: Blueprint) -> Decorator:
    """Document 304."""
    return blueprint.alt_response(304, description="The client has it already (`If-None-Match`).")


def in_a_release(blueprint: Blueprint) -> Decorator:
    """Document what every path below a release may answer: 304, 307 for `latest`, and problems."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        view = problems(blueprint, 404, 410, 422, 502, 503)(view)
        view = not_modified(blueprint)(view)
        moved = "`latest` stands for the newest release: the same path there."
        location = {"Location": {"schema": {"type": "string", "format": "uri"}}}
        return blueprint.alt_response(307, description=moved, headers=location)(view)

    return decorate
