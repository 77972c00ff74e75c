"""Every verb of the bucket against a real S3 server, and what its refusals are called here."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import bucket_processes
import numpy as np
import pytest
from tcp_gate import Gate

from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.errors import (
    CorruptObjectError,
    ObjectNotFoundError,
    PreconditionFailedError,
    StoreRefusedError,
    StoreUnavailableError,
)
from gygo_server.store import bucket as bucket_module
from gygo_server.store.bucket import CHUNK, Bucket

TAR = "application/x-tar"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def put_file(bucket: Bucket, tmp_path: Path) -> Callable[[str, bytes], str]:
    """Uploads bytes as a file; their hash."""

    def put(key: str, content: bytes) -> str:
        path = tmp_path / "upload"
        path.write_bytes(content)
        bucket.put_file(key, path, sha256(content), TAR)
        return sha256(content)

    return put


@pytest.fixture(scope="module")
def nobody(s3: SeaweedFS, bucket: Bucket) -> Bucket:
    """The bucket, for somebody with wrong keys."""
    return Bucket(bucket.settings, credentials=("gygonobody", "wrong"))


@pytest.fixture(scope="module")
def bucketless(s3: SeaweedFS, bucket: Bucket) -> Bucket:
    return Bucket(s3.settings("gygo-there-is-none"))


@pytest.fixture(scope="module")
def away(s3: SeaweedFS) -> Iterator[Bucket]:
    """A bucket whose server does not run."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # so that nobody else listens there
        yield Bucket(replace(s3.settings("any"), endpoint=f"http://127.0.0.1:{taken.getsockname()[1]}"))


# Verbs


def test_what_is_put_is_got(bucket: Bucket) -> None:
    etag = bucket.put("verbs-1/a.json", b'{"a": 1}', replaces=None)
    assert bucket.get("verbs-1/a.json") == (b'{"a": 1}', etag)
    assert bucket.find("verbs-1/a.json") == (b'{"a": 1}', etag)
    assert bucket.size("verbs-1/a.json") == 8


def test_what_is_not_there_is_not_found(bucket: Bucket) -> None:
    assert bucket.find("verbs-2/none") is None
    assert bucket.size("verbs-2/none") is None
    with pytest.raises(ObjectNotFoundError, match="verbs-2/none"):
        bucket.get("verbs-2/none")
    with pytest.raises(ObjectNotFoundError):
        bucket.get_range("verbs-2/none", 0, 1)
    with pytest.raises(ObjectNotFoundError):
        list(bucket.chunks("verbs-2/none"))
    with pytest.raises(ObjectNotFoundError):
        bucket.download("verbs-2/none", io.BytesIO(), sha256(b""))
    with pytest.raises(ObjectNotFoundError):
        bucket.get_if_changed("verbs-2/none", '"d41d8cd98f00b204e9800998ecf8427e"')


def test_an_unchanged_object_is_not_sent_again(bucket: Bucket) -> None:
    first = bucket.put("verbs-3/a.json", b"one", replaces=None)
    assert bucket.get_if_changed("verbs-3/a.json", None) == (b"one", first)
    assert bucket.get_if_changed("verbs-3/a.json", first) is None
    second = bucket.put("verbs-3/a.json", b"two", replaces=first)
    assert bucket.get_if_changed("verbs-3/a.json", first) == (b"two", second)


@pytest.mark.parametrize("size", [0, 1, 70_000, 3 * CHUNK + 17])
def test_a_file_comes_back_byte_for_byte(
    bucket: Bucket, put_file: Callable[[str, bytes], str], tmp_path: Path, size: int
) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    key = f"verbs-4/{size}.tar"
    digest = put_file(key, content)
    assert bucket.size(key) == size
    assert b"".join(bucket.chunks(key)) == content
    target = tmp_path / "down"
    with target.open("wb") as file:
        bucket.download(key, file, digest)
    assert target.read_bytes() == content


def test_big_objects_are_read_in_pieces(bucket: Bucket, put_file: Callable[[str, bytes], str]) -> None:
    put_file("verbs-5/big.tar", bytes(2 * CHUNK + 1))
    assert max(map(len, bucket.chunks("verbs-5/big.tar"))) <= CHUNK


