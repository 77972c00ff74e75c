"""``…/changes``: which videos a release added, changed and removed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson
from marshmallow import fields, validate

from gygo_server.api import pages
from gygo_server.api.answers import Answer
from gygo_server.api.arguments import RELEASE, Blueprint, Page
from gygo_server.api.documented import answers
from gygo_server.api.links import url_of
from gygo_server.api.releases_in_paths import answered_once, in_release
from gygo_server.api.schemas import VideoChangePageSchema
from gygo_server.api.video_filters import earlier_release, release_before
from gygo_server.catalogue.reader import Change
from gygo_server.library import Release

blueprint = Blueprint(
    "changes",
    __name__,
    url_prefix="/v1/datasets/<dataset>/releases/<release>",
    description="What a release added, changed and removed",
)

KINDS = ("added", "changed", "removed")


class ChangesQuery(Page):
    changed_since = fields.String(
        validate=validate.Length(1, 64),
        metadata={
            "description": "The earlier release to compare with; the one before when it is not given.",
            "pattern": RELEASE,
        },
    )
    change = fields.String(
        validate=validate.OneOf(KINDS), metadata={"description": "Only these changes.", "title": "ChangeKind"}
    )


@blueprint.route("/changes")
@answers(200, VideoChangePageSchema)
@in_release
@answered_once
@blueprint.query(ChangesQuery)
def list_changes(query: dict[str, Any], release: Release) -> Answer:
    """List the videos that are new, have changed or are gone since an earlier release.

    First those that are there, in the order of their names, then those that are gone. Of the first release, nothing.
    """
    catalogue, limit, only = release.catalogue, query["limit"], query.get("change")
    since = earlier_release(release, query.get("changed_since")) or release_before(release)
    question = ["changes", release.entry.catalogue_sha256, since, only]
    key = pages.read_cursor(query.get("cursor"), question, (int, str))
    counts = catalogue.changes(since) if since is not None else dict.fromkeys(KINDS, 0)
    found = catalogue.changed(since, only, key, limit + 1) if since is not None else []
    shown = found[:limit]
    return pages.page(
        [_describe(each, f"{url_of(release)}/videos/") for each in shown],
        after=list(shown[-1].key) if len(found) > len(shown) else None,
        question=question,
        total=counts[only] if only else sum(counts.values()),
    )


def _describe(change: Change, base: str) -> bytes:
    links = {"video": f"{base}{quote(change.id, safe=':')}"} if change.kind != "removed" else {}
    return orjson.dumps({"id": change.id, "change": change.kind, "links": links})
