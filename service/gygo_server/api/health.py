"""``/healthz`` and ``/readyz``: is the process alive, and may it be sent requests."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response

from gygo_server.api.arguments import Blueprint, Nothing
from gygo_server.api.documented import answers, problems
from gygo_server.api.problems import RETRY_AFTER
from gygo_server.api.schemas import HealthSchema
from gygo_server.api.services import services
from gygo_server.errors import StoreError

blueprint = Blueprint("health", __name__, description="For those who operate the service")


@blueprint.route("/healthz")
@answers(200, HealthSchema)
@problems(422)
@blueprint.query(Nothing)
def get_health(_query: dict[str, Any]) -> Response:
    """Say that the process is alive."""
    return _answer(200, {"status": "ok", "checks": {}})


@blueprint.route("/readyz")
@answers(200, HealthSchema)
@answers(503, HealthSchema, description="Not ready; `checks` says why.")
@problems(422)
@blueprint.query(Nothing)
def get_readiness(_query: dict[str, Any]) -> Response:
    """Say whether the object store answers and the datasets are known; if not, why.

    Limits that this process counts for itself, though it should in Redis, are told too, but are no reason not to be
    ready.
    """
    checks = {"store": _why_not_store(), "datasets": _why_not_datasets()}
    ready = all(why == "ok" for why in checks.values())
    local = services().counters.why_local()
    checks["limits"] = "ok" if local is None else "local: Redis is away or refuses; the log says why"
    return _answer(200 if ready else 503, {"status": "ready" if ready else "not ready", "checks": checks})


def _why_not_store() -> str:
    try:
        services().probe.check()
    except StoreError as error:
        return str(error)
    return "ok"


def _why_not_datasets() -> str:
    try:
        services().library.known()
    except StoreError as error:
        return str(error)
    return "ok"


def _answer(status: int, body: dict[str, Any]) -> Response:
    response = Response(orjson.dumps(body), status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER)
    return response