def test_a_range_is_just_those_bytes(bucket: Bucket, put_file: Callable[[str, bytes], str]) -> None:
    content = bytes(range(256)) * 40
    put_file("verbs-6/a.tar", content)
    for offset, size in [(0, 1), (0, len(content)), (255, 3), (len(content) - 1, 1)]:
        assert bucket.get_range("verbs-6/a.tar", offset, size) == content[offset : offset + size]


def test_a_range_beyond_a_shortened_object_says_that_the_object_is_not_what_was_published(
    bucket: Bucket, put_file: Callable[[str, bytes], str]
) -> None:
    put_file("verbs-7/short.tar", b"short")
    with pytest.raises(CorruptObjectError, match=r"verbs-7/short\.tar"):
        bucket.get_range("verbs-7/short.tar", 5000, 10)


def test_keys_are_listed_with_their_sizes(bucket: Bucket, put_file: Callable[[str, bytes], str]) -> None:
    for name in ("a", "b/c", "b/d"):
        put_file(f"verbs-8/{name}", name.encode())
    put_file("verbs-8b/other", b"")
    assert sorted(bucket.list("verbs-8/")) == [("verbs-8/a", 1), ("verbs-8/b/c", 3), ("verbs-8/b/d", 3)]
    assert list(bucket.list("verbs-8/none")) == []
    assert {"verbs-8/", "verbs-8b/"} <= set(bucket.prefixes())


def test_lists_longer_than_a_page_are_whole(s3: SeaweedFS, bucket: Bucket) -> None:
    names = [f"verbs-9/{number:04}" for number in range(1050)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: bucket.put(name, b"x", replaces=None), names))
    assert [key for key, _ in bucket.list("verbs-9/")] == names


def test_what_is_deleted_is_gone_and_deleting_it_again_does_no_harm(bucket: Bucket) -> None:
    bucket.put("verbs-10/a", b"a", replaces=None)
    bucket.delete("verbs-10/a")
    assert bucket.find("verbs-10/a") is None
    bucket.delete("verbs-10/a")


def test_keys_may_hold_what_file_names_hold(bucket: Bucket) -> None:
    key = "verbs-11/batch 2/ünïcode+%20&=?.json"
    bucket.put(key, b"here", replaces=None)
    assert bucket.get(key).content == b"here"
    assert [found for found, _ in bucket.list("verbs-11/")] == [key]


def test_making_the_bucket_again_keeps_what_is_in_it(bucket: Bucket) -> None:
    bucket.put("verbs-12/a", b"a", replaces=None)
    bucket.create()
    bucket.check()
    assert bucket.get("verbs-12/a").content == b"a"


# Conditional writes


def test_a_first_write_never_overwrites(bucket: Bucket) -> None:
    bucket.put("conditional-1", b"first", replaces=None)
    with pytest.raises(PreconditionFailedError, match="conditional-1"):
        bucket.put("conditional-1", b"second", replaces=None)
    assert bucket.get("conditional-1").content == b"first"


def test_a_write_over_what_changed_meanwhile_is_refused(bucket: Bucket) -> None:
    first = bucket.put("conditional-2", b"one", replaces=None)
    bucket.put("conditional-2", b"two", replaces=first)
    with pytest.raises(PreconditionFailedError):
        bucket.put("conditional-2", b"three", replaces=first)
    assert bucket.get("conditional-2").content == b"two"


def race(bucket: Bucket, key: str, replaces: str | None, racers: int = 16) -> list[bytes]:
    """Contents of all the writes that were accepted."""
    start = threading.Barrier(racers)

    def write(number: int) -> bytes | None:
        content = f"racer {number}".encode()
        start.wait()
        try:
            bucket.put(key, content, replaces=replaces)
        except PreconditionFailedError:
            return None
        return content

    with ThreadPoolExecutor(racers) as pool:
        return [content for content in pool.map(write, range(racers)) if content is not None]


def test_of_many_first_writes_one_wins(bucket: Bucket) -> None:
    winners = race(bucket, "conditional-3/a", None)
    assert winners == [bucket.get("conditional-3/a").content]


def test_of_many_replacements_one_wins(bucket: Bucket) -> None:
    etag = bucket.put("conditional-4/a", b"before", replaces=None)
    winners = race(bucket, "conditional-4/a", etag, racers=8)
    assert winners == [bucket.get("conditional-4/a").content]


