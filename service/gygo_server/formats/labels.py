"""Categories and attributes of videos, from an optional ``categories.csv`` or ``categories.json``.

No published layout has them; these two are ours. CSV, with a header, attributes separated by ``;``::

    video,category,attributes,object
    batch-00002/cool-car-gray,toys,small;shiny,
    batch-00002/cool-car-gray,wheel,,2

A row with an object's id gives that object's category, a row without one the video's own. Only ``video`` must be there.
JSON: ``{"<video>": {"category": "toys", "attributes": ["small"], "objects": {"2": "wheel"}}}``, each key optional.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gygo_server.formats.files import SourceFiles, read_small
from gygo_server.formats.findings import Code, Report, reason, shown
from gygo_server.formats.names import suffix_of
from gygo_server.formats.source import SourceVideo

_COLUMNS = ("video", "category", "attributes", "object")
_KEYS = ("category", "attributes", "objects")
_LONGEST = 64
_OBJECT_ID = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)
_LARGEST_OBJECT_ID = 254


@dataclass(frozen=True, slots=True)
class Label:
    """What is said of one video. ``object_categories`` goes by an object's id, 1 to 254."""

    category: str | None = None
    attributes: tuple[str, ...] = ()
    object_categories: Mapping[int, str] = field(default_factory=dict)


NO_LABEL = Label()


def read_labels(
    files: SourceFiles, given: Path | None, videos: Sequence[SourceVideo], report: Report
) -> dict[str, Label]:
    """Labels by video, from the file ``given`` (.csv or .json, anywhere), or else from the source's own, if any."""
    path = files.name_of(given) if given else _own_file(files, report)
    if path is None:
        return {}
    labels = _Labels(path, {video.name for video in videos}, report)
    try:
        text = (read_small(given) if given else files.read(path)).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        labels.bad(Code.BAD_LABELS, f"the file cannot be read: {reason(error)}")
        return {}
    suffix = suffix_of(path)
    if suffix == ".csv":
        _read_csv(text, labels)
    elif suffix == ".json":
        _read_json(text, labels)
    else:
        labels.bad(Code.BAD_LABELS, f"expected a .csv or .json file, this is {suffix or 'without a suffix'}")
    return labels.finished()


def _own_file(files: SourceFiles, report: Report) -> str | None:
    there = files.scan("").files
    found = [name for name in ("categories.csv", "categories.json") if name in there]
    if len(found) > 1:
        message = "there is categories.json too: keep one of them, or say which one counts"
        report.fault(Code.TWO_LABEL_FILES, found[0], message)
        return None
    return found[0] if found else None


class _Labels:
    """What a file says, checked statement by statement."""

    def __init__(self, path: str, videos: set[str], report: Report) -> None:
        self._path = path
        self._videos = videos
        self._report = report
        self._categories: dict[str, str | None] = {}
        self._attributes: dict[str, tuple[str, ...]] = {}
        self._objects: dict[str, dict[int, str]] = {}

    def bad(self, code: Code, message: str, video: str | None = None) -> None:
        self._report.fault(code, self._path, message, video)

    def finished(self) -> dict[str, Label]:
        return {
            video: Label(self._categories.get(video), self._attributes.get(video, ()), self._objects.get(video, {}))
            for video in self._categories | self._objects
        }

    def knows(self, video: str, where: str) -> bool:
        if video not in self._videos:
            self.bad(Code.LABEL_FOR_UNKNOWN_VIDEO, f"{where}the video {shown(video)} is not there", video)
        return video in self._videos

    def say(self, video: str, category: str | None, attributes: Iterable[str], where: str) -> None:
        """A video's own category (None for none) and attributes; a second time is a fault."""
        if video in self._categories:
            self.bad(Code.DUPLICATE_LABEL, f"{where}{shown(video)} was labelled before", video)
            return
        good = [self._value(attribute, "attribute", video, where) for attribute in attributes]
        self._categories[video] = None if category is None else self._value(category, "category", video, where)
        self._attributes[video] = tuple(dict.fromkeys(attribute for attribute in good if attribute))

    def say_object(self, video: str, object_id: str, category: str, where: str) -> None:
        """The category of one object of a video; a second time is a fault."""
        objects = self._objects.setdefault(video, {})
        if not _OBJECT_ID.fullmatch(object_id) or int(object_id) > _LARGEST_OBJECT_ID:
            message = f"{where}'{shown(object_id)}' is no object id: whole numbers from 1 to {_LARGEST_OBJECT_ID}"
            self.bad(Code.BAD_OBJECT_ID, message, video)
        elif int(object_id) in objects:
            self.bad(Code.DUPLICATE_LABEL, f"{where}object {object_id} of {shown(video)} was labelled before", video)
        elif value := self._value(category, "category", video, where):
            objects[int(object_id)] = value

    def _value(self, value: str, what: str, video: str, where: str) -> str | None:
        value = value.strip()
        if value and len(value) <= _LONGEST and value.isprintable():
            return value
        message = f"{where}'{shown(value[: _LONGEST + 1])}' is no {what}: 1 to {_LONGEST} printable characters"
        self.bad(Code.BAD_LABEL, message, video)
        return None


