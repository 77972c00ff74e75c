"""What tests ask of tars of clips: which files are in them, and which files of a source should be."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from typing import Any

from clip_trees import Tree

Files = list[tuple[str, bytes]]


def files_in(content: bytes) -> Files:
    """The members in their order, read as from a pipe. Nothing but plain files may be there."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(content), mode="r|") as tar:
        for member in tar:
            assert member.isreg()
            file = tar.extractfile(member)
            assert file is not None
            found.append((member.name, file.read()))
    return found


def source_files(
    tree: Tree,
    video: str,
    indices: Iterable[int],
    *,
    resolution: str = "480p",
    images: bool = True,
    masks: bool = True,
) -> Files:
    """The files of these frames as their publisher made them, in the order of an archive."""
    found = []
    for index in indices:
        stem = f"{resolution}/{video}/{index:05d}"
        wanted = [f"JPEGImages/{stem}.jpg"] * images + [f"Annotations/{stem}.png"] * masks
        found += [(path, tree.files[path]) for path in wanted if path in tree.files]
    return found


def note_in(files: Files, name: str) -> dict[str, Any]:
    """The one note of this name."""
    (content,) = [content for path, content in files if path == name]
    found: dict[str, Any] = json.loads(content)
    return found
