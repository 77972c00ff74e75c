"""Releases in a bucket, as far as webhooks look at them: what ``dataset.json`` says."""

from __future__ import annotations

from dataclasses import replace

from gygo_server.ingest.datasets import change_dataset
from gygo_server.ingest.releases import withdraw
from gygo_server.model import Dataset, ReleaseEntry, Visibility
from gygo_server.store.bucket import Bucket

__all__ = ["publish", "show", "show_dataset", "withdraw"]


def publish(bucket: Bucket, dataset: str, release: str, visibility: str = "public") -> None:
    """A release, whose dataset is public and made if need be."""
    entry = ReleaseEntry(release, "2026-11-01T09:00:00Z", "0" * 64, 4096, Visibility.parse(visibility))

    def change(found: Dataset | None) -> Dataset:
        there = found or Dataset(dataset, f"The {dataset}")
        return replace(there, releases=(*there.releases, entry))

    change_dataset(bucket, dataset, change)


def show(bucket: Bucket, dataset: str, release: str, visibility: str) -> None:
    """Give a release another visibility."""

    def change(found: Dataset | None) -> Dataset:
        assert found is not None
        entries = [
            replace(each, visibility=Visibility.parse(visibility)) if each.id == release else each
            for each in found.releases
        ]
        return replace(found, releases=tuple(entries))

    change_dataset(bucket, dataset, change)


def show_dataset(bucket: Bucket, dataset: str, visibility: str) -> None:
    """Give a dataset another visibility."""

    def change(found: Dataset | None) -> Dataset:
        assert found is not None
        return replace(found, visibility=Visibility.parse(visibility))

    change_dataset(bucket, dataset, change)
