"""``…/links``: a URL of one picture, mask, frame or video for somebody who has no key."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

import orjson
from flask import Response, current_app, request
from marshmallow import Schema, fields, validate
from werkzeug.exceptions import HTTPException

from gygo_server.access.link import PARAMETER
from gygo_server.api.answers import PRIVATE, Answer, send
from gygo_server.api.arguments import Blueprint, JsonWhole, Nothing
from gygo_server.api.auditing import note
from gygo_server.api.callers import LINKABLE, caller, resource
from gygo_server.api.documented import answers, problems
from gygo_server.api.links import url_of
from gygo_server.api.releases_in_paths import AS_IT_CAME, in_release
from gygo_server.api.schemas import LinkSchema
from gygo_server.api.services import base_url, services
from gygo_server.errors import FieldError, InvalidQuestionError, KeyRefusedError, NotFoundError
from gygo_server.library import Release
from gygo_server.model import time_text

blueprint = Blueprint(
    "signed_links",
    __name__,
    url_prefix="/v1/datasets/<dataset>/releases/<release>",
    description="URLs for those who have no key",
)

DEFAULT_SECONDS = 86_400

#: What of a request is also of the one for what its link shows.
_KEPT = frozenset({"HTTP_HOST", "HTTP_AUTHORIZATION", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "SCRIPT_NAME"})


class LinkBody(Schema):
    url = fields.String(
        required=True,
        validate=validate.Length(1, 4096),
        metadata={
            "description": "What the link is to show: the URL of an image, a mask, a frame or a video of this release, "
            "with its parameters, as answers give it; or what follows the release's own in it."
        },
    )
    expires_in = JsonWhole(
        load_default=DEFAULT_SECONDS,
        validate=validate.Range(1, 366 * 86_400),
        metadata={"description": "Seconds that it is to be good; the answer says how long it is."},
    )


@blueprint.route("/links", methods=["POST"])
@answers(200, LinkSchema)
@problems(413, 415)
@in_release
@blueprint.query(Nothing)
@blueprint.body(LinkBody)
def create_link(_query: dict[str, Any], body: dict[str, Any], release: Release) -> Response:
    """Make a link: a URL that shows one image, mask, frame or video of this release to whoever has it.

    For a browser, or a colleague without a key. It is good for a time, for just that resource and those parameters, and
    ends with the key that made it.
    """
    signer, who = services().links, caller()
    if signer is None:
        raise NotFoundError("links", "this service makes no links: whoever runs it has not set GYGO_LINK_SECRETS")
    if who.key is None:
        raise KeyRefusedError("links are made on behalf of a key: send one as `Authorization: Bearer gygo_…`")
    path, query = _target(release, body["url"])
    shown = _look(path, query)
    ends = who.at + timedelta(seconds=min(body["expires_in"], services().settings.link_max_seconds))
    expires_at = min(ends, who.key.expires_at or ends)
    asked = [*([query] if query else []), f"{PARAMETER}={signer.sign(who.key.id, shown, expires_at)}"]
    note(shows=unquote(path), expires_at=time_text(expires_at))
    made = {"url": f"{base_url()}{path}?{'&'.join(asked)}", "expires_at": time_text(expires_at)}
    return send(Answer(orjson.dumps(made), immutable=False), None, PRIVATE)


def _target(release: Release, url: str) -> tuple[str, str]:
    """The path and the query of what a link is to show, both as they stand in URLs.

    Raises:
        InvalidQuestionError: it is nothing of this release.
    """
    own = url_of(release)
    if "://" in url.partition("?")[0] and not url.startswith(f"{base_url()}/"):
        raise _wrong(f"not a URL of this service, whose URLs begin with {base_url()}/")
    path, _, query = url.partition("#")[0].removeprefix(base_url()).partition("?")
    if not path.startswith("/"):
        path = f"{urlsplit(own).path}/{path}"
    path, query = quote(unquote(path), safe="/:"), quote(query, safe=AS_IT_CAME)
    if f"{base_url()}{path}".partition(f"{own}/")[:2] != ("", f"{own}/"):
        raise _wrong(f"not a URL of this release, whose URLs begin with {own}/")
    if any(part.partition("=")[0] == PARAMETER for part in query.split("&")):
        raise _wrong("is a link already: leave out its signature")
    return path, query


def _look(path: str, query: str) -> str:
    """What a link to this path is for, as :func:`resource` names it, once the caller has been shown that it is there.

    Raises:
        InvalidQuestionError: no link can be made to it, or it is not there.
    """
    environ = {name: value for name, value in request.environ.items() if name in _KEPT or name.startswith("wsgi.")}
    decoded = unquote_to_bytes(path).decode("latin-1")
    environ |= {"REQUEST_METHOD": "HEAD", "PATH_INFO": decoded, "QUERY_STRING": query, "wsgi.input": BytesIO()}
    # A context of the application too: what is kept of this request is not of that one.
    with current_app.app_context(), current_app.request_context(environ):
        view = current_app.view_functions.get(request.endpoint or "")
        if not getattr(view, LINKABLE, False):
            raise _wrong("not an image, a mask, a frame or a video")
        try:
            current_app.dispatch_request()
        except (NotFoundError, InvalidQuestionError, HTTPException) as error:
            raise _wrong(str(error)) from None
        return resource()


def _wrong(message: str) -> InvalidQuestionError:
    return InvalidQuestionError([FieldError("json", "url", message)])
