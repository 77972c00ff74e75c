"""The folder of a tree, and what is known of it, in ``.gygo`` beside the folders that loaders list.

.gygo/lock          held by the one pull that is at work
.gygo/tree.json     the dataset and the rules; they do not change
.gygo/videos.jsonl  a line for each step: a video's place is about to change; a video has its place
.gygo/partial/      archives that are not whole yet
.gygo/unpacked/     videos that are about to get their place
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from gygo.errors import PullError
from gygo.pull.layouts import IMAGES, LAYOUTS, MASKS, Rules
from gygo.pull.unpack import Unpacked

STATE = ".gygo"
_FORMAT = 1


@dataclass
class Placed:
    """A video that has its place in the tree: where it came from, and what is there."""

    name: str
    folder: str
    sha256: str
    release: str
    images: int
    masks: int
    bytes: int
    splits: list[str]
    left_out: int = 0
    renamed: bool = False
    late_objects: list[int] = field(default_factory=list)
    #: For ``meta.json``: category and stems of the frames that show it, by the object's id.
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)


class Tree:
    """One tree. Nothing is written before :meth:`locked`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / STATE
        self.dataset: str | None = None
        self.rules: Rules | None = None
        #: By folder.
        self.videos: dict[str, Placed] = {}
        #: Folders that were about to be filled when a pull was killed.
        self._begun: set[str] = set()
        self._journal: IO[str] | None = None

    def read(self) -> None:
        """Look what is there.

        Raises:
            PullError: the folder holds something else, or what is known of it cannot be read.
        """
        try:
            document = json.loads((self.state / "tree.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            self._refuse_strangers()
            return
        except NotADirectoryError:
            raise PullError(f"{self.root} is no folder") from None
        except ValueError:
            raise PullError(f"{self.state / 'tree.json'} is broken; pull to another folder") from None
        if document.get("format") != _FORMAT:
            raise PullError(f"{self.root} was made by another version of gygo; pull to another folder")
        self.dataset = document["dataset"]
        layout = LAYOUTS[document["layout"]]
        self.rules = Rules(layout, document["resolution"], document["void"], document["all_frames"])
        self._replay()
        under_way = (self.state / "partial").is_dir() and any((self.state / "partial").iterdir())
        if not self.videos and not self._begun and not under_way:  # nothing came of it: it may become another tree
            self.dataset = self.rules = None

    @contextmanager
    def locked(self, dataset: str, rules: Rules) -> Iterator[None]:
        """Hold the tree for this process, whose dataset and rules it gets if it is new.

        Raises:
            PullError: another process holds it.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PullError(f"another gygo pull is at work in {self.root}") from None
            self.videos, self._begun, self.dataset, self.rules = {}, set(), None, None
            self.read()  # again: another process may have been faster
            if self.rules is None:
                self.dataset, self.rules = dataset, rules
                document = {"format": _FORMAT, "dataset": dataset, **rules.document()}
                write_whole(self.state / "tree.json", json.dumps(document, indent=1) + "\n", self.state)
            elif (self.dataset, self.rules) != (dataset, rules):
                raise PullError(f"another gygo pull has just made {self.root} into something else")
            self._clear("unpacked")
            for folder in self._begun:
                self._discard(folder)
            self._compact()
            with (self.state / "videos.jsonl").open("a", encoding="utf-8") as self._journal:
                yield
            self._journal = None

    def is_whole(self, placed: Placed) -> bool:
        """Whether all of a video's files are still there, by their number and bytes."""
        images, image_bytes = _measure(self._place(IMAGES, placed.folder), ".jpg")
        masks, mask_bytes = _measure(self._place(MASKS, placed.folder), ".png")
        return (images, masks, image_bytes + mask_bytes) == (placed.images, placed.masks, placed.bytes)

    def occupied(self, folder: str) -> bool:
        """Whether something is where a video is to be, and no pull has put it there."""
        if folder in self._begun or folder in self.videos:
            return False
        return any(os.path.lexists(self._place(top, folder)) for top in (IMAGES, MASKS))

    def partial(self, name: str) -> Path:
        """Where an archive is while it is being fetched."""
        (self.state / "partial").mkdir(exist_ok=True)
        return self.state / "partial" / name

    def workplace(self, name: str) -> Path:
        """An empty folder, on the tree's disk, to unpack a video in."""
        place = self.state / "unpacked" / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        return place

    def place(self, unpacked: Path, placed: Placed) -> None:
        """Move a video's files to their place; what was there before is gone then."""
        self._write({"begun": placed.folder})
        self.videos.pop(placed.folder, None)
        self._discard(placed.folder)
        # Images last: loaders that list folders find a video when its masks are there.
        for top in (MASKS, IMAGES):
            if not any((unpacked / top).iterdir()):
                continue
            target = self._place(top, placed.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            (unpacked / top).rename(target)
        shutil.rmtree(unpacked)
        self.note(placed)

    def note(self, placed: Placed) -> None:
        """Write down what is known of a video."""
        self.videos[placed.folder] = placed
        self._write({"placed": asdict(placed)})

    def remove(self, placed: Placed) -> None:
        """Delete a video's files."""
        self._write({"begun": placed.folder})
        self.videos.pop(placed.folder, None)
        self._discard(placed.folder)
        for top in (IMAGES, MASKS):  # folders of nested names that are empty now
            above = self._place(top, placed.folder).parent
            while above != self.root / top and above != self.root:
                try:
                    above.rmdir()
                except OSError:
                    break
                above = above.parent

    def clear_partial(self) -> None:
        """Forget archives that nobody asks for any more."""
        self._clear("partial")

    def _place(self, top: str, folder: str) -> Path:
        if self.rules is None:
            raise RuntimeError("the tree has no rules yet")
        return self.root / self.rules.folder(top, folder)

    def _discard(self, folder: str) -> None:
        """Take a video's folders out of the tree at once, then delete them. Images go first, as they come last."""
        for top in (IMAGES, MASKS):
            old = self._place(top, folder)
            if os.path.lexists(old):
                away = self.workplace("old")
                old.rename(away / top)
                shutil.rmtree(away)

    def _refuse_strangers(self) -> None:
        if os.path.lexists(self.root) and not self.root.is_dir():
            raise PullError(f"{self.root} is no folder")
        strangers = [name for name in (IMAGES, MASKS, "ImageSets", "meta.json") if (self.root / name).exists()]
        if strangers:
            raise PullError(
                f"{self.root} holds {', '.join(strangers)} that gygo pull has not written; pull to another folder"
            )

    def _replay(self) -> None:
        try:
            lines = (self.state / "videos.jsonl").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                step = json.loads(line)
            except ValueError:  # torn off by a crash: that video is fetched again
                continue
            if "begun" in step:
                self._begun.add(step["begun"])
                self.videos.pop(step["begun"], None)
            else:
                placed = Placed(**step["placed"])
                self._begun.discard(placed.folder)
                self.videos[placed.folder] = placed

    def _compact(self) -> None:
        steps = (_line({"placed": asdict(placed)}) for placed in self.videos.values())
        write_whole(self.state / "videos.jsonl", "".join(steps), self.state)
        self._begun.clear()

    def _write(self, step: dict[str, Any]) -> None:
        if self._journal is None:
            raise RuntimeError("the tree is not locked")
        self._journal.write(_line(step))
        self._journal.flush()

    def _clear(self, name: str) -> None:
        if (self.state / name).is_dir():
            shutil.rmtree(self.state / name)


def write_whole(path: Path, text: str, workplace: Path) -> None:
    """Write a file so that others see all of it or nothing. ``workplace`` is a folder on the same disk."""
    new = workplace / f"new-{path.name}"
    try:
        new.write_text(text, encoding="utf-8", newline="\n")
        path.parent.mkdir(parents=True, exist_ok=True)
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise


def placed_from(video: Any, folder: str, sha256: str, unpacked: Unpacked) -> Placed:
    """What is to be known of a video that was unpacked."""
    categories = {each["id"]: each["category"] for each in video.objects}
    return Placed(
        name=video.name,
        folder=folder,
        sha256=sha256,
        release=video.release.id,
        images=unpacked.images,
        masks=unpacked.masks,
        bytes=unpacked.bytes,
        splits=list(video.splits),
        left_out=unpacked.left_out,
        renamed=unpacked.renamed,
        late_objects=unpacked.late_objects,
        objects={
            str(number): {"category": categories[number], "frames": stems}
            for number, stems in sorted(unpacked.object_stems.items())
        },
    )


def _line(step: dict[str, Any]) -> str:
    return json.dumps(step, separators=(",", ":")) + "\n"


def _measure(folder: Path, suffix: str) -> tuple[int, int]:
    """Number and bytes of a folder's files; -1 when there is something that a loader would stumble over."""
    count = size = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.endswith(suffix):
                    return -1, -1
                count += 1
                size += entry.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0, 0
    return count, size
