"""The order in which training reads clips: a function of the seed, with no state and no shuffled list.

A *clip* is ``length`` frames of one video, ``step`` apart. One *pass* over a release has, of each video with ``frames``
frames, as many clips as :func:`clip_counts` says: about as many as read each frame once, their starts drawn one from
each of as many equal parts of the video. No clip occurs twice in a pass, and none is left out.

An *epoch* has each release's clips ``weight`` times: with 1 each pass is an epoch, with 5 five passes with starts of
their own are, with 0.5 every second epoch goes on where the one before ended.

Any place of the order is found without the places before it: shuffling is a permutation that can be evaluated at a
point (a Feistel network, walked until it stays in range: Black and Rogaway, "Ciphers with Arbitrary Finite Domains",
2002). So a job resumes from a number, and any number of workers share an epoch without talking. The service's
``…/sample`` gives the same order; this module is its definition.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import floor
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

#: Passes over a release in one epoch, at most.
MAX_WEIGHT = 10_000

_ROUNDS = 8
_WORD = (1 << 64) - 1


class ClipAt(NamedTuple):
    """One clip of an epoch: which of the releases, which of its videos (in the order of names), which frames."""

    release: int
    video: int
    start: int
    step: int


def clip_counts(frames: NDArray[np.int64], length: int, step: int) -> NDArray[np.int64]:
    """Clips that each video gives in one pass, from its number of frames; 0 when it is too short for one."""
    starts = frames - (length - 1) * step
    return np.where(starts > 0, np.minimum(np.maximum(1, frames // length), starts), 0)


class ReleaseClips:
    """The clips of one release, in endless passes. ``name`` is ``<dataset>/<release>``.

    ``frames`` are the videos' numbers of frames, in the order of their names. With ``max_skip`` each clip's step is
    drawn between ``step`` and that, as far as the video is long enough.
    """

    def __init__(
        self,
        name: str,
        frames: Sequence[int] | NDArray[np.int64],
        length: int,
        step: int = 1,
        max_skip: int | None = None,
    ) -> None:
        if length < 1 or step < 1:
            raise ValueError("length and step count from 1")
        if max_skip is not None and max_skip < step:
            raise ValueError("max_skip is less than step")
        self.name = name
        self.length = length
        self.step = step
        self.max_skip = max_skip or step
        self._frames = np.asarray(frames, np.int64)
        counts = clip_counts(self._frames, length, step)
        self._ends = np.cumsum(counts)
        #: Clips in one pass.
        self.count = int(self._ends[-1]) if len(self._ends) else 0
        #: Videos that are too short for a clip.
        self.too_short = int((counts == 0).sum())

    def clip(self, number: int, seed: int, *, shuffle: bool) -> tuple[int, int, int]:
        """Video, start and step of the ``number``-th clip, counted through all passes."""
        turn, place = divmod(number, self.count)
        key = _key(seed, self.name, turn)
        if shuffle:
            place = permuted(place, self.count, key)
        video = int(np.searchsorted(self._ends, place, side="right"))
        of_video = int(self._ends[video] - (self._ends[video - 1] if video else 0))
        part = of_video - int(self._ends[video] - place)
        frames, step = int(self._frames[video]), self.step
        draw = _mix(key ^ _mix(place))
        if shuffle and self.max_skip > step and self.length > 1:
            # Every step up to this one leaves as many starts as there are clips: no two of them fall together.
            longest = min(self.max_skip, (frames - of_video) // (self.length - 1))
            step += _mix(draw ^ 1) % (longest - step + 1)
        starts = frames - (self.length - 1) * step
        low, high = part * starts // of_video, (part + 1) * starts // of_video
        return video, low + (draw % (high - low) if shuffle else 0), step


class Epoch(Sequence[ClipAt]):
    """One epoch's clips over several releases: a sequence of which every place can be asked for.

    Raises:
        ValueError: the weights do not fit the releases.
    """

    def __init__(
        self,
        releases: Sequence[ReleaseClips],
        weights: Sequence[float] | None = None,
        *,
        seed: int = 0,
        number: int = 0,
        shuffle: bool = True,
    ) -> None:
        weights = [1.0] * len(releases) if weights is None else weights
        if len(weights) != len(releases):
            raise ValueError("there must be one weight for each release")
        if any(not 0 < weight <= MAX_WEIGHT for weight in weights):
            raise ValueError(f"a weight is a number above 0, at most {MAX_WEIGHT}")
        self.releases = releases
        self.seed = seed
        self.number = number
        self.shuffle = shuffle
        # Of the clips of all passes, each epoch goes on where the one before ended, also in the middle of a clip.
        shares = [clips.count * weight for clips, weight in zip(releases, weights, strict=True)]
        self._firsts = [floor(number * share) for share in shares]
        counts = [floor((number + 1) * share) - first for share, first in zip(shares, self._firsts, strict=True)]
        self._ends = list(accumulate(counts))
        self._begins = [end - count for end, count in zip(self._ends, counts, strict=True)]
        self._key = _key(seed, "epoch", number)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, position: int) -> ClipAt: ...
    @overload
    def __getitem__(self, position: slice) -> list[ClipAt]: ...
    def __getitem__(self, position: int | slice) -> ClipAt | list[ClipAt]:
        if isinstance(position, slice):
            return [self[each] for each in range(len(self))[position]]
        position = range(len(self))[position]
        if self.shuffle:
            position = permuted(position, len(self), self._key)
        release = bisect_right(self._ends, position)
        number = self._firsts[release] + position - self._begins[release]
        return ClipAt(release, *self.releases[release].clip(number, self.seed, shuffle=self.shuffle))


class Shard(NamedTuple):
    """Which part of an epoch one reader takes: rank ``rank`` of ``world``, worker ``worker`` of ``workers`` in it.

    A rank takes every ``world``-th place. Its workers take turns by ``batch`` clips, as a DataLoader takes turns by
    batches: so the batches of a rank come in the same order whatever the number of its workers.
    """

    rank: int = 0
    world: int = 1
    worker: int = 0
    workers: int = 1
    batch: int = 1

    def positions(self, begin: int, end: int) -> Iterator[int]:
        """The places in ``[begin, end)`` that this shard takes, in order."""
        of_rank = range(begin + self.rank, end, self.world)
        for first in range(self.worker * self.batch, len(of_rank), self.workers * self.batch):
            yield from of_rank[first : first + self.batch]

    def size(self, begin: int, end: int) -> int:
        """How many places that are."""
        places = len(range(begin + self.rank, end, self.world))
        rounds, rest = divmod(places, self.workers * self.batch)
        return rounds * self.batch + min(self.batch, max(0, rest - self.worker * self.batch))


def permuted(place: int, count: int, key: int) -> int:
    """Where a permutation of ``range(count)``, chosen by ``key``, puts ``place``."""
    half = max(1, ((count - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = place >> half, place & mask
        for turn in range(_ROUNDS):
            left, right = right, left ^ (_mix(key + (turn << 32 | right)) & mask)
        place = left << half | right
        if place < count:
            return place


def _key(seed: int, name: str, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}/{number}".encode()).digest()[:8])


def _mix(word: int) -> int:
    """The finalizer of SplitMix64 (Steele, Lea, Flood, 2014): 64 bits in, 64 bits out."""
    word = (word + 0x9E3779B97F4A7C15) & _WORD
    word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ word >> 27) * 0x94D049BB133111EB) & _WORD
    return word ^ word >> 31
