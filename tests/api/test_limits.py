"""Rates and quotas over HTTP, as gunicorn's workers charge them: each for itself, or all in Redis."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import urllib3
from clip_trees import Clip, Tree
from processes import Service, wait_until
from redis_servers import RedisServer

from gygo_server.access.api_key import Scope
from gygo_server.access.issuing import Order, create_key
from gygo_server.api.costs import COSTS
from gygo_server.app import create_app_with_settings
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.settings import Settings
from gygo_server.store.bucket import Bucket

BUCKET = "gygo-limits"
RELEASE = "/v1/datasets/limited/releases/r1"
VIDEOS = 101
MIB = 1 << 20

#: Of a day: what is paid off while a test runs is less than a unit.
ANONYMOUS = 40
KEY = 400

#: Keys of each kind: more than there are tests with one, twice.
MANY = 20

_addresses = itertools.count(1)


@dataclass
class Asker:
    """Asks one worker, from an address of its own (told by a proxy that the service trusts), with a key or without."""

    pool: urllib3.HTTPConnectionPool
    key: str | None = None
    address: str = field(default_factory=lambda: f"198.51.100.{next(_addresses)}")

    def __call__(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> urllib3.BaseHTTPResponse:
        return self.pool.request(
            method,
            path if path.startswith("/") else f"{RELEASE}/{path}",
            body=None if body is None else json.dumps(body),
            headers={**self.headers(), **({} if body is None else {"Content-Type": "application/json"}), **headers},
            redirect=False,
        )

    def headers(self) -> dict[str, str]:
        key = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return {"X-Forwarded-For": self.address, **key}

    def left(self, policy: str = "default") -> int:
        """What is left, by an answer that costs nothing."""
        answer = self("videos/v000/archive", "HEAD")
        assert answer.status == 307, answer.headers
        found = re.search(rf'"{policy}";r=(\d+);t=\d+', answer.headers["RateLimit"])
        assert found, answer.headers["RateLimit"]
        return int(found[1])

    def cost(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> int:
        before = self.left()
        answer = self(path, method, body, **headers)
        assert answer.status < 300, answer.data
        return before - self.left()


@dataclass
class Limited:
    """A service whose limits are low, one of its workers, keys, and the archives' sizes by video."""

    service: Service
    worker: int
    pool: urllib3.HTTPConnectionPool
    keys: dict[str, list[str]]
    sizes: dict[str, int]

    def anonymous(self, address: str | None = None) -> Asker:
        return Asker(self.pool) if address is None else Asker(self.pool, address=address)

    def keyed(self, kind: str) -> Asker:
        """With a key that nobody else has."""
        return Asker(self.pool, self.keys[kind].pop())


@pytest.fixture(scope="module")
def store(s3: SeaweedFS) -> Bucket:
    bucket = Bucket(s3.settings(BUCKET))
    bucket.create()
    return bucket


