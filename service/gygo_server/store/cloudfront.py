"""URLs signed for CloudFront, Amazon's delivery network in front of the bucket, with a canned policy.

As https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-canned-policy.html
has it, by botocore's `CloudFrontSigner`; the RSA signature is `cryptography`'s, which the extra ``cloudfront`` brings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from botocore.signers import CloudFrontSigner

from gygo_server.errors import SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

#: URLs kept, at most: some ten megabytes. A signature takes a third of a millisecond and more.
KEPT = 16_384


@dataclass(frozen=True, slots=True)
class CloudFrontSettings:
    """A distribution whose origin is the bucket, and a key of the key group it trusts."""

    url: str
    key_id: str
    key_file: Path


class CloudFront:
    """One distribution. Safe for threads."""

    def __init__(self, settings: CloudFrontSettings) -> None:
        """
        Raises:
            SettingsError: what is wrong with the key, or `cryptography` is missing.
        """
        self._base = settings.url.rstrip("/")
        self._signer = CloudFrontSigner(settings.key_id, _rsa_signer(_load_key(settings.key_file)))
        # A C function with a lock of its own, which no fork leaves taken.
        self._kept = lru_cache(maxsize=KEPT)(self._sign)

    def until(self, ends: int) -> Callable[[str, str], str]:
        """Signs URLs that are good until ``ends`` (Unix time), for GET and HEAD.

        It takes an object's key, and parameters of the query, escaped: the origin gets those that the distribution's
        cache policy names.
        """
        return partial(self._kept, ends)

    def _sign(self, ends: int, key: str, query: str) -> str:
        url = f"{self._base}/{quote(key, safe='/~')}" + (f"?{query}" if query else "")
        signed: str = self._signer.generate_presigned_url(url, date_less_than=datetime.fromtimestamp(ends, UTC))
        return signed


def _load_key(path: Path) -> RSAPrivateKey:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise SettingsError("URLs of CloudFront need `cryptography`: pip install 'gygo-server[cloudfront]'") from None
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except TypeError:
        raise SettingsError(f"{path}: the key is locked by a password, which nobody can give here") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError(f"{path}: not a private key in PEM") from None
    if not isinstance(key, RSAPrivateKey):
        raise SettingsError(f"{path}: CloudFront's signed URLs need an RSA key here, and this is another kind")
    return key


def _rsa_signer(key: RSAPrivateKey) -> Callable[[bytes], bytes]:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA1

    # SHA-1 is what CloudFront asks for.
    return lambda message: key.sign(message, PKCS1v15(), SHA1())  # noqa: S303  # nosec B303 # see above