def _read_csv(text: str, labels: _Labels) -> None:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] | None = None
    try:
        for row in rows:
            where = f"line {rows.line_num}: "
            if not any(cell.strip() for cell in row):
                continue
            if columns is None:
                columns = [cell.strip() for cell in row]
                if not _are_columns(columns, labels):
                    return
            elif len(row) != len(columns):
                labels.bad(Code.BAD_LABELS, f"{where}{len(row)} values for {len(columns)} columns")
            else:
                _read_row({column: cell.strip() for column, cell in zip(columns, row, strict=True)}, where, labels)
    except csv.Error as error:
        labels.bad(Code.BAD_LABELS, f"line {rows.line_num}: not CSV: {error}")
        return
    if columns is None:
        labels.bad(Code.BAD_LABELS, f"the file is empty; expected the columns {', '.join(_COLUMNS)}")


def _are_columns(columns: list[str], labels: _Labels) -> bool:
    unknown = [column for column in columns if column not in _COLUMNS]
    if unknown:
        message = f"line 1: unknown columns {', '.join(map(shown, unknown))}; there are {', '.join(_COLUMNS)}"
        labels.bad(Code.UNKNOWN_LABEL_FIELD, message)
    elif "video" not in columns or len(set(columns)) < len(columns):
        labels.bad(Code.BAD_LABELS, f"line 1: the header must name 'video', and each of {', '.join(_COLUMNS)} once")
    else:
        return True
    return False


def _read_row(row: Mapping[str, str], where: str, labels: _Labels) -> None:
    video = row["video"]
    if not labels.knows(video, where):
        return
    attributes = [attribute for attribute in row.get("attributes", "").split(";") if attribute.strip()]
    if not row.get("object"):
        labels.say(video, row.get("category") or None, attributes, where)
        return
    if attributes:
        labels.bad(Code.BAD_LABEL, f"{where}attributes are the video's: put them in its row without an object", video)
    labels.say_object(video, row["object"], row.get("category", ""), where)


class _Pairs(dict[str, Any]):
    """A JSON object that remembers which keys it was given twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice = sorted(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)


def _read_json(text: str, labels: _Labels) -> None:
    try:
        document = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        labels.bad(Code.BAD_LABELS, f"line {error.lineno}: not JSON: {error.msg}")
        return
    except (RecursionError, ValueError) as error:  # ValueError: a number of thousands of digits
        labels.bad(Code.BAD_LABELS, f"not JSON that can be read: {error}")
        return
    if not isinstance(document, _Pairs):
        labels.bad(Code.BAD_LABELS, 'expected an object: {"<video>": {"category": …}}')
        return
    for video in document.twice:
        labels.bad(Code.DUPLICATE_LABEL, f"{shown(video)} is there twice", video)
    for video, label in document.items():
        if labels.knows(video, ""):
            _read_label(video, label, labels)


def _read_label(video: str, label: object, labels: _Labels) -> None:
    if not isinstance(label, _Pairs):
        labels.bad(Code.BAD_LABELS, f"{shown(video)}: expected an object with {', '.join(_KEYS)}", video)
        return
    if unknown := [shown(key) for key in label if key not in _KEYS]:
        message = f"{shown(video)}: unknown keys {', '.join(unknown)}; there are {', '.join(_KEYS)}"
        labels.bad(Code.UNKNOWN_LABEL_FIELD, message, video)
    if label.twice:
        labels.bad(Code.DUPLICATE_LABEL, f"{shown(video)}: {', '.join(map(shown, label.twice))} is there twice", video)
    where = f"{shown(video)}: "
    category, attributes, objects = (label.get(key) for key in _KEYS)
    if category is not None and not isinstance(category, str):
        labels.bad(Code.BAD_LABEL, f"{where}the category must be a string", video)
        category = None
    if not _are_strings(attributes):
        labels.bad(Code.BAD_LABEL, f"{where}attributes must be a list of strings", video)
        attributes = None
    labels.say(video, category, attributes or (), where)
    if objects is not None:
        _read_objects(video, objects, labels, where)


def _are_strings(values: object) -> bool:
    return values is None or (isinstance(values, list) and all(isinstance(value, str) for value in values))


def _read_objects(video: str, objects: object, labels: _Labels, where: str) -> None:
    if not isinstance(objects, _Pairs):
        labels.bad(Code.BAD_LABEL, f"{where}objects must be an object of ids and categories", video)
        return
    for object_id in objects.twice:
        labels.bad(Code.DUPLICATE_LABEL, f"{where}object {shown(object_id)} is there twice", video)
    for object_id, category in objects.items():
        if isinstance(category, str):
            labels.say_object(video, object_id, category, where)
        else:
            labels.bad(Code.BAD_LABEL, f"{where}the category of object {shown(object_id)} must be a string", video)
