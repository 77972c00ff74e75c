"""What routes say of themselves in the OpenAPI document.

flask-smorest's decorators document a view by wrapping it. Our views return finished responses, so the wrappers have
nothing to do at run time, and ten of them a route cost more than the route: only what they document is kept.
`contract.py` adds what follows from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from gygo_server.api.arguments import Blueprint, Decorator
from gygo_server.api.problems import MIMETYPE
from gygo_server.api.schemas import PARTIAL, ProblemSchema

BINARY = {"type": "string", "format": "binary"}


class Meaning(NamedTuple):
    """What a status says, and the codes that its problems may have."""

    text: str
    codes: tuple[str, ...]


MEANINGS = {
    400: Meaning(
        "The request is not HTTP as it should be: no good `Host`, a body that is not whole.", ("bad-request",)
    ),
    401: Meaning("The API key is malformed, unknown, revoked or expired.", ("key-refused",)),
    403: Meaning(
        "The API key may not do this, or the signed link is no longer good.", ("scope-missing", "link-refused")
    ),
    404: Meaning(
        "There is no such thing.",
        (
            "not-found",
            "dataset-not-found",
            "release-not-found",
            "video-not-found",
            "frame-not-found",
            "mask-not-found",
            "resolution-not-found",
            "split-not-found",
            "links-not-found",
        ),
    ),
    406: Meaning("`Accept` names none of the formats there are.", ("not-acceptable",)),
    410: Meaning("The release was withdrawn.", ("release-withdrawn",)),
    412: Meaning("The answer is not the one that `If-Match` names.", ("precondition-failed",)),
    413: Meaning("The question is too long.", ("request-entity-too-large",)),
    414: Meaning("The URL is too long.", ("request-uri-too-long",)),
    415: Meaning("The question is not sent as JSON.", ("unsupported-media-type",)),
    416: Meaning("The range lies outside of the file.", ("range-not-satisfiable",)),
    422: Meaning("A parameter is wrong or unknown; `errors` names it.", ("invalid-request",)),
    429: Meaning("Too many requests; `Retry-After` says when to come back.", ("rate-limited", "quota-exceeded")),
    500: Meaning("Something went wrong here.", ("internal-error",)),
    502: Meaning("The object store does not hold what was published.", ("stored-bytes-wrong",)),
    503: Meaning(
        "The object store gives no answer and it is not cached; `Retry-After` says when to come back.",
        ("store-unavailable", "release-coming"),
    ),
}
_MOVED = "`latest` stands for the newest release: the same path there."

_blueprint = Blueprint("documented", __name__)  # only for its documenting decorators


def answers(status: int, schema: Any = None, **documented: Any) -> Decorator:
    """Document a view's answer. Several times for several statuses.

    Where ``fields`` may choose some of the schema's fields, its partial one is documented beside it. Not in its place,
    with no field required: whoever does not choose would have to ask for each field whether it is there.
    """
    if isinstance(schema, type) and schema in PARTIAL:
        schema = {"anyOf": [schema, PARTIAL[schema]]}
    return _only_documents(_blueprint.response(status, schema, **documented))


def also(status: int, schema: Any, **documented: Any) -> Decorator:
    """Document another content type of a status that :func:`answers` documents."""
    return _only_documents(_blueprint.alt_response(status, schema=schema, **documented))


def problems(*statuses: int) -> Decorator:
    """Document these statuses, each with a problem as its body."""
    return _only_documents(
        *(
            _blueprint.alt_response(
                status, schema=ProblemSchema, content_type=MIMETYPE, description=MEANINGS[status].text
            )
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
    moved = _only_documents(_blueprint.alt_response(307, description=_MOVED))
    return moved(problems(404, 410, 422, 502, 503)(view))


def _only_documents(*decorators: Decorator) -> Decorator:
    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in decorators:
            vars(view)["_apidoc"] = vars(decorator(view))["_apidoc"]
        return view

    return decorate
