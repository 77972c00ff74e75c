"""``…/frames``: a video's frames, one by one or in pages, and their pictures and masks as published."""

from __future__ import annotations

from typing import Any

from flask import Response
from marshmallow import fields, validate
from werkzeug.routing import IntegerConverter

from gygo_server.api import pages
from gygo_server.api.answers import Answer
from gygo_server.api.arguments import MAX_COUNT, Blueprint, Nothing, Page, Whole, chosen_fields, resolution_parameter
from gygo_server.api.callers import may_be_linked
from gygo_server.api.documented import BINARY, answers, may_be_not_modified, problems
from gygo_server.api.links import video_url
from gygo_server.api.published_bytes import send_member
from gygo_server.api.releases_in_paths import answered_once, in_release
from gygo_server.api.schemas import FramePageSchema, FrameSchema, names_of
from gygo_server.api.videos import find_archive
from gygo_server.catalogue.reader import ArchiveRow
from gygo_server.errors import NotFoundError
from gygo_server.library import Release
from gygo_server.model import FrameFiles, Member

blueprint = Blueprint(
    "frames",
    __name__,
    url_prefix="/v1/datasets/<dataset>/releases/<release>/videos/<video>/frames",
    description="The frames of a video, with their pictures and masks",
)

INDEX = f"/<index(max={MAX_COUNT}):index>"


class IndexConverter(IntegerConverter):
    """One spelling an index: werkzeug takes ``00005``, which looks like a frame's name, and any script's digits."""

    regex = r"(?:0|[1-9][0-9]{0,9})"


class FramesQuery(Page):
    sort = fields.String(
        load_default="index",
        validate=validate.OneOf(["index", "-index"]),
        metadata={"description": "`-` turns it round."},
    )
    object = Whole(
        validate=validate.Range(1, 254), metadata={"description": "Only frames that show the object with this id."}
    )
    has_mask = fields.Boolean(metadata={"description": "Only frames with a mask, or only those without."})
    resolution = resolution_parameter()
    chosen = chosen_fields(names_of(FrameSchema))


@blueprint.route("")
@answers(200, FramePageSchema)
@in_release
@answered_once
@blueprint.query(FramesQuery)
def list_frames(query: dict[str, Any], release: Release, video: str) -> Answer:
    """List a video's frames: files, byte ranges in the archive, objects with box and area."""
    archive = find_archive(release, video, query.get("resolution"))
    only_frames = {"object_id": query.get("object"), "has_mask": query.get("has_mask")}
    question = ["frames", archive.sha256, query["sort"], only_frames]
    after = pages.read_cursor(query.get("cursor"), question, (int,))
    found = release.catalogue.frames(
        archive,
        after=after[0] if after else None,
        limit=query["limit"] + 1,
        descending=query["sort"].startswith("-"),
        **only_frames,
    )
    shown = found[: query["limit"]]
    fps = release.catalogue.fps(video)
    url = video_url(release, video)
    return pages.page(
        [pages.only(_describe(url, archive, frame, fps), query.get("chosen")) for frame in shown],
        after=[shown[-1].index] if len(found) > len(shown) else None,
        question=question,
        total=release.catalogue.count_frames(archive, **only_frames),
    )


class FrameQuery(Nothing):
    resolution = resolution_parameter()
    chosen = chosen_fields(names_of(FrameSchema))


@blueprint.route(INDEX)
@may_be_linked
@answers(200, FrameSchema)
@in_release
@answered_once
@blueprint.query(FrameQuery)
def get_frame(query: dict[str, Any], release: Release, video: str, index: int) -> Answer:
    """Get one frame's metadata."""
    archive = find_archive(release, video, query.get("resolution"))
    frame = release.catalogue.frame(archive, index)
    if frame is None:
        raise _no_frame(release, video, archive, index)
    described = _describe(video_url(release, video), archive, frame, release.catalogue.fps(video))
    return Answer(pages.only(described, query.get("chosen")))


class PictureQuery(Nothing):
    resolution = resolution_parameter()


@blueprint.route(f"{INDEX}/image")
@may_be_linked
@answers(200, BINARY, content_type="image/jpeg")
@answers(206, BINARY, content_type="image/jpeg", description="The range asked for.")
@problems(416)
@may_be_not_modified
@in_release
@blueprint.query(PictureQuery)
def get_image(query: dict[str, Any], release: Release, video: str, index: int) -> Response:
    """Get a frame's picture, byte for byte as published."""
    archive = find_archive(release, video, query.get("resolution"))
    image = release.catalogue.image(archive, index)
    if image is None:
        raise _no_frame(release, video, archive, index)
    return send_member(release, archive, image, "image/jpeg")


@blueprint.route(f"{INDEX}/mask")
@may_be_linked
@answers(200, BINARY, content_type="image/png")
@answers(206, BINARY, content_type="image/png", description="The range asked for.")
@problems(416)
@may_be_not_modified
@in_release
@blueprint.query(PictureQuery)
def get_mask(query: dict[str, Any], release: Release, video: str, index: int) -> Response:
    """Get a frame's mask, byte for byte as published."""
    archive = find_archive(release, video, query.get("resolution"))
    mask = release.catalogue.mask(archive, index)
    if mask is None:
        if release.catalogue.image(archive, index) is None:
            raise _no_frame(release, video, archive, index)
        raise NotFoundError(
            "mask",
            f"frame {index} of video {video!r} has no mask at {archive.resolution}; list those which have one "
            "with has_mask=true",
        )
    return send_member(release, archive, mask, "image/png")


def _no_frame(release: Release, video: str, archive: ArchiveRow, index: int) -> NotFoundError:
    count = release.catalogue.count_frames(archive)
    return NotFoundError("frame", f"video {video!r} has frames 0 to {count - 1}, not {index}")


def _describe(video: str, archive: ArchiveRow, frame: FrameFiles, fps: float | None) -> dict[str, Any]:
    url = f"{video}/frames/{frame.index}"
    at = f"?resolution={archive.resolution}"
    return {
        "index": frame.index,
        "name": frame.name,
        "timestamp": None if fps is None else round(frame.index / fps, 6),
        "resolution": archive.resolution,
        "image": _describe_member(frame.image, f"{url}/image{at}"),
        "mask": _describe_member(frame.mask, f"{url}/mask{at}") if frame.mask else None,
        "range": {"start": frame.start, "end": frame.end},
        "objects": [{"id": region.object_id, "box": list(region.box), "area": region.area} for region in frame.regions],
        "links": {"self": f"{url}{at}"},
    }


def _describe_member(member: Member, url: str) -> dict[str, Any]:
    return {"offset": member.offset, "size": member.size, "sha256": member.sha256, "url": url}
