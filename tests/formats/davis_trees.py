"""Small trees in the DAVIS layout, written file by file, and the small pictures in them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from gygo_server.formats.davis import read_davis
from gygo_server.formats.files import LocalFiles
from gygo_server.formats.source import SourceTree
from gygo_server.model import Finding, Severity

SIZE = (16, 12)
IDS = tuple(value for colour in [(0, 0, 0), (128, 0, 0), (0, 128, 0)] for value in colour) + (7,) * (253 * 3)


@cache
def jpeg(width: int = SIZE[0], height: int = SIZE[1], orientation: int | None = None) -> bytes:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    target = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 30)).save(target, "JPEG", exif=exif)
    return target.getvalue()


@cache
def png(values: tuple[int, ...] = (0, 1), mode: str = "P", size: tuple[int, int] = SIZE) -> bytes:
    """A mask whose columns take ``values`` in turn."""
    width, height = size
    array = np.resize(np.array(values, np.uint8), width)[None, :].repeat(height, axis=0)
    picture = Image.fromarray(array).convert(mode) if mode != "P" else Image.fromarray(array)
    if mode == "P":
        picture.putpalette(IDS)
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


@dataclass
class Tree:
    root: Path

    def write(self, path: str, content: bytes | str = b"") -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return target

    def frames(self, video: str, files: Iterable[str] = ("00000.jpg",), resolution: str = "480p") -> Tree:
        for file in files:
            self.write(f"JPEGImages/{resolution}/{video}/{file}", jpeg())
        return self

    def masks(self, video: str, files: Iterable[str] = ("00000.png",), resolution: str = "480p") -> Tree:
        for file in files:
            self.write(f"Annotations/{resolution}/{video}/{file}", png())
        return self

    def read(self, labels: Path | None = None) -> SourceTree:
        tree = read_davis(LocalFiles(self.root), labels)
        for finding in tree.findings:  # whatever the names on disk, findings can be written down, relative to the root
            f"{finding.path}{finding.message}{finding.video}".encode()
            assert str(self.root) not in finding.path + finding.message
        return tree

    def faults(self) -> list[tuple[str, str, str | None]]:
        return [as_row(finding) for finding in self.read().findings if finding.severity is Severity.FAULT]

    def warnings(self) -> list[tuple[str, str, str | None]]:
        return [as_row(finding) for finding in self.read().findings if finding.severity is Severity.WARNING]

    def link(self, path: str, to: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).symlink_to(to)


def as_row(finding: Finding) -> tuple[str, str, str | None]:
    return finding.code, finding.path, finding.video


def message_of(tree: SourceTree, code: str) -> str:
    (message,) = [finding.message for finding in tree.findings if finding.code == code]
    return message
