"""Which videos of a release: the parameters that lists of videos and samples of clips share."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from gygo_server.api.arguments import MAX_COUNT, MAX_VALUES, RELEASE, Whole, resolution_parameter
from gygo_server.catalogue.video_query import VideoFilter
from gygo_server.errors import NotFoundError
from gygo_server.library import Release


def _values(about: str) -> fields.List[Any]:
    return fields.List(
        fields.String(validate=validate.Length(1, 200)),
        validate=validate.Length(max=MAX_VALUES),
        metadata={"description": about},
    )


def _bound(about: str) -> Whole:
    return Whole(validate=validate.Range(0, MAX_COUNT), metadata={"description": about})


class VideosFilterQuery(Schema):
    category = _values("Videos of this category, or with an object of it. Several times: any of them.")
    split = _values("Videos in this split. Several times: any of them.")
    attribute = _values("Videos with this attribute. Several times: all of them.")
    min_frames = _bound("At least so many frames.")
    max_frames = _bound("At most so many frames.")
    min_objects = _bound("At least so many objects.")
    q = fields.String(
        validate=validate.Length(1, 200),
        metadata={"description": "Words, or beginnings of words, of the name, the categories and the attributes."},
    )
    resolution = resolution_parameter("Only videos that have this resolution.")
    changed_since = fields.String(
        validate=validate.Length(1, 64),
        metadata={
            "description": "Only videos that are new or have changed since this earlier release.",
            "pattern": RELEASE,
        },
    )


def video_filter(query: dict[str, Any], release: Release) -> VideoFilter:
    """The filter that a query asks for.

    Raises:
        NotFoundError: no video of the release has the resolution, or it does not come from the release to compare with.
    """
    return VideoFilter(
        category=tuple(query.get("category", ())),
        split=tuple(query.get("split", ())),
        attribute=tuple(query.get("attribute", ())),
        resolution=_resolution_to_filter(release, query.get("resolution")),
        changed_since=earlier_release(release, query.get("changed_since")),
        **{name: query.get(name) for name in ("min_frames", "max_frames", "min_objects", "q")},
    )


def _resolution_to_filter(release: Release, resolution: str | None) -> str | None:
    """The resolution that videos must have; None when all of them have it.

    Raises:
        NotFoundError: no video of the release has it.
    """
    known = {each["resolution"]: each["videos"] for each in release.catalogue.release["resolutions"]}
    if resolution is not None and resolution not in known:
        raise NotFoundError(
            "resolution", f"the release has no resolution {resolution!r}; it has: {', '.join(known)}", "resolution"
        )
    return resolution if known.get(resolution) != release.catalogue.release["counts"]["videos"] else None


def earlier_release(release: Release, wanted: str | None) -> str | None:
    """The release that ``changed_since`` names.

    Raises:
        NotFoundError: it is none that this release comes from.
    """
    lineage = release.lineage
    if wanted is not None and wanted not in lineage:
        known = ", ".join(lineage)
        raise NotFoundError(
            "release", f"release {release.entry.id!r} does not come from {wanted!r}; it knows: {known}", "changed_since"
        )
    return wanted


def release_before(release: Release) -> str | None:
    """The release to compare with when none is named: the one before, of those that the caller may see."""
    before = [each for each in release.lineage if each != release.entry.id]
    return before[-1] if before else None
