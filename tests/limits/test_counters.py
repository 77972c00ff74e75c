"""What accounts have taken: the same in this process as in Redis, and never more than there is room for."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import NamedTuple
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis_servers import RedisServer, free_port

from gygo_server.limits import counters as module
from gygo_server.limits.counters import ADDRESS, Account, Counters, Lack, LocalCounters, seconds_of_day_left
from gygo_server.limits.rate import Rate
from gygo_server.limits.shared import SharedCounters


class Charge(NamedTuple):
    after: Fraction
    cost: int
    size: int | None
    force: bool


#: Times of eighths: as exact as floats as they are as fractions.
charges = st.builds(
    Charge,
    st.integers(0, 800).map(lambda eighths: Fraction(eighths, 8)),
    st.integers(-20, 40),
    st.none() | st.integers(-50, 120),
    st.booleans(),
)


def account(rate: Rate | None = None, quota: int | None = None, name: str | None = None) -> Account:
    name = name or uuid4().hex
    return Account(name, rate, name, quota)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["here", "in Redis"])
def counters(request: pytest.FixtureRequest) -> Counters:
    if request.param == "here":
        return LocalCounters()
    return SharedCounters(request.getfixturevalue("redis").url)


@given(st.lists(charges, max_size=40), st.sampled_from([Rate(8, 1), Rate(60, 60), Rate(15, 60), Rate(1, 1)]))
def test_a_rate_is_paid_off_exactly(steps: list[Charge], rate: Rate) -> None:
    clock = Clock()
    counters, mine = LocalCounters(clock), account(rate)
    level = Fraction(0)  # units that have been taken and are not paid off
    for step in steps:
        clock.now += float(step.after)
        level = max(level - step.after * rate.units / rate.seconds, Fraction(0))
        room = rate.units - level
        fits = step.force or min(step.cost, rate.units) <= room
        if room != min(step.cost, rate.units):  # on the edge floats may decide
            found = counters.charge(mine, step.cost, 0, force=step.force)
            assert (found.lack is None) == fits
            if fits:
                level = max(level + step.cost, Fraction(0))
            assert found.backlog == pytest.approx(float(level * rate.seconds / rate.units), abs=1e-4)


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(1, 12)), max_size=60))
def test_never_more_than_the_whole_rate_at_once_and_what_has_come_since(asked: list[tuple[int, int]]) -> None:
    clock, rate = Clock(), Rate(16, 4)
    counters, mine = LocalCounters(clock), account(rate)
    taken: list[tuple[float, int]] = []
    for eighths, cost in asked:
        clock.now += eighths / 8
        if counters.charge(mine, cost, 0).lack is None:
            taken.append((clock.now, cost))
    for first, (began, _) in enumerate(taken):
        for last in range(first, len(taken)):
            ended = taken[last][0]
            assert sum(cost for _, cost in taken[first : last + 1]) <= rate.units * (1 + (ended - began) / rate.seconds)


@given(steps=st.lists(charges, max_size=15), quota=st.integers(0, 300) | st.none(), rated=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_redis_counts_as_this_process_does(
    redis: RedisServer, steps: list[Charge], quota: int | None, *, rated: bool
) -> None:
    mine = account(Rate(50, 86400) if rated else None, quota)  # so slow that the time between does not matter
    here, there = LocalCounters(), SharedCounters(redis.url)
    for step in steps:
        one, other = (each.charge(mine, step.cost, step.size, force=step.force) for each in (here, there))
        assert (one.lack, one.used) == (other.lack, other.used)
        assert one.backlog == pytest.approx(other.backlog, abs=60)
    assert there.why_local() is None


def test_a_burst_is_the_whole_rate_and_no_unit_more(counters: Counters) -> None:
    mine = account(Rate(10, 86400))
    lacks = [counters.charge(mine, 1, 0).lack for _ in range(12)]
    assert lacks == [None] * 10 + [Lack.RATE] * 2


def test_a_refusal_takes_nothing(counters: Counters) -> None:
    mine = account(Rate(10, 86400), 100)
    counters.charge(mine, 4, 60)
    before = counters.charge(mine, 0, 1)
    assert counters.charge(mine, 7, 1).lack is Lack.RATE
    assert counters.charge(mine, 1, 50).lack is Lack.BYTES
    after = counters.charge(mine, 0, 1)
    assert (before.used, after.used) == (61, 62)
    assert after.backlog == pytest.approx(before.backlog, abs=60)


def test_a_cost_above_the_whole_rate_needs_all_of_it_and_is_paid_off_in_full(counters: Counters) -> None:
    mine = account(Rate(10, 86400))
    assert counters.charge(mine, 25, 0).backlog == pytest.approx(2.5 * 86400, abs=60)
    assert counters.charge(mine, 1, 0).lack is Lack.RATE
    mine = account(Rate(10, 86400))
    counters.charge(mine, 1, 0)
    assert counters.charge(mine, 25, 0).lack is Lack.RATE


def test_what_is_given_back_is_there_again_and_no_more(counters: Counters) -> None:
    mine = account(Rate(10, 86400), 100)
    counters.charge(mine, 10, 100)
    assert counters.charge(mine, -4, -30, force=True).used == 70
    assert counters.charge(mine, 4, 30).lack is None
    counters.charge(mine, -99, -999, force=True)
    assert counters.charge(mine, 0, 0) == (0.0, 0, None)


def test_without_bytes_to_be_taken_one_must_be_left(counters: Counters) -> None:
    mine = account(quota=100)
    assert counters.charge(mine, 0, 100).lack is None
    assert counters.charge(mine, 0, 0).lack is Lack.BYTES
    assert counters.charge(account(quota=0), 0, 0).lack is Lack.BYTES
    assert counters.charge(mine, 0, None) == (0.0, 100, None)


def test_costs_and_bytes_may_count_under_different_names(counters: Counters) -> None:
    address, key = uuid4().hex, uuid4().hex
    mixed = Account(address, Rate(5, 86400), key, 100)
    counters.charge(mixed, 5, 100)
    assert counters.charge(account(Rate(5, 86400), name=address), 1, 0).lack is Lack.RATE
    assert counters.charge(account(quota=100, name=key), 1, 1).lack is Lack.BYTES
    assert counters.charge(account(Rate(5, 86400), 100, name=key)._replace(bytes_name=address), 1, 1).lack is None


def test_of_many_threads_that_ask_at_once_just_as_many_are_let_in(counters: Counters) -> None:
    mine, others = account(Rate(50, 86400), 120), account(Rate(50, 86400))

    def ask(number: int) -> Lack | None:
        return counters.charge(mine if number % 2 else others, 1, 3).lack

    with ThreadPoolExecutor(16) as pool:
        lacks = list(pool.map(ask, range(400)))
    assert lacks[1::2].count(None) == 40
    assert lacks[::2].count(None) == 50


def test_bytes_are_counted_anew_each_day(counters: Counters, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = account(quota=100)
    for today in ("2026-05-01", "2026-05-02"):
        monkeypatch.setattr(module, "day", lambda today=today: today)
        monkeypatch.setattr("gygo_server.limits.shared.day", lambda today=today: today)
        assert counters.charge(mine, 0, 100).lack is None
        assert counters.charge(mine, 0, 1).lack is Lack.BYTES


def test_the_day_ends_within_a_day() -> None:
    assert 0 < seconds_of_day_left() <= 86400


def test_any_number_of_addresses_takes_a_bounded_memory_and_forgets_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ADDRESSES", 2000)
    counters = LocalCounters()
    key = account(Rate(10, 86400), 100, name="key abc")
    counters.charge(key, 10, 100)
    for number in range(9000):
        counters.charge(account(Rate(10, 86400), 100, name=f"{ADDRESS}{number}"), 1, 1)
    assert len(counters._due) <= 4001
    assert max(map(len, counters._used.values())) <= 2001
    assert counters.charge(key, 1, 0).lack is Lack.RATE
    assert counters.charge(key._replace(rate=None), 0, 1).lack is Lack.BYTES
    assert counters.charge(account(Rate(10, 86400), name=f"{ADDRESS}8999"), 10, 0).lack is Lack.RATE


def test_what_is_paid_off_is_not_remembered() -> None:
    clock = Clock()
    counters = LocalCounters(clock)
    for number in range(50_000):
        clock.now += 0.25
        counters.charge(account(Rate(100, 1), name=f"{ADDRESS}{number}"), 1, 0)
    assert len(counters._due) <= 1001


def test_nothing_stays_in_redis_for_longer_than_it_is_needed(redis: RedisServer) -> None:
    counters = SharedCounters(redis.url)
    mine = account(Rate(10, 1), 100)
    counters.charge(mine, 5, 7)
    client = counters._redis
    names = [name.decode() for name in client.keys(f"*{mine.name}")]  # type: ignore[union-attr]
    assert len(names) == 2
    for name in names:
        assert 0 < client.pttl(name) <= (2 * 86400_000 if ":bytes:" in name else 600)  # type: ignore[operator]


def test_a_redis_that_is_not_there_is_said_and_counted_without() -> None:
    counters = SharedCounters(f"redis://someone:hunter2@127.0.0.1:{free_port()}/0")
    mine = account(Rate(2, 86400))
    assert [counters.charge(mine, 1, 0).lack for _ in range(3)] == [None, None, Lack.RATE]
    why = counters.why_local()
    assert why is not None
    assert "refused" in why
    assert "hunter2" not in why + repr(counters) + repr(vars(counters))


def test_a_redis_that_can_only_be_read_cannot_be_used(redis: RedisServer) -> None:
    counters = SharedCounters(redis.url)
    assert counters.check() is None
    with Redis.from_url(redis.url) as client:
        client.config_set("min-replicas-to-write", 1)
        try:
            why = counters.check()
        finally:
            client.config_set("min-replicas-to-write", 0)
    assert why is not None
    assert "replicas" in why
    assert counters.check() is None


def test_a_redis_that_failed_is_left_alone_before_it_is_asked_again(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, goes_on = threading.Event(), threading.Event()

    def sleep(_: float) -> None:
        waits.set()
        assert goes_on.wait(30)

    monkeypatch.setattr("gygo_server.limits.shared.time.sleep", sleep)
    counters, mine = SharedCounters(redis.url), account(Rate(2, 86400))
    with Redis.from_url(redis.url) as client:
        client.lpush(f"gygo:rate:{mine.name}", 1)  # what only this account's charges fail at
    assert [counters.charge(mine, 1, 0).lack for _ in range(3)] == [None, None, Lack.RATE]
    try:
        assert waits.wait(30)
        assert counters.why_local() is not None
    finally:
        goes_on.set()


@pytest.mark.parametrize(
    "reply",
    [
        b"$-1\r\n",
        b":5\r\n",
        b"+OK\r\n",
        b"*0\r\n",
        b"*3\r\n:0\r\n$-1\r\n:0\r\n",
        b"*3\r\n:7\r\n:0\r\n:0\r\n",
        b"HTTP/1.1 400\r\n",
    ],
)
def test_a_server_that_answers_as_redis_never_does_is_counted_without(reply: bytes) -> None:
    class Odd(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while head := self.rfile.readline():  # RESP: *<parts>, and for each $<bytes> and these
                parts = [self.rfile.read(int(self.rfile.readline()[1:]) + 2) for _ in range(int(head[1:]))]
                self.wfile.write(reply if parts[0].startswith(b"EVAL") else b"+OK\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Odd) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        counters, mine = SharedCounters(f"redis://127.0.0.1:{server.server_address[1]}/0"), account(Rate(2, 86400))
        assert [counters.charge(mine, 1, 0).lack for _ in range(3)] == [None, None, Lack.RATE]
        assert counters.why_local() is not None
        assert counters.check() is not None
        counters._redis.close()
        server.shutdown()
