"""The API's description of itself: OpenAPI 3.1 at ``/openapi.json``, its UI at ``/docs``, where to begin at ``/``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import flask_swagger_ui
import orjson
import yaml
from flask import Blueprint, Flask, Response, request, send_from_directory
from flask_smorest import Api

from gygo_server import __version__
from gygo_server.api.answers import REVALIDATE, known_tag, not_modified
from gygo_server.api.contract import completed
from gygo_server.api.schemas import AnyOf
from gygo_server.api.services import base_url
from gygo_server.errors import FieldError, InvalidQuestionError

_DESCRIPTION = """\
Video object segmentation data sets: list videos, fetch frames, masks and metadata, download archives.

* Every list is `{"items": […], "next": URL or null, "total": N}`; follow `next` (or the `Link` header) to the end.
* `latest` in place of a release redirects to the newest one. All else below a release never changes: answers carry a
  strong `ETag` and may be cached for ever.
* Errors are `application/problem+json` (RFC 9457) with a stable `type`; `errors` names the fields at fault.
* One video at one resolution is one tar, its *archive*, with members in the DAVIS layout: frame, mask, frame, mask ….
  Frame listings give byte ranges in it.
* `fields` chooses some of an answer's fields: then it is a `Partial…` of the same name.
* An API key goes into `Authorization: Bearer …`; what is public is answered without one.
* Void (value 255 of palette masks) is kept as published.
"""


#: Our page and the script that starts it, and Swagger UI's files. Its own page holds a script, which no policy for
#: pages allows that is worth its name.
_PAGE = Path(__file__).parent / "documentation_ui"
_OURS = frozenset(file.name for file in _PAGE.iterdir())
_SWAGGER_UI = Path(flask_swagger_ui.__file__).parent / "dist"

_ui = Blueprint("swagger_ui", __name__, url_prefix="/docs")


@_ui.get("/")
@_ui.get("/<path:path>")
def show(path: str = "index.html") -> Response:
    """The API's description as a page to read and try out."""
    return send_from_directory(_PAGE if path in _OURS else _SWAGGER_UI, path)


class _Api(Api):  # type: ignore[misc]
    """flask-smorest's, but for errors: those are answered in `problems.py`, and documented by each route."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        pass

    # Its own error and page would stand in the document, and in generated clients, though nothing answers them.
    def _register_responses(self) -> None:
        pass

    def _register_pagination_header(self) -> None:
        pass


def register(app: Flask) -> Any:
    """Prepare ``app`` for its description; the API object to register blueprints with."""
    app.config.update(
        API_TITLE="GyGO server",
        API_VERSION="1",
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={"info": {"description": _DESCRIPTION, "version": __version__}},
    )
    api = _Api(app)
    api.ma_plugin.converter.add_attribute_function(_any_of)
    app.register_blueprint(_ui)

    # Put together once, at the first question: by then all routes are registered.
    written = cache(lambda: orjson.dumps(specification(app)))

    @app.get("/openapi.json")
    def openapi() -> Response:
        return _json(written())

    @app.get("/")
    def index() -> Response:
        base = base_url()
        links = {"datasets": f"{base}/v1/datasets", "documentation": f"{base}/docs/", "openapi": f"{base}/openapi.json"}
        return _json(orjson.dumps({"service": "gygo-server", "version": __version__, "links": links}))

    return api


def specification(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of an application."""
    return completed(app.extensions["flask-smorest"]["apis"][""]["ext_obj"].spec.to_dict())


def as_yaml(document: dict[str, Any]) -> str:
    """The document as ``api_spec/openapi.yaml`` holds it."""
    plain = orjson.loads(orjson.dumps(document))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)


def _any_of(converter: Any, field: Any, **_: Any) -> dict[str, Any]:
    """How apispec writes our field `AnyOf`."""
    if not isinstance(field, AnyOf):
        return {}
    return {"anyOf": [converter.resolve_nested_schema(schema) for schema in field.schemas]}


def _json(document: bytes) -> Response:
    if request.args:
        raise InvalidQuestionError([FieldError("query", name, "no parameters are taken here") for name in request.args])
    return _revalidated(Response(document, mimetype="application/json"))


def _revalidated(response: Response) -> Response:
    """With an entity tag, and 304 when the client has it; nothing for files, which have both already."""
    if response.status_code != 200 or response.direct_passthrough:
        return response
    response.add_etag()
    etag, _ = response.get_etag()
    known = known_tag(etag or "")
    if known is not None:
        return not_modified(known, REVALIDATE)
    response.headers["Cache-Control"] = REVALIDATE
    return response
