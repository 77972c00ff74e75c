"""What a release is asked, worked out over HTTP as a client would: deep pages by following ``next`` to them."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import orjson
import urllib3

from benchmarks import catalogues

LIMIT, MOST = 100, 1000
#: So many different pages a deep question asks for, so many videos, so many filters to count.
PAGES, VIDEOS, COUNTS = 100, 1000, 20_000
#: A silent service stops the benchmark; the first answer of a cold replica waits for its catalogue.
SECONDS = 600


@dataclass(frozen=True, slots=True)
class Question:
    """A line of the table. ``paths`` are asked in turn; in the first one's answer are ``items`` of ``total``, after as
    many as ``after``."""

    name: str
    paths: Sequence[str]
    items: int
    total: int
    after: int = 0


class Release:
    """A release as the service at ``base`` answers for it."""

    def __init__(self, base: str, dataset: str, release: str) -> None:
        self.base, self.path = base, f"/v1/datasets/{dataset}/releases/{release}"
        self._http = urllib3.PoolManager(maxsize=1, retries=False, timeout=SECONDS)

    def get(self, path: str) -> dict[str, Any]:
        """A JSON answer, as soon as the release is there; anything but 200 stops the benchmark."""
        answer = self._http.request("GET", self.base + path)
        while answer.status == 503 and b"release-coming" in answer.data:
            time.sleep(0.1)
            answer = self._http.request("GET", self.base + path)
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {answer.data[:500]!r}")
        found: dict[str, Any] = orjson.loads(answer.data)
        return found

    def videos(self, filters: Mapping[str, Any], **page: Any) -> str:
        """The path of a page of videos."""
        return f"{self.path}/videos?{urlencode({**filters, **page}, doseq=True)}"

    def question(self, name: str, paths: Sequence[str], after: int = 0) -> Question:
        """The paths as a question, when the answers to the first and the last of them are as they should be."""
        first, last = self.get(paths[0]), self.get(paths[-1])
        if "items" not in first:
            return Question(name, paths, 1, 1)
        if bool(first["items"]) != bool(first["total"]) or (len(paths) > 1 and first["items"] == last["items"] != []):
            raise SystemExit(f"{name}: {paths[0]} lacks items, or has the same as {paths[-1]}")
        return Question(name, paths, len(first["items"]), first["total"], after)

    def pages(
        self, name: str, filters: Mapping[str, Any], *, limit: int = LIMIT, places: tuple[str, ...] = ("first", "deep")
    ) -> Iterator[Question]:
        """Pages of a list: its first, those after half of its videos, its last."""
        total = self.get(self.videos(filters, limit=1, fields="id"))["total"]
        if "first" in places:
            yield self.question(f"{name}: first page", [self.videos(filters, limit=limit)])
        spread = range(0, PAGES * max(1, limit // 10), max(1, limit // 10))
        half = [total // 2 + each for each in spread if total // 2 + each + limit <= total] or [total // 2]
        last = [total - limit - each for each in reversed(spread) if total - limit - each > total // 2] or half
        for place, depths in (("deep", half), ("last", last)):
            if place in places and depths[0] > 0:
                paths = [self.videos(filters, limit=limit, cursor=cursor) for cursor in self._cursors(filters, depths)]
                yield self.question(f"{name}: {place} page", paths, depths[0])

    def _cursors(self, filters: Mapping[str, Any], depths: Sequence[int]) -> Iterator[str]:
        """Where the list goes on after so many videos, for each of the rising depths."""
        at = 0
        cursor: dict[str, str] = {}
        for depth in depths:
            while at < depth:
                step = min(MOST, depth - at)
                following = self.get(self.videos(filters, limit=step, fields="id", **cursor))["next"]
                cursor = {"cursor": parse_qs(urlsplit(following).query)["cursor"][0]}
                at += step
            yield cursor["cursor"]

    def ids(self, count: int) -> list[str]:
        """Ids of so many videos, or a few less, from all over the release and in no order."""
        total = self.get(self.videos({}, limit=1, fields="id"))["total"]
        step = min(MOST, math.ceil(total / count))
        found, page = [], self.get(self.videos({}, limit=step, fields="id"))
        while page["next"]:
            found.append(page["items"][0]["id"])
            page = self.get(page["next"].removeprefix(self.base))
        random.Random(catalogues.SEED).shuffle(found)
        return found


def questions(release: Release, only: str = "") -> list[Question]:
    """All that is measured with one client; ``only`` those whose names begin so."""
    described = release.get(release.path)
    common = max(described["categories"], key=lambda each: each["videos"])["name"]
    apart = {"category": catalogues.APART[0], "attribute": catalogues.APART[1]}
    lists: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("all", {}, {"places": ("first", "deep", "last")}),
        ("all, 1,000 a page", {}, {"limit": MOST}),
        ("rare category", {"category": catalogues.RARE}, {}),
        ("common category", {"category": common}, {}),
        ("attribute", {"attribute": "occlusion"}, {}),
        ("category and attribute that few have together", apart, {}),
        ("split and min_frames", {"split": "train", "min_frames": 60}, {}),
        ("changed since the release before", {"changed_since": described["changes"]["since"]}, {}),
        ("sorted by frames", {"sort": "frames"}, {}),
        ("q, a common word", {"q": catalogues.COLOURS[0]}, {}),
    ]
    asked = [
        question
        for name, filters, how in lists
        if name.startswith(only)
        for question in release.pages(name, filters, **how)
    ]
    ids = release.ids(VIDEOS)
    one = [f"{release.path}/videos/{video}" for video in ids]
    single = {
        "q, a number that one video has": [
            release.videos({"q": video.rpartition("-")[2]}, limit=LIMIT) for video in ids
        ],
        "one video": one,
        "the first 100 frames of a video": [f"{path}/frames?limit={LIMIT}" for path in one],
        "`total` of five filters, never asked before": list(_counts(release, described)),
    }
    return [*asked, *(release.question(name, paths) for name, paths in single.items() if name.startswith(only))]


def _counts(release: Release, described: Mapping[str, Any]) -> Iterator[str]:
    """Filters that differ in each question: no count is known from before."""
    rng = random.Random(catalogues.SEED)
    names = {facet: [each["name"] for each in described[facet]] for facet in ("categories", "attributes", "splits")}
    seen: set[tuple[Any, ...]] = set()
    while len(seen) < COUNTS:
        filters = {
            "category": tuple(rng.sample(names["categories"], min(rng.randint(1, 3), len(names["categories"])))),
            "attribute": rng.choice(names["attributes"]),
            "split": rng.choice(names["splits"]),
            "min_frames": rng.randint(8, 60),
            "max_frames": rng.randint(61, 200),
        }
        key = tuple(filters.values())
        if key not in seen:
            seen.add(key)
            yield release.videos(filters, limit=1, fields="id")
