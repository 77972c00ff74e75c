"""Decorators of routes below ``…/releases/<release>``: which release it is, and answers that never change."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import quote

from flask import Response, redirect, request

from gygo_server.api.answers import (
    GUARDED,
    IMMUTABLE,
    PRIVATE,
    REVALIDATE,
    Answer,
    known_tag,
    not_modified,
    question_etag,
    send,
)
from gygo_server.api.callers import caller, linked
from gygo_server.api.documented import below_a_release, may_be_not_modified
from gygo_server.api.services import base_url, services
from gygo_server.errors import NotFoundError, WithdrawnError
from gygo_server.library import Release

LATEST = "latest"

#: All printable ASCII that may stand in a URL: a query keeps its spelling, and only what is no URL is quoted.
AS_IT_CAME = "!$%&'()*+,/:;=?@[]~"


def in_release(view: Callable[..., Response]) -> Callable[..., Response]:
    """Open the release that the path names, and give it to the view as ``release``.

    ``latest`` is answered with a 307 to the concrete release, so that every other answer is immutable.
    """

    @wraps(view)
    def wrapper(*args: Any, dataset: str, release: str, **kwargs: Any) -> Response:
        if release == LATEST:
            return _redirect_to_latest(dataset)
        return view(*args, release=services().library.release(dataset, release, caller()), **kwargs)

    return below_a_release(wrapper)


def answered_once(view: Callable[..., Answer]) -> Callable[..., Response]:
    """For views that answer a question about a release: work only for what was not asked before."""

    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Response:
        answers, release = services().answers, kwargs["release"]
        etag = question_etag(_digest(release), base_url())
        cache_control = cache_control_of(release, with_lineage=True)
        # A question that is wrong is that first, whatever If-Match says (RFC 9110, 13.2.1).
        known = None if "If-Match" in request.headers else known_tag(etag)
        if known is not None and not request.if_none_match.star_tag:
            return not_modified(known, cache_control)
        answer = answers.get(etag)
        if answer is None:
            answer = view(*args, **kwargs)
            if answer.immutable:
                answers.keep(etag, answer)
        known = known_tag(etag)
        if not answer.immutable:
            return send(answer, None, PRIVATE)
        return send(answer, etag, cache_control) if known is None else not_modified(known, cache_control)

    return may_be_not_modified(wrapper)


def cache_control_of(release: Release, *, with_lineage: bool = False) -> str:
    """How long an answer about a release may be kept, and by whom. ``with_lineage``: it may say something of the
    releases that this one comes from, which not everybody may see, and which may be shown or hidden later."""
    if not release.public or linked():
        return GUARDED
    if not with_lineage or release.public_lineage:
        return IMMUTABLE
    return REVALIDATE if caller().key is None else GUARDED


def _digest(release: Release) -> str:
    """What answers are a function of, beside the question."""
    sha256 = release.entry.catalogue_sha256
    return sha256 if release.public_lineage else "\0".join([sha256, *release.lineage])


def _redirect_to_latest(dataset: str) -> Response:
    found = services().library.dataset(dataset, caller())
    if found.latest is None and found.releases:
        raise WithdrawnError(f"all releases of dataset {dataset!r} were withdrawn")
    if found.latest is None:
        raise NotFoundError("release", f"dataset {dataset!r} has no release")
    head, tail = f"/v1/datasets/{dataset}/releases/", request.path.split(f"/releases/{LATEST}", 1)[1]
    query = quote(request.query_string, safe=AS_IT_CAME)
    target = quote(head + found.latest.id + tail, safe="/:") + (f"?{query}" if query else "")
    response = redirect(base_url() + target, 307)
    response.headers["Cache-Control"] = "no-cache" if caller().key is None else GUARDED
    response.vary.add("Authorization")
    assert isinstance(response, Response)  # noqa: S101
    return response
