"""The signer is botocore's equal, byte for byte, wherever the bucket is and whatever is asked."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from hypothesis import example, given
from hypothesis import strategies as st
from presigning import presign_by_botocore

from gygo_server.store.bucket import Bucket, S3Settings
from gygo_server.store.sigv4 import Credentials, Method, Place, Presigner, response_query

KEY = "a b/ü+%20~//./x.tar"
MOMENT = 1_790_000_123

ENDPOINTS = [
    "http://127.0.0.1:8333",
    "http://s3.example.org:80",
    "https://s3.example.org:443/",
    "https://s3.example.org:8443/",
    "https://S3.Example.org",
    "http://seaweedfs:443",
    "http://[::1]:9000",
    "https://s3.eu-central-1.amazonaws.com",
]
REGIONS = ["us-east-1", "eu-central-1", "cn-north-1", "aws-global"]
STYLES = ["path", "virtual", "auto"]
#: Names that fit into a host name, with and without a dot.
BUCKETS = ["datasets", "my.bucket"]
ODD_BUCKETS = ["My_Bucket", "data--use1-az4--x-s3"]


@lru_cache
def client(endpoint: str | None, region: str, style: str) -> Any:
    """botocore's client for a bucket, with the credentials ``key`` and ``secret``."""
    config = Config(signature_version="s3v4", s3={"addressing_style": style})
    session = boto3.session.Session("key", "secret")
    return session.client("s3", endpoint_url=endpoint, region_name=region, config=config)


def places() -> list[tuple[str | None, str, str, str]]:
    """Endpoint, region, style and bucket: each endpoint in one region, and AWS itself in several."""
    servers = [*((endpoint, "eu-west-1") for endpoint in ENDPOINTS), *((None, region) for region in REGIONS)]
    usual = [(*server, style, bucket) for server in servers for style in STYLES for bucket in BUCKETS]
    return usual + [
        (endpoint, "us-east-1", "auto", bucket) for endpoint in (None, ENDPOINTS[1]) for bucket in ODD_BUCKETS
    ]


@pytest.mark.parametrize(("endpoint", "region", "style", "name"), places())
def test_host_path_and_region_are_those_of_botocore(endpoint: str | None, region: str, style: Any, name: str) -> None:
    bucket = Bucket(S3Settings(name, endpoint, region=region, addressing=style), ("key", "secret"))
    methods: tuple[Method, ...] = ("GET", "HEAD")
    for method in methods:
        signer = Presigner(bucket.place(), bucket.credentials(), method=method, signed_at=MOMENT, expires_in=60)
        assert signer.url(KEY) == presign_by_botocore(
            client(endpoint, region, style), name, KEY, method=method, expires_in=60, signed_at=MOMENT
        )


@lru_cache
def reference(endpoint: str | None) -> tuple[Any, Any, Place]:
    """A client, its credentials to be changed, and where its bucket is."""
    session = boto3.session.Session("key", "secret")
    made = session.client("s3", endpoint_url=endpoint, region_name="eu-west-1", config=Config(signature_version="s3v4"))
    place = Bucket(S3Settings("datasets", endpoint, region="eu-west-1"), ("key", "secret")).place()
    return made, session.get_credentials(), place


# Lone surrogates are no UTF-8: neither signer takes them.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ODD_TEXT = st.text(st.sampled_from(" +%~/.:?#&=;,@!$'()*[]{}|\\^`\"<>_-aZ0ü日\x00\n\x7f")) | ANY_TEXT
KEYS = ODD_TEXT.filter(bool)


@given(
    endpoint=st.sampled_from([None, "http://127.0.0.1:8333"]),
    key=KEYS,
    method=st.sampled_from(["GET", "HEAD"]),
    signed_at=st.integers(946_684_800, 4_102_444_800),
    expires_in=st.integers(1, 604_800),
    disposition=st.none() | ODD_TEXT,
    content_type=st.none() | ODD_TEXT,
    access_key=st.text(st.characters(codec="ascii"), min_size=1),
    secret_key=ODD_TEXT.filter(bool),
    token=st.none() | ODD_TEXT,
)
@example(None, "/", "GET", MOMENT, 1, None, None, "AKID", "s" * 40, None)
@example(None, "a//b/../c/./~%2F%", "GET", MOMENT, 604_800, "", "", "AKID", "s", "to/ken+==")
@example(
    "http://127.0.0.1:8333", "toys/videos/0a.tar", "HEAD", MOMENT, 60, 'attachment; filename="a b"', None, "A", "s", ""
)
def test_any_question_has_the_url_that_botocore_signs(
    endpoint: str | None,
    key: str,
    method: Method,
    signed_at: int,
    expires_in: int,
    disposition: str | None,
    content_type: str | None,
    access_key: str,
    secret_key: str,
    token: str | None,
) -> None:
    made, credentials, place = reference(endpoint)
    credentials.access_key, credentials.secret_key, credentials.token = access_key, secret_key, token
    signer = Presigner(
        place, Credentials(access_key, secret_key, token), method=method, signed_at=signed_at, expires_in=expires_in
    )
    theirs = presign_by_botocore(
        made,
        "datasets",
        key,
        method=method,
        expires_in=expires_in,
        signed_at=signed_at,
        disposition=disposition,
        content_type=content_type,
    )
    query = response_query(disposition=disposition, content_type=content_type)
    assert signer.url(key, query) == theirs
    assert signer.url(key, query) == theirs  # signing leaves nothing behind


@given(st.lists(KEYS, min_size=1, max_size=8))
def test_urls_of_many_objects_do_not_mix(several: list[str]) -> None:
    _, _, place = reference(None)
    signer = Presigner(place, Credentials("key", "secret"), method="GET", signed_at=MOMENT, expires_in=60)
    once = [
        Presigner(place, Credentials("key", "secret"), method="GET", signed_at=MOMENT, expires_in=60).url(key)
        for key in several
    ]
    assert [signer.url(key) for key in several] == once


def test_secrets_are_not_shown() -> None:
    credentials = Credentials("of-all", "secret-of-mine", "token-of-mine")
    _, _, place = reference(None)
    signer = Presigner(place, credentials, method="GET", signed_at=MOMENT, expires_in=60)
    for shown in (repr(credentials), str(credentials), repr(signer)):
        assert "of-mine" not in shown
