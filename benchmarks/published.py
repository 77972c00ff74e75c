"""A catalogue that a benchmark has built, published without its archives: the service needs them for pictures only."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from gygo_server.ingest.catalogues import SQLITE
from gygo_server.ingest.datasets import change_dataset
from gygo_server.model import Dataset, ReleaseEntry
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket


def publish_catalogue(bucket: Bucket, dataset: str, release: str, path: Path, title: str) -> ReleaseEntry:
    """Upload the catalogue at ``path``, and name the release in ``dataset.json``, in place of one with its id.

    Raises:
        StoreError: the bucket.
    """
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    bucket.put_file(keys.catalogue(dataset, release, sha256), path, sha256, SQLITE)
    published_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    entry = ReleaseEntry(release, published_at, sha256, path.stat().st_size)

    def add(found: Dataset | None) -> Dataset:
        known = found or Dataset(dataset, title)
        others = [each for each in known.releases if each.id != release]
        return replace(known, releases=(*others, entry))

    change_dataset(bucket, dataset, add)
    return entry
