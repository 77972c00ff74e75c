"""From one answer to the next question: the OpenAPI document's links between operations."""

from __future__ import annotations

from typing import Any

_DATASET = {"dataset": "$request.path.dataset"}
_RELEASE = {**_DATASET, "release": "$request.path.release"}
_VIDEO = {**_RELEASE, "video": "$request.path.video"}
_FIRST_VIDEO = {**_RELEASE, "video": "$response.body#/items/0/id"}
_FIRST_FRAME = {**_VIDEO, "index": "$response.body#/items/0/index"}
_FRAME = {**_VIDEO, "index": "$request.path.index"}

#: Where to go on from an operation's answer: operations, and what their parameters are then.
_LINKS: dict[str, dict[str, dict[str, str]]] = {
    "list_datasets": {"get_dataset": {"dataset": "$response.body#/items/0/id"}},
    "get_dataset": {"get_release": {**_DATASET, "release": "$response.body#/releases/0/id"}},
    "get_release": {
        "list_videos": _RELEASE,
        "list_changes": _RELEASE,
        "list_downloads": _RELEASE,
        "get_sample": _RELEASE,
        "get_imageset": {**_RELEASE, "split": "$response.body#/splits/0/name"},
    },
    "list_videos": {
        "get_video": _FIRST_VIDEO,
        "list_frames": _FIRST_VIDEO,
        "get_archive": _FIRST_VIDEO,
        "get_clip": _FIRST_VIDEO,
    },
    "list_changes": {"get_video": _FIRST_VIDEO},
    "list_downloads": {"get_video": _FIRST_VIDEO},
    "get_video": {"list_frames": _VIDEO, "get_archive": _VIDEO, "get_clip": _VIDEO},
    "list_frames": {"get_frame": _FIRST_FRAME, "get_image": _FIRST_FRAME, "get_mask": _FIRST_FRAME},
    "get_frame": {"get_image": _FRAME, "get_mask": _FRAME},
    "get_sample": {"get_clips": _RELEASE},
}

#: What is sent along a link, where it is not only parameters.
_BODIES: dict[tuple[str, str], Any] = {("get_sample", "get_clips"): {"clips": "$response.body#/items"}}


def links_of(operation: str) -> dict[str, Any]:
    """The links of the operation's answer, as OpenAPI writes them."""
    found: dict[str, Any] = {}
    for target, parameters in _LINKS.get(operation, {}).items():
        found[target] = {"operationId": target, "parameters": parameters}
        if (operation, target) in _BODIES:
            found[target]["requestBody"] = _BODIES[operation, target]
    return found
