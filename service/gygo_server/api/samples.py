"""``…/sample``: the order in which training reads a release's clips, for clients without our sampler."""

from __future__ import annotations

from typing import Any

import orjson
from flask import request
from marshmallow import fields, validate

from gygo.sampling import Epoch, ReleaseClips, Shard
from gygo_server.api.answers import Answer
from gygo_server.api.arguments import MAX_COUNT, MAX_LIMIT, Blueprint, Whole
from gygo_server.api.clips import MAX_STEP
from gygo_server.api.documented import answers
from gygo_server.api.found_clips import MAX_LENGTH
from gygo_server.api.links import with_query
from gygo_server.api.releases_in_paths import answered_once, in_release
from gygo_server.api.schemas import SamplePageSchema
from gygo_server.api.video_filters import VideosFilterQuery, video_filter
from gygo_server.errors import FieldError, InvalidQuestionError
from gygo_server.library import Release

blueprint = Blueprint(
    "samples",
    __name__,
    url_prefix="/v1/datasets/<dataset>/releases/<release>",
    description="The order of clips in training",
)

MAX_WORLD = 1_000_000


def _whole(default: int | None, low: int, high: int, about: str) -> Whole:
    return Whole(load_default=default, validate=validate.Range(low, high), metadata={"description": about})


class SampleQuery(VideosFilterQuery):
    seed = _whole(0, 0, 2**63 - 1, "The order is a function of this, the epoch and the release.")
    epoch = _whole(0, 0, MAX_COUNT, "From 0; each has an order of its own.")
    rank = _whole(0, 0, MAX_WORLD - 1, "Which of the readers that share the epoch.")
    world = _whole(1, 1, MAX_WORLD, "How many they are.")
    length = _whole(8, 1, MAX_LENGTH, "Frames of a clip.")
    step = _whole(1, 1, MAX_STEP, "From each frame to the next.")
    max_skip = _whole(None, 1, MAX_STEP, "Draw each clip's step between `step` and this, if the video is long enough.")
    shuffle = fields.Boolean(
        load_default=True, metadata={"description": "False: the videos in order, clips evenly spread."}
    )
    batch = _whole(100, 1, MAX_LIMIT, "Clips an answer.")
    cursor = _whole(0, 0, 2**53, "How many clips this rank has taken: where to go on.")


@blueprint.route("/sample")
@answers(200, SamplePageSchema)
@in_release
@answered_once
@blueprint.query(SampleQuery)
def get_sample(query: dict[str, Any], release: Release) -> Answer:
    """Draw clips: a batch of the epoch's order, which any number of ranks share with no clip twice and none left out.

    Nothing is remembered: the same question has the same answer. Ask for the bytes with `POST …/clips`.
    """
    _check(query)
    rows, frames = release.catalogue.frame_counts(video_filter(query, release))
    name = f"{release.dataset.id}/{release.entry.id}"
    clips = ReleaseClips(name, frames, query["length"], query["step"], query["max_skip"])
    epoch = Epoch([clips], seed=query["seed"], number=query["epoch"], shuffle=query["shuffle"])
    total = Shard(query["rank"], query["world"]).size(0, len(epoch))
    upto = min(query["cursor"] + query["batch"], total)
    drawn = (epoch[query["rank"] + taken * query["world"]] for taken in range(query["cursor"], upto))
    items = [
        {
            "video": release.catalogue.id_of(int(rows[at.video])),
            "start": at.start,
            "length": query["length"],
            "step": at.step,
        }
        for at in drawn
    ]
    following = with_query(cursor=str(upto)) if upto < total else None
    links = [f'<{following}>; rel="next"'] if following else []
    if "cursor" in request.args:
        links.append(f'<{with_query(cursor=None)}>; rel="first"')
    page = {"items": items, "next": following, "total": total, "epoch_clips": len(epoch), "too_short": clips.too_short}
    return Answer(orjson.dumps(page), link=", ".join(links) or None)


def _check(query: dict[str, Any]) -> None:
    wrong = []
    if query["rank"] >= query["world"]:
        wrong.append(FieldError("query", "rank", f"must be below world, which is {query['world']}"))
    if query["max_skip"] is not None and query["max_skip"] < query["step"]:
        wrong.append(FieldError("query", "max_skip", f"must be at least step, which is {query['step']}"))
    if wrong:
        raise InvalidQuestionError(wrong)
