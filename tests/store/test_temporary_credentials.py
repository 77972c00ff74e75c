"""Credentials that end: URLs end with them, and are signed with new ones in time."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import urllib3
from botocore.config import Config
from presigning import presign_by_botocore

from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.errors import StoreRefusedError, StoreUnavailableError
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket, S3Settings
from gygo_server.store.signed_urls import SignedUrls

SHA256 = "5e" * 32

#: What a `credential_process` is: it prints the file beside it, and notes that it ran.
PROCESS = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
with (folder / "runs").open("a") as runs:
    runs.write("x")
print((folder / "answer.json").read_text())
"""


class CredentialProcess:
    """A program that gives the credentials which are set, through a profile in AWS's own files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "give.py").write_text(PROCESS)
        command = shlex.join([sys.executable, str(folder / "give.py"), str(folder)])
        (folder / "config").write_text(f"[default]\ncredential_process = {command}\n")

    def gives(self, access_key: str, secret_key: str, ends_in: float, token: str | None = None) -> datetime:
        """Set what it gives from now on; when that ends."""
        ends = (datetime.now(UTC) + timedelta(seconds=ends_in)).replace(microsecond=0)
        answer = {"Version": 1, "AccessKeyId": access_key, "SecretAccessKey": secret_key}
        answer |= {"Expiration": ends.isoformat(), **({"SessionToken": token} if token else {})}
        (self._folder / "answer.json").write_text(json.dumps(answer))
        return ends

    def fails(self) -> None:
        (self._folder / "answer.json").unlink()

    @property
    def runs(self) -> int:
        return len((self._folder / "runs").read_text())


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return monkeypatch


@pytest.fixture
def process(no_keys: pytest.MonkeyPatch, tmp_path: Path) -> CredentialProcess:
    return CredentialProcess(tmp_path)


def signed_urls(bucket: Bucket, clock: Callable[[], float] = time.time) -> SignedUrls:
    return SignedUrls(bucket, seconds=3600, max_seconds=604800, bucket_seconds=900, clock=clock)


def query_of(url: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}


def test_the_store_takes_what_a_credential_process_gives(
    s3: SeaweedFS, bucket: Bucket, process: CredentialProcess
) -> None:
    bucket.put(keys.archive("temporary", SHA256), b"content", replaces=None)
    ends = process.gives(s3.access_key, s3.secret_key, 1800)
    urls = signed_urls(Bucket(bucket.settings))
    signed = urls.archive("temporary", SHA256, method="GET", filename="a.tar")
    assert urllib3.request("GET", signed.url).data == b"content"
    assert datetime.fromisoformat(signed.expires_at) == ends
    assert process.runs == 1


@pytest.mark.parametrize("token", [None, "a/token+with=odd characters"])
def test_a_url_ends_with_the_credentials_and_is_botocore_s_but_for_that(
    process: CredentialProcess, token: str | None
) -> None:
    ends = process.gives("temporary", "secret", 2000, token)
    batch = signed_urls(Bucket(S3Settings("datasets"))).batch("toys", expires_in=7200)
    assert datetime.fromisoformat(batch.expires_at) == ends
    url = batch.url(SHA256, "a.tar")
    query = query_of(url)
    assert query.get("X-Amz-Security-Token") == token
    signed_at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert signed_at + timedelta(seconds=int(query["X-Amz-Expires"])) == ends
    session = boto3.session.Session("temporary", "secret", token)
    assert url == presign_by_botocore(
        session.client("s3", region_name="us-east-1", config=Config(signature_version="s3v4")),
        "datasets",
        keys.archive("toys", SHA256),
        method="GET",
        expires_in=int(query["X-Amz-Expires"]),
        signed_at=int(signed_at.timestamp()),
        disposition='attachment; filename="a.tar"',
    )


def test_credentials_that_live_longer_than_the_url_do_not_shorten_it(process: CredentialProcess) -> None:
    process.gives("temporary", "secret", 43200)
    query = query_of(signed_urls(Bucket(S3Settings("datasets"))).batch("toys", expires_in=3600).url(SHA256, "a"))
    assert query["X-Amz-Expires"] == "4500"


def test_new_ones_are_fetched_before_the_old_ones_end(process: CredentialProcess) -> None:
    process.gives("first", "secret", 1800)
    now = [time.time()]
    urls = signed_urls(Bucket(S3Settings("datasets")), lambda: now[0])
    sign = lambda: query_of(urls.archive("toys", SHA256, method="GET", filename="a").url)["X-Amz-Credential"]  # noqa: E731
    assert sign().startswith("first/")
    process.gives("second", "secret", 3600)
    now[0] += 1
    assert sign().startswith("first/")  # they are good for half an hour
    assert process.runs == 1
    process.gives("third", "secret", 300)
    short = signed_urls(Bucket(S3Settings("datasets")), lambda: now[0])
    assert query_of(short.batch("toys").url(SHA256, "a"))["X-Amz-Credential"].startswith("third/")
    # They end within minutes: each batch looks for others.
    ends = process.gives("fourth", "secret", 1800)
    batch = short.batch("toys")
    assert query_of(batch.url(SHA256, "a"))["X-Amz-Credential"].startswith("fourth/")
    assert datetime.fromisoformat(batch.expires_at) == ends


def test_when_no_new_ones_come_the_old_ones_serve_until_they_end(process: CredentialProcess) -> None:
    process.gives("only", "secret", 700)  # a renewal is tried from here on, but is not urgent yet
    urls = signed_urls(Bucket(S3Settings("datasets")))
    process_before = urls.batch("toys").expires_at
    process.fails()
    assert urls.batch("toys").expires_at == process_before


def test_a_process_that_fails_is_told_and_shows_nothing(process: CredentialProcess) -> None:
    process.gives("only", "secret-of-mine", 30)
    urls = signed_urls(Bucket(S3Settings("datasets")))
    urls.batch("toys")
    process.fails()
    with pytest.raises(StoreUnavailableError) as caught:
        urls.batch("toys")
    assert "secret-of-mine" not in str(caught.value)


def test_credentials_in_the_environment_end_when_it_says(no_keys: pytest.MonkeyPatch) -> None:
    ends = (datetime.now(UTC) + timedelta(seconds=1000)).replace(microsecond=0)
    no_keys.setenv("AWS_ACCESS_KEY_ID", "key")
    no_keys.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    no_keys.setenv("AWS_SESSION_TOKEN", "token")
    no_keys.setenv("AWS_CREDENTIAL_EXPIRATION", ends.isoformat())
    batch = signed_urls(Bucket(S3Settings("datasets"))).batch("toys")
    assert datetime.fromisoformat(batch.expires_at) == ends
    assert query_of(batch.url(SHA256, "a"))["X-Amz-Security-Token"] == "token"


def test_credentials_that_have_ended_sign_nothing(no_keys: pytest.MonkeyPatch, bucket: Bucket) -> None:
    no_keys.setenv("AWS_ACCESS_KEY_ID", "key")
    no_keys.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    no_keys.setenv("AWS_CREDENTIAL_EXPIRATION", (datetime.now(UTC) - timedelta(seconds=1)).isoformat())
    ended = Bucket(bucket.settings)
    with pytest.raises(StoreRefusedError, match="have ended"):
        signed_urls(ended).batch("toys")
    with pytest.raises(StoreRefusedError, match="have ended"):
        ended.check()


def test_a_clock_beyond_the_end_of_the_credentials_signs_nothing(process: CredentialProcess) -> None:
    process.gives("temporary", "secret", 1800)
    with pytest.raises(StoreRefusedError, match="have ended"):
        signed_urls(Bucket(S3Settings("datasets")), lambda: time.time() + 1801).batch("toys")


def test_without_any_credentials_it_says_so(no_keys: pytest.MonkeyPatch) -> None:
    urls = signed_urls(Bucket(S3Settings("datasets")))
    with pytest.raises(StoreRefusedError, match="no S3 credentials were found"):
        urls.archive("toys", SHA256, method="GET", filename="a")
    # Found as soon as they are there.
    no_keys.setenv("AWS_ACCESS_KEY_ID", "key")
    no_keys.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert urls.archive("toys", SHA256, method="GET", filename="a").url


def test_half_of_the_credentials_are_none(no_keys: pytest.MonkeyPatch) -> None:
    no_keys.setenv("AWS_ACCESS_KEY_ID", "key")
    with pytest.raises(StoreRefusedError, match="no S3 credentials were found"):
        signed_urls(Bucket(S3Settings("datasets"))).batch("toys")
