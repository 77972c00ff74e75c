"""``dataset.json`` as the bucket has it: read, and changed only if nobody else has in the meantime."""

from __future__ import annotations

from collections.abc import Callable

from gygo_server.errors import PublicationError
from gygo_server.model import Dataset
from gygo_server.store import dataset_file, keys
from gygo_server.store.bucket import Bucket
from gygo_server.store.small_objects import change_object


def read_dataset(bucket: Bucket, dataset: str) -> tuple[Dataset | None, str | None]:
    """The dataset as the bucket has it now and its entity tag; two Nones when there is none yet."""
    stored = bucket.find(keys.dataset_file(dataset))
    if stored is None:
        return None, None
    return dataset_file.decode(stored.content, dataset), stored.etag


def change_dataset(bucket: Bucket, dataset: str, change: Callable[[Dataset | None], Dataset]) -> None:
    """Write ``dataset.json`` anew if nobody else has since it was read; otherwise read it again and try again.

    Raises:
        PublicationError: others write it all the time.
    """
    changed = change_object(
        bucket,
        keys.dataset_file(dataset),
        change,
        decode=lambda content: dataset_file.decode(content, dataset),
        encode=dataset_file.encode,
    )
    if changed is None:
        raise PublicationError(f"{dataset}: dataset.json is written by others all the time; try again")
