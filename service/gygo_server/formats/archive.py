"""The archive: a video at one resolution as one deterministic tar, frame, mask, frame, mask ….

Members are USTAR (POSIX.1-1988) where their names fit, with PAX headers (POSIX.1-2001) where they do not; owner 0,
mode 0644, one fixed time, no folders and nothing else, so equal content has equal bytes and an equal hash.
"""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path
from typing import IO, NamedTuple

from gygo_server.errors import PublicationError
from gygo_server.formats.check import CheckedFrame, CheckedSequence
from gygo_server.model import Archive, FrameFiles, Member

#: 1980-01-01T00:00:00Z: `tar` warns of times before, as "implausibly old".
MEMBER_TIME = 315532800

#: Headers take whole blocks, and so do files.
BLOCK = tarfile.BLOCKSIZE

END_OF_ARCHIVE = bytes(2 * BLOCK)


class SourceChangedError(PublicationError):
    """A file is no longer what it was when it was checked."""


class Packed(NamedTuple):
    """Where one member's bytes went."""

    start: int
    member: Member
    end: int


def file_header(name: str, size: int) -> bytes:
    """What stands before a file of ``size`` bytes in a tar."""
    member = tarfile.TarInfo(name)
    member.size = size
    member.mtime = MEMBER_TIME
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def padding(size: int) -> int:
    """Bytes that fill up a file's last block."""
    return -size % BLOCK


def write_archive(video: str, sequence: CheckedSequence, target: IO[bytes]) -> Archive:
    """Write a checked sequence as a tar to ``target`` and say where everything is in it.

    Raises:
        SourceChangedError: a file's bytes differ from those that were checked.
    """
    tar = _Tar(target)
    frames: list[FrameFiles] = []
    for index, frame in enumerate(sequence.frames):
        image = tar.add(f"JPEGImages/{sequence.folder}/{video}/{frame.image.name}", frame.image, frame.image_sha256)
        mask = _add_mask(tar, video, sequence, frame)
        frames.append(
            FrameFiles(
                index=index,
                name=frame.name,
                start=image.start,
                end=(mask or image).end,
                image=image.member,
                mask=mask.member if mask else None,
                regions=frame.regions,
            )
        )
    sha256, size = tar.finish()
    return Archive(
        resolution=sequence.resolution,
        folder=sequence.folder,
        sha256=sha256,
        size=size,
        width=sequence.width,
        height=sequence.height,
        mask_kind=sequence.mask_kind,
        frames=tuple(frames),
    )


def _add_mask(tar: _Tar, video: str, sequence: CheckedSequence, frame: CheckedFrame) -> Packed | None:
    if frame.mask is None or frame.mask_sha256 is None:
        return None
    return tar.add(f"Annotations/{sequence.folder}/{video}/{frame.mask.name}", frame.mask, frame.mask_sha256)


class _Tar:
    """Writes members one after the other and keeps the hash and the offset."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._digest = hashlib.sha256()
        self._offset = 0

    def add(self, name: str, path: Path, sha256: str) -> Packed:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise SourceChangedError(f"{path}: changed while it was being published; run the command again")
        start = self._offset
        self._write(file_header(name, len(content)))
        offset = self._offset
        self._write(content)
        self._write(bytes(padding(len(content))))
        return Packed(start, Member(offset, len(content), sha256), self._offset)

    def finish(self) -> tuple[str, int]:
        """End the archive; its SHA-256 and its size in bytes."""
        self._write(END_OF_ARCHIVE)
        return self._digest.hexdigest(), self._offset

    def _write(self, content: bytes) -> None:
        self._digest.update(content)
        self._target.write(content)
        self._offset += len(content)