@pytest.fixture(scope="module")
def tree(store: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    root = tmp_path_factory.mktemp("limited")
    clips = [Clip(f"v{n:03}", ((1,), (1, 2)), splits=("train" if n < 3 else "val",)) for n in range(VIDEOS)]
    clips.append(Clip("large", ((1,),) * 2, size=(900, 600)))
    tree = Tree(root / "source", clips, quality=97)
    publish(Publication(tree.root, "limited", "r1", workers=2), store, root / "state", Silent())
    return tree


@pytest.fixture(scope="module")
def keys(store: Bucket) -> dict[str, list[str]]:
    """Tokens by what their keys may take; several of each, as tests do not share them."""
    everything = (Scope.parse("*"),)
    orders = {
        "usual": Order("usual", everything),
        "few": Order("few", everything, rate="5/day"),
        "none": Order("none", everything, rate="none"),
        "counted": Order("counted", everything, rate="100000/day", quota_bytes=10**12),
        "small": Order("small", everything, quota_bytes=60_000),
    }
    return {kind: [create_key(store, order)[1] for _ in range(MANY)] for kind, order in orders.items()}


@pytest.fixture(scope="module", params=["each worker", "redis"])
def limited(
    request: pytest.FixtureRequest,
    s3: SeaweedFS,
    tree: Tree,
    keys: dict[str, list[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Limited]:
    environment = {
        "GYGO_BUCKET": BUCKET,
        "GYGO_S3_ENDPOINT": s3.endpoint,
        "GYGO_RATE_ANONYMOUS": f"{ANONYMOUS}/day",
        "GYGO_RATE_KEY": f"{KEY}/day",
        "GYGO_TRUSTED_PROXIES": "127.0.0.0/8",
        "GYGO_LINK_SECRETS": "x" * 32,
    }
    folder = tmp_path_factory.mktemp("limited-service")
    if request.param == "redis":
        server = request.getfixturevalue("redis")
        environment["GYGO_REDIS_URL"] = server.url
    with Service(folder, environment) as service:
        worker = service.workers()[0]
        with service.connection_to(worker) as pool:
            answer = Asker(pool, keys["none"][0])("videos?limit=1000")
            assert answer.status == 200, (answer.data, service.log.read_text())
            pages = answer.json()["items"]
            sizes = {each["id"]: each["resolutions"][0]["archive"]["bytes"] for each in pages}
            yield Limited(service, worker, pool, keys, sizes)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


def refused(answer: urllib3.BaseHTTPResponse, code: str) -> str:
    """The detail of a 429."""
    assert answer.status == 429, answer.data
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert 0 < int(answer.headers["Retry-After"]) <= 86400
    problem = answer.json()
    assert problem["type"] == f"urn:gygo:problem:{code}"
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    return str(problem["detail"])


def test_every_route_says_what_it_costs(settings: Settings) -> None:
    routes = {rule.endpoint for rule in create_app_with_settings(settings).url_map.iter_rules()}
    assert routes == set(COSTS)


def test_a_key_is_stopped_at_its_own_rate_and_others_go_on(limited: Limited) -> None:
    few, other = limited.keyed("few"), limited.keyed("usual")
    for left in (4, 3, 2, 1, 0):
        assert few("videos?limit=1").status == 200
        assert few.left() == left
    answer = few("videos?limit=1")
    assert re.fullmatch(r"5/day is the limit of key [a-z0-9]{10}: come back in \d+ s", refused(answer, "rate-limited"))
    assert answer.headers["RateLimit-Policy"] == '"default";q=5;w=86400'
    assert re.fullmatch(r'"default";r=0;t=\d+', answer.headers["RateLimit"])
    assert answer.headers["Access-Control-Expose-Headers"].count("RateLimit") == 2
    assert other("videos?limit=1").status == 200
    assert other.left() == KEY - 1


def test_an_address_is_stopped_and_others_go_on(limited: Limited) -> None:
    one, other = limited.anonymous(), limited.anonymous()
    for _ in range(ANONYMOUS):
        assert one("videos?limit=1").status == 200
    assert f"the limit of address {one.address}:" in refused(one("videos?limit=1"), "rate-limited")
    assert one("/healthz").status == one("/openapi.json").status == one("/docs/").status == 200
    assert other("videos?limit=1").status == 200
    # Who has a key is not stopped by those who share the address.
    assert Asker(one.pool, limited.keys["usual"].pop(), one.address)("videos?limit=1").status == 200


def test_the_ipv6_addresses_of_one_network_are_one_caller(limited: Limited) -> None:
    one, neighbour, other = (
        limited.anonymous(f"2001:db8:{limited.worker:x}:{network}::{host}")
        for network, host in ((1, 1), (1, 2), (2, 1))
    )
    assert one.cost("videos?limit=1") == 1
    assert neighbour.left() == ANONYMOUS - 1
    assert other.left() == ANONYMOUS


def test_what_a_client_says_of_itself_in_front_of_the_proxy_moves_nothing(limited: Limited) -> None:
    one = limited.anonymous()
    one("videos?limit=1")
    one.address = f"203.0.113.1, 127.0.0.1, {one.address}"
    assert one.left() == ANONYMOUS - 1


def test_what_has_no_body_is_free(limited: Limited) -> None:
    one = limited.keyed("usual")
    image, page = "videos/v000/frames/0/image", "videos?limit=2"
    tags = {path: one(path).headers["ETag"] for path in (image, page)}
    before = one.left()
    for path, tag in tags.items():
        assert one(path, **{"If-None-Match": tag}).status == 304
        assert one(path, "HEAD").status == 200
        assert one(path, "OPTIONS").status == 200
    assert one("/healthz").status == one("/readyz").status == one("/docs/").status == one("/openapi.json").status == 200
    assert one.left() == before


def test_a_head_of_what_is_worked_out_anew_costs_what_a_get_does_but_bytes(limited: Limited) -> None:
    one = limited.keyed("counted")
    before = one.left("bytes")
    assert one.cost("sample?length=1", "HEAD") == 1
    assert one.cost("sample?length=1", "HEAD") == 1
    assert one.cost("downloads?limit=101", "HEAD") == 2
    assert one.cost("downloads", "HEAD") == 2
    assert one.cost("videos?include=archive_url&limit=101", "HEAD") == 2
    assert one.left("bytes") == before
    few = limited.keyed("few")
    assert [few("sample?length=1", "HEAD").status for _ in range(6)] == [200] * 5 + [429]


def test_an_answer_costs_what_its_kind_does(limited: Limited) -> None:
    one = limited.keyed("usual")
    assert one.cost("/v1/datasets") == 1
    assert one.cost("videos/v000/frames") == 1
    assert one.cost("videos/v000/frames/0/image") == 2
    assert one.cost("videos/v000/frames/0/mask") == 2
    assert one.cost("videos/v000/clip") == 5
    assert one.cost("videos/v000/frames/0/image", **{"If-None-Match": '"other"'}) == 2
    assert one.cost("sample?length=1") == 1
    assert one.cost("links", "POST", {"url": "videos/v000"}) == 1


def test_a_list_of_signed_urls_costs_a_unit_a_hundred(limited: Limited) -> None:
    one = limited.keyed("usual")
    assert one.cost("videos?include=archive_url&limit=100") == 1
    assert one.cost("videos?include=archive_url&limit=101") == 2
    assert one.cost("downloads?limit=101") == 2
    assert one.cost("downloads?split=train") == 1
    assert one.cost("downloads") == 2
    assert one.cost("downloads", **{"Accept-Encoding": "gzip"}) == 2
    clips = [{"video": "v000", "start": 0, "length": 1}] * 201
    assert one.cost("clips?delivery=urls", "POST", {"clips": clips}) == 3


def test_a_batch_costs_a_unit_for_each_mib_that_is_begun(limited: Limited) -> None:
    one = limited.keyed("usual")
    body = {"clips": [{"video": "large", "start": 0, "length": 2}] * 8}
    size = len(one("clips", "POST", body).data)
    assert size > 3 * MIB
    assert one.cost("clips", "POST", body) == -(-size // MIB)
    assert one.cost("clips", "POST", body, Range="bytes=0-99") == 1
    assert one.cost("clips", "POST", body, Range=f"bytes=0-{MIB}") == 2


def test_a_large_answer_may_take_more_than_there_is_and_is_waited_for_then(limited: Limited) -> None:
    few = limited.keyed("few")
    answer = few("clips", "POST", {"clips": [{"video": "large", "start": 0, "length": 2}] * 40})
    assert answer.status == 200
    assert len(answer.data) > 10 * MIB
    answer = few("videos?limit=1", "HEAD")
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) > 86400


def test_what_is_not_there_and_keys_that_are_none_cost_the_address(limited: Limited) -> None:
    one = limited.anonymous()
    guess = Asker(one.pool, "gygo_0123456789_" + "a" * 38, one.address)
    assert guess("videos?limit=1").status == 401
    assert guess("/v1/datasets", "HEAD").status == 401
    assert one("/v1/datasets/nothing").status == 404
    assert one("/nothing", "HEAD").status == 404
    assert one("videos?nothing=1").status == 422
    assert one("videos?link=nothing").status == 403
    assert one.left() == ANONYMOUS - 6
    for _ in range(ANONYMOUS - 6):
        assert guess("videos?limit=1").status == 401
    refused(guess("videos?limit=1"), "rate-limited")
    refused(one("/nothing"), "rate-limited")


def test_a_key_pays_for_what_it_does_not_find(limited: Limited) -> None:
    one = limited.keyed("usual")
    assert one("/v1/datasets/nothing").status == 404
    assert one.left() == KEY - 1


def test_without_a_rate_there_is_no_limit_and_nothing_is_said_of_one(limited: Limited) -> None:
    one = limited.keyed("none")
    for _ in range(2 * ANONYMOUS):
        assert "RateLimit" not in one("videos/v000/archive").headers


def test_what_shared_caches_keep_says_nothing_of_one_caller_s_limits(limited: Limited) -> None:
    for one in (limited.anonymous(), limited.keyed("usual")):
        for path in ("videos?limit=1", "videos/v000/frames/0/image"):
            answer = one(path)
            assert answer.headers["Cache-Control"].startswith("public")
            assert not {"RateLimit", "RateLimit-Policy"} & set(answer.headers)
        assert "RateLimit" in one("downloads?limit=1").headers


def test_a_link_counts_bytes_for_its_key_and_requests_for_who_opens_it(limited: Limited) -> None:
    owner, viewer = limited.keyed("counted"), limited.anonymous()
    url = owner("links", "POST", {"url": "videos/v000/frames/0/image"}).json()["url"]
    requests, size = owner.left(), owner.left("bytes")
    answer = viewer(url.removeprefix(limited.service.url))
    assert answer.status == 200
    assert viewer.left() == ANONYMOUS - 2
    assert (owner.left(), owner.left("bytes")) == (requests, size - len(answer.data))


# Bytes a day


def test_bodies_count_to_the_byte(limited: Limited) -> None:
    one = limited.keyed("counted")
    left = one.left("bytes")
    asked: list[tuple[str, dict[str, str]]] = [
        ("videos?limit=5", {}),
        ("videos/v000/frames/0/image", {}),
        ("videos/v000/frames/0/image", {"Range": "bytes=10-29"}),
        ("videos/large/frames/0/image", {}),
        ("videos/large/clip", {}),
    ]
    for path, headers in asked:
        answer = one(path, **headers)
        left -= len(answer.data)
        assert one.left("bytes") == left, path
    tag = one("videos?limit=5").headers["ETag"]
    left = one.left("bytes")
    one("videos?limit=5", **{"If-None-Match": tag})
    one("videos/v000/frames/0/image", "HEAD")
    one("videos/nothing")
    assert one.left("bytes") == left


def test_a_large_file_counts_though_the_kernel_sends_it(limited: Limited, tree: Tree) -> None:
    one = limited.keyed("counted")
    left = one.left("bytes")
    image = one("videos/large/frames/0/image").data
    assert len(image) > 256 << 10
    assert image == tree.files["JPEGImages/480p/large/00000.jpg"]
    assert one.left("bytes") == left - len(image)


def test_what_is_compressed_counts_as_it_was_sent(limited: Limited) -> None:
    one = limited.keyed("counted")
    left = one.left("bytes")
    answer = one("videos?limit=100", **{"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert one.left("bytes") == left - int(answer.headers["Content-Length"])


def test_bytes_that_were_signed_count(limited: Limited) -> None:
    one, sizes = limited.keyed("counted"), limited.sizes
    train = sum(sizes[f"v{n:03}"] for n in range(3))

    def given(path: str, method: str = "GET", body: Any = None) -> int:
        left = one.left("bytes")
        answer = one(path, method, body)
        assert answer.status < 400, answer.data
        return left - one.left("bytes") - len(answer.data)

    assert given("videos/v000/archive") == sizes["v000"]
    assert given("videos?include=archive_url&split=train") == train
    assert given("downloads?split=train&limit=10") == train
    assert given("downloads?split=train&limit=2") == sizes["v000"] + sizes["v001"]
    for kind in ("ndjson", "metalink", "uri-list", "curl"):
        assert given(f"downloads?split=train&format={kind}") == train
    assert given("downloads") == sum(sizes.values())
    assert given("downloads", "POST", {"videos": ["v001", "large"]}) == sizes["v001"] + sizes["large"]
    asked = [("v000", 0), ("nothing", 0), ("v000", 1), ("v001", 0), ("v000", 0)]
    clips = {"clips": [{"video": video, "start": start, "length": 1} for video, start in asked]}
    assert given("clips?delivery=urls", "POST", clips) == sizes["v000"] + sizes["v001"]  # all of each, and once


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("videos/large/archive", None),
        ("videos/large/clip", None),
        ("videos/large/frames/0/image", None),
        ("videos?include=archive_url&limit=1000", None),
        ("downloads?limit=1000", None),
        ("downloads", None),
        ("downloads?format=metalink", None),
        ("downloads", {"videos": ["large"]}),
        ("clips", {"clips": [{"video": "large", "start": 0, "length": 1}]}),
        ("clips?delivery=urls", {"clips": [{"video": "large", "start": 0, "length": 1}]}),
    ],
)
def test_what_does_not_fit_is_not_given_at_all(limited: Limited, path: str, body: Any) -> None:
    one = limited.anonymous()
    one.key = limited.keys["small"][0]  # nothing of it is taken
    left = one.left("bytes")
    answer = one(path, "GET" if body is None else "POST", body)
    detail = refused(answer, "quota-exceeded")
    assert re.fullmatch(
        r"60,000 bytes a day is the quota of key [a-z0-9]{10}: [\d,]+ are used, "
        r"([\d,]+ more are asked for|the [\d,]+ that are asked for at once are more than that on any day); "
        "counted anew from 00:00 UTC",
        detail,
    )
    assert b"X-Amz-Signature" not in answer.data
    assert one.left("bytes") == left
    assert one("videos/large/archive", "HEAD").status == 307  # it may be looked at


def test_when_all_bytes_are_used_everything_is_refused_until_midnight(limited: Limited) -> None:
    one = limited.keyed("small")
    answers = [one("videos?limit=10") for _ in range(60)]
    given = [answer for answer in answers if answer.status == 200]
    assert "nothing is left" in refused(answers[-1], "quota-exceeded")
    # The last one was begun when there was something left: how long it is was not known.
    assert sum(len(answer.data) for answer in given[:-1]) < 60_000 <= sum(len(answer.data) for answer in given)


def test_a_stream_that_is_cut_counts_for_what_was_sent(limited: Limited) -> None:
    one = limited.keyed("counted")
    before, units = one.left("bytes"), one.left()
    cut = Asker(limited.service.connection_to(limited.worker), one.key, one.address)
    body = json.dumps({"clips": [{"video": "large", "start": 0, "length": 2}] * 500})
    answer = cut.pool.urlopen(
        "POST",
        f"{RELEASE}/clips",
        body=body,
        headers={**cut.headers(), "Content-Type": "application/json"},
        preload_content=False,
    )
    size = int(answer.headers["Content-Length"])
    assert size > 100 * MIB
    assert one.left("bytes") == before - size  # while it is sent, it is taken
    got = len(answer.read(2 * MIB))
    answer.close()
    cut.pool.close()
    wait_until(lambda: one.left("bytes") > before - size, 30)
    sent = before - one.left("bytes")
    assert got <= sent < size / 2
    assert units - one.left() == -(-sent // MIB)
