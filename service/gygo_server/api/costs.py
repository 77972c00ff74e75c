"""What each route costs its caller. A route that is not here cannot be added: a test looks."""

from __future__ import annotations

from collections.abc import Container

from gygo_server.limits.bill import Kind

#: By Flask's endpoint, `<blueprint>.<view>`.
COSTS = {
    "index": Kind.FREE,
    "openapi": Kind.FREE,
    "swagger_ui.show": Kind.FREE,
    "health.get_health": Kind.FREE,
    "health.get_readiness": Kind.FREE,
    "datasets.list_datasets": Kind.DOCUMENT,
    "datasets.get_dataset": Kind.DOCUMENT,
    "releases.get_release": Kind.DOCUMENT,
    "releases.get_imageset": Kind.DOCUMENT,
    "changes.list_changes": Kind.DOCUMENT,
    "videos.list_videos": Kind.DOCUMENT,
    "videos.get_video": Kind.DOCUMENT,
    "videos.get_archive": Kind.DOCUMENT,
    "frames.list_frames": Kind.DOCUMENT,
    "frames.get_frame": Kind.DOCUMENT,
    "frames.get_image": Kind.PICTURE,
    "frames.get_mask": Kind.PICTURE,
    "clips.get_clip": Kind.CLIP,
    "clips.get_clips": Kind.BATCH,
    "samples.get_sample": Kind.DOCUMENT,
    "downloads.list_downloads": Kind.BATCH,
    "downloads.list_chosen_downloads": Kind.BATCH,
    "signed_links.create_link": Kind.DOCUMENT,
}

#: Answers with a signed URL in a header, so that HEAD gives it too.
REDIRECT = "videos.get_archive"

_ANEW = frozenset({"samples.get_sample", "downloads.list_downloads"})


def is_worked_out_anew(endpoint: str | None, query: Container[str]) -> bool:
    """Whether the answer is so each time, with the work that it takes: then HEAD is not free either."""
    return endpoint in _ANEW or (endpoint == "videos.list_videos" and "include" in query)
