"""Who is told of what: what one may see, once it may be seen, and that it was withdrawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import boto3
import pytest
from deliveries import Post
from published import publish, show, show_dataset, withdraw
from receivers import Receiver, Reply
from standardwebhooks import WebhookVerificationError

from gygo_server.access import issuing
from gygo_server.access.api_key import Scope
from gygo_server.errors import KeyRefusedError
from gygo_server.model import time_text
from gygo_server.store.bucket import Bucket
from gygo_server.webhooks import registry
from gygo_server.webhooks.delivery import Deliverer
from gygo_server.webhooks.hook import Subject

Start = Callable[..., Receiver]


@pytest.fixture
def post(hooks: Bucket) -> Post:
    return Post(hooks)


def key(bucket: Bucket, *scopes: str, **more: object) -> str:
    """The id of a new API key."""
    order = issuing.Order("partner", tuple(map(Scope.parse, scopes)), **more)  # type: ignore[arg-type]
    return issuing.create_key(bucket, order)[0].id


def told(receiver: Receiver) -> list[tuple[str, str]]:
    """What a receiver has heard, in order: what happened to which release."""
    heard = [json.loads(each.body) for each in receiver.received]
    return [(each["type"], f"{each['data']['dataset']}/{each['data']['release']}") for each in heard]


def test_a_release_is_told_once_and_the_library_of_partners_verifies_it(post: Post, receiver: Start) -> None:
    there = receiver()
    hook, secret = post.add(there.url)
    publish(post.bucket, "toys", "r1")
    done = post.round()
    assert ([each.answer.status for each in done.attempts], done.pending, done.troubles) == ([200], 0, [])
    [received] = there.received
    assert received.verified(secret) == {
        "type": "release.published",
        "timestamp": time_text(post.at),
        "data": {
            "dataset": "toys",
            "release": "r1",
            "published_at": "2026-11-01T09:00:00Z",
            "title": "The toys",
            "links": {"self": "/v1/datasets/toys/releases/r1"},
        },
    }
    assert received.headers["Content-Type"] == "application/json"
    assert received.headers["User-Agent"].startswith("gygo-server/")
    for _ in range(2):
        assert post.round().attempts == []
    assert len(there.received) == 1
    [event] = post.hook(hook).events
    assert (event.id, event.delivered_at, event.next_at) == (received.id, post.at, None)


def test_a_message_that_was_changed_or_is_signed_by_another_is_not_verified(post: Post, receiver: Start) -> None:
    there = receiver()
    _, secret = post.add(there.url)
    _, of_another = post.add(there.url, None, "other")
    publish(post.bucket, "toys", "r1")
    post.round()
    [received] = there.received
    for message, key in (
        (received._replace(body=received.body.replace(b"r1", b"r2")), secret),
        (received._replace(headers={**received.headers, "webhook-id": "msg_other"}), secret),
        (received, of_another),
    ):
        with pytest.raises(WebhookVerificationError):
            message.verified(key)


def test_links_are_absolute_when_the_service_s_address_is_known(hooks: Bucket, receiver: Start) -> None:
    post, there = Post(hooks, public_url="https://data.example.org/"), receiver()
    _, secret = post.add(there.url)
    publish(hooks, "toys", "r1")
    post.round()
    url = "https://data.example.org/v1/datasets/toys/releases/r1"
    assert there.received[0].verified(secret)["data"]["links"] == {"self": url}


def test_releases_that_were_there_are_told_only_when_that_is_wanted(post: Post, receiver: Start) -> None:
    publish(post.bucket, "toys", "r1")
    publish(post.bucket, "toys", "r2")
    withdraw(post.bucket, "toys", "r2", None)
    new, old = receiver(), receiver()
    post.add(new.url)
    post.add(old.url, backfill=True)
    publish(post.bucket, "toys", "r3")
    post.round()
    assert told(new) == [("release.published", "toys/r3")]
    assert told(old) == [("release.published", "toys/r1"), ("release.published", "toys/r3")]


def test_what_a_key_may_not_see_is_not_told(post: Post, receiver: Start) -> None:
    public, registered, partner, other = (receiver() for _ in range(4))
    post.add(public.url)
    post.add(registered.url, key(post.bucket))
    post.add(partner.url, key(post.bucket, "toys:r3=read"))
    post.add(other.url, key(post.bucket, "cars"))
    for release, visibility in (("r1", "public"), ("r2", "registered"), ("r3", "private"), ("r4", "private")):
        publish(post.bucket, "toys", release, visibility)
    publish(post.bucket, "cars", "r1")
    show_dataset(post.bucket, "cars", "private")
    post.round()

    def releases(of: Receiver) -> list[str]:
        return [name for _, name in told(of)]

    assert releases(public) == ["toys/r1"]
    assert releases(registered) == ["toys/r1", "toys/r2"]
    assert releases(partner) == ["toys/r1", "toys/r2", "toys/r3"]
    assert releases(other) == ["cars/r1", "toys/r1", "toys/r2"]


def test_a_webhook_for_some_datasets_is_not_told_of_others(post: Post, receiver: Start) -> None:
    there = receiver()
    post.add(there.url, None, "toys", "cars")
    for dataset in ("toys", "planes", "cars"):
        publish(post.bucket, dataset, "r1")
    post.round()
    assert sorted(told(there)) == [("release.published", "cars/r1"), ("release.published", "toys/r1")]


def test_a_release_is_told_when_its_embargo_ends(post: Post, receiver: Start) -> None:
    there = receiver()
    post.add(there.url)
    publish(post.bucket, "toys", "r1", f"embargoed until {time_text(post.at + timedelta(hours=1))}")
    post.round()
    post.later(minutes=59, seconds=59)
    post.round()
    assert told(there) == []
    post.later(seconds=1)
    post.round()
    assert told(there) == [("release.published", "toys/r1")]


def test_a_release_is_told_when_it_is_made_visible_also_one_that_was_there_before(post: Post, receiver: Start) -> None:
    publish(post.bucket, "toys", "r1", "private")
    there = receiver()
    post.add(there.url)
    publish(post.bucket, "toys", "r2", "private")
    post.round()
    assert told(there) == []
    show(post.bucket, "toys", "r2", "public")
    post.round()
    assert told(there) == [("release.published", "toys/r2")]
    show(post.bucket, "toys", "r1", "public")
    post.round()
    assert told(there)[1:] == [("release.published", "toys/r1")]


def test_what_is_hidden_before_it_was_told_waits_until_it_may_be_seen(post: Post, receiver: Start) -> None:
    there = receiver(lambda _: answers.pop())
    answers = [Reply(), Reply(500)]
    hook, _ = post.add(there.url)
    publish(post.bucket, "toys", "r1")
    post.round()
    show(post.bucket, "toys", "r1", "private")
    post.later(hours=1)
    assert post.round().attempts == []
    assert len(there.received) == 1
    assert len(post.hook(hook).pending) == 1
    show(post.bucket, "toys", "r1", "public")
    post.round()
    assert len(there.received) == 2
    assert post.hook(hook).pending == []


@pytest.mark.parametrize("end", ["revoked", "expired", "lost"])
def test_a_key_that_is_no_longer_good_ends_its_webhooks(post: Post, receiver: Start, end: str) -> None:
    there, public = receiver(), receiver()
    key_id = key(post.bucket, "*", expires_at=post.at + timedelta(days=1))
    hook, _ = post.add(there.url, key_id)
    post.add(public.url)
    publish(post.bucket, "toys", "r1")
    post.round()
    if end == "revoked":
        issuing.revoke_key(post.bucket, key_id)
        post.later(seconds=2)
    elif end == "expired":
        post.later(days=1)
    else:
        post.bucket.delete(f"_keys/{key_id}.json")
    publish(post.bucket, "toys", "r2")
    done = post.round()
    assert [each.hook_id == hook.id for each in done.attempts] == [False]
    assert [name for _, name in told(there)] == ["toys/r1"]
    assert [name for _, name in told(public)] == ["toys/r1", "toys/r2"]
    with pytest.raises(KeyRefusedError):
        Deliverer(post.bucket, post.sender, None, lambda: post.at).ping(hook.id)
    assert len(there.received) == 1


def test_a_withdrawal_is_told_to_those_who_know_of_the_release(post: Post, receiver: Start) -> None:
    publish(post.bucket, "toys", "r0")
    told_of_it, knew_it, stranger = receiver(), receiver(), receiver()
    post.add(told_of_it.url, backfill=True)
    post.add(knew_it.url)
    publish(post.bucket, "toys", "r1", "private")
    post.add(stranger.url, None, "cars")
    post.round()
    withdraw(post.bucket, "toys", "r0", "wrong masks")
    withdraw(post.bucket, "toys", "r1", "secret")
    for _ in range(2):
        post.round()
    assert told(told_of_it) == [("release.published", "toys/r0"), ("release.withdrawn", "toys/r0")]
    assert told(knew_it) == [("release.withdrawn", "toys/r0")]
    assert told(stranger) == []
    said = json.loads(knew_it.received[0].body)["data"]
    assert said["withdrawn_reason"] == "wrong masks"
    assert said["withdrawn_at"] > said["published_at"]
    show(post.bucket, "toys", "r1", "public")
    post.round()
    assert len(knew_it.received) == 1, "they never knew of it"


def test_what_was_withdrawn_before_it_arrived_is_not_told_as_published(post: Post, receiver: Start) -> None:
    reached = receiver(lambda _: answers.pop())
    answers = [Reply(), Reply(500)]
    hook, _ = post.add(reached.url)
    publish(post.bucket, "toys", "r1")
    post.round()
    idle, _ = post.add(receiver().url, backfill=True)
    registry.disable_hook(post.bucket, idle.id, "by hand")
    withdraw(post.bucket, "toys", "r1", None)
    registry.enable_hook(post.bucket, idle.id)
    post.later(hours=1)
    post.round()
    assert [kind for kind, _ in told(reached)] == ["release.published", "release.withdrawn"], "it may have heard it"
    assert [event.type for event in post.hook(hook).events] == ["release.withdrawn"]
    assert post.hook(idle).events == ()


def test_a_disabled_webhook_is_told_what_it_missed_when_it_is_enabled(post: Post, receiver: Start) -> None:
    there = receiver()
    hook, _ = post.add(there.url)
    registry.disable_hook(post.bucket, hook.id, "by hand")
    publish(post.bucket, "toys", "r1")
    assert post.round().attempts == []
    registry.enable_hook(post.bucket, hook.id)
    post.round()
    assert told(there) == [("release.published", "toys/r1")]


def test_a_new_secret_and_the_old_one_both_sign_for_a_while(post: Post, receiver: Start) -> None:
    there = receiver()
    hook, old = post.add(there.url)
    _, new = registry.rotate_secret(post.bucket, hook.id, timedelta(hours=1))
    assert new != old
    publish(post.bucket, "toys", "r1")
    post.round()
    assert there.received[0].headers["webhook-signature"].count("v1,") == 2
    assert there.received[0].verified(old) == there.received[0].verified(new)
    registry.rotate_secret(post.bucket, hook.id, timedelta(0))
    publish(post.bucket, "toys", "r2")
    post.round()
    assert there.received[1].headers["webhook-signature"].count("v1,") == 1
    for secret in (old, new):
        with pytest.raises(WebhookVerificationError):
            there.received[1].verified(secret)


def test_what_is_spoilt_stops_no_other(post: Post, receiver: Start) -> None:
    def overwrite(name: str, content: bytes) -> None:
        settings = post.bucket.settings
        client = boto3.client("s3", endpoint_url=settings.endpoint, region_name=settings.region)
        client.put_object(Bucket=settings.bucket, Key=name, Body=content)
        client.close()

    there, lost = receiver(), receiver()
    good, _ = post.add(there.url)
    spoilt_key = key(post.bucket)
    held, _ = post.add(lost.url, spoilt_key)
    for dataset in ("cars", "toys"):
        publish(post.bucket, dataset, "r1")
    overwrite("cars/dataset.json", b"{")
    overwrite("_webhooks/aaaaaaaaaa.json", b'{"secrets": [{"text": "whsec_hunter2"}]}')
    overwrite("_webhooks/notes.txt", b"of somebody else")
    file = post.bucket.find(f"_webhooks/{good.id}.json")
    assert file is not None
    document = {**json.loads(file.content), "created_at": "0001-01-01T00:00:00+01:00", "id": "bbbbbbbbbb"}
    overwrite("_webhooks/bbbbbbbbbb.json", json.dumps(document).encode())
    document |= {"created_at": "0001-01-01T00:00:00Z", "url": "\0", "key_id": "../x\0", "id": "cccccccccc"}
    overwrite("_webhooks/cccccccccc.json", json.dumps(document).encode())
    document |= {"key_id": None, "datasets": ["toys", "toys", "cars"], "id": "dddddddddd"}
    overwrite("_webhooks/dddddddddd.json", json.dumps(document).encode())
    overwrite(f"_keys/{spoilt_key}.json", b"{")
    done = post.round()
    assert told(there) == [("release.published", "toys/r1")]
    assert lost.received == []
    not_sent = [each for each in done.attempts if each.hook_id != good.id]
    assert [(each.hook_id, each.answer.text[:10]) for each in not_sent] == [("dddddddddd", "not sent: ")]
    assert registry.find_hook(post.bucket, "dddddddddd").pending, "what was written of it can be read"
    told_of = (
        "_webhooks/aaaaaaaaaa.json: not a webhook",
        "_webhooks/bbbbbbbbbb.json: not a webhook",
        "cars/dataset.json: not",
        f"webhook {held.id}: _keys/",
    )
    assert [line.startswith(begin) for line, begin in zip(done.troubles, told_of, strict=True)] == [True] * 4
    assert "hunter2" not in "".join(done.troubles)


def test_a_webhook_knows_what_was_there_for_its_key_and_not_more(post: Post) -> None:
    publish(post.bucket, "toys", "r1")
    publish(post.bucket, "toys", "r2", "private")
    assert post.add("https://example.org/")[0].known == {Subject("toys", "r1")}
    with_key = post.add("https://example.org/", key(post.bucket, "toys"))[0]
    assert with_key.known == {Subject("toys", "r1"), Subject("toys", "r2")}
