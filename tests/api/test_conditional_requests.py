"""Entity tags: what the client has is not sent, and the work for it is not done."""

from __future__ import annotations

import gzip
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import brotli
import pytest
from backports import zstd
from checked_client import CheckedClient
from clip_trees import Clip, Tree

from gygo_server.api.services import EXTENSION, Services
from gygo_server.settings import Settings

R1 = "/v1/datasets/multi/releases/r1"
JSON_PATHS = [
    R1,
    f"{R1}/videos?limit=3",
    f"{R1}/videos/VIDEO",
    f"{R1}/videos/VIDEO/frames",
    f"{R1}/imagesets/train.txt",
]
CHANGING = ["/v1/datasets", "/v1/datasets/multi", "/", "/openapi.json"]
DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": zstd.decompress,
}


@pytest.fixture(scope="module")
def video(api: CheckedClient) -> str:
    found: str = api.get(f"{R1}/videos?limit=1").json["items"][0]["id"]
    return found


@contextmanager
def statements(api: CheckedClient) -> Iterator[list[str]]:
    """The SQL that the application runs meanwhile."""
    found: list[str] = []
    services: Services = api.application.extensions[EXTENSION]
    connections = [db for each in services.library._catalogues.values() for db in each._db._idle.queue]
    assert connections
    for db in connections:
        db.set_trace_callback(found.append)
    try:
        yield found
    finally:
        for db in connections:
            db.set_trace_callback(None)


@pytest.mark.parametrize("path", JSON_PATHS)
def test_for_a_304_no_catalogue_is_asked(api_with: Callable[..., CheckedClient], video: str, path: str) -> None:
    path = path.replace("VIDEO", video)
    api = api_with(answers_bytes=0)  # finished answers are not kept either: this is the entity tag alone
    tag = api.get(path).headers["ETag"]
    with statements(api) as run:
        assert api.get(path, headers={"If-None-Match": tag}).status_code == 304
        assert api.head(path, headers={"If-None-Match": tag}).status_code == 304
    assert run == []
    with statements(api) as run:
        assert api.get(path.replace("limit=3", "limit=2")).status_code == 200
    assert run or "imagesets" not in path  # a catalogue's own document is kept: all else is asked for


@pytest.mark.parametrize("path", JSON_PATHS[1:4])
def test_an_answer_that_was_given_once_is_not_worked_out_again(
    api_with: Callable[..., CheckedClient], video: str, path: str
) -> None:
    path = path.replace("VIDEO", video)
    api = api_with()
    with statements(api_warm(api)) as run:
        first = api.get(path)
    assert run
    with statements(api) as run:
        again = api.get(path)
    assert run == []
    assert (again.data, again.headers["ETag"]) == (first.data, first.headers["ETag"])


def api_warm(api: CheckedClient) -> CheckedClient:
    """With the catalogue open."""
    assert api.get(R1).status_code == 200
    return api


def test_another_replica_gives_the_same_tags(
    api_with: Callable[..., CheckedClient], api: CheckedClient, video: str
) -> None:
    other = api_with()
    for template in [*JSON_PATHS, *CHANGING[1:], f"{R1}/videos/VIDEO/frames/0/image"]:
        path = template.replace("VIDEO", video)
        assert other.get(path).headers["ETag"] == api.get(path).headers["ETag"]


def test_for_a_304_of_a_picture_no_archive_is_fetched(
    api_with: Callable[..., CheckedClient], settings: Settings, video: str
) -> None:
    api = api_with()
    services: Services = api.application.extensions[EXTENSION]
    archives = services.settings.cache_dir / "archives"
    for kind in ("image", "mask"):
        url = f"{R1}/videos/{video}/frames/0/{kind}"
        head = api.head(url)
        assert head.status_code == 200
        assert int(head.headers["Content-Length"]) > 0
        tag = head.headers["ETag"]
        assert api.get(url, headers={"If-None-Match": tag}).status_code == 304
        assert not archives.exists()  # neither HEAD nor 304 needs a byte of the archive
        assert api.get(url).status_code == 200
        assert archives.exists()
        shutil.rmtree(archives)
        assert api.get(url, headers={"If-None-Match": tag}).status_code == 304
        assert not archives.exists()


