"""API keys over real HTTP: made by the command line, sent to two workers, rotated, revoked, mistyped."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from clip_trees import Clip, Tree
from processes import Service, wait_until

from gygo_server.access import issuing, key_file
from gygo_server.access.api_key import ApiKey, Scope
from gygo_server.access.issuing import Order, create_key, find_key
from gygo_server.access.key_ring import MISS_SECONDS
from gygo_server.access.token import new_token, read_token
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.model import Audience, Visibility
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

BUCKET = "gygo-keys"
VIDEOS = "/v1/datasets/d/releases/r1/videos"
PUBLIC = "/v1/datasets/d/releases/open/videos"

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Running:
    """The service over a private and a public release, and the command line over its bucket."""

    service: Service
    bucket: Bucket
    run: Command

    def ask(self, token: str | None, path: str = VIDEOS, **headers: str) -> urllib3.BaseHTTPResponse:
        return self.service.get(path, **({"Authorization": f"Bearer {token}"} if token else {}), **headers)

    def refused(self, token: str, path: str = VIDEOS) -> str:
        """Why a key is refused."""
        answer = self.ask(token, path)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        problem = answer.json()
        assert problem["type"] == "urn:gygo:problem:key-refused"
        assert problem["errors"][0]["field"] == "Authorization"
        assert token not in answer.data.decode() + str(answer.headers)
        return str(problem["detail"])

    def make(self, *scopes: str, **more: Any) -> tuple[ApiKey, str]:
        made = create_key(self.bucket, Order("Someone", tuple(map(Scope.parse, scopes)), **more))
        time.sleep(1.2 * MISS_SECONDS)  # what is not known is not looked for more often
        return made


@pytest.fixture(scope="module")
def running(
    s3: SeaweedFS,
    bucket_named: Callable[[str], Bucket],
    tmp_path_factory: pytest.TempPathFactory,
    command_for: Callable[[str], Command],
) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("keys")
    bucket = bucket_named(BUCKET)
    for release, audience in (("r1", Audience.PRIVATE), ("open", Audience.PUBLIC)):
        tree = Tree(root / release, [Clip("v", ((1,),) * 2), Clip(f"in-{release}", ((1,),))])
        publication = Publication(tree.root, "d", release, workers=1, visibility=Visibility(audience))
        publish(publication, bucket, root / "state", Silent())
    environment = {"GYGO_BUCKET": BUCKET, "GYGO_S3_ENDPOINT": s3.endpoint, "GYGO_KEY_REFRESH_SECONDS": "0.5"}
    with Service(root, environment) as service:
        yield Running(service, bucket, command_for(BUCKET))


def test_a_key_from_the_command_line_opens_what_its_scope_names(running: Running) -> None:
    made = running.run("keys", "create", "--owner", "ACME GmbH", "--scope", "d:r1=read,download", "--expires", "90d")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    assert re.fullmatch(r"gygo_[a-z0-9]{10}_[A-Za-z0-9]{38}", token)
    assert token not in made.stderr
    assert running.ask(None).status == 404
    answer = running.ask(token)
    assert answer.status == 200
    assert {video["id"] for video in answer.json()["items"]} == {"v", "in-r1"}
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert "Authorization" in answer.headers["Vary"]


def test_the_bucket_and_the_commands_never_tell_a_key_again(running: Running) -> None:
    key, token = running.make("d:r1=read")
    stored = running.bucket.get(keys.api_key(key.id)).content.decode()
    secret = token.rsplit("_", 1)[1]
    assert read_token(token).sha256 in stored  # type: ignore[union-attr]
    told = [
        running.run("keys", "list").stdout,
        running.run("keys", "list", "--json").stdout,
        running.run("keys", "show", key.id).stdout,
        running.run("keys", "show", key.id, "--json").stdout,
        stored,
        running.service.log.read_text(),
        repr(key),
    ]
    assert all(key.id in text for text in told[1:5])
    assert not any(secret in text for text in told)


def test_a_new_key_works_at_once_on_each_worker(running: Running) -> None:
    connections = [running.service.connection_to(worker) for worker in running.service.workers()]
    for connection in connections:
        assert connection.request("GET", VIDEOS).status == 404
    _, token = running.make("d=read")
    for connection in connections:
        answer = connection.request("GET", VIDEOS, headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 200


def test_a_revoked_key_stops_on_each_worker(running: Running) -> None:
    key, token = running.make("d=read,download")
    connections = [running.service.connection_to(worker) for worker in running.service.workers()]
    sent = {"Authorization": f"Bearer {token}"}
    assert {each.request("GET", VIDEOS, headers=sent).status for each in connections} == {200}
    revoked = running.run("keys", "revoke", key.id, "--yes")
    assert revoked.returncode == 0, revoked.stderr
    wait_until(lambda: {each.request("GET", VIDEOS, headers=sent).status for each in connections} == {401}, 10)
    assert "revoked at" in running.refused(token)
    assert "revoked at" in running.refused(token, PUBLIC), "a key that is no longer good is told so everywhere"
    again = running.run("keys", "revoke", key.id, "--yes")
    assert again.returncode == 0
    assert "was revoked at" in again.stdout
    assert "is revoked" in running.run("keys", "rotate", key.id).stderr


def test_a_key_is_not_revoked_without_being_asked(running: Running) -> None:
    key, _ = running.make()
    assert running.run("keys", "revoke", key.id).returncode != 0
    assert find_key(running.bucket, key.id).revoked_at is None


def test_a_rotated_key_and_the_new_one_are_both_good_for_a_while(running: Running) -> None:
    key, old = running.make("d=read")
    rotated = running.run("keys", "rotate", key.id, "--overlap", "2s", "--json")
    new = json.loads(rotated.stdout)["key"]
    assert json.loads(rotated.stdout)["old_secret_good_until"]
    assert read_token(new).key_id == key.id  # type: ignore[union-attr]
    wait_until(lambda: running.ask(new).status == 200, 10)
    # However long the command took, the old one ends before the new one was asked for the third time.
    ends = find_key(running.bucket, key.id).secrets[1].expires_at
    assert ends is not None
    if datetime.now(UTC) < ends - timedelta(milliseconds=500):
        assert running.ask(old).status == 200
    wait_until(lambda: running.ask(old).status == 401, 10)
    assert running.ask(new).status == 200
    assert "there is no such key" in running.refused(old)


def test_without_an_overlap_the_old_one_stops(running: Running) -> None:
    key, old = running.make("d=read")
    assert running.ask(old).status == 200
    assert running.run("keys", "rotate", key.id, "--overlap", "0s").returncode == 0
    wait_until(lambda: running.ask(old).status == 401, 10)
    assert len(find_key(running.bucket, key.id).secrets) == 1


def test_a_key_expires(running: Running) -> None:
    _, token = running.make("d=read", expires_at=datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2))
    wait_until(lambda: running.ask(token).status == 401, 10)
    assert "expired at" in running.refused(token)
    late = running.run("keys", "create", "--owner", "Late", "--expires", "2020-01-01")
    assert late.returncode == 1
    assert "would have expired" in late.stderr


def test_a_key_that_may_only_read_gets_no_urls_and_no_clips(running: Running) -> None:
    _, token = running.make("d:r1=read")
    for path in (
        f"{VIDEOS}/v/archive",
        f"{VIDEOS}/v/clip",
        f"{VIDEOS}?include=archive_url",
        "/v1/datasets/d/releases/r1/downloads",
        "/v1/datasets/d/releases/r1/downloads?limit=1",
    ):
        answer = running.ask(token, path)
        assert (answer.status, answer.json()["type"]) == (403, "urn:gygo:problem:scope-missing"), path
        assert "d:r1=download" in answer.json()["detail"]
    for path in (f"{VIDEOS}/v", f"{VIDEOS}/v/frames/0/image", f"{VIDEOS}/v/frames/0/mask"):
        assert running.ask(token, path).status == 200


GOOD = new_token("abc0123xyz")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic GOOD",
        "GOOD",
        "Bearer GOOD",  # well made, but nobody's
        "Bearer SHORT",
        "Bearer GOODx",
        "Bearer OTHER",
        "Bearer GOOD, Bearer GOOD",
        "Bearer GOOD GOOD",
        'Bearer token="GOOD"',
        "Bearer ../../d/dataset.json",
        "Bearer gygo_../../../x_" + "A" * 38,
        "Bearer " + "a" * 6000,
        "Bearer gygo_abc0123xyz_" + "0" * 38,
        "Bearer é",
        "Bearer ' OR 1=1 --",
        "Bearer null",
        "Digest username=x",
    ],
)
def test_what_is_no_key_is_refused_wherever_it_is_sent(running: Running, header: str) -> None:
    header = header.replace("GOOD", GOOD).replace("SHORT", GOOD[:-1]).replace("OTHER", f"{GOOD[:-7]}{GOOD[-6:]}x")
    for path in (VIDEOS, PUBLIC, "/v1/datasets", "/v1/datasets/d", f"{PUBLIC}/v/frames/0/image"):
        with urllib3.HTTPConnectionPool("127.0.0.1", running.service.port, timeout=30, retries=False) as pool:
            answer = pool.request("GET", path, headers={"Authorization": header.encode().decode("latin-1")})
        assert (answer.status, answer.json()["type"]) == (401, "urn:gygo:problem:key-refused")
        assert not header[12:] or header[12:] not in answer.data.decode()


def test_a_key_in_another_case_of_the_scheme_is_taken(running: Running) -> None:
    _, token = running.make("d=read")
    for scheme in ("bearer", "BEARER", "Bearer  "):
        assert running.service.get(VIDEOS, Authorization=f"{scheme} {token}").status == 200


def test_health_and_the_description_need_no_key(running: Running) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs/", "/"):
        assert running.service.get(path, Authorization=f"Bearer {GOOD}").status == 200


def test_a_spoilt_key_is_refused_and_the_others_are_good(running: Running) -> None:
    key, token = running.make("d=read")
    _, other = running.make("d=read")
    assert running.ask(token).status == 200
    stored = running.bucket.get(keys.api_key(key.id))
    running.bucket.put(keys.api_key(key.id), stored.content[:-20], replaces=stored.etag)
    wait_until(lambda: running.ask(token).status == 401, 10)
    assert running.ask(other).status == 200
    listed = running.run("keys", "list")
    assert listed.returncode == 0
    assert f"warning: _keys/{key.id}.json" in listed.stderr
    running.bucket.delete(keys.api_key(key.id))


def test_a_deleted_key_stops(running: Running) -> None:
    key, token = running.make("d=read")
    assert running.ask(token).status == 200
    running.bucket.delete(keys.api_key(key.id))
    wait_until(lambda: running.ask(token).status == 401, 10)


def test_who_has_any_key_sees_what_is_registered(running: Running) -> None:
    _, token = running.make()
    told = running.run("releases", "visibility", "d:r1", "registered")
    assert told.stdout.strip() == "d/r1 is registered, it was private"
    try:
        wait_until(lambda: running.ask(token).status == 200, 10)
        assert running.ask(token, f"{VIDEOS}/v/archive").status == 307
        assert running.ask(None).status == 404
    finally:
        assert running.run("releases", "visibility", "d:r1", "private").returncode == 0
    wait_until(lambda: running.ask(token).status == 404, 10)


def test_an_embargo_ends_by_itself(running: Running) -> None:
    until = (datetime.now(UTC) + timedelta(seconds=4)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert running.run("releases", "visibility", "d:r1", f"embargoed until {until}").returncode == 0
    try:
        if datetime.now(UTC) < datetime.fromisoformat(until) - timedelta(seconds=1):
            assert running.ask(None).status == 404
        wait_until(lambda: running.ask(None).status == 200, 15)
        assert datetime.now(UTC) >= datetime.fromisoformat(until)
        assert running.ask(None).headers["Cache-Control"].startswith("public")
    finally:
        assert running.run("releases", "visibility", "d:r1", "private").returncode == 0


def test_the_visibility_of_what_is_not_there_is_not_changed(running: Running) -> None:
    for place, why in (("none", "no dataset"), ("d:none", "no release"), ("D", "neither a dataset"), ("d:", "neither")):
        told = running.run("releases", "visibility", place, "private")
        assert told.returncode != 0
        assert why in told.stderr
    assert "none of public, registered" in running.run("releases", "visibility", "d", "hidden").stderr


def test_commands_name_what_is_wrong(running: Running) -> None:
    for options, why in (
        (["--owner", "A", "--scope", "d=write"], "is no scope such as"),
        (["--owner", "", "--scope", "d"], "printable characters"),
        (["--owner", "two\nlines"], "printable characters"),
        (["--owner", "A", "--expires", "soon"], "no date or time"),
        (["--owner", "A", "--expires", "9999-12-31T23:59:59-01:00"], "no date or time"),
        (["--owner", "A", "--expires", "999999w"], "a hundred years"),
        (["--owner", "A", "--quota-bytes", "-1"], "not a size"),
        (["--owner", "A", "--rate", "fast"], "rate"),
        ([], "--owner"),
    ):
        told = running.run("keys", "create", *options)
        assert told.returncode == 2, options
        assert why in told.stderr
    assert "there is no key" in running.run("keys", "show", "nonesuch00").stderr
    assert "there is no key" in running.run("keys", "revoke", "../d/dataset", "--yes").stderr


def test_two_rotations_at_once_both_count(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    key, old = running.make("d=read")
    written = key_file.encode
    raced: list[str] = []

    def encode_after_another(changed: ApiKey) -> bytes:
        if not raced:
            raced.append("")
            raced[0] = issuing.rotate_key(running.bucket, key.id, timedelta(hours=1))[1]
        return written(changed)

    monkeypatch.setattr(key_file, "encode", encode_after_another)
    _, mine = issuing.rotate_key(running.bucket, key.id, timedelta(hours=1))
    monkeypatch.undo()
    for token in (old, raced[0], mine):
        wait_until(lambda token=token: running.ask(token).status == 200, 10)  # type: ignore[misc]


def test_republishing_keeps_who_may_see_a_release(running: Running, tmp_path: Path) -> None:
    tree = Tree(tmp_path / "source", [Clip("v", ((1,),))])
    assert (
        running.run("ingest", tree.root, "--dataset", "kept", "--release", "r1", "--visibility", "private").returncode
        == 0
    )
    assert running.run("ingest", tree.root, "--dataset", "kept", "--release", "r1").returncode == 0
    listed = json.loads(running.run("releases", "list", "kept", "--json").stdout)
    assert [row["state"] for row in listed] == ["private"]
    changed = running.run("ingest", tree.root, "--dataset", "kept", "--release", "r1", "--visibility", "registered")
    assert "who may see it was changed" in changed.stdout
    listed = json.loads(running.run("releases", "list", "kept", "--json").stdout)
    assert [row["state"] for row in listed] == ["registered"]
