"""``dataset.json``: the one mutable object of a dataset, read whole and written conditionally."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from gygo_server.errors import CorruptObjectError
from gygo_server.model import Dataset, ReleaseEntry
from gygo_server.store import keys

#: Readers refuse a file of a format they do not know.
FORMAT = 1


def encode(dataset: Dataset) -> bytes:
    """The dataset as ``dataset.json``."""
    document: dict[str, Any] = {"format": FORMAT, **asdict(dataset)}
    document["releases"] = [_encode_release(dataset.id, entry) for entry in dataset.releases]
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def decode(content: bytes, dataset: str) -> Dataset:
    """The dataset in a ``dataset.json``.

    Raises:
        CorruptObjectError: the file is not one, or of another dataset.
    """
    try:
        document = orjson.loads(content)
        known = (document["format"], document["id"]) == (FORMAT, dataset)
        found = Dataset(
            id=document["id"],
            title=document["title"],
            description=document["description"],
            license=document["license"],
            homepage=document["homepage"],
            releases=tuple(_decode_release(entry) for entry in document["releases"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptObjectError(f"{keys.dataset_file(dataset)}: not a dataset file ({error!r})") from error
    if not known:
        raise CorruptObjectError(f"{keys.dataset_file(dataset)}: of another format, or of another dataset")
    return found


def _encode_release(dataset: str, entry: ReleaseEntry) -> dict[str, Any]:
    document = asdict(entry)
    sha256, size = document.pop("catalogue_sha256"), document.pop("catalogue_size")
    key = keys.catalogue(dataset, entry.id, sha256)
    return {**document, "catalogue": {"key": key, "sha256": sha256, "bytes": size}}


def _decode_release(document: dict[str, Any]) -> ReleaseEntry:
    catalogue = document["catalogue"]
    return ReleaseEntry(
        id=str(document["id"]),
        published_at=document["published_at"],
        catalogue_sha256=catalogue["sha256"],
        catalogue_size=catalogue["bytes"],
        visibility=document["visibility"],
        withdrawn_at=document["withdrawn_at"],
        withdrawn_reason=document["withdrawn_reason"],
    )
