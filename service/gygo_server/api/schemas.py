"""What goes out, as marshmallow schemas: the documentation of each answer, which tests hold the answers against.

Answers are not dumped through these (orjson writes them); see DESIGN: a page of 1,000 would take ten times as long.
"""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate


def _about(text: str, **more: object) -> dict[str, object]:
    return {"description": text, **more}


def _nested(schema: type[Schema], text: str = "") -> fields.Nested:
    return fields.Nested(schema, required=True, metadata=_about(text) if text else {})


def _list(schema: type[Schema], text: str = "") -> fields.List[Any]:
    return fields.List(fields.Nested(schema), required=True, metadata=_about(text) if text else {})


def _string(text: str = "", **more: object) -> fields.String:
    return fields.String(required=True, metadata=_about(text, **more) if text else dict(more))


def _text_or_null(text: str) -> fields.String:
    return fields.String(required=True, allow_none=True, metadata=_about(text))


def _count(text: str = "") -> fields.Integer:
    return fields.Integer(required=True, metadata=_about(text, minimum=0) if text else {"minimum": 0})


def _links(*names: str) -> fields.Dict:
    return fields.Dict(
        keys=fields.String(), values=fields.String(), required=True, metadata=_about(f"URLs: {', '.join(names)}.")
    )


class FieldErrorSchema(Schema):
    location = _string("query, path, headers or json")
    field = _string()
    message = _string()


class ProblemSchema(Schema):
    """RFC 9457."""

    type = _string("Stable: `urn:gygo:problem:` and a code.")
    title = _string()
    status = fields.Integer(required=True)
    detail = _string()
    instance = _string()
    request_id = _text_or_null("Find the request in the logs by this.")
    errors = fields.List(fields.Nested(FieldErrorSchema), metadata=_about("The fields at fault."))


class ReleaseSummarySchema(Schema):
    id = _string()
    published_at = _string("RFC 3339, UTC.")
    withdrawn_at = _text_or_null("When it was taken back; it is no longer served then.")
    links = _links("self")


class DatasetSchema(Schema):
    id = _string()
    title = _string()
    description = _text_or_null("")
    license = _text_or_null("As its publisher states it; null: not stated.")
    homepage = _text_or_null("")
    latest_release = _text_or_null("Id of the newest release.")
    releases = _list(ReleaseSummarySchema, "In the order of their publication.")
    links = _links("self", "latest (when there is a release)")


class CountsSchema(Schema):
    videos = _count()
    frames = _count("Of each video once, whatever the number of resolutions.")
    masks = _count()
    objects = _count()


class ResolutionTotalSchema(Schema):
    resolution = _string()
    videos = _count()
    bytes = _count("Of the archives.")


class FacetSchema(Schema):
    name = _string()
    videos = _count()
    frames = _count()


class SplitSchema(FacetSchema):
    path = _string("The list, as published.")
    imageset_url = _string("The list, for loaders.")


class ChangesSchema(Schema):
    since = _string("Id of the release before.")
    added = _count("Videos.")
    changed = _count("Videos.")
    removed = _count("Videos.")


class ChangeSchema(Schema):
    id = _string("Of the video.")
    change = _string(enum=["added", "changed", "removed"])
    links = _links("video (unless it is gone)")


class LeftOutSchema(Schema):
    video = _string()
    code = _string()
    path = _string()
    message = _string()


class ReleaseSchema(Schema):
    dataset = _string()
    id = _string()
    published_at = _string("RFC 3339, UTC.")
    license = _text_or_null("As its publisher states it; null: not stated.")
    default_resolution = _string()
    counts = _nested(CountsSchema)
    resolutions = _list(ResolutionTotalSchema)
    mask_kinds = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata=_about("Videos by how their masks are to be read: `binary`, `palette`, `none`."),
    )
    splits = _list(SplitSchema)
    categories = _list(FacetSchema)
    attributes = _list(FacetSchema)
    changes = fields.Nested(ChangesSchema, required=True, allow_none=True)
    left_out = _list(LeftOutSchema, "Videos of the source with faults, which were not published.")
    links = _links("self", "dataset", "videos", "changes", "downloads", "sample")


class ArchiveSchema(Schema):
    bytes = _count()
    sha256 = _string()


class ResolutionSchema(Schema):
    resolution = _string()
    width = _count("Pixels.")
    height = _count("Pixels.")
    mask_kind = _string(enum=["binary", "palette", "none"])
    mask_count = _count("Frames that have a mask.")
    archive = _nested(ArchiveSchema)


class ObjectSchema(Schema):
    id = _count()
    mask_value = _count("The pixels of the object have this value in masks; in binary masks 128…255 count as 255.")
    category = _text_or_null("Null: the source does not say.")
    first_frame = _count("Index of the first frame that shows it.")
    last_frame = _count("Index of the last one.")
    frame_count = _count("Frames that show it.")


class VideoSchema(Schema):
    id = _string("For URLs: the name with `:` for `/`.")
    name = _string("As published.")
    category = _text_or_null("Null: the source does not say.")
    attributes = fields.List(fields.String(), required=True)
    splits = fields.List(fields.String(), required=True)
    frame_count = _count()
    mask_count = _count("Frames that have a mask.")
    mask_kind = _string(
        "`binary`: one object, id 1, at values 128…255. `palette`: the value is the object's id, 255 is void.",
        enum=["binary", "palette", "none"],
    )
    fps = fields.Float(
        required=True, allow_none=True, metadata=_about("Frames a second; null: the source does not say.")
    )
    objects = _list(ObjectSchema)
    resolutions = _list(ResolutionSchema)
    links = _links("self", "frames", "first_image", "archive", "clip")


