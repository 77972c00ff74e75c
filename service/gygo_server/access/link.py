"""Signed links: a URL that lets somebody without a key see one thing for a while, on behalf of a key."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from itsdangerous import BadData, URLSafeSerializer

from gygo_server.errors import LinkRefusedError

#: The query parameter that carries the signature.
PARAMETER = "link"

_ALTERED = "the link is not whole, or for something else: it holds for just the URL that it was made for"


class LinkSigner:
    """Makes and reads the signatures of links. ``secrets``: the first one signs, all are accepted."""

    def __init__(self, secrets: Sequence[str]) -> None:
        # itsdangerous signs with the last.
        self._serializer = URLSafeSerializer(
            list(reversed(secrets)), salt="gygo.link", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def sign(self, key_id: str, resource: str, expires_at: datetime) -> str:
        """The signature of a link to ``resource``, a path with its query, on behalf of a key."""
        signed = self._serializer.dumps([key_id, int(expires_at.timestamp()), _digest(resource)])
        return signed if isinstance(signed, str) else signed.decode()

    def read(self, signature: str, resource: str, at: datetime) -> str:
        """The id of the key on whose behalf the link to ``resource`` was made.

        Raises:
            LinkRefusedError: it was made for something else, or for until before ``at``, or not here.
        """
        try:
            key_id, expires_at, digest = self._serializer.loads(signature)
        except (BadData, ValueError, TypeError, RecursionError):
            raise LinkRefusedError(_ALTERED) from None
        if digest != _digest(resource):
            raise LinkRefusedError(_ALTERED)
        if at.timestamp() >= expires_at:
            raise LinkRefusedError("the link has expired: ask whoever gave it to you for another")
        return str(key_id)


def _digest(resource: str) -> str:
    return hashlib.sha256(resource.encode()).hexdigest()
