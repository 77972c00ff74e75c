"""What a key looks like: ``gygo_<id>_<secret><checksum>``.

The prefix and the checksum let secret scanners know one that was committed by accident, without asking us. The id (10
of ``a-z0-9``) names the key's object in the bucket; the secret is 32 of ``A-Za-z0-9``, 190 random bits; the checksum is
the CRC-32 of all that comes before it, in base 62, six digits.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from typing import NamedTuple

PATTERN = re.compile(r"gygo_([a-z0-9]{10})_[A-Za-z0-9]{38}")

_ID = string.ascii_lowercase + string.digits
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


class Token(NamedTuple):
    """A key as it was sent: whose it says it is, and what it hashes to. The secret itself is not kept."""

    key_id: str
    sha256: str


def new_id() -> str:
    """A new id, of a key or a webhook."""
    return _random(_ID, 10)


def new_token(key_id: str) -> str:
    """A new secret for the key with this id, as its owner is to send it."""
    body = f"gygo_{key_id}_{_random(_BASE62, 32)}"
    return body + _checksum(body)


def read_token(text: str) -> Token | None:
    """The key that the text is; None when it is none, or a mistyped one."""
    match = PATTERN.fullmatch(text)
    if match is None or _checksum(text[:-6]) != text[-6:]:
        return None
    # A plain hash is enough: nobody can go through 190 bits, so it need not be slow.
    return Token(match[1], hashlib.sha256(text.encode()).hexdigest())


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits
