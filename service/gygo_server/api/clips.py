"""``…/clip`` and ``…/clips``: runs of frames with their masks, as tars, or as signed URLs and byte ranges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from flask import Response
from marshmallow import Schema, fields, validate

from gygo_server.api.answers import PRIVATE, Answer, send
from gygo_server.api.arguments import (
    MAX_COUNT,
    Blueprint,
    BoundedList,
    JsonTruth,
    JsonWhole,
    Nothing,
    Whole,
    expiry_parameter,
    resolution_parameter,
)
from gygo_server.api.clip_tars import send_clip, send_clips
from gygo_server.api.documented import BINARY, also, answers, may_be_not_modified, problems
from gygo_server.api.found_clips import MAX_LENGTH, ClipQuestion, FoundClip, Wanted, find_clip
from gygo_server.api.giving import give_urls
from gygo_server.api.problems import describe
from gygo_server.api.releases_in_paths import in_release
from gygo_server.api.schemas import LocatedClipsSchema
from gygo_server.api.videos import SignedArchive, sign_archive
from gygo_server.errors import FieldError, GygoError, InvalidQuestionError, NotFoundError
from gygo_server.library import Release
from gygo_server.model import FrameFiles, Member

blueprint = Blueprint(
    "clips",
    __name__,
    url_prefix="/v1/datasets/<dataset>/releases/<release>",
    description="Clips: frames of a video with their masks, for training",
)

#: Clips of one request, and frames of all of them together, at most.
MAX_CLIPS = 1000
MAX_FRAMES = 100_000
MAX_STEP = 10_000

_LENGTH = f"Number of frames, {MAX_LENGTH:,} at most."
_STEP = {"description": "From each frame to the next."}
_IMAGES = {"description": "With the frames' images."}
_MASKS = {"description": "With their masks, where there are any."}


class ClipQuery(Nothing):
    start = Whole(
        load_default=0, validate=validate.Range(0, MAX_COUNT), metadata={"description": "Index of the first frame."}
    )
    length = Whole(
        load_default=None,
        validate=validate.Range(1, MAX_LENGTH),
        metadata={"description": f"{_LENGTH} All that follow when it is not given."},
    )
    step = Whole(load_default=1, validate=validate.Range(1, MAX_STEP), metadata=_STEP)
    resolution = resolution_parameter()
    images = fields.Boolean(load_default=True, metadata=_IMAGES)
    masks = fields.Boolean(load_default=True, metadata=_MASKS)


@blueprint.route("/videos/<video>/clip")
@answers(200, BINARY, content_type="application/x-tar")
@answers(206, BINARY, content_type="application/x-tar", description="The range asked for.")
@problems(416)
@may_be_not_modified
@in_release
@blueprint.query(ClipQuery)
def get_clip(query: dict[str, Any], release: Release, video: str) -> Response:
    """Get a clip: a tar of some frames and their masks, as in the archive; with step 1, one range of it as it is.

    It has no end-of-archive blocks, which readers of tars do without: clips may be written one after the other.
    """
    asked = ClipQuestion(video, query["start"], query["length"], query["step"])
    return send_clip(
        release, find_clip(release, asked, Wanted(query.get("resolution"), query["images"], query["masks"]))
    )


class ClipSchema(Schema):
    video = fields.String(
        required=True, validate=validate.Length(1, 1024), metadata={"description": "Id or name of the video."}
    )
    start = JsonWhole(required=True, validate=validate.Range(0, MAX_COUNT), metadata={"description": "First frame."})
    length = JsonWhole(required=True, validate=validate.Range(1, MAX_LENGTH), metadata={"description": _LENGTH})
    step = JsonWhole(load_default=1, validate=validate.Range(1, MAX_STEP), metadata=_STEP)


class ClipsBody(Schema):
    clips = BoundedList(
        fields.Nested(ClipSchema),
        length=validate.Length(1, MAX_CLIPS),
        required=True,
        metadata={"description": "In the order wanted."},
    )
    # Without the parameter's pattern: what is no resolution at all is noted of each clip, as any that there is not.
    resolution = fields.String(
        validate=validate.Length(1, 64), metadata={"description": "The release's default when it is not given."}
    )
    images = JsonTruth(load_default=True, metadata=_IMAGES)
    masks = JsonTruth(load_default=True, metadata=_MASKS)
    on_error = fields.String(
        load_default="note",
        validate=validate.OneOf(["note", "fail"]),
        metadata={"description": "A clip that cannot be had: `note` it in its place, or `fail` the request at once."},
    )
    describe = JsonTruth(
        load_default=False,
        metadata={"description": "In a tar: a `clips/<number>.json` before each clip, saying what it is."},
    )


class ClipsQuery(Nothing):
    delivery = fields.String(
        load_default="tar",
        validate=validate.OneOf(["tar", "urls"]),
        metadata={"description": "`tar`: the bytes. `urls`: JSON with a signed URL and a byte range for each clip."},
    )
    expires_in = expiry_parameter()


@blueprint.route("/clips", methods=["POST"])
@answers(200, BINARY, content_type="application/x-tar", description="The clips, or where they are, as `delivery` says.")
@also(200, LocatedClipsSchema)
@answers(206, BINARY, content_type="application/x-tar", description="The range asked for.")
@problems(413, 415, 416)
@may_be_not_modified
@in_release
@blueprint.query(ClipsQuery)
@blueprint.body(ClipsBody)
def get_clips(query: dict[str, Any], body: dict[str, Any], release: Release) -> Response:
    """Get many clips, of any videos, in the order asked: as one tar, or as signed URLs and byte ranges.

    In the tar, clip follows clip, each frame before its mask, as in the archives. A clip that cannot be had is a file
    `clips/<number>.error.json` in its place. The tar's length is known from its first byte; `Range` and `If-Range` are
    taken, so that a transfer which broke off can be gone on with by the same question.
    """
    asked = [ClipQuestion(**clip) for clip in body["clips"]]
    wanted = Wanted(body.get("resolution"), body["images"], body["masks"])
    if sum(clip.length or 0 for clip in asked) > MAX_FRAMES:
        raise InvalidQuestionError([FieldError("json", "clips", f"more than {MAX_FRAMES:,} frames in all")])
    if not (wanted.images or wanted.masks):
        raise InvalidQuestionError(
            [FieldError("json", "images", "without images and masks, nothing is left of a clip")]
        )
    if body["on_error"] == "fail":
        _refuse_missing(_find(release, clip, wanted) for clip in asked)
    # One at a time: the frames of all of them together take a hundred megabytes.
    found = (_find(release, clip, wanted) for clip in asked)
    if query["delivery"] == "urls":
        return send(Answer(_located(release, asked, found, query.get("expires_in")), immutable=False), None, PRIVATE)
    return send_clips(release, asked, wanted, found, described=body["describe"])


def _find(release: Release, asked: ClipQuestion, wanted: Wanted) -> FoundClip | GygoError:
    try:
        return find_clip(release, asked, wanted)
    except (NotFoundError, InvalidQuestionError) as error:
        return error


def _refuse_missing(found: Iterable[FoundClip | GygoError]) -> None:
    """Raises InvalidQuestionError when there are clips that cannot be had: all of them."""
    missing: list[FieldError] = []
    for number, clip in enumerate(found):
        if isinstance(clip, InvalidQuestionError):
            missing += [FieldError("json", f"clips.{number}.{error.field}", error.message) for error in clip.errors]
        elif isinstance(clip, NotFoundError):
            missing.append(FieldError("json", f"clips.{number}.{clip.field or 'video'}", str(clip)))
    if missing:
        raise InvalidQuestionError(missing)


def _located(
    release: Release, asked: Sequence[ClipQuestion], found: Iterable[FoundClip | GygoError], expires_in: int | None
) -> bytes:
    items: list[orjson.Fragment] = []
    given: list[SignedArchive] = []
    archives: set[str] = set()
    expires_at = ""
    for question, clip in zip(asked, found, strict=True):
        if isinstance(clip, GygoError):
            items.append(orjson.Fragment(orjson.dumps({**question._asdict(), "error": describe(clip)})))
            continue
        signed = sign_archive(release, clip.video, clip.archive, "GET", expires_in)
        pieces = clip.pieces()
        start, end = (pieces[0].start, pieces[-1].end) if pieces else (0, 0)
        # The signature binds no range: the URL opens all of the archive, and another one of it nothing more.
        size = 0 if clip.archive.sha256 in archives else clip.archive.size
        archives.add(clip.archive.sha256)
        given.append(SignedArchive(clip.video, clip.archive.resolution, size))
        expires_at = max(expires_at, signed.expires_at)
        item = {
            **clip.describe(),
            "url": signed.url,
            "expires_at": signed.expires_at,
            "range": {"start": start, "end": end},
            # No range is empty: of a clip without any file, one byte.
            "headers": {"Range": f"bytes={start}-{max(start, end - 1)}"},
            "archive": {"bytes": clip.archive.size, "sha256": clip.archive.sha256},
            "frames": [_frame(frame, clip.wanted) for frame in clip.frames],
        }
        items.append(orjson.Fragment(orjson.dumps(item)))
    give_urls(given, expires_at)
    return orjson.dumps({"items": items})


def _frame(frame: FrameFiles, wanted: Wanted) -> dict[str, Any]:
    return {
        "index": frame.index,
        "name": frame.name,
        "image": _place(frame.image) if wanted.images else None,
        "mask": _place(frame.mask) if wanted.masks and frame.mask else None,
    }


def _place(member: Member) -> dict[str, int]:
    return {"offset": member.offset, "size": member.size}
