"""Clips from the store: where their bytes are, by the service's word, and one ranged GET each.

The service signs a URL and names a byte range for each clip; the bytes come from the store and do not pass it. With a
disk cache, whole archives are fetched, verified and kept, and clips are read from them.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

from gygo.clip import Clip, ClipRequest
from gygo.daemon_pool import DaemonPool
from gygo.errors import CacheUnavailableError, CorruptDataError, InvalidRequestError, NotFoundError, UnreachableError
from gygo.http import Http, RefusedUrlError, Timed, understood
from gygo.stream import TRIES

if TYPE_CHECKING:
    from gygo.disk_cache import DiskCache

T = TypeVar("T")

#: Clips whose places are asked for in one request.
LOCATE_AT_ONCE = 128

#: Bytes of an archive that are held in memory on their way to the disk cache: read, hashed and written once.
PIECE = 32 << 20

#: A URL is used until so much of its life is left.
MARGIN = 0.1


class Release(Protocol):
    """What is needed of a :class:`gygo.Release`."""

    @property
    def http(self) -> Http: ...
    @property
    def dataset(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def path(self) -> str: ...


@dataclass(frozen=True)
class LocatedClip:
    """A clip and where its bytes are: ``[start, end)`` of its archive, at ``url`` until ``deadline`` (monotonic)."""

    release: Release
    request: ClipRequest
    answer: dict[str, Any]
    deadline: float

    @property
    def span(self) -> tuple[int, int]:
        return self.answer["range"]["start"], self.answer["range"]["end"]

    def clip(self, content: bytes | memoryview) -> Clip:
        """The clip, from its bytes."""
        offset = self.span[0]
        frames = self.answer["frames"]

        def file(member: dict[str, int] | None) -> bytes | None:
            if member is None:
                return None
            begin = member["offset"] - offset
            return bytes(content[begin : begin + member["size"]])

        return Clip(
            dataset=self.release.dataset,
            release=self.release.id,
            request=self.request,
            resolution=self.answer["resolution"],
            mask_kind=self.answer["mask_kind"],
            names=tuple(frame["name"] for frame in frames),
            image_files=tuple(file(frame["image"]) for frame in frames),
            mask_files=tuple(file(frame["mask"]) for frame in frames),
        )


class ClipFetcher:
    """Fetches clips of any releases, at one resolution. Safe for threads."""

    def __init__(
        self,
        *,
        resolution: str | None = None,
        images: bool = True,
        masks: bool = True,
        cache: DiskCache | None = None,
    ) -> None:
        self._wanted = {"resolution": resolution, "images": images, "masks": masks}
        self._cache = cache
        self._warned = False

    def locate(self, release: Release, requests: Sequence[ClipRequest]) -> list[LocatedClip]:
        """Where these clips are.

        Raises:
            NotFoundError, InvalidRequestError: one of them cannot be had.
        """
        asked = {
            "clips": [
                {"video": each.video, "start": each.start, "length": each.length, "step": each.step}
                for each in requests
            ],
            **{name: value for name, value in self._wanted.items() if value is not None},
        }
        answer = release.http.ask("POST", f"{release.path}/clips", {"delivery": "urls"}, asked)
        with understood(f"{release.path}/clips"):
            items = zip(requests, answer.document["items"], strict=True)
            return [_located_clip(release, request, item, answer) for request, item in items]

    def fetch(self, located: LocatedClip) -> Clip:
        """The clip's bytes; with a new URL when the old one has expired.

        Raises:
            UnreachableError, CorruptDataError: the store does not give them.
        """
        if located.span[0] == located.span[1]:
            return located.clip(b"")  # masks of frames that have none
        if self._cache is not None:
            try:
                return located.clip(self._from_cache(self._cache, located))
            except CacheUnavailableError as error:
                if not self._warned:
                    self._warned = True
                    warnings.warn(f"{error}; clips that are not kept are fetched one by one", stacklevel=2)
        return located.clip(self._get(located, *located.span))

    def _get(self, located: LocatedClip, start: int, end: int) -> memoryview:
        """Bytes ``[start, end)`` of the clip's archive; with a new URL when the old one has expired."""
        for _ in range(TRIES):
            located = self._fresh(located)
            try:
                return located.release.http.get_range(located.answer["url"], start, end)
            except RefusedUrlError as error:
                refusal = error
                located = self._renewed(located)
        raise UnreachableError(f"{refusal}, also a new one") from refusal

    def _from_cache(self, cache: DiskCache, located: LocatedClip) -> bytes:
        archive = located.answer["archive"]

        def fill(target: BinaryIO) -> None:
            self._download(located, target)

        start, end = located.span
        with cache.open(archive["sha256"], archive["bytes"], fill) as file:
            content = os.pread(file.fileno(), end - start, start)
        if len(content) != end - start:
            raise CorruptDataError(f"the kept archive of {located.request.video!r} ends before the clip does")
        return content

    def _download(self, located: LocatedClip, target: BinaryIO) -> None:
        """The whole archive, verified."""
        archive = located.answer["archive"]
        digest = hashlib.sha256()
        for start in range(0, archive["bytes"], PIECE):
            located = self._fresh(located)
            piece = self._get(located, start, min(start + PIECE, archive["bytes"]))
            digest.update(piece)
            target.write(piece)
        if digest.hexdigest() != archive["sha256"]:
            raise CorruptDataError(
                f"the archive of {located.request.video!r} is not what was published: {digest.hexdigest()}"
            )

    def _fresh(self, located: LocatedClip) -> LocatedClip:
        return located if time.monotonic() < located.deadline else self._renewed(located)

    def _renewed(self, located: LocatedClip) -> LocatedClip:
        return self.locate(located.release, [located.request])[0]


