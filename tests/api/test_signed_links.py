"""Signed links over real HTTP: for one thing, for a while, on behalf of a key, and for nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import urllib3
from checked_client import CheckedClient
from clip_trees import Clip, Tree
from processes import Service, wait_until

from gygo_server.access.api_key import Scope
from gygo_server.access.issuing import Order, create_key, find_key, revoke_key, rotate_key
from gygo_server.access.key_ring import MISS_SECONDS
from gygo_server.access.link import LinkSigner
from gygo_server.access.token import read_token
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.model import Audience, Visibility
from gygo_server.store.bucket import Bucket

BUCKET = "gygo-links"
R1 = "/v1/datasets/d/releases/r1"
VIDEO = quote("batch-1:a b&c=d?é", safe=":")
OLD, NEW = "an-old-secret-" + "0" * 32, "a-new-secret-" + "1" * 32


@dataclass(frozen=True)
class Linking:
    """The service over a private release, and a key to it."""

    service: Service
    bucket: Bucket
    tree: Tree
    token: str

    def make(self, url: str, token: str | None = None, **more: Any) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        body = json.dumps({"url": url, **more})
        with urllib3.HTTPConnectionPool("127.0.0.1", self.service.port, timeout=30, retries=False) as pool:
            answer = pool.request("POST", f"{R1}/links", body=body, headers=headers)
        return answer.status, answer.json()

    def link(self, url: str, token: str | None = None, **more: Any) -> str:
        status, made = self.make(url, token, **more)
        assert status == 200, made
        assert made["url"].startswith(self.service.url)
        return str(made["url"]).removeprefix(self.service.url)

    def refused(self, target: str) -> str:
        answer = self.service.get(target)
        assert (answer.status, answer.json()["type"]) == (403, "urn:gygo:problem:link-refused"), target
        assert answer.headers["Cache-Control"] == "no-store"
        return str(answer.json()["detail"])

    def new_key(self, *scopes: str, **more: Any) -> tuple[str, str]:
        key, token = create_key(self.bucket, Order("Someone", tuple(map(Scope.parse, scopes)), **more))
        time.sleep(1.2 * MISS_SECONDS)
        return key.id, token


@pytest.fixture(scope="module")
def linking(
    s3: SeaweedFS, bucket_named: Callable[[str], Bucket], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Linking]:
    root = tmp_path_factory.mktemp("links")
    bucket = bucket_named(BUCKET)
    clips = [Clip("batch-1/a b&c=d?é", ((1,), (2,), None), resolutions=("480p", "original")), Clip("v", ((1,),) * 2)]
    tree = Tree(root / "source", clips)
    for release, visibility in (("r1", Visibility(Audience.PRIVATE)), ("r2", Visibility(Audience.PRIVATE))):
        publication = Publication(tree.root, "d", release, workers=1, visibility=visibility)
        publish(publication, bucket, root / "state", Silent())
    _, token = create_key(bucket, Order("Someone", (Scope.parse("d=read"),)))
    environment = {
        "GYGO_BUCKET": BUCKET,
        "GYGO_S3_ENDPOINT": s3.endpoint,
        "GYGO_KEY_REFRESH_SECONDS": "0.5",
        "GYGO_LINK_SECRETS": f"{NEW},{OLD}",
        "GYGO_LINK_MAX_SECONDS": "3600",
    }
    with Service(root, environment) as service:
        yield Linking(service, bucket, tree, token)


@pytest.mark.parametrize("form", ["{base}{r1}/{rest}", "{r1}/{rest}", "{rest}"])
def test_a_link_shows_what_it_was_made_for_to_whoever_has_it(linking: Linking, form: str) -> None:
    for rest, file in (
        (f"videos/{VIDEO}/frames/1/image?resolution=original", "JPEGImages/original/batch-1/a b&c=d?é/00001.jpg"),
        (f"videos/{VIDEO}/frames/1/mask", "Annotations/480p/batch-1/a b&c=d?é/00001.png"),
    ):
        target = linking.link(form.format(base=linking.service.url, r1=R1, rest=rest))
        answer = linking.service.get(target)
        assert (answer.status, answer.data) == (200, linking.tree.files[file])
        assert answer.headers["Cache-Control"] == "private, no-cache"
        part = linking.service.get(target, Range="bytes=5-9")
        assert (part.status, part.data) == (206, answer.data[5:10])
        known = linking.service.get(target, **{"If-None-Match": answer.headers["ETag"]})
        assert (known.status, known.data) == (304, b"")


def test_a_video_and_a_frame_can_be_shown(linking: Linking) -> None:
    video = linking.service.get(linking.link("videos/v?fields=id,frame_count"))
    assert video.json() == {"id": "v", "frame_count": 2}
    frame = linking.service.get(linking.link("videos/v/frames/1"))
    assert frame.json()["index"] == 1


def test_a_link_is_for_nothing_else(linking: Linking) -> None:
    target = linking.link("videos/v/frames/0/image?resolution=480p")
    signature = target.partition("link=")[2]
    assert linking.service.get(target).status == 200
    for other in (
        f"{R1}/videos/v/frames/1/image?resolution=480p&link={signature}",
        f"{R1}/videos/v/frames/0/mask?resolution=480p&link={signature}",
        f"{R1}/videos/v/frames/0/image?link={signature}",
        f"{R1}/videos/v/frames/0/image?resolution=original&link={signature}",
        f"{R1}/videos/v/frames/0/image?resolution=480p&x=1&link={signature}",
        f"{R1}/videos/v/frames/0?resolution=480p&link={signature}",
        f"{R1}/videos/v?link={signature}",
        f"{R1}/videos?link={signature}",
        f"{R1}?link={signature}",
        f"{R1}/videos/v/archive?link={signature}",
        f"/v1/datasets/d/releases/r2/videos/v/frames/0/image?resolution=480p&link={signature}",
        f"/v1/datasets/d?link={signature}",
        f"/v1/datasets?link={signature}",
        f"{target}&link={signature}",
        f"{target}x",
        target[:-1],
        f"{R1}/videos/v/frames/0/image?resolution=480p&link=",
    ):
        assert "made for" in linking.refused(other)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_link_is_only_for_looking(linking: Linking, method: str) -> None:
    target = linking.link("videos/v")
    with urllib3.HTTPConnectionPool("127.0.0.1", linking.service.port, timeout=30, retries=False) as pool:
        assert pool.request(method, target).status == 405
        posted = pool.request("POST", f"{R1}/downloads?link={target.partition('link=')[2]}")
    assert posted.status == 403


def test_a_link_ends(linking: Linking) -> None:
    status, made = linking.make("videos/v", expires_in=2)
    assert status == 200
    ends = datetime.fromisoformat(made["expires_at"])
    assert ends <= datetime.now(UTC) + timedelta(seconds=2)
    target = made["url"].removeprefix(linking.service.url)
    wait_until(lambda: linking.service.get(target).status == 403, 10)
    assert datetime.now(UTC) >= ends - timedelta(seconds=1)
    assert "expired" in linking.refused(target)


def test_a_link_ends_with_the_longest_time_and_with_its_key(linking: Linking) -> None:
    _, made = linking.make("videos/v", expires_in=300 * 86400)
    assert datetime.fromisoformat(made["expires_at"]) <= datetime.now(UTC) + timedelta(seconds=3600)
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=10)
    _, token = linking.new_key("d=read", expires_at=ends)
    _, made = linking.make("videos/v", token)
    assert datetime.fromisoformat(made["expires_at"]) == ends


def test_a_link_is_revoked_with_the_key_that_made_it(linking: Linking) -> None:
    key_id, token = linking.new_key("d=read")
    target = linking.link("videos/v/frames/0/image", token)
    assert linking.service.get(target).status == 200
    rotate_key(linking.bucket, key_id, timedelta(0))
    time.sleep(1)
    assert linking.service.get(target).status == 200, "a rotated key is the same key"
    revoke_key(linking.bucket, key_id)
    connections = [linking.service.connection_to(worker) for worker in linking.service.workers()]
    wait_until(lambda: {each.request("GET", target).status for each in connections} == {403}, 10)
    assert "the key that made it is not" in linking.refused(target)
    other = linking.link("videos/v/frames/0/image")
    assert linking.service.get(other).status == 200


def test_links_are_made_with_keys_alone(linking: Linking) -> None:
    body = json.dumps({"url": "videos/v"})
    with urllib3.HTTPConnectionPool("127.0.0.1", linking.service.port, timeout=30, retries=False) as pool:
        answer = pool.request("POST", f"{R1}/links", body=body, headers={"Content-Type": "application/json"})
        assert answer.status == 404, "and a release that one may not see does not exist"
    _, token = linking.new_key()
    assert linking.make("videos/v", token)[0] == 404


@pytest.mark.parametrize(
    "url",
    [
        "videos",
        "videos/none",
        "videos/v/archive",
        "videos/v/clip",
        "videos/v/frames",
        "videos/v/frames/99/image",
        "videos/v/frames/0/image?resolution=8k",
        "videos/v/frames/0/image?size=9",
        "videos/v?link=x",
        "videos//v",
        "videos/../videos/v",
        "../r2/videos/v",
        "/v1/datasets/d/releases/r2/videos/v",
        "/v1/datasets/d/releases/r1x/videos/v",
        "/v1/datasets/d/releases/r1",
        "/v1/datasets/d",
        "/healthz",
        "//elsewhere.example.org/videos/v",
        "https://elsewhere.example.org/v1/datasets/d/releases/r1/videos/v",
        "javascript:alert(1)",
        "data:text/html,x",
        "videos/v\r\nSet-Cookie: a=b",
        "videos/v%0d%0aSet-Cookie:%20a=b",
        "videos/v\x00",
        "videos/%ff%fe",
        "videos/\ud800",
        "?",
        "#",
        " ",
        "links",
        "downloads",
        "a" * 4096,
    ],
)
def test_no_link_is_made_to_anything_else(linking: Linking, url: str) -> None:
    status, told = linking.make(url)
    assert status in {422, 400}, told
    assert status == 400 or told["errors"][0]["field"] in {"url", ""}


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", "null", '{"url": 5}', '{"url": ""}', '{"url": "videos/v", "expires_in": 0}', '{"u": 1}']
)
def test_a_question_for_a_link_is_checked(linking: Linking, body: str) -> None:
    headers = {"Authorization": f"Bearer {linking.token}", "Content-Type": "application/json"}
    with urllib3.HTTPConnectionPool("127.0.0.1", linking.service.port, timeout=30, retries=False) as pool:
        assert pool.request("POST", f"{R1}/links", body=body, headers=headers).status == 422


def test_a_link_says_nothing_of_the_key(linking: Linking) -> None:
    target = linking.link("videos/v")
    assert linking.token.rsplit("_", 1)[1] not in target
    shown = linking.service.get(target)
    assert "link=" not in shown.data.decode()
    assert linking.token not in linking.service.log.read_text()
    assert target.partition("link=")[2] not in linking.service.log.read_text()


# Secrets


def token_of(bucket: Bucket) -> tuple[str, str]:
    key, token = create_key(bucket, Order("Someone", (Scope.parse("*=read"),)))
    assert find_key(bucket, key.id) == key
    return key.id, token


def test_a_secret_is_changed_without_breaking_links(
    linking: Linking, api_with: Callable[..., CheckedClient], published: object, bucket: Bucket
) -> None:
    _, token = token_of(bucket)
    videos = "/v1/datasets/toys/releases/r1/videos"
    clients = {secrets: api_with(link_secrets=secrets) for secrets in ((OLD,), (NEW, OLD), (NEW,))}
    video = clients[(OLD,)].get(f"{videos}?limit=1").json["items"][0]["id"]
    made = {}
    for secrets, client in clients.items():
        answer = client.post(
            "/v1/datasets/toys/releases/r1/links",
            json={"url": f"videos/{video}"},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.status_code == 200, answer.text
        parts = urlsplit(answer.json["url"])
        made[secrets] = f"{parts.path}?{parts.query}"
    accepted = {
        secrets: {each for each, target in made.items() if client.get(target).status_code == 200}
        for secrets, client in clients.items()
    }
    assert accepted == {(OLD,): {(OLD,)}, (NEW, OLD): set(clients), (NEW,): {(NEW, OLD), (NEW,)}}


def test_without_a_secret_no_links_are_made(
    api_with: Callable[..., CheckedClient], published: object, bucket: Bucket
) -> None:
    _, token = token_of(bucket)
    client = api_with(link_secrets=())
    answer = client.post(
        "/v1/datasets/toys/releases/r1/links",
        json={"url": "videos/v"},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 404
    assert "GYGO_LINK_SECRETS" in answer.json["detail"]
    assert client.get("/v1/datasets?link=x").status_code == 403


def test_a_forged_link_of_a_key_that_is_known_is_refused(linking: Linking) -> None:
    read = read_token(linking.token)
    assert read is not None
    resource = f"{R1}/videos/v"
    ends = datetime.now(UTC) + timedelta(hours=1)
    good = LinkSigner((NEW,)).sign(read.key_id, resource, ends)
    forged = LinkSigner(("another-secret-" + "2" * 32,)).sign(read.key_id, resource, ends)
    assert linking.service.get(f"{resource}?link={good}").status == 200
    assert linking.service.get(f"{resource}?link={LinkSigner((OLD,)).sign(read.key_id, resource, ends)}").status == 200
    assert linking.refused(f"{resource}?link={forged}")
    assert linking.refused(f"{resource}?link={LinkSigner((NEW,)).sign('nonesuch00', resource, ends)}")


def test_secrets_are_not_in_the_settings_text(settings: Any) -> None:
    assert NEW not in repr(replace(settings, link_secrets=(NEW,)))
