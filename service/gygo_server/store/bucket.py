"""The bucket: get, head, put, list, delete, through boto3, with its errors translated to ours; and who signs for it."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

import boto3
import botocore.exceptions
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from gygo_server.errors import (
    CorruptObjectError,
    ObjectNotFoundError,
    StoreError,
    StoreRefusedError,
    StoreSilentError,
)
from gygo_server.store.outage import Outage
from gygo_server.store.s3_errors import translated
from gygo_server.store.sigv4 import Credentials, Place

if TYPE_CHECKING:
    import botocore.credentials
    from mypy_boto3_s3 import S3Client

CHUNK = 1 << 20

#: S3 takes 5 GiB in one PUT. A video's archive is far below; the catalogue of 50 million frames is near.
MAX_PUT_BYTES = 5 * (1 << 30)

#: What is larger is sent in parts of so many bytes: S3 takes 10,000 of them.
PART_BYTES = 256 << 20

#: For what is known by its content.
IMMUTABLE = "public, max-age=31536000, immutable"


#: An object's key that any endpoint's rules leave as it is.
_PROBE = "probe"


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Where the bucket is. ``public_endpoint`` is the one users reach: URLs are signed for it.

    Credentials are not here: they come through boto3's own chain.
    """

    bucket: str
    endpoint: str | None = None
    public_endpoint: str | None = None
    region: str = "us-east-1"
    addressing: Literal["path", "virtual", "auto"] = "auto"
    timeout: float = 10.0


class Stored(NamedTuple):
    """An object's bytes and its entity tag, to write it back conditionally."""

    content: bytes
    etag: str


class Listed(NamedTuple):
    """An object in a listing, or (without an entity tag) a common prefix of several."""

    key: str
    size: int
    etag: str | None


