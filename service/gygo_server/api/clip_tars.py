"""Clips as tars, sent as they are read.

All sizes are known from the catalogue, so an answer says how long it is before its first byte, has a strong entity
tag, and can be gone on with by `Range` and `If-Range` where it broke off. In a batch, a clip that turns out not to be
had when its turn comes is replaced by a note of exactly its size; without room in the cache to see that beforehand, it
is just a spoilt file of it. A store that is away breaks the answer off, to be gone on with.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
import structlog
from flask import Response

from gygo_server import __version__
from gygo_server.access.api_key import Action
from gygo_server.api import auditing
from gygo_server.api.answers import PRIVATE
from gygo_server.api.file_names import clip_name
from gygo_server.api.found_clips import ClipQuestion, FoundClip, Wanted, find_clip
from gygo_server.api.problems import describe
from gygo_server.api.published_bytes import send_bytes
from gygo_server.api.releases_in_paths import cache_control_of
from gygo_server.api.request_log import current_request_id
from gygo_server.api.services import services
from gygo_server.errors import CorruptObjectError, GygoError, ObjectNotFoundError, StoreError
from gygo_server.formats.clips import END, note, note_filling
from gygo_server.library import Release
from gygo_server.store.archives import ArchiveReader
from gygo_server.store.content_disposition import attachment

TAR = [("Content-Type", "application/x-tar")]

log = structlog.get_logger()


class Part(NamedTuple):
    """Some bytes of an answer: how many, and how to read them from the ``skip``-th on."""

    size: int
    read: Callable[[int], Generator[bytes, None, None]]


def send_clip(release: Release, clip: FoundClip) -> Response:
    """One clip's members: of neighbouring frames it is one range of the archive, as it is.

    Raises:
        ScopeMissingError: the caller may not download the release.
    """
    release.require(Action.DOWNLOAD)
    parts = [_clip_part(services().archives, release, clip, None)]
    first, frames = clip.frames[0].index, len(clip.frames)
    auditing.note(resolution=clip.archive.resolution, frames=frames)
    name = clip_name(release.dataset.id, release.entry.id, clip.video, clip.archive.resolution, first, frames)
    headers = [*TAR, ("Content-Disposition", attachment(name))]
    return _send(release, parts, [clip.describe(), clip.wanted], cache_control_of(release), headers)


def send_clips(
    release: Release,
    asked: Sequence[ClipQuestion],
    wanted: Wanted,
    found: Iterable[FoundClip | GygoError],
    *,
    described: bool,
) -> Response:
    """Clips in the order asked, each with a note before it when ``described``; for one that cannot be had, a note."""
    release.require(Action.DOWNLOAD)
    archives = services().archives
    parts: list[Part] = []
    lost: dict[str, StoreError] = {}
    taken: dict[tuple[str, str], dict[str, Any]] = {}
    for number, (question, clip) in enumerate(zip(asked, found, strict=True)):
        if isinstance(clip, GygoError):
            about = {"clip": number, **question._asdict(), **describe(clip)}
            parts.append(_literal(note(f"clips/{number:05}.error.json", about)))
            continue
        part = _clip_part(archives, release, clip, _Notes(number, question, lost))
        if described:
            frames = [{"index": each.index, "name": each.name, "mask": each.mask is not None} for each in clip.frames]
            about = {"clip": number, **clip.describe(), "bytes": part.size, "frames": frames}
            parts.append(_literal(note(f"clips/{number:05}.json", about)))
        parts.append(part)
        _add(taken, clip, part.size)
    parts.append(_literal(END))
    auditing.note(frames=sum(each["frames"] for each in taken.values()), videos=list(taken.values()))
    return _send(release, parts, [asked, wanted, described], PRIVATE, TAR)


def _add(taken: dict[tuple[str, str], dict[str, Any]], clip: FoundClip, size: int) -> None:
    """Add a clip to what an answer takes of each video."""
    video, resolution = clip.video, clip.archive.resolution
    sums = taken.setdefault((video, resolution), {"id": video, "resolution": resolution, "frames": 0, "bytes": 0})
    sums["frames"] += len(clip.frames)
    sums["bytes"] += size


def _send(
    release: Release, parts: Sequence[Part], question: Any, cache_control: str, headers: list[tuple[str, str]]
) -> Response:
    digest = hashlib.sha256(orjson.dumps([__version__, release.entry.catalogue_sha256, question], default=list))
    request_id = current_request_id()
    return send_bytes(
        lambda start, stop: _primed(_breaking_off(_bytes_of(parts, start, stop), request_id)),
        size=sum(part.size for part in parts),
        etag=digest.hexdigest()[:32],
        headers=headers,
        cache_control=cache_control,
    )


@dataclass(frozen=True, slots=True)
class _Notes:
    """Notes that stand for the bytes of one of an answer's clips.

    ``lost`` are the archives that the answer cannot have: one that is spoilt is not fetched again for each clip of it.
    """

    number: int
    asked: ClipQuestion
    lost: dict[str, StoreError]

    def __call__(self, error: StoreError, size: int, skip: int) -> Iterator[bytes]:
        if skip:
            # Which bytes the answer began with is not known here: the clip's or a note's. No end fits both.
            raise error
        about = {"clip": self.number, **self.asked._asdict(), **describe(error)}
        return note_filling(f"clips/{self.number:05}.error.json", about, size)


def _clip_part(archives: ArchiveReader, release: Release, clip: FoundClip, notes: _Notes | None) -> Part:
    """A clip as a part of an answer. Where it turns out not to be had, it is an error, unless there are ``notes``."""
    asked = ClipQuestion(clip.video, clip.start, len(clip.frames), clip.step)
    wanted, archive = clip.wanted, clip.archive
    size = sum(piece.end - piece.start for piece in clip.pieces())

    def read(skip: int) -> Generator[bytes, None, None]:
        if notes is not None and archive.sha256 in notes.lost:
            yield from notes(notes.lost[archive.sha256], size, skip)
            return
        # Found once more rather than kept: a thousand clips may have a hundred thousand frames.
        pieces = find_clip(release, asked, wanted).pieces()
        chunks = archives.read(release.dataset.id, archive.sha256, archive.size, pieces, skip, notes)
        try:
            first = next(chunks)
        except (ObjectNotFoundError, CorruptObjectError) as error:
            if notes is None:
                raise
            log.warning("clip cannot be had", video=asked.video, reason=str(error))
            notes.lost[archive.sha256] = error
            yield from notes(error, size, skip)
            return
        yield first
        yield from chunks

    return Part(size, read)


def _literal(content: bytes) -> Part:
    def read(skip: int) -> Generator[bytes, None, None]:
        yield content[skip:]

    return Part(len(content), read)


def _bytes_of(parts: Sequence[Part], start: int, stop: int) -> Iterator[bytes]:
    """The bytes ``[start, stop)`` of all parts together."""
    left = stop - start
    for part in parts:
        if start >= part.size:
            start -= part.size
            continue
        with closing(part.read(start)) as chunks:
            for chunk in chunks:
                yield chunk[:left]
                left -= len(chunk)
                if left <= 0:
                    return
        start = 0


def _breaking_off(chunks: Iterator[bytes], request_id: str | None) -> Iterator[bytes]:
    """An error before the first chunk is the request's; after it, all that can be done is to hang up."""
    first = True
    try:
        for chunk in chunks:
            yield chunk
            first = False
    except GygoError as error:
        if first:
            raise
        log.warning("answer broken off", reason=str(error), request_id=request_id)
        # gunicorn hangs up at this without a word; the client misses bytes that Content-Length promised.
        raise BrokenPipeError(errno.EPIPE, "broken off") from None


def _primed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same, with the first chunk read: what cannot be begun is answered with a problem."""
    first = next(chunks, b"")

    def rest() -> Iterator[bytes]:
        yield first
        yield from chunks

    return rest()
