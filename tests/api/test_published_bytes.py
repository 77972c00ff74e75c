"""Pictures, masks and archives are the source's files, byte for byte, whole or in part."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3
from checked_client import PROBLEM, CheckedClient
from clip_trees import Clip, Tree, files_of

from gygo_server.ingest.publication import Report

IMMUTABLE = "public, max-age=31536000, immutable"


def walk(api: CheckedClient, url: str | None) -> Iterator[dict]:
    while url:
        page = api.get(url).json
        yield from page["items"]
        url = page["next"]


def downloaded(api: CheckedClient, release: str, resolution: str) -> dict[str, bytes]:
    """Every image and mask at a resolution by the source's path, fetched one by one from the URLs that frames give."""
    found = {}
    for video in walk(api, f"{release}/videos"):
        for frame in walk(api, f"{release}/videos/{video['id']}/frames?resolution={resolution}"):
            for top, kind, suffix in (("JPEGImages", "image", "jpg"), ("Annotations", "mask", "png")):
                if frame[kind]:
                    answer = api.get(frame[kind]["url"])
                    assert answer.status_code == 200
                    assert len(answer.data) == frame[kind]["size"]
                    assert hashlib.sha256(answer.data).hexdigest() == frame[kind]["sha256"]
                    found[f"{top}/{resolution}/{video['name']}/{frame['name']}.{suffix}"] = answer.data
    return found


@pytest.mark.parametrize("dataset", ["toys", "multi"])
@pytest.mark.parametrize("resolution", ["480p", "original"])
def test_images_and_masks_are_the_files_of_the_source(
    api: CheckedClient, published: dict[str, Path], dataset: str, resolution: str
) -> None:
    source = files_of(published[dataset], f"JPEGImages/{resolution}", f"Annotations/{resolution}")
    assert downloaded(api, f"/v1/datasets/{dataset}/releases/r1", resolution) == source


def test_images_and_masks_of_real_sequences_are_the_files_of_the_source(
    fresh_api: CheckedClient, publish_tree: Callable[..., Report], public_tree: Path
) -> None:
    publish_tree(public_tree, "api-real")
    source = files_of(public_tree)
    assert source
    assert downloaded(fresh_api, "/v1/datasets/api-real/releases/r1", "480p") == source


def test_without_a_resolution_the_releases_default_is_meant(api: CheckedClient, multi: str, first: str) -> None:
    assert api.get(multi).json["default_resolution"] == "480p"
    for kind in ("image", "mask"):
        url = f"{multi}/videos/{first}/frames/0/{kind}"
        assert api.get(url).data == api.get(f"{url}?resolution=480p").data != api.get(f"{url}?resolution=original").data


def test_frames_without_a_mask_say_so(publish_clips: Callable[..., Tree], fresh_api: CheckedClient) -> None:
    publish_clips("api-sparse", [Clip("a", ((1,), None, (1, 2)))])
    frames = "/v1/datasets/api-sparse/releases/r1/videos/a/frames"
    assert [bool(frame["mask"]) for frame in fresh_api.get(frames).json["items"]] == [True, False, True]
    assert fresh_api.get(f"{frames}/1/image").status_code == 200
    missing = fresh_api.get(f"{frames}/1/mask")
    assert missing.status_code == 404
    assert missing.json["type"] == "urn:gygo:problem:mask-not-found"
    assert "has_mask=true" in missing.json["detail"]
    assert fresh_api.get(f"{frames}/3/mask").json["type"] == "urn:gygo:problem:frame-not-found"


# Archives


