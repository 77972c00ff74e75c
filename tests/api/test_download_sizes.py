"""How many bytes a list of downloads is going to be of, known before its first line is written."""

from __future__ import annotations

import json

import pytest
from checked_client import CheckedClient
from clip_trees import Tree

from gygo_server.access.caller import Caller
from gygo_server.api.services import EXTENSION
from gygo_server.catalogue.video_query import VideoFilter


@pytest.mark.parametrize("resolution", [None, "480p", "original"])
@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ("", VideoFilter()),
        ("category=toys", VideoFilter(category=("toys",))),
        ("split=val", VideoFilter(split=("val",))),
    ],
)
def test_the_bytes_of_a_selection_are_those_of_the_archives_that_are_listed(
    api: CheckedClient, download_tree: Tree, resolution: str | None, query: str, chosen: VideoFilter
) -> None:
    library = api.application.extensions[EXTENSION].library
    catalogue = library.release("downloads", "r1", Caller.anonymous()).catalogue
    lines = api.get(f"/v1/datasets/downloads/releases/r1/downloads?{query}").text.splitlines()
    if resolution is not None:  # of a video that has it not, another: as archives_at, not as the filter
        ids = [json.loads(line)["id"] for line in lines]
        sizes = [row[3] for row in catalogue.archives_at(catalogue.numbers_of(ids), resolution)]
    else:
        sizes = [json.loads(line)["bytes"] for line in lines]
    assert len(sizes) > 1
    assert catalogue.bytes_of_archives(chosen, resolution) == sum(sizes)
