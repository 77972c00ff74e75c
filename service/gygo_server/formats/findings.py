"""Every code that a finding about a source may have, with what it means and what to do; and the list they gather in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gygo_server.formats.names import is_control
from gygo_server.model import Finding, Severity


class Code(StrEnum):
    """Stable codes of findings. ``meaning`` is one sentence or two for whoever meets the code for the first time."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Code:
        code = str.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    # The tree
    NO_JPEGIMAGES = "no-jpegimages", "The source has no JPEGImages folder: give the folder which holds it."
    AMBIGUOUS_FOLDER = "ambiguous-folder", "Two folders differ in the case of their letters only: keep one of them."
    NO_VIDEOS = "no-videos", "No folder of frames was found in JPEGImages/<resolution>/<video>."
    UNREADABLE = (
        "unreadable",
        "A file or folder could not be read: check its permissions and its links.",
    )
    BAD_RESOLUTION_NAME = (
        "bad-resolution-name",
        "A resolution folder must be named with letters, digits, '.', '_' and '-', and begin with a letter or digit.",
    )
    DUPLICATE_RESOLUTION = "duplicate-resolution", "Two folders stand for the same resolution: keep one of them."
    MISPLACED_PICTURES = (
        "misplaced-pictures",
        "Pictures lie above the video folders: the layout is JPEGImages/<resolution>/<video>/<frame>.jpg.",
    )
    NESTED_VIDEO = "nested-video", "A video folder holds other video folders: a folder holds either pictures or videos."
    FOLDER_LOOP = "folder-loop", "A link leads back to a folder above it, and was passed over."
    TOO_DEEP = "too-deep", "Folders are nested deeper than any data set needs: flatten them."
    EMPTY_FOLDER = "empty-folder", "A folder without pictures was passed over."
    STRAY_FILE = "stray-file", "A file which is neither frame, mask nor list was passed over; releases do not hold it."

    # Videos and frames
    BAD_VIDEO_NAME = (
        "bad-video-name",
        "A video's name must be at most 512 bytes of UTF-8, without ':', backslash, control characters, '.' or '..' "
        "as a part, or blanks around a part: rename its folder.",
    )
    DOT_IN_VIDEO_NAME = "dot-in-video-name", "A video's name holds a dot, which SAM 2's loader does not take."
    SIMILAR_VIDEO_NAMES = (
        "similar-video-names",
        "Names differ only in the case or composition of letters, so they collide on macOS and Windows.",
    )
    WRONG_PICTURE_KIND = "wrong-picture-kind", "Frames are .jpg files and masks are .png files: convert the picture."
    JPEG_SUFFIX = "jpeg-suffix", "Frames end in .jpeg: some loaders (Cutie, XMem) strip exactly four characters."
    BAD_FRAME_NAME = (
        "bad-frame-name",
        "A frame's name holds blanks at its ends or characters that cannot be kept.",
    )
    NO_FRAME_NUMBER = "no-frame-number", "A frame's name must end in its number, as in 00012.jpg or frame_000012.jpg."
    DUPLICATE_FRAME_NUMBER = "duplicate-frame-number", "Two frames of a video have the same number: keep one of them."
    DUPLICATE_MASK = "duplicate-mask", "A frame has two masks: keep one of them."
    MASK_WITHOUT_FRAME = "mask-without-frame", "A mask must have a frame of the same name in the same video."
    RESOLUTIONS_DIFFER = "resolutions-differ", "A video must have the same frames at all of its resolutions."

    # Split lists
    BAD_SPLIT_NAME = (
        "bad-split-name",
        "A split is named after its list: lower-case letters, digits, '.', '_' and '-', a letter or digit first.",
    )
    DUPLICATE_SPLIT = "duplicate-split", "Two lists stand for the same split: rename or merge them."
    UNREADABLE_LIST = "unreadable-list", "A split list could not be read as UTF-8 text."
    EMPTY_SPLIT = "empty-split", "A split list names no video."
    SPLIT_NAMES_MISSING_VIDEO = "split-names-missing-video", "A list names a video which is not there: drop the line."
    SPLIT_NAMES_MISSING_FILE = "split-names-missing-file", "A list names a file which is not there: drop the line."

    # Labels
    TWO_LABEL_FILES = "two-label-files", "There are both categories.csv and categories.json: keep or name one of them."
    BAD_LABELS = "bad-labels", "The categories file is not the CSV or JSON it should be."
    LABEL_FOR_UNKNOWN_VIDEO = "label-for-unknown-video", "The categories file names a video which is not there."
    UNKNOWN_LABEL_FIELD = "unknown-label-field", "The categories file has a column or key that means nothing here."
    BAD_LABEL = "bad-label", "A category or attribute must be 1 to 64 printable characters."
    BAD_OBJECT_ID = "bad-object-id", "An object's id is a whole number from 1 to 254."
    DUPLICATE_LABEL = "duplicate-label", "The categories file says two things of one video or object."

    # Pictures (those that media finds are gygo_server.media.pictures.PictureCode)
    EMPTY_FILE = "empty-file", "A picture's file holds nothing: it was probably not copied to the end."
    GIT_LFS_POINTER = "git-lfs-pointer", "A file is git-lfs's stand-in for a picture: run 'git lfs pull'."
    NOT_A_JPEG = "not-a-jpeg", "A frame is not a JPEG, whatever its name says."
    NOT_A_PNG = "not-a-png", "A mask is not a PNG, whatever its name says."
    TRUNCATED = "truncated", "A picture ends too early: copy it again."
    CORRUPT_PICTURE = "corrupt-picture", "A picture cannot be decoded."
    PICTURE_TOO_LARGE = "picture-too-large", "A picture has more pixels or bytes than the service takes."
    MASK_HAS_COLOURS = (
        "mask-has-colours",
        "A mask is a colour picture, and colours carry no object ids: save it as a palette or grey PNG.",
    )
    MASK_MODE_UNSUPPORTED = "mask-mode-unsupported", "A mask has 16 bits a channel: object ids take 8."
    EXIF_ORIENTATION = (
        "exif-orientation",
        "A frame asks to be shown turned; its mask does not, and loaders disagree on whether to obey.",
    )
    SOURCE_CHANGED = "source-changed", "A file changed while the source was read: let it be, and run the command again."
    FRAME_SIZES_DIFFER = "frame-sizes-differ", "All frames of a video at one resolution must have the same size."
    MASK_SIZE_DIFFERS = "mask-size-differs", "A mask must have the size of its frame."
    SOFT_MASK = "soft-mask", "A binary mask has values between 0 and 255; those from 128 on count as the object."
    MIXED_MASK_KINDS = (
        "mixed-mask-kinds",
        "Some masks of a video hold object ids, others 0 and 255: make them one kind, or say which one it is.",
    )