class Bucket:
    """One bucket. Safe for threads; connections are made on first use, and again after a fork."""

    def __init__(self, settings: S3Settings, credentials: tuple[str, str] | None = None) -> None:
        """``credentials`` (access key, secret key) stand in for boto3's own chain."""
        self.settings = settings
        self._credentials = credentials
        self._outage = Outage(settings.timeout + 1)
        self._processes: dict[int, _Connections] = {}
        self._place: Place | None = None

    def get(self, key: str) -> Stored:
        """The whole object.

        Raises:
            ObjectNotFoundError, StoreUnavailableError, StoreRefusedError.
        """
        with self._asking(key):
            answer = self._client().get_object(Bucket=self.settings.bucket, Key=key)
            return Stored(answer["Body"].read(), answer["ETag"])

    def find(self, key: str) -> Stored | None:
        """The whole object, None when there is none."""
        try:
            return self.get(key)
        except ObjectNotFoundError:
            return None

    def get_if_changed(self, key: str, etag: str | None) -> Stored | None:
        """The object, or None when its entity tag is still ``etag``."""
        if etag is None:
            return self.get(key)
        with self._asking(key):
            try:
                answer = self._client().get_object(Bucket=self.settings.bucket, Key=key, IfNoneMatch=etag)
            except botocore.exceptions.ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 304:
                    return None
                raise
            return Stored(answer["Body"].read(), answer["ETag"])

    def get_range(self, key: str, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset``."""
        with self._asking(key):
            span = f"bytes={offset}-{offset + size - 1}"
            answer = self._client().get_object(Bucket=self.settings.bucket, Key=key, Range=span)
            return answer["Body"].read()

    def chunks(self, key: str) -> Iterator[bytes]:
        """The object, in chunks of 1 MiB."""
        with self._asking(key):
            answer = self._client().get_object(Bucket=self.settings.bucket, Key=key)
            yield from answer["Body"].iter_chunks(CHUNK)

    def download(self, key: str, target: BinaryIO, sha256: str) -> None:
        """Write the object to ``target`` and verify its hash.

        Raises:
            CorruptObjectError: the bytes have another hash; what was written is not to be used.
        """
        digest = hashlib.sha256()
        for chunk in self.chunks(key):
            digest.update(chunk)
            target.write(chunk)
        if digest.hexdigest() != sha256:
            raise CorruptObjectError(
                f"{key}: published with SHA-256 {sha256}, but the bucket holds {digest.hexdigest()}"
            )

    def size(self, key: str) -> int | None:
        """The object's size in bytes, None when there is no such object."""
        try:
            with self._asking(key):
                return self._client().head_object(Bucket=self.settings.bucket, Key=key)["ContentLength"]
        except ObjectNotFoundError:
            return None

    def holds(self, key: str, size: int, sha256: str) -> bool:
        """Whether the object is there, as far as the store can tell without reading it: its size, and its hash where
        the store keeps that."""
        try:
            with self._asking(key):
                head = self._client().head_object(Bucket=self.settings.bucket, Key=key, ChecksumMode="ENABLED")
        except ObjectNotFoundError:
            return False
        return head["ContentLength"] == size and head.get("ChecksumSHA256", _base64(sha256)) == _base64(sha256)

    def put(self, key: str, content: bytes, *, replaces: str | None, content_type: str = "application/json") -> str:
        """Write a small object if it is still the one with the entity tag ``replaces`` (None: if there is none yet).

        Returns its new entity tag.

        Raises:
            PreconditionFailedError: somebody else wrote it first.
        """
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}
        with self._asking(key):
            answer = self._client().put_object(
                Bucket=self.settings.bucket,
                Key=key,
                Body=content,
                ContentType=content_type,
                ChecksumSHA256=_base64(hashlib.sha256(content).hexdigest()),
                **condition,
            )
            return answer["ETag"]

    def put_file(self, key: str, path: Path, sha256: str, content_type: str) -> None:
        """Upload a content-addressed file; the store checks the hash on arrival and refuses anything else.

        Raises:
            CorruptObjectError: what has arrived is not the file; only of one larger than a PUT may be, of which the
                store cannot tell, so that it is read back.
        """
        if path.stat().st_size > MAX_PUT_BYTES:
            self._put_parts(key, path, sha256, content_type)
            return
        with self._asking(key), path.open("rb") as file:
            self._client().put_object(
                Bucket=self.settings.bucket,
                Key=key,
                Body=file,
                ContentType=content_type,
                CacheControl=IMMUTABLE,
                ChecksumSHA256=_base64(sha256),
            )

    def _put_parts(self, key: str, path: Path, sha256: str, content_type: str) -> None:
        with self._asking(key), path.open("rb") as file:
            self._client().upload_fileobj(
                file,
                self.settings.bucket,
                key,
                ExtraArgs={"ContentType": content_type, "CacheControl": IMMUTABLE},
                Config=TransferConfig(multipart_threshold=1, multipart_chunksize=PART_BYTES, max_concurrency=4),
            )
        try:
            with Path(os.devnull).open("wb") as nowhere:
                self.download(key, nowhere, sha256)
        except CorruptObjectError:
            self.delete(key)
            raise

    def prefixes(self) -> list[str]:
        """The top-level prefixes, each with its trailing slash."""
        with self._asking("/"):
            pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=self.settings.bucket, Delimiter="/")
            return [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Keys below ``prefix`` and their sizes in bytes."""
        return ((entry.key, entry.size) for entry in self.entries(prefix))

    def entries(self, prefix: str, *, delimiter: str = "") -> Iterator[Listed]:
        """Objects below ``prefix``, in the order of their keys.

        With a delimiter, those whose keys go on after it are one entry, their common prefix.
        """
        with self._asking(prefix):
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.settings.bucket, Prefix=prefix, Delimiter=delimiter):
                for common in page.get("CommonPrefixes", []):
                    yield Listed(common["Prefix"], 0, None)
                for entry in page.get("Contents", []):
                    yield Listed(entry["Key"], entry["Size"], entry["ETag"])

    def delete(self, key: str) -> None:
        """Delete the object if it is there."""
        with self._asking(key):
            self._client().delete_object(Bucket=self.settings.bucket, Key=key)

    def check(self) -> None:
        """Ask the store for the bucket, with our credentials.

        Raises:
            StoreUnavailableError, StoreRefusedError: why it cannot be used.
        """
        with self._asking(self.settings.bucket, missing="bucket"):
            self._client().head_bucket(Bucket=self.settings.bucket)

    def create(self) -> None:
        """Create the bucket unless it is there. For the demo and the tests; production has its own."""
        try:
            self.check()
        except StoreRefusedError:
            with self._asking(self.settings.bucket):
                self._client().create_bucket(Bucket=self.settings.bucket)

    def place(self) -> Place:
        """Where its objects are for users: botocore's rules say it, whatever the endpoint, region and name."""
        # The rules do not look at the key, so one URL that botocore signs tells it for all of them.
        if self._place is None:
            with translated(self.settings.bucket):
                parameters = {"Bucket": self.settings.bucket, "Key": _PROBE}
                url = self._client(public=True).generate_presigned_url("get_object", Params=parameters)
                self._place = Place.of_signed(url, _PROBE)
        return self._place

    def credentials(self) -> Credentials:
        """Those to sign with now. Temporary ones are renewed on the way, some time before they end.

        Raises:
            StoreRefusedError, StoreUnavailableError: there are none, or they cannot be renewed.
        """
        with translated(self.settings.bucket):
            connections = self._connections()
            with connections.lock:
                found = connections.session.get_credentials()
            if found is None:
                raise botocore.exceptions.NoCredentialsError
            while True:
                frozen = found.get_frozen_credentials()
                if not (frozen.access_key and frozen.secret_key):
                    raise botocore.exceptions.NoCredentialsError
                ends = _end_of(found)
                # Renewed by another thread in between, they would get the end of the next ones.
                if frozen == found.get_frozen_credentials():
                    return Credentials(frozen.access_key, frozen.secret_key, frozen.token, ends)

    @contextmanager
    def _asking(self, key: str, *, missing: str = "object") -> Iterator[None]:
        """Around what asks the store: its errors as ours, and no waiting for a store that is known to be silent."""
        self._outage.refuse()
        try:
            with translated(key, missing=missing):
                yield
        except StoreSilentError as error:
            self._outage.began(error)
            raise
        except StoreError:
            self._outage.ended()
            raise
        self._outage.ended()

    def _connections(self) -> _Connections:
        process = os.getpid()
        found = self._processes.get(process)
        if found is None:
            access_key, secret_key = self._credentials or (None, None)
            session = boto3.session.Session(access_key, secret_key)
            found = self._processes.setdefault(process, _Connections(session, threading.Lock(), {}))
        return found

    def _client(self, *, public: bool = False) -> S3Client:
        connections = self._connections()
        client = connections.clients.get(public)
        if client is None:
            with connections.lock:
                client = connections.clients.get(public)
                if client is None:
                    client = connections.clients[public] = self._connect(connections.session, public=public)
        return client

    def _connect(self, session: boto3.session.Session, *, public: bool) -> S3Client:
        settings = self.settings
        endpoint = (settings.public_endpoint if public else None) or settings.endpoint
        return session.client(
            "s3",
            endpoint_url=endpoint,
            region_name=settings.region,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": settings.addressing},
                # Two attempts share the time.
                connect_timeout=min(2.0, settings.timeout / 2),
                read_timeout=settings.timeout / 2,
                retries={"mode": "standard", "total_max_attempts": 2},
                max_pool_connections=32,
                # We send and check SHA-256 ourselves; botocore's CRC on top only costs time.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


class _Connections(NamedTuple):
    """A process's own: clients may be shared by threads but not across a fork, nor may a lock that somebody holds."""

    session: boto3.session.Session
    lock: threading.Lock
    clients: dict[bool, S3Client]


def _end_of(credentials: botocore.credentials.Credentials) -> float | None:
    """When they end (Unix time), None when that is not known: botocore tells nobody, so this looks inside."""
    ends = getattr(credentials, "_expiry_time", None)
    return None if ends is None else ends.timestamp()


def _base64(sha256: str) -> str:
    return base64.b64encode(bytes.fromhex(sha256)).decode()
