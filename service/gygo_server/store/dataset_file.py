"""``dataset.json``: the one mutable object of a dataset, read whole and written conditionally."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from gygo_server.errors import CorruptObjectError
from gygo_server.model import PUBLIC, SLUG, Dataset, ReleaseEntry, Visibility
from gygo_server.parsed_field import ParsedField
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

#: Readers refuse a file of a format they do not know.
FORMAT = 1
#: Of a dataset that not everybody may see all of: older readers, which show everything, refuse it.
GUARDED_FORMAT = 2


def encode(dataset: Dataset) -> bytes:
    """The dataset as ``dataset.json``."""
    guarded = dataset.visibility != PUBLIC or any(entry.visibility != PUBLIC for entry in dataset.releases)
    document: dict[str, Any] = {"format": GUARDED_FORMAT if guarded else FORMAT, **asdict(dataset)}
    document["visibility"] = str(dataset.visibility)
    document["releases"] = [_encode_release(dataset.id, entry) for entry in dataset.releases]
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def decode(content: bytes, dataset: str) -> Dataset:
    """The dataset in a ``dataset.json``.

    Raises:
        CorruptObjectError: the file is not one, or of another dataset.
    """
    try:
        read = _DatasetSchema().load(orjson.loads(content))
    except (ValueError, ValidationError) as error:
        raise CorruptObjectError(f"{keys.dataset_file(dataset)}: not a dataset file: {error}") from error
    if read.pop("format") not in {FORMAT, GUARDED_FORMAT} or read["id"] != dataset:
        raise CorruptObjectError(f"{keys.dataset_file(dataset)}: of another format, or of another dataset")
    releases = tuple(_decode_release(entry) for entry in read.pop("releases"))
    return Dataset(**read, releases=releases)


def read_datasets(bucket: Bucket) -> tuple[list[Dataset], list[CorruptObjectError]]:
    """All datasets as the bucket has them now, and why some cannot be read: those hide no others."""
    found, spoilt = [], []
    for name in filter(None, map(keys.dataset_of_prefix, bucket.prefixes())):
        stored = bucket.find(keys.dataset_file(name))
        try:
            found += [decode(stored.content, name)] if stored else []
        except CorruptObjectError as error:
            spoilt.append(error)
    return found, spoilt


def _encode_release(dataset: str, entry: ReleaseEntry) -> dict[str, Any]:
    document = asdict(entry)
    sha256, size = document.pop("catalogue_sha256"), document.pop("catalogue_size")
    key = keys.catalogue(dataset, entry.id, sha256)
    return {**document, "visibility": str(entry.visibility), "catalogue": {"key": key, "sha256": sha256, "bytes": size}}


def _decode_release(read: dict[str, Any]) -> ReleaseEntry:
    catalogue = read.pop("catalogue")
    return ReleaseEntry(**read, catalogue_sha256=catalogue["sha256"], catalogue_size=catalogue["bytes"])


def _text(*, optional: bool = False, pattern: str | None = None) -> fields.String:
    checks = [validate.Regexp(pattern + r"\Z")] if pattern else []
    return fields.String(required=True, allow_none=optional, validate=checks)


# The hash and the ids become names of files here: nothing else may pass.
class _CatalogueSchema(Schema):
    key = _text()
    sha256 = _text(pattern=r"[0-9a-f]{64}")
    bytes = fields.Integer(required=True, strict=True, validate=validate.Range(0, 2**62))


class _ReleaseSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    id = _text(pattern=SLUG.pattern)
    published_at = _text()
    visibility = ParsedField(Visibility.parse, required=True)
    withdrawn_at = _text(optional=True)
    withdrawn_reason = _text(optional=True)
    catalogue = fields.Nested(_CatalogueSchema, required=True, unknown=EXCLUDE)


class _DatasetSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    format = fields.Raw(required=True)
    id = _text(pattern=SLUG.pattern)
    title = _text()
    description = _text(optional=True)
    license = _text(optional=True)
    homepage = _text(optional=True)
    visibility = ParsedField(Visibility.parse, load_default=PUBLIC)  # files from before there was one
    releases = fields.List(fields.Nested(_ReleaseSchema), required=True)
