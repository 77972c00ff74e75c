"""Split lists: ``ImageSets/<split>.txt`` and ``ImageSets/<folder>/<split>.txt``.

A line is a video's name, or a pair of paths as in DAVIS 2016's db: ``/JPEGImages/480p/bear/00000.jpg
/Annotations/480p/bear/00000.png``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gygo_server.formats.files import Listing, SourceFiles
from gygo_server.formats.findings import Code, Report, reason, shown
from gygo_server.formats.names import is_litter, stem_of, suffix_of
from gygo_server.formats.source import SourceVideo

_SPLIT = re.compile(r"[a-z0-9][a-z0-9._-]*")
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
_RESOLUTION = re.compile(r"[0-9]{3,4}p", re.IGNORECASE)
_PATHS = re.compile(r"/?(JPEGImages/\S.*?\.jpe?g)(?:\s+/?(Annotations/\S.*))?", re.IGNORECASE)
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Splits:
    """Lists by split (paths below the source, the first one of several), and each video's splits in order of name."""

    lists: dict[str, str]
    of_video: dict[str, tuple[str, ...]]


class Line(NamedTuple):
    """A line of a list: the video it names and, in the form of paths, the files, with the top folder in lower case."""

    video: str
    files: tuple[str, ...] = ()


def parse_line(line: str, videos: Container[str]) -> Line | None:
    """What a line says, or None when it is blank. ``videos`` are the known names, which go first."""
    text = line.strip().strip(_BOM).strip()
    if not text:
        return None
    if text in videos:
        return Line(text)
    paths = _PATHS.fullmatch(text)
    parts = paths.group(1).split("/") if paths else []
    if len(parts) < 4:
        return Line(text)
    files = tuple(_lower_top(path) for path in paths.groups() if path) if paths else ()
    return Line("/".join(parts[2:-1]), files)


def _lower_top(path: str) -> str:
    top, _, rest = path.partition("/")
    return f"{top.lower()}/{rest}"


class _List(NamedTuple):
    folder: str | None
    name: str
    relative: str


def read_imagesets(files: SourceFiles, folder: str | None, videos: Sequence[SourceVideo], report: Report) -> Splits:
    """The splits of the lists in ``folder`` (none without one), each of whose lines is held against ``videos``."""
    if folder is None:
        return Splits({}, {})
    resolutions = {sequence.folder for video in videos for sequence in video.sequences}
    names = _split_names(_find_lists(files, folder, report), resolutions)
    reader = _ListReader(files, videos, report)
    lists: dict[str, str] = {}
    members: dict[str, set[str]] = defaultdict(set)
    for split, found in sorted(names.items()):
        if not _SPLIT.fullmatch(split):
            message = f"'{shown(split)}' is no name for a split: a-z, 0-9, '.', '_' and '-' only, a-z or 0-9 first"
            report.fault(Code.BAD_SPLIT_NAME, found[0].relative, message)
            continue
        lists[split] = found[0].relative
        for split_list in _mergeable(split, found, report):
            for video in reader.read(split_list):
                members[video].add(split)
    return Splits(lists, {video: tuple(sorted(splits)) for video, splits in members.items()})


def _find_lists(files: SourceFiles, folder: str, report: Report) -> list[_List]:
    top = _scan(files, folder, report)
    found = list(_lists_in(None, folder, top, report))
    for inner in top.folders:
        path = f"{folder}/{inner}"
        listing = _scan(files, path, report)
        for deeper in listing.folders:
            report.warning(Code.STRAY_FILE, f"{path}/{deeper}", "lists lie at most one folder deep")
        found.extend(_lists_in(inner.lower(), path, listing, report))
    return found


def _lists_in(folder: str | None, path: str, listing: Listing, report: Report) -> Iterator[_List]:
    """A release makes its own lists: files other than .txt are nobody's loss."""
    for file in listing.files:
        if suffix_of(file) == ".txt":
            yield _List(folder, stem_of(file).lower(), f"{path}/{file}")
    for odd in listing.odd:
        if odd.is_error:
            report.fault(Code.UNREADABLE, f"{path}/{odd.name}", odd.why)
        elif suffix_of(odd.name) == ".txt":
            report.fault(Code.UNREADABLE_LIST, f"{path}/{odd.name}", f"the list cannot be read: {odd.why}")


