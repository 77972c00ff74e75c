"""``…/releases/{release}``: what a release holds, and its split lists."""

from __future__ import annotations

from typing import Any

from gygo_server.api import pages
from gygo_server.api.answers import Answer
from gygo_server.api.arguments import Blueprint, Nothing, chosen_fields
from gygo_server.api.documented import answers
from gygo_server.api.links import dataset_url, url_of
from gygo_server.api.releases_in_paths import answered_once, in_release
from gygo_server.api.schemas import ReleaseSchema, names_of
from gygo_server.api.video_filters import release_before
from gygo_server.errors import NotFoundError
from gygo_server.library import Release

blueprint = Blueprint(
    "releases", __name__, url_prefix="/v1/datasets/<dataset>/releases/<release>", description="One release"
)


class ReleaseQuery(Nothing):
    chosen = chosen_fields(names_of(ReleaseSchema))


@blueprint.route("")
@answers(200, ReleaseSchema)
@in_release
@answered_once
@blueprint.query(ReleaseQuery)
def get_release(query: dict[str, Any], release: Release) -> Answer:
    """Get one release: counts, bytes, splits, categories, licence, changes."""
    url = url_of(release)
    document, since = release.catalogue.release, release_before(release)
    described = {
        **document,
        "published_at": release.entry.published_at,
        "changes": None if since is None else {"since": since, **release.catalogue.changes(since)},
        "splits": [{**split, "imageset_url": f"{url}/imagesets/{split['name']}.txt"} for split in document["splits"]],
        "links": {
            "self": url,
            "dataset": dataset_url(release.dataset.id),
            "videos": f"{url}/videos",
            "changes": f"{url}/changes",
            "downloads": f"{url}/downloads",
            "sample": f"{url}/sample",
        },
    }
    return Answer(pages.only(described, query.get("chosen")))


@blueprint.route("/imagesets/<split>.txt")
@answers(200, {"type": "string"}, content_type="text/plain")
@in_release
@answered_once
@blueprint.query(Nothing)
def get_imageset(_query: dict[str, Any], release: Release, split: str) -> Answer:
    """Get a split's list, a video's name a line, as DAVIS loaders want it in `ImageSets/`."""
    splits = [each["name"] for each in release.catalogue.release["splits"]]
    if split not in splits:
        raise NotFoundError("split", f"there is no split {split!r}; there are: {', '.join(splits) or 'none'}")
    names = (video.replace(":", "/") for video in release.catalogue.ids(split))
    return Answer("".join(f"{name}\n" for name in names).encode(), "text/plain")