@pytest.mark.parametrize("path", [*JSON_PATHS[:3], *CHANGING, f"{R1}/videos/VIDEO/frames/0/mask"])
def test_lists_weak_tags_and_the_star_match(api: CheckedClient, video: str, path: str) -> None:
    path = path.replace("VIDEO", video)
    first = api.get(path)
    tag = first.headers["ETag"]
    assert not tag.startswith("W/")
    for known in (tag, f"W/{tag}", f'"a", {tag}', f'"a", W/"b", W/{tag},"c"', "*", f'{tag[:-1]}:br"'):
        answer = api.get(path, headers={"If-None-Match": known})
        assert answer.status_code == 304, known
        assert answer.headers["ETag"].strip('"').split(":")[0] == tag.strip('"')
        assert answer.headers["Cache-Control"] == first.headers["Cache-Control"]
    for other in ('"a"', f'"{tag}"', tag[1:-1][:-1], f'"x{tag[1:]}', "", '"', "W/"):
        assert api.get(path, headers={"If-None-Match": other}).status_code == 200, other


@pytest.mark.parametrize("path", [f"{R1}/videos/nope", f"{R1}/videos?limit=0", f"{R1}/videos/VIDEO/frames/999999"])
def test_the_star_does_not_hide_errors(api: CheckedClient, video: str, path: str) -> None:
    answer = api.get(path.replace("VIDEO", video), headers={"If-None-Match": "*"})
    assert answer.status_code in {404, 422}


def test_tags_differ_with_the_question_and_its_answer(api: CheckedClient, video: str) -> None:
    paths = [
        R1,
        f"{R1}?fields=id",
        f"{R1}/videos",
        f"{R1}/videos?limit=3",
        f"{R1}/videos/{video}",
        f"{R1}/videos?sort=-name",
    ]
    assert len({api.get(path).headers["ETag"] for path in paths}) == len(paths)
    # Links are absolute, so the same question at another address has another answer.
    elsewhere = api.get(R1, headers={"Host": "other.example"})
    assert "other.example" in elsewhere.text
    assert elsewhere.headers["ETag"] != api.get(R1).headers["ETag"]


# Compression


