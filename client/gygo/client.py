"""What a service offers, as Python objects: datasets, their releases, the videos of a release, their frames.

Nothing is asked before it is needed, and lists come page by page as they are walked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from gygo.clip import Clip, ClipRequest
from gygo.errors import NotFoundError
from gygo.fetching import ClipFetcher
from gygo.http import Http, understood
from gygo.listing import Listing, read_page
from gygo.pictures import MaskKind, Void, decode_image, decode_mask


def connect(
    url: str, key: str | None = None, *, timeout: float = 15, patience: float = 120, connections: int = 16
) -> Client:
    """A client of the service at ``url``. Nothing is sent yet.

    ``key`` is an API key. A request is given up when there is no answer for about ``patience`` seconds; one attempt
    may be silent for ``timeout`` seconds. At most ``connections`` are kept open to each host.
    """
    return Client(Http(url, key, timeout=timeout, patience=patience, connections=connections))


@dataclass(frozen=True)
class Client:
    """A service. Get one with :func:`connect`."""

    http: Http

    def datasets(self) -> Listing[Dataset]:
        """All datasets."""
        return Listing(self.http, "/v1/datasets", {"limit": 1000}, partial(_dataset, self.http))

    def dataset(self, dataset: str) -> Dataset:
        """One dataset by its id."""
        return _dataset(self.http, self.http.get_json(f"/v1/datasets/{quote(dataset, safe='')}"))

    def release(self, name: str) -> Release:
        """A release by its name, ``DATASET`` (its latest) or ``DATASET@RELEASE``."""
        dataset, _, release = name.partition("@")
        return _release(self.http, dataset, release or "latest")


@dataclass(frozen=True)
class Dataset:
    """A dataset as its publisher describes it; None: not stated."""

    http: Http = field(repr=False, compare=False)
    id: str
    title: str
    description: str | None
    license: str | None
    homepage: str | None
    latest_release: str | None
    #: Ids of all releases in the order of their publication, withdrawn ones too.
    release_ids: tuple[str, ...]
    _withdrawn: frozenset[str] = field(repr=False)

    def releases(self) -> list[Release]:
        """The releases that can be read, in the order of their publication."""
        return [self.release(each) for each in self.release_ids if each not in self._withdrawn]

    def release(self, release: str = "latest") -> Release:
        """One release by its id."""
        return _release(self.http, self.id, release)


@dataclass(frozen=True)
class Release:
    """One release: immutable. ``document`` is all that the service says of it."""

    http: Http = field(repr=False, compare=False)
    dataset: str
    id: str
    document: dict[str, Any] = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """``DATASET@RELEASE``."""
        return f"{self.dataset}@{self.id}"

    @property
    def path(self) -> str:
        """Where it is on the service."""
        return f"/v1/datasets/{self.dataset}/releases/{self.id}"

    @property
    def default_resolution(self) -> str:
        resolution: str = self.document["default_resolution"]
        return resolution

    @property
    def splits(self) -> list[str]:
        return [split["name"] for split in self.document["splits"]]

    @property
    def categories(self) -> list[str]:
        return [category["name"] for category in self.document["categories"]]

    def __len__(self) -> int:
        """Number of videos."""
        count: int = self.document["counts"]["videos"]
        return count

    def videos(
        self,
        *,
        split: str | Sequence[str] | None = None,
        category: str | Sequence[str] | None = None,
        attribute: str | Sequence[str] | None = None,
        min_frames: int | None = None,
        max_frames: int | None = None,
        min_objects: int | None = None,
        q: str | None = None,
        resolution: str | None = None,
        changed_since: str | None = None,
        sort: str | None = None,
    ) -> Videos:
        """The release's videos. Several values of a filter: any of them, but all of the attributes.

        ``changed_since`` is an earlier release: only what is new, or something else, since then.
        ``sort`` is ``name``, ``frames``, ``objects`` or ``bytes``, with ``-`` before it for the other way round.
        """
        filters = {
            "split": split,
            "category": category,
            "attribute": attribute,
            "min_frames": min_frames,
            "max_frames": max_frames,
            "min_objects": min_objects,
            "q": q,
            "resolution": resolution,
            "changed_since": changed_since,
        }
        return Videos(self, {name: value for name, value in filters.items() if value is not None}, sort)

    def video(self, video: str) -> Video:
        """One video by its id or its name."""
        if not video:
            raise NotFoundError("a video has a name", status=404)
        return _video(self, self.http.get_json(f"{self.path}/videos/{quote(video.replace('/', ':'), safe=':')}"))

    def frame_counts(self, resolution: str | None = None) -> tuple[list[str], list[int]]:
        """Ids and numbers of frames of all videos (that have this resolution), in the order of their names."""
        return self.videos().frame_counts(resolution)

    @property
    def release(self) -> Release:
        """Itself: a release stands for all of its videos where some of them are expected."""
        return self

    @property
    def filters(self) -> dict[str, Any]:
        """None: see :attr:`Videos.filters`."""
        return {}


class Videos(Listing["Video"]):
    """Some videos of a release: those that :attr:`filters` select."""

    def __init__(self, release: Release, filters: dict[str, Any], sort: str | None) -> None:
        super().__init__(release.http, f"{release.path}/videos", {**filters, "sort": sort}, partial(_video, release))
        self.release = release
        self.filters = filters

    @property
    def name(self) -> str:
        """The release's."""
        return self.release.name

    def frame_counts(self, resolution: str | None = None) -> tuple[list[str], list[int]]:
        """Ids and numbers of frames of those that have this resolution, in the order of names."""
        ids: list[str] = []
        frames: list[int] = []
        url: str | None = f"{self.release.path}/videos"
        chosen = {**self.filters, **({} if resolution is None else {"resolution": resolution})}
        query: dict[str, Any] | None = {**chosen, "fields": "id,frame_count", "limit": 1000}
        while url is not None:
            page = read_page(self.release.http, url, query, len(ids))
            with understood(url):
                ids += [str(each["id"]) for each in page.items]
                frames += [int(each["frame_count"]) for each in page.items]
            url, query = page.next, None
        return ids, frames


