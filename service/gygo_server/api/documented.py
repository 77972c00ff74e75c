"""What routes say of themselves in the OpenAPI document.

flask-smorest's decorators document a view by wrapping it. Our views return finished responses, so the wrappers have
nothing to do at run time, and ten of them a route cost more than the route: only what they document is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gygo_server.api.arguments import Blueprint, Decorator
from gygo_server.api.problems import MIMETYPE
from gygo_server.api.schemas import ProblemSchema

BINARY = {"type": "string", "format": "binary"}

_MEANINGS = {
    401: "The API key is none, or no longer good.",
    403: "The API key does not allow this, or the link is no longer good.",
    404: "There is no such thing.",
    406: "`Accept` names none of the formats there are.",
    410: "The release was withdrawn.",
    412: "The answer is not the one that `If-Match` names.",
    413: "The question is too long.",
    415: "The question is not sent as JSON.",
    416: "The range lies outside of the file.",
    422: "A parameter is wrong or unknown; `errors` names it.",
    502: "The object store does not hold what was published.",
    503: "The object store gives no answer and it is not cached; `Retry-After` says when to come back.",
}
_MOVED = "`latest` stands for the newest release: the same path there."
_LOCATION = {"Location": {"schema": {"type": "string", "format": "uri"}}}

_blueprint = Blueprint("documented", __name__)  # only for its documenting decorators


def answers(status: int, schema: Any = None, **documented: Any) -> Decorator:
    """Document a view's answer. Several times for several statuses."""
    return _only_documents(_blueprint.response(status, schema, **documented))


def also(status: int, schema: Any, **documented: Any) -> Decorator:
    """Document another content type of a status that :func:`answers` documents."""
    return _only_documents(_blueprint.alt_response(status, schema=schema, **documented))


def problems(*statuses: int) -> Decorator:
    """Document these statuses, each with a problem as its body."""
    return _only_documents(
        *(
            _blueprint.alt_response(status, schema=ProblemSchema, content_type=MIMETYPE, description=_MEANINGS[status])
            for status in statuses
        )
    )


def may_be_not_modified(view: Callable[..., Any]) -> Callable[..., Any]:
    """Document 304, and its counterpart 412."""
    view = problems(412)(view)
    return _only_documents(_blueprint.alt_response(304, description="The client has it already (`If-None-Match`)."))(
        view
    )


def below_a_release(view: Callable[..., Any]) -> Callable[..., Any]:
    """Document what every path below a release may answer."""
    moved = _only_documents(_blueprint.alt_response(307, description=_MOVED, headers=_LOCATION))
    return moved(problems(401, 403, 404, 410, 422, 502, 503)(view))


def _only_documents(*decorators: Decorator) -> Decorator:
    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in decorators:
            vars(view)["_apidoc"] = vars(decorator(view))["_apidoc"]
        return view

    return decorate
