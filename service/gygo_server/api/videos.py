"""``…/videos``: a release's videos, and a signed URL of each one's archive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from itertools import repeat
from typing import Any, Literal, NamedTuple

import orjson
from flask import Response, redirect, request
from marshmallow import fields, validate

from gygo_server.access.api_key import Action
from gygo_server.api import pages
from gygo_server.api.answers import EXPIRES_AT, PRIVATE, Answer
from gygo_server.api.arguments import (
    Blueprint,
    Nothing,
    Page,
    chosen_fields,
    expiry_parameter,
    resolution_parameter,
)
from gygo_server.api.callers import may_be_linked
from gygo_server.api.documented import answers
from gygo_server.api.download_lists import Download
from gygo_server.api.file_names import archive_name
from gygo_server.api.giving import give_urls
from gygo_server.api.links import url_of, video_url
from gygo_server.api.releases_in_paths import answered_once, in_release
from gygo_server.api.schemas import VideoPageSchema, VideoSchema, names_of
from gygo_server.api.services import services
from gygo_server.api.video_filters import VideosFilterQuery, video_filter
from gygo_server.catalogue.documents import LINKS
from gygo_server.catalogue.reader import ArchiveRow
from gygo_server.catalogue.schema import SORTS
from gygo_server.errors import NotFoundError
from gygo_server.library import Release
from gygo_server.store.signed_urls import Batch, Signed

blueprint = Blueprint(
    "videos",
    __name__,
    url_prefix="/v1/datasets/<dataset>/releases/<release>",
    description="The videos of a release",
)


class VideosQuery(VideosFilterQuery, Page):
    sort = fields.String(
        load_default="name",
        validate=validate.OneOf([sign + name for name in SORTS for sign in ("", "-")]),
        metadata={"description": "`-` turns it round."},
    )
    include = fields.String(
        validate=validate.OneOf(["archive_url"]),
        metadata={"description": "`archive_url`: with a signed URL of each video's archive, at `resolution`."},
    )
    expires_in = expiry_parameter()
    chosen = chosen_fields(names_of(VideoSchema))


@blueprint.route("/videos")
@answers(200, VideoPageSchema)
@in_release
@answered_once
@blueprint.query(VideosQuery)
def list_videos(query: dict[str, Any], release: Release) -> Answer:
    """List the videos of a release, filtered and in order, in pages."""
    chosen, sort, limit = video_filter(query, release), query["sort"], query["limit"]
    question = ["videos", release.entry.catalogue_sha256, sort, astuple(chosen)]
    key = pages.read_cursor(query.get("cursor"), question, (int,))
    catalogue, after = release.catalogue, key[0] if key else None
    ranks = catalogue.ranks(chosen, sort=sort, after=after, limit=limit + 1)
    shown = ranks[:limit]
    with_urls = query.get("include") == "archive_url"
    items: list[bytes] | bytes
    if with_urls or "chosen" in query or catalogue.links != LINKS:
        signed = _signed(release, sort, shown, query) if with_urls else repeat(None)
        items = [
            _item(release, video, document, query.get("chosen"), url)
            for (video, document), url in zip(catalogue.videos(sort, shown), signed, strict=False)
        ]
    else:
        items = catalogue.page(sort, shown, f"{url_of(release)}/videos/".encode())
    return pages.page(
        items,
        after=[shown[-1]] if len(ranks) > len(shown) else None,
        question=question,
        total=catalogue.count(chosen),
        immutable=not with_urls,
    )


class VideoQuery(Nothing):
    chosen = chosen_fields(names_of(VideoSchema))


@blueprint.route("/videos/<video>")
@may_be_linked
@answers(200, VideoSchema)
@in_release
@answered_once
@blueprint.query(VideoQuery)
def get_video(query: dict[str, Any], release: Release, video: str) -> Answer:
    """Get one video: size, frames, objects with categories, attributes, archives, links."""
    document = release.catalogue.video(video)
    if document is None:
        raise NotFoundError("video", f"there is no video {video!r} in release {release.entry.id!r}")
    return Answer(_item(release, video, document, query.get("chosen"), None))


class SignedArchive(NamedTuple):
    """What a signed URL is of; ``bytes``: of the archive, 0 when another URL of the answer is of the same one."""

    id: str
    resolution: str
    bytes: int


class ArchiveQuery(Nothing):
    resolution = resolution_parameter()
    expires_in = expiry_parameter()


@blueprint.route("/videos/<video>/archive")
@answers(307, description="A signed URL of the tar; `X-Url-Expires-At` says until when it is good.")
@in_release
@blueprint.query(ArchiveQuery)
def get_archive(query: dict[str, Any], release: Release, video: str) -> Response:
    """Get a video's archive: a redirect to a signed URL of the tar, good for a while."""
    archive = find_archive(release, video, query.get("resolution"))
    signed = sign_archive(release, video, archive, request.method, query.get("expires_in"))
    if request.method != "HEAD" or not services().signed_urls.bind_method:
        give_urls([SignedArchive(video, archive.resolution, archive.size)], signed.expires_at)
    response = redirect(signed.url, 307)
    response.headers["Cache-Control"] = PRIVATE
    response.headers[EXPIRES_AT] = signed.expires_at
    assert isinstance(response, Response)  # noqa: S101
    return response


