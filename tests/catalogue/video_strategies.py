"""Any video that a release may hold, for hypothesis."""

from __future__ import annotations

import hashlib

from hypothesis import strategies as st

from gygo_server.model import Archive, Box, FrameFiles, MaskKind, Member, Region, Video

SEGMENT = st.text(
    st.characters(codec="utf-8", exclude_characters="/:\\", exclude_categories=["C", "Z"]), min_size=1, max_size=8
)
NAMES = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)
LABELS = st.sampled_from(["toys", "clothes", "models", "office items", "naïve ☂"])
SIZES = st.integers(0, 2**40)
COUNTS = st.integers(0, 2**31)
HASHES = st.binary(min_size=4, max_size=4).map(lambda seed: hashlib.sha256(seed).hexdigest())
MEMBERS = st.builds(Member, SIZES, SIZES, HASHES)


@st.composite
def regions(draw: st.DrawFn) -> tuple[Region, ...]:
    ids = sorted(draw(st.sets(st.integers(1, 254), max_size=4)))
    boxes = st.builds(Box, COUNTS, COUNTS, COUNTS, COUNTS)
    return tuple(Region(each, draw(boxes), draw(COUNTS)) for each in ids)


@st.composite
def archives(draw: st.DrawFn, resolution: str) -> Archive:
    frames = []
    for index in range(draw(st.integers(1, 6))):
        mask = draw(st.none() | MEMBERS)
        seen = draw(regions()) if mask else ()
        frames.append(FrameFiles(index, draw(SEGMENT), draw(SIZES), draw(SIZES), draw(MEMBERS), mask, seen))
    return Archive(
        resolution,
        draw(st.sampled_from([resolution, "Full-Resolution"])),
        draw(HASHES),
        draw(SIZES),
        draw(COUNTS),
        draw(COUNTS),
        draw(st.sampled_from(MaskKind)),
        tuple(frames),
    )


@st.composite
def videos(draw: st.DrawFn) -> Video:
    resolutions = draw(st.lists(st.sampled_from(["480p", "original", "1080p"]), min_size=1, max_size=3, unique=True))
    unique = {"max_size": 3, "unique": True}
    return Video(
        name=draw(NAMES),
        archives=tuple(draw(archives(resolution)) for resolution in resolutions),
        splits=tuple(draw(st.lists(st.sampled_from(["train", "val", "Test Dev"]), **unique))),
        category=draw(st.none() | LABELS),
        attributes=tuple(draw(st.lists(LABELS, **unique))),
        object_categories=draw(st.dictionaries(st.integers(1, 254), LABELS, max_size=3)),
        fps=draw(st.none() | st.floats(0.1, 240)),
    )


RELEASES = st.lists(videos(), min_size=1, max_size=4, unique_by=lambda video: video.name)
