"""Sums over the trail: what was taken, by whom, of what, when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyroaring import BitMap

from gygo_server.audit.line import Event
from gygo_server.audit.reading import Line

#: What lines may be put together by, and the columns that say which group it is.
BY = {
    "owner": ("owner",),
    "key": ("owner", "key"),
    "dataset": ("dataset",),
    "release": ("dataset", "release"),
    "video": ("dataset", "video"),
    "day": ("day",),
}

_Columns = tuple[str | None, ...]


@dataclass(slots=True)
class Sums:
    """What a group of lines comes to; ``videos`` are numbers of videos, so that a million of them take little."""

    requests: int = 0
    refused: int = 0
    urls: int = 0
    bytes_sent: int = 0
    bytes_signed: int = 0
    videos: BitMap = field(default_factory=BitMap)
    first: str | None = None
    last: str | None = None

    def add(self, line: Line, share: _Share) -> None:
        fields = line.fields
        self.requests += fields["event"] in {Event.ANSWER, Event.LINK}
        self.refused += fields["event"] == Event.REFUSED
        self.urls += share.urls
        self.bytes_sent += share.bytes_sent
        self.bytes_signed += share.bytes_signed
        self.videos |= share.videos
        time = fields["time"]
        self.first = time if self.first is None else min(self.first, time)
        self.last = time if self.last is None else max(self.last, time)

    def row(self) -> dict[str, Any]:
        """The sums as JSON has them."""
        return {
            "requests": self.requests,
            "refused": self.refused,
            "videos": len(self.videos),
            "urls": self.urls,
            "bytes_sent": self.bytes_sent,
            "bytes_signed": self.bytes_signed,
            "first": self.first,
            "last": self.last,
        }


@dataclass(frozen=True, slots=True)
class _Share:
    """What of a line belongs to one video, or (None) all of it."""

    video: str | None
    videos: BitMap
    urls: int
    bytes_sent: int
    bytes_signed: int


class Report:
    """Lines put together by one or more of BY, as they come. ``lost`` is how many lines could not be written."""

    def __init__(self, by: Sequence[str]) -> None:
        self.columns = tuple(dict.fromkeys(column for each in by for column in BY[each]))
        self.total = Sums()
        self.lost = 0
        self._groups: dict[_Columns, Sums] = {}
        self._numbers: dict[tuple[str | None, str], int] = {}

    def add(self, line: Line) -> None:
        """Add a line."""
        if line.fields["event"] == Event.LOST:
            self.lost += line.fields.get("lines", 0)
            return
        whole = self._whole(line)
        self.total.add(line, whole)
        for share in self._by_video(line) if "video" in self.columns else [whole]:
            named = {**line.fields, "day": line.fields["time"][:10], "video": share.video}
            group = tuple(named.get(column) for column in self.columns)
            self._groups.setdefault(group, Sums()).add(line, share)

    def rows(self) -> Iterable[dict[str, Any]]:
        """A row for each group, in the order of what it is put together by."""
        for group in sorted(self._groups, key=lambda group: [(each is None, each or "") for each in group]):
            yield {**dict(zip(self.columns, group, strict=True)), **self._groups[group].row()}

    def _whole(self, line: Line) -> _Share:
        fields = line.fields
        given = line.videos if fields["event"] != Event.REFUSED else []
        videos = BitMap([self._number(line, video["id"]) for video in given])
        return _Share(None, videos, fields.get("urls", 0), fields.get("bytes_sent", 0), fields.get("bytes_signed", 0))

    def _by_video(self, line: Line) -> list[_Share]:
        """What of a line belongs to each of its videos; bytes of a tar in proportion, as it may have been cut."""
        whole, fields = self._whole(line), line.fields
        urls: dict[str, int] = {}
        sizes: dict[str, int] = {}
        for each in line.videos:
            urls[each["id"]] = urls.get(each["id"], 0) + bool(whole.urls)
            sizes[each["id"]] = sizes.get(each["id"], 0) + each.get("bytes", 1)
        if not sizes:
            return [whole]
        shares, total, before = [], sum(sizes.values()) or 1, 0
        for video, size in sizes.items():
            sent = whole.bytes_sent * (before + size) // total - whole.bytes_sent * before // total
            before += size
            signed = size if fields["event"] == Event.SIGNED else 0
            numbers = BitMap([self._number(line, video)]) & whole.videos
            shares.append(_Share(video, numbers, urls[video], sent, signed))
        return shares

    def _number(self, line: Line, video: str) -> int:
        return self._numbers.setdefault((line.fields.get("dataset"), video), len(self._numbers))