def find_archive(release: Release, video: str, resolution: str | None) -> ArchiveRow:
    """The video's archive at this resolution; at the release's default one, or else its first, when None.

    Raises:
        NotFoundError: no such video, or not at this resolution.
    """
    catalogue = release.catalogue
    archive = catalogue.archive(video, resolution or catalogue.release["default_resolution"])
    if archive is not None:
        return archive
    document = catalogue.video(video)
    if document is None:
        raise NotFoundError("video", f"there is no video {video!r} in release {release.entry.id!r}")
    names = [each["resolution"] for each in orjson.loads(document)["resolutions"]]
    if resolution is not None:
        known = ", ".join(names)
        raise NotFoundError(
            "resolution", f"video {video!r} has no resolution {resolution!r}; it has: {known}", "resolution"
        )
    return find_archive(release, video, names[0])


def _item(release: Release, video: str, document: str, chosen: list[str] | None, signed: Signed | None) -> bytes:
    """A video's JSON: what the catalogue says, with links and a signed URL, and only the chosen fields."""
    url = video_url(release, video)
    described = {**orjson.loads(document), "links": {name: f"{url}{path}" for name, path in LINKS.items()}}
    if chosen is not None:
        described = {name: described[name] for name in chosen}
    if signed is not None:
        described["archive_url"], described["archive_url_expires_at"] = signed
    return orjson.dumps(described)


def sign_archives(release: Release, numbers: Sequence[int], resolution: str | None, batch: Batch) -> Iterator[Download]:
    """An archive of each of these videos, at this resolution (None: the default one, or else its first), signed.

    Raises:
        ScopeMissingError: the caller may not download the release.
    """
    release.require(Action.DOWNLOAD)
    catalogue, dataset, entry = release.catalogue, release.dataset.id, release.entry.id
    alike = catalogue.alike
    archives = catalogue.archives_at(numbers, resolution or catalogue.release["default_resolution"])
    for number, (video, found, sha256, size) in zip(numbers, archives, strict=True):
        file = archive_name(dataset, entry, video, found, alike=number in alike)
        yield Download(video, found, file, batch.url(sha256, file), size, sha256)


def _signed(release: Release, sort: str, ranks: Sequence[int], query: dict[str, Any]) -> list[Signed]:
    """A URL of an archive of each of these videos, all good until the same time."""
    batch = services().signed_urls.batch(release.dataset.id, expires_in=query.get("expires_in"))
    numbers = release.catalogue.numbers(sort, ranks)
    signed = list(sign_archives(release, numbers, query.get("resolution"), batch))
    give_urls(signed, batch.expires_at)
    return [Signed(each.url, batch.expires_at) for each in signed]


def sign_archive(
    release: Release, video: str, archive: ArchiveRow, method: str, expires_in: int | None = None
) -> Signed:
    """A signed URL of the archive, for GET or HEAD.

    Raises:
        ScopeMissingError: the caller may not download the release.
    """
    release.require(Action.DOWNLOAD)
    catalogue, signed_urls, dataset = release.catalogue, services().signed_urls, release.dataset.id
    alike = bool(catalogue.alike) and any(n in catalogue.alike for n in catalogue.numbers_of([video]) if n)
    name = archive_name(dataset, release.entry.id, video, archive.resolution, alike=alike)
    kind: Literal["GET", "HEAD"] = "HEAD" if method == "HEAD" else "GET"
    if expires_in is None:
        return signed_urls.archive(dataset, archive.sha256, method=kind, filename=name)
    batch = signed_urls.batch(dataset, expires_in=expires_in, method=kind)
    return Signed(batch.url(archive.sha256, name), batch.expires_at)
