"""`latest`, new releases, withdrawn ones, datasets without any, and buckets that do not hold what was published."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from checked_client import PROBLEM, CheckedClient
from clip_trees import Clip, Tree

from gygo_server.ingest.releases import withdraw
from gygo_server.model import Dataset
from gygo_server.store import dataset_file, keys
from gygo_server.store.bucket import Bucket

PATHS = [
    "",
    "/imagesets/train.txt",
    "/videos",
    "/videos/a",
    "/videos/a/archive",
    "/videos/a/frames",
    "/videos/a/frames/0",
    "/videos/a/frames/0/image",
    "/videos/a/frames/0/mask",
]
CLIPS = [Clip("a", ((1,), (1, 2)), splits=("train",), category="toys"), Clip("b", ((1,),), splits=("val",))]


def until(true: Callable[[], bool], seconds: float = 15) -> None:
    """Wait until it is true; the service looks for new releases every 0.2 s."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", ["", "?limit=2&sort=-name", "?q=a%20b%26c&q=%C3%A4+x", "?anything=is&kept=%00"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_latest_leads_to_the_same_path_and_query_of_the_newest(
    api: CheckedClient, path: str, query: str, method: str
) -> None:
    answer = api.open(f"/v1/datasets/toys/releases/latest{path}{query}", method=method)
    assert answer.status_code == 307
    assert answer.location == f"http://localhost/v1/datasets/toys/releases/r1{path}{query}"
    assert answer.headers["Cache-Control"] == "no-cache"


def test_latest_keeps_names_that_need_quoting(api: CheckedClient) -> None:
    answer = api.get("/v1/datasets/toys/releases/latest/videos/a%3Fb%23c%25d:e%20%C3%A4/frames")
    assert answer.location == "http://localhost/v1/datasets/toys/releases/r1/videos/a%3Fb%23c%25d:e%20%C3%A4/frames"


def test_latest_keeps_a_query_that_is_not_ascii(api: CheckedClient) -> None:
    answer = api.open("/v1/datasets/toys/releases/latest/videos", environ_overrides={"QUERY_STRING": "q=\xc3\xa4"})
    assert answer.status_code == 307
    assert answer.location.endswith("?q=%C3%A4")


def test_a_video_may_be_named_latest(publish_clips: Callable[..., Tree], fresh_api: CheckedClient) -> None:
    publish_clips("api-latest", [Clip("releases/latest", ((1,),))])
    moved = fresh_api.get("/v1/datasets/api-latest/releases/latest/videos/releases:latest/frames")
    assert moved.location.endswith("/releases/r1/videos/releases:latest/frames")
    assert fresh_api.get(moved.location).status_code == 200


def test_a_new_release_becomes_visible_and_is_the_latest(
    publish_clips: Callable[..., Tree], fresh_api: CheckedClient
) -> None:
    dataset = "/v1/datasets/api-grows"
    assert fresh_api.get(dataset).status_code == 404
    publish_clips("api-grows", CLIPS[:1], "one", title="Grows")
    until(lambda: fresh_api.get(dataset).status_code == 200)
    first = fresh_api.get(dataset)
    one = fresh_api.get(f"{dataset}/releases/one")
    assert (first.json["latest_release"], one.json["changes"]) == ("one", None)
    publish_clips("api-grows", CLIPS, "two")
    # A release that is asked for by name is there at once, not only after the next refresh.
    until(lambda: fresh_api.get(f"{dataset}/releases/two").status_code == 200, 5)
    until(lambda: fresh_api.get(f"{dataset}/releases/latest").location.endswith("/two"))
    second = fresh_api.get(dataset, headers={"If-None-Match": first.headers["ETag"]})
    assert second.status_code == 200
    assert [release["id"] for release in second.json["releases"]] == ["one", "two"]
    assert second.headers["Cache-Control"] == "public, no-cache"
    two = fresh_api.get(f"{dataset}/releases/two").json
    assert two["changes"] == {"since": "one", "added": 1, "changed": 0, "removed": 0}
    # The old one is what it was, to the byte.
    again = fresh_api.get(f"{dataset}/releases/one")
    assert (again.data, again.headers["ETag"]) == (one.data, one.headers["ETag"])


def test_a_withdrawn_release_is_gone_and_no_longer_the_latest(
    publish_clips: Callable[..., Tree], bucket: Bucket, fresh_api: CheckedClient
) -> None:
    base = "/v1/datasets/api-withdrawn"
    publish_clips("api-withdrawn", CLIPS, "one")
    publish_clips("api-withdrawn", CLIPS, "two")
    known = {path: fresh_api.get(f"{base}/releases/two{path}") for path in PATHS}
    assert fresh_api.get(f"{base}/releases/latest").location.endswith("/two")
    withdraw(bucket, "api-withdrawn", "two", "faces in it")
    until(lambda: fresh_api.get(f"{base}/releases/two").status_code == 410)
    for path in PATHS:
        for headers in ({}, {"If-None-Match": known[path].headers.get("ETag", "*")}, {"If-None-Match": "*"}):
            answer = fresh_api.get(f"{base}/releases/two{path}", headers=headers)
            assert (answer.status_code, answer.mimetype) == (410, PROBLEM)
            assert answer.json["type"] == "urn:gygo:problem:release-withdrawn"
            assert "faces in it" in answer.json["detail"]
        assert fresh_api.head(f"{base}/releases/two{path}").status_code == 410
    assert fresh_api.get(f"{base}/releases/latest").location.endswith("/one")
    told = fresh_api.get(base).json
    assert told["latest_release"] == "one"
    assert [bool(release["withdrawn_at"]) for release in told["releases"]] == [False, True]
    withdraw(bucket, "api-withdrawn", "one", None)
    until(lambda: fresh_api.get(f"{base}/releases/one").status_code == 410)
    assert fresh_api.get(f"{base}/releases/latest").status_code == 410
    assert fresh_api.get(base).json["latest_release"] is None


def test_a_dataset_without_releases_has_no_latest(bucket: Bucket, fresh_api: CheckedClient) -> None:
    base = "/v1/datasets/api-empty"
    bucket.put(keys.dataset_file("api-empty"), dataset_file.encode(Dataset("api-empty", "Nothing yet")), replaces=None)
    until(lambda: fresh_api.get(base).status_code == 200)
    told = fresh_api.get(base).json
    assert (told["releases"], told["latest_release"]) == ([], None)
    assert "latest" not in told["links"]
    for path in PATHS:
        answer = fresh_api.get(f"{base}/releases/latest{path}")
        assert answer.status_code == 404
        assert answer.json["type"] == "urn:gygo:problem:release-not-found"
    assert fresh_api.get(f"{base}/releases/r1").status_code == 404


def test_other_folders_of_the_bucket_are_no_datasets(bucket: Bucket, fresh_api: CheckedClient) -> None:
    bucket.put("_keys/api.json", b"{}", replaces=None)
    bucket.put("api-half/videos/0.tar", b"", replaces=None)
    ids = [dataset["id"] for dataset in fresh_api.get("/v1/datasets?limit=1000").json["items"]]
    assert not {"_keys", "api-half"} & set(ids)
    assert fresh_api.get("/v1/datasets/api-half").status_code == 404


# A bucket that does not hold what was published


def archive_key(api: CheckedClient, dataset: str, video: str) -> str:
    told = api.get(f"/v1/datasets/{dataset}/releases/r1/videos/{video}").json
    return keys.archive(dataset, told["resolutions"][0]["archive"]["sha256"])


def overwrite(bucket: Bucket, key: str, content: bytes) -> None:
    bucket.put(key, content, replaces=bucket.get(key).etag)


@pytest.mark.parametrize("spoilt", ["flipped", "shorter", "longer", "empty", "missing"])
def test_other_bytes_in_the_bucket_are_never_served_as_good(
    publish_clips: Callable[..., Tree], bucket: Bucket, api_with: Callable[..., CheckedClient], spoilt: str
) -> None:
    dataset = f"api-spoilt-{spoilt}"
    tree = publish_clips(dataset, CLIPS)
    api, uncached = api_with(), api_with(cache_bytes=1)
    frames = f"/v1/datasets/{dataset}/releases/r1/videos/a/frames"
    key = archive_key(api, dataset, "a")
    good = bucket.get(key).content
    middle = good.index(tree.files["JPEGImages/480p/a/00000.jpg"]) + 20
    other = {
        "flipped": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
        "shorter": good[: middle // 2],
        "longer": good + b"more",
        "empty": b"",
    }
    if spoilt == "missing":
        bucket.delete(key)
    else:
        overwrite(bucket, key, other[spoilt])
    for replica in (api, uncached):
        for _ in range(2):
            answer = replica.get(f"{frames}/0/image")
            if replica is uncached and spoilt == "longer":
                assert answer.data == tree.files["JPEGImages/480p/a/00000.jpg"]  # a ranged read of the right bytes
                continue
            assert (answer.status_code, answer.mimetype) == (502, PROBLEM)
            assert answer.json["type"] == "urn:gygo:problem:stored-bytes-wrong"
    # The other video is whole, and metadata does not need the archives.
    assert api.get(f"/v1/datasets/{dataset}/releases/r1/videos/b/frames/0/image").status_code == 200
    assert api.get(f"{frames}/0").status_code == 200
    # Mended, it is served at once.
    if spoilt == "missing":
        bucket.put(key, good, replaces=None)
    else:
        overwrite(bucket, key, good)
    for replica in (api, uncached):
        assert replica.get(f"{frames}/0/image").data == tree.files["JPEGImages/480p/a/00000.jpg"]


@pytest.mark.parametrize("spoilt", [b"SQLite format 3\x00 but not", b""])
def test_a_spoilt_catalogue_is_a_502_for_its_release_and_for_no_other(
    publish_clips: Callable[..., Tree], bucket: Bucket, fresh_api: CheckedClient, spoilt: bytes
) -> None:
    dataset = f"api-catalogue-{len(spoilt)}"
    publish_clips(dataset, CLIPS, "one")
    publish_clips(dataset, CLIPS[:1], "two")
    found = dataset_file.decode(bucket.get(keys.dataset_file(dataset)).content, dataset)
    overwrite(bucket, keys.catalogue(dataset, "one", found.releases[0].catalogue_sha256), spoilt)
    for path in PATHS:
        answer = fresh_api.get(f"/v1/datasets/{dataset}/releases/one{path}")
        assert (answer.status_code, answer.mimetype) == (502, PROBLEM)
    assert fresh_api.get(f"/v1/datasets/{dataset}/releases/two").status_code == 200
    assert fresh_api.get(f"/v1/datasets/{dataset}").status_code == 200


def test_a_spoilt_dataset_file_does_not_take_the_others_away(
    publish_clips: Callable[..., Tree], bucket: Bucket, api_with: Callable[..., CheckedClient]
) -> None:
    publish_clips("api-file", CLIPS)
    before = api_with()
    assert before.get("/v1/datasets/api-file/releases/r1").status_code == 200
    overwrite(bucket, keys.dataset_file("api-file"), b"{")
    after = api_with()
    assert after.get("/v1/datasets/api-file").status_code == 404
    assert after.get("/v1/datasets/toys").status_code == 200
    time.sleep(0.3)
    assert before.get("/v1/datasets/api-file/releases/r1").status_code == 200
    assert before.get("/v1/datasets/api-file/releases/r1").status_code == 200


# A store that is not there


def test_without_the_store_a_fresh_replica_says_so(api_with: Callable[..., CheckedClient], settings: object) -> None:
    nowhere = replace(settings.s3, endpoint="http://127.0.0.1:9", timeout=1.0)  # type: ignore[attr-defined]
    api = api_with(s3=nowhere)
    for path in (
        "/v1/datasets",
        "/v1/datasets/toys",
        "/v1/datasets/toys/releases/latest",
        "/v1/datasets/toys/releases/r1",
    ):
        answer = api.get(path)
        assert (answer.status_code, answer.mimetype) == (503, PROBLEM)
        assert answer.json["type"] == "urn:gygo:problem:store-unavailable"
        assert "127.0.0.1" not in answer.text.replace("http://localhost", "")
    assert api.get("/healthz").status_code == 200
    ready = api.get("/readyz")
    assert (ready.status_code, ready.mimetype) == (503, "application/json")
    assert ready.json["status"] == "not ready"
    checks = ready.json["checks"]
    assert checks.pop("limits") == "ok"
    assert all("no answer" in why for why in checks.values())
    assert api.get("/openapi.json").status_code == 200


def test_a_ready_replica_says_so(api: CheckedClient) -> None:
    answer = api.get("/readyz")
    assert answer.json == {"status": "ready", "checks": {"store": "ok", "datasets": "ok", "limits": "ok"}}
    assert "Retry-After" not in answer.headers


def test_a_bucket_that_is_not_there_is_not_ready(api_with: Callable[..., CheckedClient], settings: object) -> None:
    api = api_with(s3=replace(settings.s3, bucket="gygo-no-such-bucket"))  # type: ignore[attr-defined]
    answer = api.get("/readyz")
    assert answer.status_code == 503
    assert "no such bucket" in answer.json["checks"]["store"]


def test_a_disk_that_cannot_be_written_is_no_reason_not_to_serve_frames(
    api_with: Callable[..., CheckedClient], published: dict[str, Path], tmp_path: Path
) -> None:
    api = api_with(cache_dir=tmp_path / "small", cache_bytes=10)
    video = api.get("/v1/datasets/multi/releases/r1/videos?limit=1").json["items"][0]["id"]
    answer = api.get(f"/v1/datasets/multi/releases/r1/videos/{video}/frames/0/image")
    assert answer.data == (published["multi"] / f"JPEGImages/480p/{video}/00000.jpg").read_bytes()
    part = api.get(f"/v1/datasets/multi/releases/r1/videos/{video}/frames/0/image", headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.data) == (206, answer.data[5:10])
