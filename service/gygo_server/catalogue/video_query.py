"""From the filters of a videos list to the set of videos that they select."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pyroaring import BitMap

from gygo_server.catalogue.words import words_of

#: Begins no word.
_NO_WORD = "_"


@dataclass(frozen=True, slots=True)
class VideoFilter:
    """Which videos. Values of one facet are alternatives, except attributes: a video must have all of them.

    ``changed_since`` is a release of the lineage: only what was added or has changed since.
    """

    category: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    attribute: tuple[str, ...] = ()
    min_frames: int | None = None
    max_frames: int | None = None
    min_objects: int | None = None
    q: str | None = None
    resolution: str | None = None
    changed_since: str | None = None


@dataclass(frozen=True, slots=True)
class Sets:
    """A catalogue's sets of videos in one order.

    All of them; those with a value of a facet; those with a word that begins so; those whose number of frames or
    objects has each bit, from the lowest to the highest that is set anywhere.
    """

    everything: BitMap
    of: Callable[[str, str], BitMap]
    beginning: Callable[[str], BitMap]
    bits: Callable[[str], list[BitMap]]


def select(question: VideoFilter, sets: Sets) -> BitMap | None:
    """The ranks of the videos that the filter selects; None for all of them."""
    found: BitMap | None = None
    for part in _parts(question, sets):
        found = part if found is None else found & part
        if not found:
            break
    return found


def _parts(question: VideoFilter, sets: Sets) -> Iterable[BitMap]:
    """What each of the filters selects."""
    for facet, values in (("category", question.category), ("split", question.split)):
        if values:
            yield BitMap.union(*(sets.of(facet, value) for value in values))
    for attribute in question.attribute:
        yield sets.of("attribute", attribute)
    for facet, wanted in (("resolution", question.resolution), ("changed_since", question.changed_since)):
        if wanted is not None:
            yield sets.of(facet, wanted)
    if question.q is not None:
        # Without any word, nothing is found.
        yield from map(sets.beginning, words_of(question.q) or [_NO_WORD])
    for number, least in (("frames", question.min_frames), ("objects", question.min_objects)):
        if least is not None:
            yield at_least(least, number, sets)
    if question.max_frames is not None:
        yield sets.everything - at_least(question.max_frames + 1, "frames", sets)


def at_least(bound: int, number: str, sets: Sets) -> BitMap:
    """The videos whose number of frames or objects is at least ``bound``.

    By a bit-sliced index (O'Neil and Quass, "Improved Query Performance with Variant Indexes", 1997): some operations a
    bit, whatever the numbers.
    """
    if bound <= 0:
        return sets.everything
    bits = sets.bits(number)
    if bound >> len(bits):
        return BitMap()
    more, equal = BitMap(), sets.everything
    for bit, having in reversed(list(enumerate(bits))):
        if bound >> bit & 1:
            equal = equal & having
        else:
            more, equal = more | (equal & having), equal - having
    return more | equal
