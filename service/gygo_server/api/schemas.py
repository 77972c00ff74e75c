"""What goes out, as marshmallow schemas: the documentation of each answer, which tests hold the answers against.

Answers are not dumped through these (orjson writes them); see DESIGN: a page of 1,000 would take ten times as long.
"""

from __future__ import annotations

import copy
from typing import Any

from marshmallow import Schema, fields, validate

from gygo_server.api.problems import URN
from gygo_server.model import MaskKind

#: An enumeration with a title is a type of its own in the document, and in clients generated from it.
_MASK_KIND: dict[str, Any] = {"enum": list(MaskKind), "title": "MaskKind"}


class AnyOf(fields.Field[Any]):
    """An object of one of these schemas."""

    def __init__(self, *schemas: type[Schema], **more: Any) -> None:
        super().__init__(**more)
        self.schemas = schemas


def _about(text: str, **more: object) -> dict[str, object]:
    return {"description": text, **more} if text else dict(more)


def _nested(schema: type[Schema], text: str = "") -> fields.Nested:
    return fields.Nested(schema, required=True, metadata=_about(text))


def _list(schema: type[Schema], text: str = "") -> fields.List[Any]:
    return fields.List(fields.Nested(schema), required=True, metadata=_about(text))


def _string(text: str = "", **more: object) -> fields.String:
    return fields.String(required=True, metadata=_about(text, **more))


def _text_or_null(text: str = "", **more: object) -> fields.String:
    return fields.String(required=True, allow_none=True, metadata=_about(text, **more))


def _time(text: str = "", *, required: bool = True, allow_none: bool = False) -> fields.String:
    about = f"{text} RFC 3339, UTC.".strip()
    return fields.String(required=required, allow_none=allow_none, metadata=_about(about, format="date-time"))


def _url(text: str = "", *, required: bool = True) -> fields.String:
    return fields.String(required=required, metadata=_about(text, format="uri"))


def _sha256() -> fields.String:
    return _string("In hexadecimal.", pattern="^[0-9a-f]{64}$")


def _count(text: str = "") -> fields.Integer:
    return fields.Integer(required=True, metadata=_about(text, minimum=0))


def _links(owner: str, *names: str, maybe: tuple[str, ...] = ()) -> fields.Nested:
    """URLs by name; ``maybe`` are those that are not always there."""
    urls: dict[str, fields.Field[Any]] = {name: _url(required=name not in maybe) for name in (*names, *maybe)}
    return _nested(Schema.from_dict(urls, name=f"{owner}LinksSchema"), "URLs.")


class FieldErrorSchema(Schema):
    location = _string("query, path, headers or json")
    field = _string("Of a question in JSON with its place, as `clips.3.start`.")
    message = _string()


class ProblemSchema(Schema):
    """RFC 9457."""

    type = _string("Stable: `urn:gygo:problem:` and a code.", pattern=f"^{URN}[a-z-]+$")
    title = _string("For people; may change.")
    status = fields.Integer(required=True)
    detail = _string("For people; may change.")
    instance = _string("The path that was asked.")
    request_id = _text_or_null("Find the request in the logs by this.")
    errors = fields.List(fields.Nested(FieldErrorSchema), metadata=_about("The fields at fault."))


class ReleaseSummarySchema(Schema):
    id = _string()
    published_at = _time()
    withdrawn_at = _time("When it was taken back; it is no longer served then.", allow_none=True)
    links = _links("ReleaseSummary", "self")


class DatasetSchema(Schema):
    id = _string()
    title = _string()
    description = _text_or_null()
    license = _text_or_null("As its publisher states it; null: not stated.")
    homepage = _text_or_null()
    latest_release = _text_or_null("Id of the newest release.")
    releases = _list(ReleaseSummarySchema, "In the order of their publication.")
    links = _links("Dataset", "self", maybe=("latest",))


class ReleaseCountsSchema(Schema):
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
    imageset_url = _url("The list, for loaders.")


class ReleaseChangesSchema(Schema):
    since = _string("Id of the release before.")
    added = _count("Videos.")
    changed = _count("Videos.")
    removed = _count("Videos.")


class VideoChangeSchema(Schema):
    id = _string("Of the video.")
    change = _string(enum=["added", "changed", "removed"], title="ChangeKind")
    links = _links("VideoChange", maybe=("video",))


class LeftOutVideoSchema(Schema):
    video = _string()
    code = _string()
    path = _string()
    message = _string()


class ReleaseSchema(Schema):
    dataset = _string()
    id = _string()
    published_at = _time()
    license = _text_or_null("As its publisher states it; null: not stated.")
    default_resolution = _string()
    counts = _nested(ReleaseCountsSchema)
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
    changes = fields.Nested(
        ReleaseChangesSchema, required=True, allow_none=True, metadata=_about("Null: it is the first release.")
    )
    left_out = _list(LeftOutVideoSchema, "Videos of the source with faults, which were not published.")
    links = _links("Release", "self", "dataset", "videos", "changes", "downloads", "sample")


class ArchiveSchema(Schema):
    bytes = _count()
    sha256 = _sha256()


class VideoResolutionSchema(Schema):
    resolution = _string()
    width = _count("Pixels.")
    height = _count("Pixels.")
    mask_kind = _string(**_MASK_KIND)
    mask_count = _count("Frames that have a mask.")
    archive = _nested(ArchiveSchema)


