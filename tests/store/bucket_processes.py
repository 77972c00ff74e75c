"""What tests of the bucket run in processes of their own."""

from __future__ import annotations

import os

from gygo_server.errors import StoreError
from gygo_server.store.bucket import Bucket, S3Settings


def check_with(environment: dict[str, str], settings: S3Settings) -> StoreError | None:
    """Check the bucket with no credentials but those in ``environment``; what it raised."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update({"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent"}, **environment)
    try:
        Bucket(settings).check()
    except StoreError as error:
        return type(error)(str(error))
    return None


def read_in_a_fork(bucket: Bucket, key: str) -> bytes:
    """The object, as a child that was forked with the bucket in use reads it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, bucket.get(key).content)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        content = answer.read()
    os.waitpid(child, 0)
    return content