def _located_clip(release: Release, request: ClipRequest, item: dict[str, Any], answer: Timed) -> LocatedClip:
    """What the service says of a clip, once it has been seen to hold together.

    Raises:
        NotFoundError, InvalidRequestError: the clip cannot be had.
        ValueError, KeyError, TypeError: it does not hold together.
    """
    if "error" in item:
        error = item["error"]
        kind = NotFoundError if error["status"] == 404 else InvalidRequestError
        raise kind(error["detail"], status=error["status"], type=error["type"])
    start, end, size = item["range"]["start"], item["range"]["end"], item["archive"]["bytes"]
    members = [frame[kind] for frame in item["frames"] for kind in ("image", "mask") if frame[kind] is not None]
    inside = all(start <= file["offset"] <= file["offset"] + file["size"] <= end for file in members)
    if not (0 <= start <= end <= size and inside and len(item["frames"]) == request.length):
        raise ValueError("a clip whose files lie outside of it")
    life = answer.deadline(item["expires_at"]) - answer.received
    return LocatedClip(release, request, item, answer.received + (1 - MARGIN) * life)


def prefetched(
    fetcher: ClipFetcher,
    wanted: Iterable[tuple[Release, ClipRequest]],
    work: Callable[[Clip], T],
    *,
    connections: int,
    ahead: int,
) -> Iterator[T]:
    """The wanted clips in order, each put through ``work`` by the thread that fetched it.

    At most ``connections`` requests to the store are in flight, and at most ``ahead`` clips fetched or on their way.
    """
    # More threads than cores at once only make each other wait for the interpreter.
    cores = threading.Semaphore(os.cpu_count() or 1)

    def fetch(located: LocatedClip) -> T:
        clip = fetcher.fetch(located)
        with cores:
            return work(clip)

    asking = DaemonPool(1, "gygo-locate")
    fetching = DaemonPool(connections, "gygo-fetch")
    coming: deque[Future[T]] = deque()
    try:
        located = _located(fetcher, iter(wanted), asking, connections)
        for each in located:
            coming.append(fetching.submit(fetch, each))
            if len(coming) >= ahead:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        asking.close()
        fetching.close()


def _located(
    fetcher: ClipFetcher, wanted: Iterator[tuple[Release, ClipRequest]], asking: DaemonPool, first: int
) -> Iterator[LocatedClip]:
    """Where the wanted clips are; the next lot is asked for while this one is used."""

    def locate(lot: list[tuple[Release, ClipRequest]]) -> list[LocatedClip]:
        places: dict[int, LocatedClip] = {}
        by_release = sorted(range(len(lot)), key=lambda at: id(lot[at][0]))
        for _, group in groupby(by_release, key=lambda at: id(lot[at][0])):
            members = list(group)
            found = fetcher.locate(lot[members[0]][0], [lot[at][1] for at in members])
            places.update(zip(members, found, strict=True))
        return [places[at] for at in range(len(lot))]

    size = first  # a short one first, so that the first clip is soon there
    asked: deque[Future[list[LocatedClip]]] = deque()
    while True:
        while len(asked) < 2 and (lot := list(islice(wanted, size))):
            asked.append(asking.submit(locate, lot))
            size = min(2 * size, LOCATE_AT_ONCE)
        if not asked:
            return
        yield from asked.popleft().result()
