"""URLs of this service, absolute, as answers give them."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from flask import request

from gygo_server.api.services import base_url
from gygo_server.library import Release


def dataset_url(dataset: str) -> str:
    return f"{base_url()}/v1/datasets/{dataset}"


def release_url(dataset: str, release: str) -> str:
    return f"{dataset_url(dataset)}/releases/{release}"


def url_of(release: Release) -> str:
    return release_url(release.dataset.id, release.entry.id)


def video_url(release: Release, video: str) -> str:
    return f"{url_of(release)}/videos/{quote(video, safe=':')}"


def with_query(**changes: str | None) -> str:
    """The current request's URL with these parameters of its query set, or left out where None."""
    kept = [(name, value) for name, value in request.args.items(multi=True) if name not in changes]
    query = urlencode([*kept, *((name, value) for name, value in changes.items() if value is not None)])
    return f"{base_url()}{quote(request.path, safe='/:')}{'?' if query else ''}{query}"
