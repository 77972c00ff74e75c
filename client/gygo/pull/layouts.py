"""What the loader of each layout wants on disk: where files are, how they are called, what masks hold.

Each rule is there because a public loader, read as it is, goes wrong without it:

* ``davis``: the reader of davis2017-evaluation (``davis2017/davis.py``), and those that read ``ImageSets/2017``.
* ``davis2016``: readers of ``ImageSets/480p/<split>.txt`` with its pairs of paths.
* ``youtube-vos``: readers of ``meta.json``, such as pytracking's (``ltr/dataset/youtubevos.py``).
* ``cutie``: Cutie's and XMem's training (``dataset/vos_dataset.py``) and evaluation.
* ``sam2``: SAM 2's training (``training/dataset/vos_raw_dataset.py``) and video predictor.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any, Literal

from gygo.errors import CorruptDataError
from gygo.pictures import Void

#: ``ids``: a pixel's value is its object's id. ``binary``: 0 or 255.
MaskForm = Literal["ids", "binary"]
#: Frames that stay: ``all``; only those with a ``mask``; or all when the masks are those of the first frames, as of a
#: benchmark that tells only the first, and else only those with a mask (``paired``).
Kept = Literal["all", "mask", "paired"]

IMAGES, MASKS = "JPEGImages", "Annotations"

#: What a folder or file may be called whoever says it.
_SAFE_PART = re.compile(r"(?!\.\.?\Z)[^/\\\x00-\x1f\x7f]{1,255}")
#: Of a folder's name, as disks count it.
MAX_PART_BYTES = 255
_PLAIN_STEM = re.compile(r"[^.\s\[\]*?]+")
_INTEGER_STEM = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Layout:
    """The rules of one layout. ``awkward`` are characters of videos' names that its loaders trip over."""

    name: str
    #: Pictures are in a folder of their resolution.
    by_resolution: bool
    #: Videos may be in subfolders; otherwise a name's ``/`` becomes ``_``.
    nested: bool
    awkward: re.Pattern[str]
    mask_form: MaskForm
    #: What happens to void (255) unless told, and whether it may be kept.
    void: Void
    may_keep_void: bool
    kept: Kept
    #: Frames must be called by whole numbers.
    integer_stems: bool
    #: Folder of the lists of splits.
    lists: str
    #: The loader passes over videos with fewer frames.
    shortest: int = 0
    #: The loader counts objects by the largest id in the first mask.
    first_mask_counts: bool = False
    #: ``meta.json`` says which frames show which object.
    meta: bool = False

    def folder(self, video: str) -> str:
        """What a video's folder is called."""
        name = video if self.nested else video.replace("/", "_")
        return self.awkward.sub("_", name)

    def chosen(self, has_mask: Sequence[bool], *, all_frames: bool = False) -> list[int]:
        """The frames that go to the tree, by their index."""
        first_only = not any(has_mask[sum(has_mask) :])
        if all_frames or self.kept == "all" or (self.kept == "paired" and first_only):
            return list(range(len(has_mask)))
        return [index for index, there in enumerate(has_mask) if there]

    def stems(self, published: Sequence[str]) -> list[str]:
        """What the frames are called: as published where the loader reads that in the right order, else by index."""
        numbers = [int(stem) for stem in published if _INTEGER_STEM.fullmatch(stem)] if self.integer_stems else []
        if (
            all(_PLAIN_STEM.fullmatch(stem) for stem in published)
            and _rises(published)
            and (not self.integer_stems or (len(numbers) == len(published) and _rises(numbers)))
        ):
            return list(published)
        width = max(5, len(str(len(published) - 1)))
        return [f"{index:0{width}d}" for index in range(len(published))]


_GLOB = re.compile(r"[\[\]*?]")
_GLOB_AND_BLANKS = re.compile(r"[\[\]*?\s]")
_GLOB_AND_DOTS = re.compile(r"[\[\]*?.]")

LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "davis",
            by_resolution=True,
            nested=True,
            awkward=_GLOB,
            mask_form="ids",
            void="keep",
            may_keep_void=True,
            kept="paired",
            integer_stems=False,
            lists="ImageSets/2017",
            first_mask_counts=True,
        ),
        Layout(
            "davis2016",
            by_resolution=True,
            nested=True,
            awkward=_GLOB_AND_BLANKS,
            mask_form="binary",
            void="zero",
            may_keep_void=False,
            kept="mask",
            integer_stems=False,
            lists="ImageSets/{resolution}",
        ),
        Layout(
            "youtube-vos",
            by_resolution=False,
            nested=False,
            awkward=_GLOB_AND_DOTS,
            mask_form="ids",
            void="zero",
            may_keep_void=True,
            kept="all",
            integer_stems=True,
            lists="ImageSets",
            meta=True,
        ),
        Layout(
            "cutie",
            by_resolution=False,
            nested=False,
            awkward=_GLOB,
            mask_form="ids",
            void="zero",
            may_keep_void=False,
            kept="mask",
            integer_stems=False,
            lists="ImageSets",
            shortest=8,
        ),
        Layout(
            "sam2",
            by_resolution=False,
            nested=False,
            awkward=_GLOB_AND_DOTS,
            mask_form="ids",
            void="zero",
            may_keep_void=False,
            kept="mask",
            integer_stems=True,
            lists="ImageSets",
            shortest=8,
        ),
    )
}


@dataclass(frozen=True)
class Rules:
    """How the files of a tree are made. A tree has one set of rules."""

    layout: Layout
    resolution: str
    void: Void
    all_frames: bool = False

    def folder(self, top: str, folder: str = "") -> str:
        """Path in the tree of a video's images or masks, or without ``folder`` of all of them."""
        parts = (top, self.resolution if self.layout.by_resolution else "", folder)
        return "/".join(part for part in parts if part)

    @property
    def lists(self) -> str:
        """Folder of the lists of splits."""
        return self.layout.lists.format(resolution=self.resolution)

    def document(self) -> dict[str, Any]:
        """As it is written down."""
        return {
            "layout": self.layout.name,
            "resolution": self.resolution,
            "void": self.void,
            "all_frames": self.all_frames,
        }


def is_safe_part(name: str) -> bool:
    """Whether this may be the name of one folder or file, whoever says it."""
    return _SAFE_PART.fullmatch(name) is not None


def check_video_name(name: str) -> None:
    """Refuse a name that leads out of the tree.

    Raises:
        CorruptDataError: it does.
    """
    if not all(is_safe_part(part) for part in name.split("/")) or PurePosixPath(name).is_absolute() or _is_odd(name):
        raise CorruptDataError(f"the service names a video {name!r}, which can be no folder")


def _is_odd(name: str) -> bool:
    """Whether it holds what no text shows (control characters, lone surrogates), or a part that no disk takes."""
    odd = any(unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in name)
    return odd or any(len(part.encode()) > MAX_PART_BYTES for part in name.split("/"))


def _rises(values: Sequence[Any]) -> bool:
    return all(one < other for one, other in pairwise(values))