class VideoObjectSchema(Schema):
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
        **_MASK_KIND,
    )
    fps = fields.Float(
        required=True, allow_none=True, metadata=_about("Frames a second; null: the source does not say.")
    )
    objects = _list(VideoObjectSchema)
    resolutions = _list(VideoResolutionSchema)
    links = _links("Video", "self", "frames", "first_image", "archive", "clip")


class ListedVideoSchema(VideoSchema):
    archive_url = _url("Signed; with `include=archive_url`.", required=False)
    archive_url_expires_at = _time("With `include=archive_url`.", required=False)


class FrameFileSchema(Schema):
    offset = _count("First byte in the archive.")
    size = _count("Bytes.")
    sha256 = _sha256()
    url = _url()


class RegionSchema(Schema):
    id = _count("Of the object.")
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
    image = _nested(FrameFileSchema)
    mask = fields.Nested(FrameFileSchema, required=True, allow_none=True)
    range = _nested(ByteRangeSchema, "Frames i to j with their masks are the archive's bytes [i.start, j.end).")
    objects = _list(RegionSchema, "Objects that the mask shows.")
    links = _links("Frame", "self")


class _PageSchema(Schema):
    next = fields.String(
        required=True,
        allow_none=True,
        metadata=_about("URL of the next page; null: this is the last.", format="uri"),
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
    url = _url("Signed.")
    bytes = _count()
    sha256 = _sha256()
    expires_at = _time("When the URL ends.")


class VideoChangePageSchema(_PageSchema):
    items = _list(VideoChangeSchema)


class DownloadPageSchema(_PageSchema):
    items = _list(DownloadSchema)


class LinkSchema(Schema):
    url = _string("Shows what was asked for, to whoever has it.", format="uri")
    expires_at = _string("Until when; RFC 3339, UTC.", format="date-time")


class FilePlaceSchema(Schema):
    offset = _count("First byte in the archive.")
    size = _count("Bytes.")


class LocatedFrameSchema(Schema):
    index = _count("From 0.")
    name = _string("The published stem.")
    image = fields.Nested(FilePlaceSchema, required=True, allow_none=True)
    mask = fields.Nested(FilePlaceSchema, required=True, allow_none=True)


class ClipProblemSchema(Schema):
    """RFC 9457."""

    type = _string("Stable: `urn:gygo:problem:` and a code.", pattern=f"^{URN}[a-z-]+$")
    title = _string()
    status = fields.Integer(required=True)
    detail = _string()


class _ClipSchema(Schema):
    video = _string("Id of the video.")
    start = _count("Index of the first frame.")
    length = _count("Number of frames.")
    step = _count("From each frame to the next.")


class LocatedClipSchema(_ClipSchema):
    """Where a clip's bytes are."""

    resolution = _string()
    mask_kind = _string(**_MASK_KIND)
    url = _url("Signed; of the archive.")
    expires_at = _time("When the URL ends.")
    range = _nested(ByteRangeSchema, "The bytes [start, end) of the archive hold the clip.")
    headers = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata=_about("To be sent to `url`, to get just those bytes."),
    )
    archive = _nested(ArchiveSchema)
    frames = _list(LocatedFrameSchema)


class MissingClipSchema(_ClipSchema):
    """A clip that cannot be had, and why not."""

    error = _nested(ClipProblemSchema)


class LocatedClipsSchema(Schema):
    items = fields.List(
        AnyOf(LocatedClipSchema, MissingClipSchema), required=True, metadata=_about("In the order asked.")
    )


class SampledClipSchema(_ClipSchema):
    pass


class SamplePageSchema(Schema):
    items = _list(SampledClipSchema)
    next = fields.String(
        required=True,
        allow_none=True,
        metadata=_about("URL of the next batch; null: this rank's epoch ends here.", format="uri"),
    )
    total = _count("Clips of this rank in the epoch.")
    epoch_clips = _count("Clips of all ranks in the epoch.")
    too_short = _count("Videos that are too short for a clip.")


class HealthSchema(Schema):
    status = _string()
    checks = fields.Dict(
        keys=fields.String(), values=fields.String(), required=True, metadata=_about("ok, or why not.")
    )


def _partial(schema: type[Schema], name: str) -> type[Schema]:
    """The schema with none of its fields required."""
    optional = {field: copy.deepcopy(found) for field, found in schema._declared_fields.items()}
    for field in optional.values():
        field.required = False
    return type(f"{name}Schema", (Schema,), optional)


def _partial_page(item: type[Schema]) -> type[Schema]:
    name = item.__name__.removesuffix("Schema")
    return type(f"{name}PageSchema", (_PageSchema,), {"items": _list(item)})


_PARTIAL_DATASET = _partial(DatasetSchema, "PartialDataset")
_PARTIAL_VIDEO = _partial(ListedVideoSchema, "PartialVideo")
_PARTIAL_FRAME = _partial(FrameSchema, "PartialFrame")

#: What is answered in place of each of these when ``fields`` chooses some of its fields.
PARTIAL: dict[type[Schema], type[Schema]] = {
    DatasetSchema: _PARTIAL_DATASET,
    DatasetPageSchema: _partial_page(_PARTIAL_DATASET),
    ReleaseSchema: _partial(ReleaseSchema, "PartialRelease"),
    VideoSchema: _PARTIAL_VIDEO,
    VideoPageSchema: _partial_page(_PARTIAL_VIDEO),
    FrameSchema: _PARTIAL_FRAME,
    FramePageSchema: _partial_page(_PARTIAL_FRAME),
}


def names_of(schema: type[Schema]) -> list[str]:
    """The fields of a schema that are always there, for the parameter ``fields``."""
    return [name for name, field in schema().fields.items() if field.required]
