"""Reading the trail back: its objects in the bucket, or files of lines, compressed or not."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from gzip import BadGzipFile, GzipFile
from io import BufferedReader, BytesIO
from typing import Any, NamedTuple, cast

import orjson

from gygo_server.audit.line import Event, time_of
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

#: Objects that are fetched at the same time, and so may be in memory together.
OBJECTS = 16

_GZIP = b"\x1f\x8b"

#: How every line begins: where one was torn, the next may follow it without an end between them.
_BEGIN = b'{"time":'

_NUMBERS = ("bytes_sent", "bytes_signed", "urls", "lines")


class Line(NamedTuple):
    """A line as it was written, what it says, and when it was written."""

    text: bytes
    fields: dict[str, Any]
    time: datetime

    @property
    def videos(self) -> list[dict[str, Any]]:
        """What it says of each video; the one that the path named has only its id."""
        if self.fields.get("videos"):
            return cast("list[dict[str, Any]]", self.fields["videos"])
        return [{"id": self.fields["video"]}] if self.fields.get("video") else []


@dataclass(frozen=True, slots=True)
class Selection:
    """Which lines are wanted, None: any. Times from ``since`` on and before ``until``."""

    since: datetime | None = None
    until: datetime | None = None
    owner: str | None = None
    key: str | None = None
    dataset: str | None = None
    release: str | None = None
    video: str | None = None

    def has(self, line: Line) -> bool:
        """Whether the line is one of them; one that tells of lost lines always is, if it is of the time."""
        if (self.since and line.time < self.since) or (self.until and line.time >= self.until):
            return False
        if line.fields["event"] == Event.LOST:
            return True
        for name in ("owner", "key", "dataset", "release"):
            wanted = getattr(self, name)
            if wanted is not None and line.fields.get(name) != wanted:
                return False
        return self.video is None or any(each["id"] == self.video for each in line.videos)


class Reader:
    """Reads the lines that are selected; ``spoilt`` is how many could not be read, or files cut short."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.spoilt = 0

    def objects(self, bucket: Bucket) -> list[str]:
        """Keys of the objects in the bucket that may have such lines.

        Raises:
            StoreError: they cannot be listed.
        """
        since, until = self.selection.since, self.selection.until or datetime.now(UTC)
        if since is None:
            end = keys.audit_day(until.date() + timedelta(days=1))
            return [key for key, _ in bucket.list(keys.AUDIT) if key < end]
        days = [since.date() + timedelta(days=day) for day in range((until.date() - since.date()).days + 1)]
        return [key for day in days for key, _ in bucket.list(keys.audit_day(day))]

    def read_objects(self, bucket: Bucket, objects: Sequence[str]) -> Iterator[list[Line]]:
        """The lines of each object.

        Raises:
            StoreError: one cannot be read.
        """
        with ThreadPoolExecutor(OBJECTS) as pool:
            for first in range(0, len(objects), OBJECTS):
                for stored in pool.map(bucket.get, objects[first : first + OBJECTS]):
                    yield list(self.read(BufferedReader(cast(Any, BytesIO(stored.content)))))

    def read(self, file: BufferedReader) -> Iterator[Line]:
        """The lines of a file; compressed or not, its first bytes say."""
        plain = GzipFile(fileobj=file) if file.peek(2)[:2] == _GZIP else file
        try:
            for text in plain:
                yield from self._parse(text)
        except (EOFError, BadGzipFile, zlib.error):  # cut short: the lines before it are good
            self.spoilt += 1

    def _parse(self, text: bytes) -> Iterator[Line]:
        if text.isspace():
            return
        line = _line(text)
        if line is None:
            self.spoilt += 1
            line = _line(text[text.rfind(_BEGIN) :])
        if line is not None and self.selection.has(line):
            yield line


def _line(text: bytes) -> Line | None:
    """The line, None when it is none of the trail's."""
    try:
        fields = orjson.loads(text)
        line = Line(text, fields, time_of(fields["time"]))
        numbers = [fields.get(name, 0) for name in _NUMBERS]
        numbers += [video["bytes"] for video in fields.get("videos", ())]
        videos = [video["id"] for video in line.videos]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    sound = isinstance(fields.get("event"), str) and all(isinstance(each, str) for each in videos)
    return line if sound and all(isinstance(each, int) for each in numbers) else None
