"""A tree of folders, read once: links are followed, loops and unreadable places are findings."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

from gygo_server.formats.files import Listing, Odd, SourceFiles
from gygo_server.formats.findings import Code, Report, reason
from gygo_server.formats.names import is_litter, is_picture, pack, unpack

#: Deepest nesting that is read. Links may fan out without a loop; this bounds what they can cost.
MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder without its litter, its files' names packed. ``relative`` is its path below the source's root.

    ``name`` is its path below its resolution's folder, as videos are named: "" for the resolution's own folder, None
    for JPEGImages and Annotations.
    """

    relative: str
    name: str | None
    packed: str
    folders: tuple[Folder, ...]

    @property
    def files(self) -> list[str]:
        return unpack(self.packed)

    @property
    def own_name(self) -> str:
        return self.relative.rpartition("/")[2]

    @property
    def pictures(self) -> tuple[str, ...]:
        return tuple(file for file in self.files if is_picture(file))

    def below(self) -> Iterator[Folder]:
        """All folders below this one, each before its own."""
        for folder in self.folders:
            yield folder
            yield from folder.below()


def read_folder(files: SourceFiles, folder: str, report: Report) -> Folder | None:
    """JPEGImages or Annotations with all that is below; None, and a finding, when it cannot be read."""
    return _Reader(files.scanner(folder), report).read(folder, None, ())


@dataclass(frozen=True, slots=True)
class _Reader:
    scan: Callable[[str], Listing]
    report: Report
    #: Most videos name their files as others do, and share the text that has the names.
    shared: dict[str, str] = field(default_factory=dict)

    def read(self, relative: str, name: str | None, above: tuple[Hashable, ...]) -> Folder | None:
        try:
            listing = self.scan(relative)
        except OSError as error:
            self.report.fault(Code.UNREADABLE, relative, f"the folder cannot be read: {reason(error)}", name or None)
            return None
        if listing.identity in above:
            self.report.warning(Code.FOLDER_LOOP, relative, "the link leads back to a folder above it", name or None)
            return None
        if len(above) > MAX_DEPTH:
            self.report.fault(Code.TOO_DEEP, relative, f"more than {MAX_DEPTH} folders deep", name or None)
            return None
        for odd in listing.odd:
            if not is_litter(odd.name):
                self._report_odd(odd, f"{relative}/{odd.name}", name or None)
        files = pack(file for file in listing.files if not is_litter(file))
        below = (
            self.read(f"{relative}/{folder}", _name_below(name, folder), (*above, listing.identity))
            for folder in listing.folders
            if not is_litter(folder)
        )
        folders = tuple(folder for folder in below if folder)
        return Folder(relative, name, self.shared.setdefault(files, files), folders)

    def _report_odd(self, odd: Odd, path: str, video: str | None) -> None:
        if odd.is_error or is_picture(odd.name):
            self.report.fault(Code.UNREADABLE, path, odd.why, video)
        else:
            self.report.warning(Code.STRAY_FILE, path, odd.why, video)


def _name_below(name: str | None, entry: str) -> str:
    if name is None:
        return ""
    return f"{name}/{entry}" if name else entry
