"""When messages are sent: again after a failure, until they are given up; by one of many; once more after a kill."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from deliveries import LOOPBACK, Post
from published import publish
from receivers import Received, Receiver, Reply

from gygo_server.errors import HookChangeError, NotFoundError, PreconditionFailedError
from gygo_server.store.bucket import Bucket
from gygo_server.webhooks import registry
from gygo_server.webhooks.hook import Event, Hook
from gygo_server.webhooks.posting import Answer, Sender
from gygo_server.webhooks.schedule import JITTER, LEASE

Start = Callable[..., Receiver]

MINUTE, HOUR = 60, 3600
#: Standard Webhooks: seconds after each failure.
WAITS = [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR]


@pytest.fixture
def post(hooks: Bucket) -> Post:
    return Post(hooks)


def only_event(post: Post, hook: Hook) -> Event:
    [event] = post.hook(hook).events
    return event


def next_at(post: Post, hook: Hook) -> datetime:
    found = only_event(post, hook).next_at
    assert found is not None
    return found


def test_a_failure_is_tried_again_later_and_later_and_given_up_in_the_end(post: Post, receiver: Start) -> None:
    there = receiver(lambda _: Reply(500, b"out of order"))
    hook, secret = post.add(there.url)
    publish(post.bucket, "toys", "r1")
    for count, wait in enumerate(WAITS, 1):
        [attempt] = post.round().attempts
        assert (attempt.event.attempts, attempt.answer.status) == (count, 500)
        waits = next_at(post, hook) - post.at
        assert timedelta(seconds=wait - 1) <= waits <= timedelta(seconds=wait * (1 + JITTER))
        post.at = next_at(post, hook) - timedelta(seconds=1)
        assert post.round().attempts == [], "not before its time"
        post.later(seconds=1)
    post.round()
    [dead] = post.hook(hook).dead
    assert (dead.attempts, dead.next_at, dead.failed_at) == (10, None, post.at)
    assert dead.answer == "500 Internal Server Error: out of order"
    post.later(days=30)
    assert post.round().attempts == []
    assert len({each.id for each in there.received}) == 1, "the receiver can tell that it is the same"
    assert len(there.received) == 10
    assert secret not in repr(post.hook(hook))


def test_a_dead_letter_can_be_sent_again(post: Post, receiver: Start) -> None:
    replies = [Reply(), *[Reply(500)] * 10]
    there = receiver(lambda _: replies.pop())
    hook, _ = post.add(there.url)
    publish(post.bucket, "toys", "r1")
    while only_event(post, hook).is_pending if post.hook(hook).events else True:
        post.round()
        post.later(days=2)
    [dead] = post.hook(hook).dead
    with pytest.raises(HookChangeError, match="has no dead letter 'msg_other'"):
        registry.revive(post.bucket, hook.id, "msg_other")
    registry.revive(post.bucket, hook.id, dead.id)
    post.round()
    event = only_event(post, hook)
    assert (event.delivered_at, event.failed_at, event.attempts) == (post.at, None, 1)
    assert {each.id for each in there.received} == {dead.id}
    with pytest.raises(HookChangeError):
        registry.revive(post.bucket, hook.id, dead.id)


@pytest.mark.parametrize(("asked", "waits"), [(3, 5), (1000, 1000), (10**9, 86400), (10**18 - 1, 86400)])
def test_a_busy_receiver_says_when_to_come_back_within_reason(
    post: Post, receiver: Start, asked: int, waits: int
) -> None:
    there = receiver(lambda _: Reply(429, headers={"Retry-After": f"{asked}"}))
    hook, _ = post.add(there.url)
    publish(post.bucket, "toys", "r1")
    post.round()
    assert waits - 1 <= (next_at(post, hook) - post.at).total_seconds() <= waits + 1


def test_an_error_at_one_webhook_is_told_and_stops_no_other(post: Post, receiver: Start) -> None:
    class Broken(Sender):
        def post(self, url: str, *more: Any) -> Answer:
            return super().post(url, *more) if url == there.url else self._fail()

        def _fail(self) -> Answer:
            raise OverflowError("too much")

    there, lost = receiver(), receiver()
    good, _ = post.add(there.url)
    bad, _ = post.add(lost.url)
    publish(post.bucket, "toys", "r1")
    post.sender = Broken(LOOPBACK)
    done = post.round()
    assert [(each.hook_id, each.answer.status) for each in done.attempts] == [(good.id, 200)]
    assert done.troubles == [f"webhook {bad.id}: OverflowError: too much"]
    assert only_event(post, bad).is_pending


def test_a_receiver_that_is_gone_is_left_alone_until_it_is_enabled_again(post: Post, receiver: Start) -> None:
    replies = [Reply(), Reply(410)]
    there = receiver(lambda _: replies.pop())
    hook, _ = post.add(there.url)
    publish(post.bucket, "toys", "r1")
    publish(post.bucket, "toys", "r2")
    post.round()
    assert post.hook(hook).disabled == "its receiver answered 410 Gone"
    post.later(days=1)
    assert post.round().attempts == []
    assert len(there.received) == 1
    replies.append(Reply())
    registry.enable_hook(post.bucket, hook.id)
    post.round()
    assert len(there.received) == 3
    assert post.hook(hook).pending == []


def test_an_address_that_is_no_longer_allowed_fails_as_others_do(hooks: Bucket, receiver: Start) -> None:
    post, there = Post(hooks, sender=Sender([])), receiver()
    hook, _ = post.add(there.url)
    publish(hooks, "toys", "r1")
    post.round()
    event = only_event(post, hook)
    assert (
        event.answer == "not sent: 127.0.0.1 has the address 127.0.0.1, which is not public: see GYGO_WEBHOOK_NETWORKS"
    )
    assert event.is_pending
    assert there.connections == 0


def test_one_that_fails_does_not_hold_up_what_comes_after_it(post: Post, receiver: Start) -> None:
    there = receiver(lambda received: Reply(500 if b"r1" in received.body else 200))
    hook, _ = post.add(there.url)
    for release in ("r1", "r2", "r3"):
        publish(post.bucket, "toys", release)
    post.round()
    assert len(there.received) == 1, "a receiver that fails is left alone for this time"
    assert post.round().pending == 1
    assert [event.subject.release for event in post.hook(hook).pending] == ["r1"]


def test_a_slow_receiver_does_not_stop_the_others(post: Post, receiver: Start) -> None:
    others_heard = threading.Event()

    def wait(_: Received) -> Reply:
        return Reply(200 if others_heard.wait(60) else 500)

    def hear(_: Received) -> Reply:
        others_heard.set()
        return Reply()

    slow, quick = receiver(wait), receiver(hear)
    for there in (slow, quick, slow):
        post.add(there.url)
    publish(post.bucket, "toys", "r1")
    done = post.round()
    assert [each.answer.status for each in done.attempts] == [200] * 3


def test_two_deliverers_at_once_send_each_message_once(post: Post, receiver: Start) -> None:
    there = receiver()
    for _ in range(2):
        post.add(there.url)
    releases = [f"r{number}" for number in range(6)]
    for release in releases:
        publish(post.bucket, "toys", release)
    others = [Post(post.bucket, post.at) for _ in range(3)]
    with ThreadPoolExecutor(len(others)) as pool:
        rounds = list(pool.map(lambda each: each.round(), others))
    assert [done.troubles for done in rounds] == [[]] * len(others)
    assert post.round().attempts == []
    assert len(there.received) == 2 * len(releases)
    assert len({each.id for each in there.received}) == 2 * len(releases)
    for hook in registry.list_hooks(post.bucket):
        assert isinstance(hook, Hook)
        assert [event.subject.release for event in hook.events if event.delivered_at] == releases


def test_an_attempt_that_is_under_way_is_not_begun_by_another_until_its_time_is_over(
    post: Post, receiver: Start
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold(_: Received) -> Reply:
        begun.set()
        go_on.wait(60)
        return Reply()

    there = receiver(hold)
    hook, _ = post.add(there.url)
    publish(post.bucket, "toys", "r1")
    other = Post(post.bucket, post.at)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post.round)
        assert begun.wait(60)
        assert other.round().attempts == []
        other.at += LEASE - timedelta(seconds=2)
        assert other.round().attempts == []
        assert only_event(post, hook).attempts == 1
        go_on.set()
        assert first.result().pending == 0
    other.at += timedelta(days=1)
    assert other.round().attempts == []
    assert len(there.received) == 1


def test_what_the_receiver_got_but_nobody_noted_is_sent_again_under_the_same_id(post: Post, receiver: Start) -> None:
    there = receiver(lambda _: Reply())
    hook, secret = post.add(there.url)
    publish(post.bucket, "toys", "r1")

    class Killed(BaseException):
        """The end of a deliverer as soon as its message was answered."""

    class Dies(Sender):
        def post(self, *arguments: object, **more: object) -> object:  # type: ignore[override]
            super().post(*arguments, **more)  # type: ignore[arg-type]
            raise Killed

    with pytest.raises(Killed):
        Post(post.bucket, post.at, sender=Dies(LOOPBACK)).round()
    assert len(there.received) == 1
    post.later(seconds=LEASE.total_seconds() - 1)
    assert post.round().attempts == []
    post.later(seconds=1)
    post.round()
    first, second = there.received
    assert first.id == second.id
    assert first.verified(secret) == second.verified(secret)
    assert only_event(post, hook).delivered_at == post.at


def test_a_webhook_that_is_removed_while_it_is_sent_to_stays_removed(post: Post, receiver: Start) -> None:
    def remove(_: Received) -> Reply:
        registry.remove_hook(post.bucket, hook.id)
        return Reply()

    there = receiver(remove)
    hook, _ = post.add(there.url)
    publish(post.bucket, "toys", "r1")
    publish(post.bucket, "toys", "r2")
    done = post.round()
    assert (done.pending, done.troubles) == (0, [])
    assert len(there.received) == 1
    with pytest.raises(NotFoundError):
        post.hook(hook)
    assert list(post.bucket.list("_webhooks/")) == []


def test_no_attempt_begins_when_the_time_of_a_round_is_over(post: Post, receiver: Start) -> None:
    there = receiver()
    post.add(there.url)
    publish(post.bucket, "toys", "r1")
    assert post.round(0).pending == 0, "not even found yet"
    assert there.received == []
    assert len(post.round().attempts) == 1


def test_changes_by_many_at_once_are_all_made(post: Post) -> None:
    hook, _ = post.add("https://example.org/")
    with ThreadPoolExecutor(4) as pool:
        changed = [pool.submit(registry.rotate_secret, post.bucket, hook.id, timedelta(hours=1)) for _ in range(4)]
        secrets = [each.result()[1] for each in changed]
    assert set(secrets) <= set(post.hook(hook).good_secrets(post.at))
    with pytest.raises(PreconditionFailedError):
        post.bucket.put(f"_webhooks/{hook.id}.json", b"{}", replaces=None)
