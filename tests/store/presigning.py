"""URLs of any object for tests: by this service's signer, and by botocore as the reference."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import botocore.auth
import pytest

from gygo_server.store.bucket import Bucket
from gygo_server.store.content_disposition import attachment
from gygo_server.store.sigv4 import Method, Presigner, response_query


def presign(
    bucket: Bucket,
    key: str,
    *,
    method: Method = "GET",
    expires_in: int = 60,
    filename: str | None = None,
    signed_at: float | None = None,
) -> str:
    """A URL of an object that is good for ``expires_in`` seconds."""
    signer = Presigner(
        bucket.place(),
        bucket.credentials(),
        method=method,
        signed_at=int(time.time() if signed_at is None else signed_at),
        expires_in=expires_in,
    )
    return signer.url(key, "" if filename is None else response_query(disposition=attachment(filename)))


def presign_by_botocore(
    client: Any,
    bucket: str,
    key: str,
    *,
    method: Method,
    expires_in: int,
    signed_at: int,
    disposition: str | None = None,
    content_type: str | None = None,
) -> str:
    """The URL that botocore signs, as of ``signed_at``."""
    parameters = {"Bucket": bucket, "Key": key}
    if disposition is not None:
        parameters["ResponseContentDisposition"] = disposition
    if content_type is not None:
        parameters["ResponseContentType"] = content_type
    operation = "head_object" if method == "HEAD" else "get_object"
    with botocore_at(signed_at):
        url: str = client.generate_presigned_url(operation, Params=parameters, ExpiresIn=expires_in, HttpMethod=method)
    return url


@contextmanager
def botocore_at(moment: int) -> Iterator[None]:
    """botocore's clock, stopped."""
    now = datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: now)
        yield
