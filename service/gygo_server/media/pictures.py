"""Pictures as they are published, told good from bad. Everything here takes bytes and decodes them to the end."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from enum import StrEnum
from typing import NamedTuple

from PIL import ExifTags, Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

#: Most pixels that a picture may have: those of two frames of 8K. While one is checked it takes up to 12 bytes a pixel,
#: 0.8 GB, however few it has on disk.
MAX_PIXELS = 1 << 26
#: Most scans of a JPEG: a progressive one has about ten, and each goes over all of the picture's pixels again.
MAX_SCANS = 100
_START_OF_SCAN = b"\xff\xda"
#: Longest side of a picture in pixels: JPEG's own limit, for masks as well.
MAX_SIDE = 65_535

#: What Pillow raises on bytes that are not what they claim to be, as found by feeding it such bytes.
PILLOW_RAISES = (
    OSError,  # truncated and broken streams; UnidentifiedImageError
    SyntaxError,  # bad headers
    ValueError,  # bad field values, oversized text chunks, UnicodeError
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    OverflowError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_UPRIGHT = 1
_TURNS = range(2, 9)

#: What a file begins with, and what that makes it.
_KINDS = (
    (b"\x89PNG\r\n\x1a\n", "a PNG"),
    (b"\xff\xd8\xff", "a JPEG"),
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"<", "HTML or XML"),
    (b"{", "JSON"),
)
_BRANDS = {b"heic": "a HEIC", b"heix": "a HEIC", b"mif1": "a HEIC", b"avif": "an AVIF"}


class PictureCode(StrEnum):
    """What may be wrong with one picture; ``gygo_server.formats.findings.Code`` says what each means."""

    EMPTY_FILE = "empty-file"
    GIT_LFS_POINTER = "git-lfs-pointer"
    NOT_A_JPEG = "not-a-jpeg"
    NOT_A_PNG = "not-a-png"
    TRUNCATED = "truncated"
    CORRUPT_PICTURE = "corrupt-picture"
    PICTURE_TOO_LARGE = "picture-too-large"
    MASK_HAS_COLOURS = "mask-has-colours"
    MASK_MODE_UNSUPPORTED = "mask-mode-unsupported"


class PictureFault(Exception):  # noqa: N818 -- it becomes a Finding of severity "fault"; nobody fails by it
    """A picture that cannot be published: a stable code and a sentence."""

    def __init__(self, code: PictureCode, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Frame(NamedTuple):
    """A frame's size in pixels, as stored (not turned), and its EXIF orientation (1 is upright)."""

    width: int
    height: int
    orientation: int


def read_frame(content: bytes, max_pixels: int = MAX_PIXELS) -> Frame:
    """The size and orientation of a JPEG, decoded to its last row. Raises PictureFault and nothing else."""
    refuse_stand_ins(content)
    if not content.startswith(b"\xff\xd8"):
        raise PictureFault(PictureCode.NOT_A_JPEG, f"expected a JPEG, this is {kind_of(content)}")
    try:
        # The plugin rather than Image.open: that one warns of pictures half as large as our limit, and hands out
        # phones' multi-picture JPEGs as another class. Warnings about odd EXIF concern nobody here.
        with warnings.catch_warnings(action="ignore"), JpegImageFile(io.BytesIO(content)) as picture:
            refuse_large(*picture.size, max_pixels)
            _refuse_scans(content)
            picture.load()
            return Frame(picture.width, picture.height, _orientation(picture))
    except PILLOW_RAISES as error:
        raise undecodable(error) from error


def refuse_stand_ins(content: bytes) -> None:
    """Raises PictureFault for nothing at all, and for what git-lfs puts in a file's place."""
    if not content:
        raise PictureFault(PictureCode.EMPTY_FILE, "the file is empty (0 bytes)")
    if content.startswith(b"version https://git-lfs"):
        raise PictureFault(PictureCode.GIT_LFS_POINTER, "the file is a git-lfs pointer: run 'git lfs pull'")


def refuse_large(width: int, height: int, max_pixels: int) -> None:
    """Raises PictureFault before memory is spent on a picture of more than ``max_pixels``, or of a longer side."""
    if max(width, height) > MAX_SIDE:
        message = f"{width}x{height}: no side may be longer than {MAX_SIDE:,} pixels"
        raise PictureFault(PictureCode.PICTURE_TOO_LARGE, message)
    if width * height > max_pixels:
        message = f"{width}x{height} is {width * height:,} pixels, more than {max_pixels:,}"
        raise PictureFault(PictureCode.PICTURE_TOO_LARGE, message)


def _refuse_scans(content: bytes) -> None:
    scans = content.count(_START_OF_SCAN)  # in compressed pixels, 255 is followed by 0
    if scans > MAX_SCANS:
        message = f"the picture is drawn in {scans:,} scans, more than {MAX_SCANS}"
        raise PictureFault(PictureCode.PICTURE_TOO_LARGE, message)


def undecodable(error: BaseException) -> PictureFault:
    """The fault that stands for one of PILLOW_RAISES."""
    reason = str(error) or type(error).__name__
    code = PictureCode.TRUNCATED if "truncated" in reason.lower() else PictureCode.CORRUPT_PICTURE
    return PictureFault(code, f"the picture cannot be decoded: {reason}")


def kind_of(content: bytes) -> str:
    """What ``content`` begins like, with its article: "a PNG"."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "a WebP"
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12], "an MP4")
    for start, kind in _KINDS:
        if content.startswith(start):
            return kind
    return f"of an unknown kind (it begins with {content[:8].hex(' ')})"


def _orientation(picture: ImageFile.ImageFile) -> int:
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
    except PILLOW_RAISES:  # a good picture with broken EXIF: no loader turns it
        return _UPRIGHT
    return orientation if orientation in _TURNS else _UPRIGHT