@pytest.mark.parametrize("coding", sorted(DECODERS))
@pytest.mark.parametrize("path", [f"{R1}/videos", f"{R1}/videos/VIDEO/frames", "/openapi.json"])
def test_json_is_compressed_as_asked(api: CheckedClient, video: str, path: str, coding: str) -> None:
    path = path.replace("VIDEO", video)
    plain = api.get(path)
    assert "Content-Encoding" not in plain.headers
    packed = api.get(path, headers={"Accept-Encoding": coding})
    assert packed.headers["Content-Encoding"] == coding
    assert DECODERS[coding](packed.data) == plain.data
    assert len(packed.data) < len(plain.data)
    assert packed.headers["Content-Length"] == str(len(packed.data))
    assert packed.headers["Cache-Control"] == plain.headers["Cache-Control"]
    for answer in (plain, packed):
        assert "accept-encoding" in ",".join(answer.headers.getlist("Vary")).lower()
    # Other bytes, another strong tag; it is good for a 304 all the same.
    tag = packed.headers["ETag"]
    assert tag != plain.headers["ETag"]
    again = api.get(path, headers={"Accept-Encoding": coding, "If-None-Match": tag})
    assert (again.status_code, again.headers["ETag"]) == (304, tag)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, br;q=0.5", "gzip"),
        ("gzip;q=0.2, br;q=0.9", "br"),
        ("zstd;q=1.0, gzip;q=0.5", "zstd"),
        ("br;q=0, gzip", "gzip"),
        ("identity", None),
        ("lzma", None),
        ("gzip;q=0", None),
        ("", None),
    ],
)
def test_compression_is_negotiated(api: CheckedClient, accepted: str, coding: str | None) -> None:
    answer = api.get(f"{R1}/videos", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == coding


def test_problems_are_still_problems_when_compressed(api: CheckedClient) -> None:
    answer = api.get(f"{R1}/videos?{'a' * 900}=1", headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 422
    body = gzip.decompress(answer.data) if answer.headers.get("Content-Encoding") == "gzip" else answer.data
    assert b"urn:gygo:problem:invalid-request" in body


@pytest.mark.parametrize("kind", ["image", "mask"])
def test_pictures_are_never_compressed_again(api: CheckedClient, video: str, kind: str) -> None:
    url = f"{R1}/videos/{video}/frames/0/{kind}"
    plain = api.get(url)
    answer = api.get(url, headers={"Accept-Encoding": "gzip, br, zstd"})
    assert "Content-Encoding" not in answer.headers
    assert (answer.data, answer.headers["ETag"]) == (plain.data, plain.headers["ETag"])


# Many at once


def test_many_threads_get_the_same_answer(
    publish_clips: Callable[..., Tree], api_with: Callable[..., CheckedClient]
) -> None:
    publish_clips("api-threads", [Clip(f"v{n:02d}", ((1,), (1, 2))) for n in range(6)])
    app = api_with().application
    release = "/v1/datasets/api-threads/releases/r1"
    answers: list[Any] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        client = CheckedClient(app)
        barrier.wait(20)
        answers.append((client.get(f"{release}/videos").data, client.get(f"{release}/videos/v03/frames/1/image").data))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 8
    assert len(set(answers)) == 1


@pytest.mark.parametrize("path", [*JSON_PATHS, *CHANGING[:2], f"{R1}/videos/VIDEO/frames/0/image"])
def test_if_match_gets_the_answer_it_names_or_a_412(api: CheckedClient, video: str, path: str) -> None:
    path = path.replace("VIDEO", video)
    tag = api.get(path).headers["ETag"]
    for wanted in (tag, "*", f'"other", {tag}', tag[:-1] + ':gzip"'):
        assert api.get(path, headers={"If-Match": wanted}).status_code == 200
    for wanted in ('"other"', f"W/{tag}"):
        assert api.get(path, headers={"If-Match": wanted}).status_code == 412


@pytest.mark.parametrize("path", [*JSON_PATHS, *CHANGING[:2]])
def test_if_match_means_the_same_to_clients_that_take_compressed_answers(
    api: CheckedClient, video: str, path: str
) -> None:
    path, taken = path.replace("VIDEO", video), {"Accept-Encoding": "gzip"}
    tag = api.get(path).headers["ETag"]
    for wanted in (tag, "*"):
        assert api.get(path, headers={**taken, "If-Match": wanted}).status_code == 200
    assert api.get(path, headers={**taken, "If-Match": '"other"'}).status_code == 412


@pytest.mark.parametrize("path", [*JSON_PATHS[:2], *CHANGING[:1], f"{R1}/videos/VIDEO/frames/0/image"])
def test_the_empty_entity_tag_is_nobodys(api: CheckedClient, video: str, path: str) -> None:
    path = path.replace("VIDEO", video)
    assert api.get(path, headers={"If-None-Match": 'W/"", ""'}).status_code == 200
    assert api.get(path, headers={"If-Match": '""'}).status_code == 412


def test_a_wrong_question_is_that_whatever_its_conditions_say(api: CheckedClient) -> None:
    for condition in ({"If-Match": '"other"'}, {"If-None-Match": '"other"'}):
        assert api.get(f"{R1}/videos?limit=0", headers=condition).status_code == 422
        assert api.get("/v1/datasets?limit=0", headers=condition).status_code == 422
