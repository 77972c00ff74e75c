"""The files beside the pictures that loaders begin with: lists of splits, and ``meta.json``."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from gygo.errors import CorruptDataError
from gygo.pull.layouts import IMAGES, MASKS, Rules
from gygo.pull.tree import Placed, Tree, write_whole

_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def write_lists(tree: Tree, rules: Rules, removed: Collection[str]) -> list[str]:
    """Write the lists of a tree, without the videos that its release does not have; paths of those that are there.

    Raises:
        CorruptDataError: the service names a split in a way that can be no file.
    """
    members: dict[str, list[Placed]] = defaultdict(list)
    for placed in sorted(tree.videos.values(), key=lambda each: each.folder):
        if placed.images and placed.name not in removed:
            for split in placed.splits:
                if not _SPLIT.fullmatch(split):
                    raise CorruptDataError(f"the service names a split {split!r}, which can be no file")
                members[split].append(placed)
    folder = tree.root / rules.lists
    for split, videos in members.items():
        lines = _pairs(tree.root, rules, videos) if rules.layout.mask_form == "binary" else _names(videos)
        write_whole(folder / f"{split}.txt", "".join(f"{line}\n" for line in lines), tree.state)
    written = [f"{rules.lists}/{split}.txt" for split in sorted(members)]
    _drop_old(tree, written)
    if rules.layout.meta:
        write_whole(tree.root / "meta.json", _meta(tree.videos.values()), tree.state)
        written.append("meta.json")
    return written


def _drop_old(tree: Tree, written: list[str]) -> None:
    """Delete lists of splits that are no more. Lists that somebody else has put there stay."""
    known = tree.state / "lists.json"
    before = json.loads(known.read_text(encoding="utf-8")) if known.exists() else []
    for path in set(before) - set(written):
        (tree.root / path).unlink(missing_ok=True)
    write_whole(known, json.dumps(written), tree.state)


def _names(videos: Iterable[Placed]) -> Iterator[str]:
    for placed in videos:
        yield placed.folder


def _pairs(root: Path, rules: Rules, videos: Iterable[Placed]) -> Iterator[str]:
    """DAVIS 2016's lines: a frame and its mask, from the tree's root."""
    for placed in videos:
        image, mask = rules.folder(IMAGES, placed.folder), rules.folder(MASKS, placed.folder)
        masks = {path.stem for path in (root / mask).glob("*.png")}
        for stem in sorted(path.stem for path in (root / image).glob("*.jpg")):
            yield f"/{image}/{stem}.jpg" + (f" /{mask}/{stem}.png" if stem in masks else "")


def _meta(videos: Iterable[Placed]) -> str:
    """YouTube-VOS's: every video whose folder a reader finds, the category and the frames of each of its objects."""
    found = {placed.folder: {"objects": placed.objects} for placed in videos if placed.images}
    return json.dumps({"videos": dict(sorted(found.items()))}, ensure_ascii=False, separators=(",", ":")) + "\n"