@pytest.mark.parametrize("resolution", [None, "480p", "original"])
def test_archives_hold_the_files_of_the_source_and_nothing_else(
    api: CheckedClient, published: dict[str, Path], resolution: str | None
) -> None:
    found = {}
    release = "/v1/datasets/toys/releases/r1"
    for video in walk(api, f"{release}/videos"):
        moved = api.get(video["links"]["archive"], query_string={"resolution": resolution} if resolution else {})
        assert moved.status_code == 307
        assert moved.headers["Cache-Control"] == "private, no-store"
        fetched = urllib3.request("GET", moved.location)
        assert fetched.status == 200
        (stated,) = [each for each in video["resolutions"] if each["resolution"] == (resolution or "480p")]
        assert len(fetched.data) == stated["archive"]["bytes"]
        assert hashlib.sha256(fetched.data).hexdigest() == stated["archive"]["sha256"]
        assert fetched.headers["Content-Disposition"].endswith('.tar"')
        with tarfile.open(fileobj=io.BytesIO(fetched.data)) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    place = resolution or "480p"
    assert found == files_of(published["toys"], f"JPEGImages/{place}", f"Annotations/{place}")


def test_head_of_an_archive_leads_to_a_url_signed_for_head(api: CheckedClient, multi: str, first: str) -> None:
    moved = api.head(f"{multi}/videos/{first}/archive")
    assert (moved.status_code, moved.data) == (307, b"")
    got = urllib3.request("GET", api.get(f"{multi}/videos/{first}/archive").location)
    head = urllib3.request("HEAD", moved.location)
    assert head.status == 200
    assert head.headers["Content-Length"] == str(len(got.data))


def test_frame_listings_give_the_bytes_of_a_clip_in_the_archive(api: CheckedClient, multi: str, first: str) -> None:
    frames = api.get(f"{multi}/videos/{first}/frames").json["items"]
    url = api.get(f"{multi}/videos/{first}/archive").location
    start, end = frames[1]["range"]["start"], frames[2]["range"]["end"]
    part = urllib3.request("GET", url, headers={"Range": f"bytes={start}-{end - 1}"})
    assert part.status == 206
    with tarfile.open(fileobj=io.BytesIO(part.data + bytes(1024))) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    for frame in frames[1:3]:
        for kind, name in (("image", "JPEGImages"), ("mask", "Annotations")):
            (content,) = [
                data for path, data in members.items() if path.startswith(name) and f"/{frame['name']}." in path
            ]
            assert content == api.get(frame[kind]["url"]).data
            offset = frame[kind]["offset"] - start
            assert part.data[offset : offset + frame[kind]["size"]] == content


@pytest.mark.parametrize("path", ["archive", "frames", "frames/0", "frames/0/image", "frames/0/mask"])
def test_a_resolution_that_is_not_there_is_named_with_those_there_are(
    api: CheckedClient, multi: str, first: str, path: str
) -> None:
    answer = api.get(f"{multi}/videos/{first}/{path}?resolution=4k")
    assert answer.status_code == 404
    assert answer.json["type"] == "urn:gygo:problem:resolution-not-found"
    (error,) = answer.json["errors"]
    assert (error["location"], error["field"]) == ("query", "resolution")
    assert "480p" in error["message"]
    assert "original" in error["message"]


# Ranges


@pytest.fixture(scope="module")
def multi() -> str:
    return "/v1/datasets/multi/releases/r1"


@pytest.fixture(scope="module")
def first(api: CheckedClient, multi: str) -> str:
    video: str = api.get(f"{multi}/videos?limit=1").json["items"][0]["id"]
    return video


@pytest.fixture(scope="module", params=["image", "mask"])
def picture(request: pytest.FixtureRequest, multi: str, first: str) -> str:
    return f"{multi}/videos/{first}/frames/1/{request.param}"


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=100-", 100, None),
        ("bytes=-7", -7, None),
        ("bytes=1-999999999", 1, None),
        ("bytes= 3-5", 3, 6),
    ],
)
def test_a_range_is_a_206_with_just_those_bytes(
    api: CheckedClient, picture: str, asked: str, start: int, stop: int | None
) -> None:
    whole = api.get(picture)
    part = api.get(picture, headers={"Range": asked})
    assert part.status_code == 206
    assert part.data == whole.data[start:stop]
    first = start % len(whole.data)
    assert part.headers["Content-Range"] == f"bytes {first}-{first + len(part.data) - 1}/{len(whole.data)}"
    assert part.headers["Content-Length"] == str(len(part.data))
    for same in ("ETag", "Cache-Control", "Accept-Ranges", "Content-Type", "Repr-Digest"):
        assert part.headers[same] == whole.headers[same]