def _scan(files: SourceFiles, folder: str, report: Report) -> Listing:
    """A folder without its litter; an empty one, and a finding, when it cannot be read."""
    try:
        found = files.scan(folder)
    except OSError as error:
        report.fault(Code.UNREADABLE, folder, f"the folder cannot be read: {reason(error)}")
        return Listing(None, [], [], [])
    return Listing(
        found.identity,
        [name for name in found.files if not is_litter(name)],
        [name for name in found.folders if not is_litter(name)],
        [odd for odd in found.odd if not is_litter(odd.name)],
    )


def _split_names(lists: Sequence[_List], resolutions: set[str]) -> dict[str, list[_List]]:
    """Lists by the name of their split.

    Plain names go to lists directly in ImageSets, then to the newest year's, then to those of resolutions (DAVIS 2016
    has one for each); what comes too late for its name, and all other folders' lists, put the folder's name before it.
    """
    folders = {found.folder for found in lists if found.folder}
    years = sorted(folder for folder in folders if _YEAR.fullmatch(folder))
    lower = {resolution.lower() for resolution in resolutions}
    of_resolutions = {folder for folder in folders if _RESOLUTION.fullmatch(folder) or folder in lower}
    names: dict[str, list[_List]] = defaultdict(list)
    for plain in ({None}, set(years[-1:]), of_resolutions):
        taken = set(names)
        for found in lists:
            if found.folder in plain:
                names[f"{found.folder}-{found.name}" if found.name in taken else found.name].append(found)
    for found in lists:
        if found.folder and found.folder not in of_resolutions and found.folder not in years[-1:]:
            names[f"{found.folder}-{found.name}"].append(found)
    return names


def _mergeable(split: str, lists: Sequence[_List], report: Report) -> Iterator[_List]:
    """The first list of a split, and those in other folders that go with it; a second one in any folder is a fault."""
    together: dict[str | None, _List] = {}
    for found in lists:
        other = together.get(found.folder)
        if other is None and found.name == lists[0].name:
            together[found.folder] = found
            yield found
        else:
            message = f"the list is a second one for the split {split!r}, after {shown(lists[0].relative)}"
            report.fault(Code.DUPLICATE_SPLIT, found.relative, message)


class _ListReader:
    """Reads lists against the videos that are there."""

    def __init__(self, files: SourceFiles, videos: Sequence[SourceVideo], report: Report) -> None:
        self._source = files
        self._videos = {video.name: video for video in videos}
        self._files: dict[str, frozenset[str]] = {}
        self._report = report

    def read(self, split_list: _List) -> list[str]:
        """The videos that a list names and that exist, each once, in its order."""
        text = self._text(split_list)
        if text is None:
            return []
        named: dict[str, None] = {}
        missing: dict[str, int] = {}
        for number, line in enumerate(text.split("\n"), start=1):
            parsed = parse_line(line, self._videos)
            if parsed is None:
                continue
            if parsed.video in self._videos:
                named[parsed.video] = None
                self._check_files(split_list, number, parsed)
            else:
                missing.setdefault(parsed.video, number)
        for name, number in missing.items():
            message = f"line {number} names the video {shown(name)}, which is not there"
            self._report.fault(Code.SPLIT_NAMES_MISSING_VIDEO, split_list.relative, message, name)
        if not named and not missing:
            self._report.warning(Code.EMPTY_SPLIT, split_list.relative, "the list names no video")
        return list(named)

    def _text(self, split_list: _List) -> str | None:
        try:
            return self._source.read(split_list.relative).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            message = f"the list cannot be read: {reason(error)}"
            self._report.fault(Code.UNREADABLE_LIST, split_list.relative, message)
            return None

    def _check_files(self, split_list: _List, number: int, line: Line) -> None:
        for file in line.files:
            if file not in self._files_of(line.video):
                message = f"line {number} names the file {shown(file.partition('/')[2])}, which is not there"
                self._report.fault(Code.SPLIT_NAMES_MISSING_FILE, split_list.relative, message, line.video)

    def _files_of(self, video: str) -> frozenset[str]:
        if video not in self._files:
            self._files[video] = frozenset(_paths_of(self._videos[video]))
        return self._files[video]


def _paths_of(video: SourceVideo) -> Iterator[str]:
    for sequence in video.sequences:
        for frame in sequence.frames:
            yield f"jpegimages/{sequence.folder}/{video.name}/{frame.image}"
            if frame.mask:
                yield f"annotations/{sequence.folder}/{video.name}/{frame.mask}"