#: Faults of a line in a split list, not of the video that it names: the line can be passed over.
OF_LISTS = frozenset({str(Code.SPLIT_NAMES_MISSING_VIDEO), str(Code.SPLIT_NAMES_MISSING_FILE)})


def shown(text: str) -> str:
    """``text`` as it may be printed and stored: control characters and broken UTF-8 are escaped, as in ``\\x1b``.

    Names that a release can keep come out as they are.
    """
    return "".join(_escaped(character) if is_control(character) else character for character in text)


def reason(error: OSError | UnicodeDecodeError) -> str:
    """Why something could not be read, without the path, which findings give below the root."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return f"byte {error.start} is not UTF-8"


def _escaped(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # how Python carries a byte of a file name that is not UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


@dataclass(slots=True)
class Report:
    """Findings in the order in which they are made. Paths are relative to the source's root."""

    findings: list[Finding] = field(default_factory=list)

    def fault(self, code: str, path: str, message: str, video: str | None = None) -> None:
        self._add(Severity.FAULT, code, path, message, video)

    def warning(self, code: str, path: str, message: str, video: str | None = None) -> None:
        self._add(Severity.WARNING, code, path, message, video)

    def has_faults(self) -> bool:
        return any(finding.severity is Severity.FAULT for finding in self.findings)

    def _add(self, severity: Severity, code: str, path: str, message: str, video: str | None) -> None:
        video = None if video is None else shown(video)
        self.findings.append(Finding(str(code), shown(path), message, video, severity))
