"""CloudFront's signed URLs: the public key verifies them, and they are botocore's."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.signers import CloudFrontSigner
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from gygo_server.errors import SettingsError
from gygo_server.store.bucket import Bucket, S3Settings
from gygo_server.store.cloudfront import CloudFront, CloudFrontSettings
from gygo_server.store.content_disposition import attachment
from gygo_server.store.signed_urls import SignedUrls

URL = "https://d111111abcdef8.cloudfront.net"
SHA256 = "5e" * 32
NOW = 1_790_000_123
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
    form: PrivateFormat = PrivateFormat.PKCS8,
    lock: KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(Encoding.PEM, form, lock or NoEncryption())


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cloudfront") / "key.pem"
    path.write_bytes(pem(KEY))
    return path


@pytest.fixture(scope="module")
def cloudfront(key_file: Path) -> CloudFront:
    return CloudFront(CloudFrontSettings(URL, "K2JCJMDEHXQW5F", key_file))


def signed_urls(cloudfront: CloudFront, now: float = NOW) -> SignedUrls:
    # No credentials of S3 are needed, and none are there.
    bucket = Bucket(S3Settings("datasets"))
    return SignedUrls(
        bucket, seconds=3600, max_seconds=604800, bucket_seconds=900, clock=lambda: now, cloudfront=cloudfront
    )


def verify(url: str) -> dict[str, str]:
    """Check the URL's signature as CloudFront does, with the public key; its query."""
    resource, _, added = url.partition("&Expires=")
    query = dict(parse_qsl(urlsplit(url).query))
    assert added.startswith(query["Expires"])
    condition = {"DateLessThan": {"AWS:EpochTime": int(query["Expires"])}}
    policy = json.dumps({"Statement": [{"Resource": resource, "Condition": condition}]}, separators=(",", ":"))
    signature = base64.b64decode(query["Signature"].translate(str.maketrans("-_~", "+=/")))
    KEY.public_key().verify(signature, policy.encode(), PKCS1v15(), SHA1())
    return query


def test_the_public_key_verifies_a_url(cloudfront: CloudFront) -> None:
    urls = signed_urls(cloudfront)
    signed = urls.archive("toys", SHA256, method="GET", filename="a ü.tar")
    query = verify(signed.url)
    assert signed.url.startswith(f"{URL}/toys/videos/{SHA256}.tar?response-content-disposition=")
    assert query["response-content-disposition"] == attachment("a ü.tar")
    assert query["Key-Pair-Id"] == "K2JCJMDEHXQW5F"
    assert datetime.fromisoformat(signed.expires_at).timestamp() == int(query["Expires"])
    batch = urls.batch("toys")
    assert (batch.url(SHA256, "a ü.tar"), batch.expires_at) == signed


def test_a_tampered_url_does_not_verify(cloudfront: CloudFront) -> None:
    url = signed_urls(cloudfront).batch("toys").url(SHA256, "a.tar")
    for tampered in (
        url.replace(SHA256, "0" * 64),
        url.replace("a.tar%22", "b.tar%22"),
        url.replace("Expires=179", "Expires=189"),
    ):
        assert tampered != url
        with pytest.raises(InvalidSignature):
            verify(tampered)


@given(st.text(min_size=1), st.integers(60, 604_800))
def test_a_url_is_the_one_that_botocore_signs(cloudfront: CloudFront, filename: str, expires_in: int) -> None:
    batch = signed_urls(cloudfront).batch("toys", expires_in=expires_in)
    url = batch.url(SHA256, filename)
    signer = CloudFrontSigner("K2JCJMDEHXQW5F", lambda message: KEY.sign(message, PKCS1v15(), SHA1()))
    ends = datetime.fromisoformat(batch.expires_at)
    assert url == signer.generate_presigned_url(url.partition("&Expires=")[0], date_less_than=ends)


def test_times_are_those_of_s3_s_urls(cloudfront: CloudFront) -> None:
    bucket = Bucket(S3Settings("datasets"), ("key", "secret"))
    for now in (NOW, NOW + 500, NOW + 899.9):
        for asked in (None, 60, 3600, 604800):
            of_s3 = SignedUrls(bucket, seconds=3600, max_seconds=604800, bucket_seconds=900, clock=lambda now=now: now)
            ours = signed_urls(cloudfront, now).batch("toys", expires_in=asked)
            assert ours.expires_at == of_s3.batch("toys", expires_in=asked).expires_at


def test_the_same_question_has_the_same_url_and_is_signed_once(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policies: list[str] = []
    build = CloudFrontSigner.build_policy

    def counted(signer: CloudFrontSigner, *arguments: object) -> str:
        policies.append(build(signer, *arguments))
        return policies[-1]

    monkeypatch.setattr(CloudFrontSigner, "build_policy", counted)
    cloudfront = CloudFront(CloudFrontSettings(URL, "K1", key_file))
    batches = [signed_urls(cloudfront, NOW + more).batch("toys") for more in (0, 100, 200)]
    assert len({batch.url(SHA256, "a.tar") for batch in batches}) == len(policies) == 1
    assert batches[0].url(SHA256, "b.tar") != batches[0].url(SHA256, "a.tar")
    assert len(policies) == 2


def test_a_slash_after_the_distribution_is_no_matter(key_file: Path) -> None:
    cloudfront = CloudFront(CloudFrontSettings(f"{URL}/", "K1", key_file))
    assert signed_urls(cloudfront).batch("toys").url(SHA256, "a").startswith(f"{URL}/toys/")


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_both_forms_of_pem_are_read(tmp_path: Path, form: PrivateFormat) -> None:
    (tmp_path / "key.pem").write_bytes(pem(KEY, form))
    verify(signed_urls(CloudFront(CloudFrontSettings(URL, "K1", tmp_path / "key.pem"))).batch("toys").url(SHA256, "a"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"", "not a private key"),
        (b"\xff\xfe not text", "not a private key"),
        (pem(KEY).replace(b"MII", b"!!!"), "not a private key"),
        (KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "not a private key"),
        (pem(KEY, lock=BestAvailableEncryption(b"password")), "password"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "RSA"),
    ],
    ids=["missing", "empty", "binary", "spoilt", "public", "locked", "ed25519"],
)
def test_a_key_that_cannot_sign_is_told_in_one_line(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=why) as caught:
        CloudFront(CloudFrontSettings(URL, "K1", path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_key_is_not_shown(cloudfront: CloudFront) -> None:
    assert "PRIVATE" not in repr(cloudfront)
    assert str(KEY.private_numbers().p) not in repr(vars(cloudfront))
