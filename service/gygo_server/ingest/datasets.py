"""``dataset.json`` as the bucket has it: read, and changed only if nobody else has in the meantime."""

from __future__ import annotations

from collections.abc import Callable

from gygo_server.errors import PreconditionFailedError, PublicationError
from gygo_server.model import Dataset
from gygo_server.store import dataset_file, keys
from gygo_server.store.bucket import Bucket

#: Lost races for ``dataset.json`` before a publication gives up.
RACES = 20


def read_dataset(bucket: Bucket, dataset: str) -> tuple[Dataset | None, str | None]:
    """The dataset as the bucket has it now and its entity tag; two Nones when there is none yet."""
    stored = bucket.find(keys.dataset_file(dataset))
    if stored is None:
        return None, None
    return dataset_file.decode(stored.content, dataset), stored.etag


def change_dataset(bucket: Bucket, dataset: str, change: Callable[[Dataset | None], Dataset]) -> None:
    """Write ``dataset.json`` anew if nobody else has since it was read; otherwise read it again and try again."""
    for _ in range(RACES):
        found, etag = read_dataset(bucket, dataset)
        try:
            bucket.put(keys.dataset_file(dataset), dataset_file.encode(change(found)), replaces=etag)
        except PreconditionFailedError:
            continue
        return
    raise PublicationError(f"{dataset}: dataset.json is written by others all the time; try again")