# Hashes


def test_the_store_refuses_a_file_that_is_not_what_its_hash_says(bucket: Bucket, tmp_path: Path) -> None:
    path = tmp_path / "changed"
    path.write_bytes(b"changed while it was sent")
    with pytest.raises(StoreRefusedError):
        bucket.put_file("hashes-1/a.tar", path, sha256(b"what was checked"), TAR)
    assert bucket.find("hashes-1/a.tar") is None


def test_a_download_of_other_bytes_is_refused(bucket: Bucket, put_file: Callable[[str, bytes], str]) -> None:
    held = put_file("hashes-2/a.tar", b"rotten")
    with pytest.raises(CorruptObjectError) as caught:
        bucket.download("hashes-2/a.tar", io.BytesIO(), sha256(b"sound"))
    for part in ("hashes-2/a.tar", sha256(b"sound"), held):
        assert part in str(caught.value)


@pytest.fixture
def few_bytes_a_put(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if S3 took 6 MiB in one PUT and not 5 GiB; parts have at least 5."""
    monkeypatch.setattr(bucket_module, "MAX_PUT_BYTES", 6 << 20)
    monkeypatch.setattr(bucket_module, "PART_BYTES", 5 << 20)


@pytest.mark.usefixtures("few_bytes_a_put")
def test_a_file_larger_than_one_put_takes_is_sent_in_parts(
    bucket: Bucket, put_file: Callable[[str, bytes], str], tmp_path: Path
) -> None:
    content = np.random.default_rng(5).bytes(12 << 20)
    digest = put_file("hashes-3/huge.tar", content)
    assert bucket.holds("hashes-3/huge.tar", len(content), digest)
    with (tmp_path / "back").open("wb") as target:
        bucket.download("hashes-3/huge.tar", target, digest)
    assert (tmp_path / "back").read_bytes() == content


@pytest.mark.usefixtures("few_bytes_a_put")
def test_parts_that_are_not_the_file_in_the_end_are_not_left(bucket: Bucket, tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(bytes(7 << 20))
    with pytest.raises(CorruptObjectError, match="published with"):
        bucket.put_file("hashes-4/huge.tar", path, sha256(b"something else"), TAR)
    assert bucket.size("hashes-4/huge.tar") is None


# Refusals


VERBS: dict[str, Callable[[Bucket], object]] = {
    "get": lambda bucket: bucket.get("refusals/a"),
    "find": lambda bucket: bucket.find("refusals/a"),
    "get_if_changed": lambda bucket: bucket.get_if_changed("refusals/a", '"0"'),
    "get_range": lambda bucket: bucket.get_range("refusals/a", 0, 1),
    "chunks": lambda bucket: list(bucket.chunks("refusals/a")),
    "download": lambda bucket: bucket.download("refusals/a", io.BytesIO(), sha256(b"")),
    "put": lambda bucket: bucket.put("refusals/a", b"", replaces=None),
    "put_file": lambda bucket: bucket.put_file("refusals/a", Path(__file__), _own_sha256(), TAR),
    "prefixes": lambda bucket: bucket.prefixes(),
    "list": lambda bucket: list(bucket.list("refusals/")),
    "delete": lambda bucket: bucket.delete("refusals/a"),
    "check": lambda bucket: bucket.check(),
    "create": lambda bucket: bucket.create(),
    "size": lambda bucket: bucket.size("refusals/a"),
}


def _own_sha256() -> str:
    return sha256(Path(__file__).read_bytes())


@pytest.mark.parametrize("verb", VERBS)
def test_wrong_keys_are_refused(nobody: Bucket, verb: str) -> None:
    with pytest.raises(StoreRefusedError, match="403"):
        VERBS[verb](nobody)


@pytest.mark.parametrize("verb", ["get", "find", "get_range", "chunks", "download", "prefixes", "list", "check"])
def test_a_missing_bucket_is_called_that_and_not_a_missing_object(bucketless: Bucket, verb: str) -> None:
    with pytest.raises(StoreRefusedError, match="no such bucket"):
        VERBS[verb](bucketless)


@pytest.mark.parametrize("verb", VERBS)
def test_no_server_is_told_soon(away: Bucket, verb: str) -> None:
    with pytest.raises(StoreUnavailableError, match="no answer"):
        VERBS[verb](away)


@pytest.mark.parametrize("verb", ["get", "put", "check"])
def test_a_server_that_hangs_is_given_up_after_the_time_set(s3: SeaweedFS, verb: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = replace(s3.settings("any"), endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2)
        with pytest.raises(StoreUnavailableError, match="no answer"):
            VERBS[verb](Bucket(settings))


def test_a_connection_that_is_hung_up_is_a_store_that_is_away(s3: SeaweedFS, gate: Gate) -> None:
    bucket = Bucket(replace(s3.settings("any"), endpoint=gate.endpoint))
    gate.shut()
    with pytest.raises(StoreUnavailableError):
        bucket.get("a")


def test_a_download_that_is_cut_off_is_told_and_the_next_one_succeeds(
    bucket: Bucket, gate: Gate, put_file: Callable[[str, bytes], str]
) -> None:
    content = bytes(range(256)) * 8192
    digest = put_file("refusals-cut/a.tar", content)
    behind = Bucket(replace(bucket.settings, endpoint=gate.endpoint))
    gate.cut_after = 1_000_000
    with pytest.raises(StoreUnavailableError):
        behind.download("refusals-cut/a.tar", io.BytesIO(), digest)
    with pytest.raises(StoreUnavailableError):
        behind.get("refusals-cut/a.tar")
    with pytest.raises(StoreUnavailableError):
        behind.get_range("refusals-cut/a.tar", 0, len(content))
    gate.cut_after = None
    target = io.BytesIO()
    behind.download("refusals-cut/a.tar", target, digest)
    assert target.getvalue() == content


def test_a_bucket_recovers_when_the_network_is_back(bucket: Bucket, gate: Gate) -> None:
    bucket.put("refusals-back/a", b"a", replaces=None)
    behind = Bucket(replace(bucket.settings, endpoint=gate.endpoint))
    assert behind.get("refusals-back/a").content == b"a"
    gate.shut()
    with pytest.raises(StoreUnavailableError):
        behind.get("refusals-back/a")
    gate.open()
    assert behind.get("refusals-back/a").content == b"a"


@pytest.mark.parametrize(
    "wrong",
    [
        {"bucket": "no spaces in here"},
        {"region": "not a region!"},
        {"endpoint": "http://:9000"},
        {"endpoint": "http://[::1"},
        {"endpoint": "http://two..dots:9000"},
    ],
    ids=str,
)
def test_settings_that_can_never_work_are_a_refusal_and_not_a_store_that_is_away(
    s3: SeaweedFS, wrong: dict[str, str]
) -> None:
    with pytest.raises(StoreRefusedError):
        Bucket(replace(s3.settings("gygo-any"), **wrong)).check()


def test_without_credentials_the_refusal_says_so(s3: SeaweedFS) -> None:
    with pytest.raises(StoreRefusedError, match="AWS_ACCESS_KEY_ID"):
        _in_a_process({}, s3)


def test_an_unknown_profile_is_a_refusal(s3: SeaweedFS) -> None:
    with pytest.raises(StoreRefusedError, match="profile"):
        _in_a_process({"AWS_PROFILE": "there-is-none"}, s3)


def _in_a_process(environment: dict[str, str], s3: SeaweedFS) -> None:
    """Check the bucket in a process with no credentials but these, and raise what it raised."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        raised = pool.apply(bucket_processes.check_with, (environment, s3.settings("any")))
    if raised is not None:
        raise raised


def test_no_secret_is_in_an_error_or_a_repr(s3: SeaweedFS, nobody: Bucket) -> None:
    own = Bucket(nobody.settings, credentials=(s3.access_key, s3.secret_key))
    with pytest.raises(StoreRefusedError) as caught:
        nobody.get("refusals/a")
    for text in (repr(own), str(own), repr(own.settings), str(caught.value), repr(nobody)):
        assert s3.secret_key not in text
        assert "wrong" not in text


# Processes


def test_a_bucket_in_use_goes_on_in_a_forked_process(bucket: Bucket) -> None:
    bucket.put("forks/a", b"before the fork", replaces=None)
    assert bucket_processes.read_in_a_fork(bucket, "forks/a") == b"before the fork"
    assert bucket.get("forks/a").content == b"before the fork"
