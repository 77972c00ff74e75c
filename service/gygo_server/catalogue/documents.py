"""What the API says of a video and of a release, without links: written once, at publication."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from gygo_server.model import BINARY_OBJECT, VOID, Archive, MaskKind, Video

Document = dict[str, Any]

#: Links of a video: each one's name, and its path below the video's URL.
LINKS = {"self": "", "frames": "/frames", "first_image": "/frames/0/image", "archive": "/archive", "clip": "/clip"}

#: How a link begins in a stored document, in place of the URL of the release's videos: a slash that is escaped, which
#: JSON allows. Nothing else in a document begins so, as strings are written without.
BEFORE_LINK = b'"\\/'


def describe_video(video: Video) -> Document:
    """A video as the API answers it. Sizes in bytes, pictures in pixels."""
    annotated = annotated_archive(video)
    return {
        "id": video.id,
        "name": video.name,
        "category": video.category,
        "attributes": list(video.attributes),
        "splits": list(video.splits),
        "frame_count": len(annotated.frames),
        "mask_count": _mask_count(annotated),
        "mask_kind": annotated.mask_kind,
        "fps": video.fps,
        "objects": _describe_objects(video, annotated),
        "resolutions": [_describe_archive(archive) for archive in video.archives],
    }


def with_links(text: bytes, video: str) -> bytes:
    """A video's JSON with its links, each beginning with `BEFORE_LINK`."""
    segment = quote(video, safe=":")
    links = b",".join(
        b'"%s":%s%s%s"' % (name.encode(), BEFORE_LINK, segment.encode(), path.encode()) for name, path in LINKS.items()
    )
    return b'%s,"links":{%s}}' % (text[:-1], links)


def annotated_archive(video: Video) -> Archive:
    """The archive that speaks for the video: the one with most masks, the first of those."""
    return max(video.archives, key=_mask_count)


def categories_of(video: Video) -> list[str]:
    """The video's own category and those of its objects, each once, sorted."""
    return sorted({*video.object_categories.values(), *([video.category] if video.category else [])})


def _mask_count(archive: Archive) -> int:
    return sum(frame.mask is not None for frame in archive.frames)


def _describe_objects(video: Video, archive: Archive) -> list[Document]:
    frames_with: dict[int, list[int]] = {}
    for frame in archive.frames:
        for region in frame.regions:
            frames_with.setdefault(region.object_id, []).append(frame.index)
    return [
        {
            "id": object_id,
            "mask_value": VOID if archive.mask_kind is MaskKind.BINARY else object_id,
            "category": _object_category(video, archive, object_id),
            "first_frame": indices[0],
            "last_frame": indices[-1],
            "frame_count": len(indices),
        }
        for object_id, indices in sorted(frames_with.items())
    ]


def _object_category(video: Video, archive: Archive, object_id: int) -> str | None:
    # A binary mask holds the video's one subject, so the video's category is the object's too.
    fallback = video.category if archive.mask_kind is MaskKind.BINARY and object_id == BINARY_OBJECT else None
    return video.object_categories.get(object_id, fallback)


def _describe_archive(archive: Archive) -> Document:
    return {
        "resolution": archive.resolution,
        "width": archive.width,
        "height": archive.height,
        "mask_kind": archive.mask_kind,
        "mask_count": _mask_count(archive),
        "archive": {"bytes": archive.size, "sha256": archive.sha256},
    }


class ReleaseTally:
    """Counts over a release's videos, kept while they are added one by one."""

    def __init__(self) -> None:
        self.videos = self.frames = self.masks = self.objects = 0
        self.resolutions: dict[str, Document] = {}
        self.mask_kinds: dict[str, int] = {}
        self.facets: dict[tuple[str, str], list[int]] = {}

    def add(self, document: Document, facets: Iterable[tuple[str, str]]) -> None:
        self.videos += 1
        self.frames += document["frame_count"]
        self.masks += document["mask_count"]
        self.objects += len(document["objects"])
        kind = str(document["mask_kind"])
        self.mask_kinds[kind] = self.mask_kinds.get(kind, 0) + 1
        for archive in document["resolutions"]:
            total = self.resolutions.setdefault(archive["resolution"], {"videos": 0, "bytes": 0})
            total["videos"] += 1
            total["bytes"] += archive["archive"]["bytes"]
        for facet in facets:
            count = self.facets.setdefault(facet, [0, 0])
            count[0] += 1
            count[1] += document["frame_count"]

    def describe(self, splits: dict[str, str]) -> Document:
        """Counts, and each split, category and attribute with its number of videos and frames."""
        return {
            "counts": {"videos": self.videos, "frames": self.frames, "masks": self.masks, "objects": self.objects},
            "resolutions": [{"resolution": name, **total} for name, total in sorted(self.resolutions.items())],
            "mask_kinds": dict(sorted(self.mask_kinds.items())),
            "splits": [{"path": splits[each["name"]], **each} for each in self._named("split", splits)],
            "categories": self._named("category"),
            "attributes": self._named("attribute"),
        }

    def _named(self, facet: str, values: Iterable[str] | None = None) -> list[Document]:
        names = values if values is not None else [value for kind, value in self.facets if kind == facet]
        counts = ((name, self.facets.get((facet, name), [0, 0])) for name in sorted(names))
        return [{"name": name, "videos": videos, "frames": frames} for name, (videos, frames) in counts]