class ListedVideoSchema(VideoSchema):
    archive_url = fields.String(metadata=_about("Signed; with `include=archive_url`."))
    archive_url_expires_at = fields.String(metadata=_about("RFC 3339, UTC; with `include=archive_url`."))


class BytesSchema(Schema):
    offset = _count("First byte in the archive.")
    size = _count("Bytes.")
    sha256 = _string()
    url = _string()


class RegionSchema(Schema):
    id = _count()
    box = fields.List(
        fields.Integer(),
        required=True,
        validate=validate.Length(equal=4),
        metadata=_about("x, y, width, height in pixels."),
    )
    area = _count("Pixels.")


class ByteRangeSchema(Schema):
    start = _count("First byte of the frame's first tar header.")
    end = _count("First byte after its last member.")


class FrameSchema(Schema):
    index = _count("From 0.")
    name = _string("The published stem; numbers may begin anywhere and have gaps.")
    timestamp = fields.Float(required=True, allow_none=True, metadata=_about("Seconds; null: no frame rate is known."))
    resolution = _string()
    image = _nested(BytesSchema)
    mask = fields.Nested(BytesSchema, required=True, allow_none=True)
    range = _nested(ByteRangeSchema, "Frames i to j with their masks are the archive's bytes [i.start, j.end).")
    objects = _list(RegionSchema, "Objects that the mask shows.")
    links = _links("self")


class _PageSchema(Schema):
    next = fields.String(
        required=True, allow_none=True, metadata=_about("URL of the next page; null: this is the last.")
    )
    total = _count("Items on all pages.")


class DatasetPageSchema(_PageSchema):
    items = _list(DatasetSchema)


class VideoPageSchema(_PageSchema):
    items = _list(ListedVideoSchema)


class FramePageSchema(_PageSchema):
    items = _list(FrameSchema)


class DownloadSchema(Schema):
    id = _string("Of the video.")
    resolution = _string()
    file = _string("A name to save it under.")
    url = _string("Signed.")
    bytes = _count()
    sha256 = _string()
    expires_at = _string("When the URL ends: RFC 3339, UTC.")


class ChangePageSchema(_PageSchema):
    items = _list(ChangeSchema)


class DownloadPageSchema(_PageSchema):
    items = _list(DownloadSchema)


class LinkSchema(Schema):
    url = _string("Shows what was asked for, to whoever has it.", format="uri")
    expires_at = _string("Until when; RFC 3339, UTC.", format="date-time")


class PlaceSchema(Schema):
    offset = _count("First byte in the archive.")
    size = _count("Bytes.")


class LocatedFrameSchema(Schema):
    index = _count("From 0.")
    name = _string("The published stem.")
    image = fields.Nested(PlaceSchema, required=True, allow_none=True)
    mask = fields.Nested(PlaceSchema, required=True, allow_none=True)


class ClipProblemSchema(Schema):
    type = _string()
    title = _string()
    status = fields.Integer(required=True)
    detail = _string()


class LocatedClipSchema(Schema):
    """Where a clip's bytes are; of one that cannot be had, why not."""

    video = _string()
    start = _count("Index of the first frame.")
    length = _count("Number of frames.")
    step = _count("From each frame to the next.")
    resolution = fields.String()
    mask_kind = fields.String(metadata={"enum": ["binary", "palette", "none"]})
    url = fields.String(metadata=_about("Signed; of the archive."))
    expires_at = fields.String(metadata=_about("When the URL ends: RFC 3339, UTC."))
    range = fields.Nested(ByteRangeSchema, metadata=_about("The bytes [start, end) of the archive hold the clip."))
    headers = fields.Dict(
        keys=fields.String(), values=fields.String(), metadata=_about("To be sent to `url`, to get just those bytes.")
    )
    archive = fields.Nested(ArchiveSchema)
    frames = fields.List(fields.Nested(LocatedFrameSchema))
    error = fields.Nested(ClipProblemSchema)


class LocatedClipsSchema(Schema):
    items = _list(LocatedClipSchema, "In the order asked.")


class SampledClipSchema(Schema):
    video = _string("Id of the video.")
    start = _count("Index of the first frame.")
    length = _count("Number of frames.")
    step = _count("From each frame to the next.")


class SamplePageSchema(Schema):
    items = _list(SampledClipSchema)
    next = fields.String(
        required=True, allow_none=True, metadata=_about("URL of the next batch; null: this rank's epoch ends here.")
    )
    total = _count("Clips of this rank in the epoch.")
    epoch_clips = _count("Clips of all ranks in the epoch.")
    too_short = _count("Videos that are too short for a clip.")


class CheckSchema(Schema):
    status = _string()
    checks = fields.Dict(keys=fields.String(), values=fields.String(), metadata=_about("ok, or why not."))


def names_of(schema: type[Schema]) -> list[str]:
    """The fields of a schema that are always there, for the parameter ``fields``."""
    return [name for name, field in schema().fields.items() if field.required]