@dataclass(frozen=True)
class Archive:
    """A video at one resolution: pictures in pixels, the tar's bytes and SHA-256."""

    resolution: str
    width: int
    height: int
    mask_kind: MaskKind
    mask_count: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Video:
    """One video of a release. ``len()`` is its number of frames.

    ``mask_kind`` is ``binary`` (one object, id 1), ``palette`` (several) or ``none``. ``objects`` is one dict an
    object: ``id``, ``category``, ``first_frame``, ``last_frame``, ``frame_count``.
    """

    release: Release = field(repr=False, compare=False)
    id: str
    name: str
    category: str | None
    attributes: tuple[str, ...]
    splits: tuple[str, ...]
    frame_count: int
    mask_count: int
    mask_kind: MaskKind
    fps: float | None
    objects: tuple[dict[str, Any], ...] = field(repr=False)
    archives: tuple[Archive, ...] = field(repr=False)

    def __len__(self) -> int:
        return self.frame_count

    @property
    def path(self) -> str:
        """Where it is on the service."""
        return f"{self.release.path}/videos/{quote(self.id, safe=':')}"

    def archive(self, resolution: str | None = None) -> Archive:
        """The archive at this resolution, or at the release's default one, or else the first.

        Raises:
            NotFoundError: the video has no such resolution.
        """
        wanted = resolution or self.release.default_resolution
        found = next((each for each in self.archives if each.resolution == wanted), None)
        if found is None and resolution is None:
            found = self.archives[0]
        if found is None:
            known = ", ".join(each.resolution for each in self.archives)
            raise NotFoundError(f"video {self.id!r} has no resolution {resolution!r}; it has: {known}", status=404)
        return found

    def frames(
        self,
        *,
        object: int | None = None,  # noqa: A002  (the API calls it so)
        has_mask: bool | None = None,
        resolution: str | None = None,
    ) -> Listing[dict[str, Any]]:
        """What the service says of each frame: name, timestamp, byte ranges, objects with box and area."""
        query = {"object": object, "has_mask": has_mask, "resolution": resolution}
        return Listing(self.release.http, f"{self.path}/frames", query, dict)

    def frame(self, index: int, resolution: str | None = None) -> NDArray[np.uint8]:
        """A frame: H×W×3 uint8 RGB."""
        return decode_image(self.release.http.get_bytes(f"{self._frame(index)}/image", {"resolution": resolution}))

    def mask(self, index: int, resolution: str | None = None, *, void: Void = "keep") -> NDArray[np.uint8]:
        """A frame's mask: H×W uint8 object ids, 0 for background, 255 for void unless ``void="zero"``.

        Raises:
            NotFoundError: the frame has none.
        """
        content = self.release.http.get_bytes(f"{self._frame(index)}/mask", {"resolution": resolution})
        return decode_mask(content, self.archive(resolution).mask_kind, void=void)

    def clip(
        self,
        start: int,
        length: int,
        step: int = 1,
        *,
        resolution: str | None = None,
        images: bool = True,
        masks: bool = True,
    ) -> Clip:
        """``length`` frames, ``step`` apart, with their masks, in one request to the store."""
        fetcher = ClipFetcher(resolution=resolution, images=images, masks=masks)
        return fetcher.fetch(fetcher.locate(self.release, [ClipRequest(self.id, start, length, step)])[0])

    def _frame(self, index: int) -> str:
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no frame {index}: video {self.id!r} has {len(self)}")
        return f"{self.path}/frames/{index % len(self)}"


_VIDEO = ("id", "name", "category", "frame_count", "mask_count", "mask_kind", "fps")


def _dataset(http: Http, document: dict[str, Any]) -> Dataset:
    with understood("/v1/datasets"):
        return _read_dataset(http, document)


def _read_dataset(http: Http, document: dict[str, Any]) -> Dataset:
    releases = document["releases"]
    return Dataset(
        http,
        **{name: document[name] for name in ("id", "title", "description", "license", "homepage", "latest_release")},
        release_ids=tuple(each["id"] for each in releases),
        _withdrawn=frozenset(each["id"] for each in releases if each["withdrawn_at"] is not None),
    )


def _release(http: Http, dataset: str, release: str) -> Release:
    path = f"/v1/datasets/{quote(dataset, safe='')}/releases/{quote(release, safe='')}"
    document = http.get_json(path)
    with understood(path):
        if not {"default_resolution", "splits", "categories", "counts", "resolutions"} <= document.keys():
            raise KeyError("a release")
        return Release(http, str(document["dataset"]), str(document["id"]), document)


def _video(release: Release, document: dict[str, Any]) -> Video:
    with understood(release.path):
        return _read_video(release, document)


def _read_video(release: Release, document: dict[str, Any]) -> Video:
    archives = [
        Archive(
            **{name: each[name] for name in ("resolution", "width", "height", "mask_kind", "mask_count")},
            bytes=each["archive"]["bytes"],
            sha256=each["archive"]["sha256"],
        )
        for each in document["resolutions"]
    ]
    return Video(
        release,
        **{name: document[name] for name in _VIDEO},
        attributes=tuple(document["attributes"]),
        splits=tuple(document["splits"]),
        objects=tuple(document["objects"]),
        archives=tuple(archives),
    )