def test_what_is_sent_says_what_it_is(api: CheckedClient, picture: str) -> None:
    answer = api.get(picture)
    digest = hashlib.sha256(answer.data).digest()
    assert answer.headers["ETag"] == f'"{digest.hex()}"'
    assert answer.headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"] == IMMUTABLE


def test_pieces_make_up_the_whole(api: CheckedClient, picture: str) -> None:
    whole, pieces = api.get(picture).data, b""
    while len(pieces) < len(whole):
        piece = api.get(picture, headers={"Range": f"bytes={len(pieces)}-{len(pieces) + 1499}"})
        pieces += piece.data
    assert pieces == whole


@pytest.mark.parametrize("asked", ["bytes=0-", "bytes=0-999999999", "bytes=-999999999"])
def test_a_range_that_is_the_whole_is_the_whole(api: CheckedClient, picture: str, asked: str) -> None:
    answer = api.get(picture, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.data == api.get(picture).data


@pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=999999998-999999999", "bytes=-0"])
def test_a_range_outside_of_the_file_is_a_416_that_says_how_long_it_is(
    api: CheckedClient, picture: str, asked: str
) -> None:
    size = len(api.get(picture).data)
    answer = api.get(picture, headers={"Range": asked})
    assert (answer.status_code, answer.mimetype) == (416, PROBLEM)
    assert answer.headers["Content-Range"] == f"bytes */{size}"
    (error,) = answer.json["errors"]
    assert (error["location"], error["field"]) == ("headers", "Range")


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,4-5",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=",
        "bytes",
        "bytes=-",
        "bytes=1-2-3",
        "bytes=+1-2",
        "frames=0-1",
        "items=0-5",
        "",
        "0-5",
        "bytes=0x1-0x2",
        "bytes=\u0661-\u0662",
    ],
)
def test_ranges_that_are_not_understood_are_answered_with_the_whole(
    api: CheckedClient, picture: str, asked: str
) -> None:
    answer = api.get(picture, headers={"Range": asked})
    assert answer.status_code == 200
    assert answer.data == api.get(picture).data
    assert "Content-Range" not in answer.headers


def test_if_range_gives_the_part_only_of_the_same_file(api: CheckedClient, picture: str) -> None:
    whole = api.get(picture)
    tag = whole.headers["ETag"]
    same = api.get(picture, headers={"Range": "bytes=1-3", "If-Range": tag})
    assert (same.status_code, same.data) == (206, whole.data[1:4])
    # Weak tags and dates never match: RFC 9110 wants a strong comparison, and there is no Last-Modified.
    for other in ('"another"', f"W/{tag}", "Wed, 21 Oct 2015 07:28:00 GMT", tag.strip('"')):
        answer = api.get(picture, headers={"Range": "bytes=1-3", "If-Range": other})
        assert (answer.status_code, answer.data) == (200, whole.data)


def test_head_passes_over_ranges(api: CheckedClient, picture: str) -> None:
    size = len(api.get(picture).data)
    for asked in ("bytes=1-3", "bytes=999999999-"):
        answer = api.head(picture, headers={"Range": asked})
        assert answer.status_code == 200
        assert answer.headers["Content-Length"] == str(size)


def test_what_the_client_has_goes_before_what_part_it_asks_for(api: CheckedClient, picture: str) -> None:
    tag = api.get(picture).headers["ETag"]
    answer = api.get(picture, headers={"Range": "bytes=1-3", "If-None-Match": tag})
    assert (answer.status_code, answer.data) == (304, b"")


def test_json_takes_no_ranges(api: CheckedClient, multi: str) -> None:
    whole = api.get(multi)
    part = api.get(multi, headers={"Range": "bytes=0-5"})
    assert (part.status_code, part.data) == (200, whole.data)
    assert "Accept-Ranges" not in whole.headers or whole.headers["Accept-Ranges"] == "none"
