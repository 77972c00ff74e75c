"""What a request costs, and that its bill comes to that however it went."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gygo_server.errors import QuotaExceededError, RateLimitedError
from gygo_server.limits.bill import Bill, Kind, cost_of
from gygo_server.limits.counters import Account, LocalCounters
from gygo_server.limits.rate import Rate

MIB = 1 << 20
PAID = [kind for kind in Kind if kind is not Kind.FREE]

paid = st.sampled_from(PAID)
statuses = st.sampled_from([200, 206, 304, 307, 401, 403, 404, 410, 416, 422, 500, 502, 503])


def account(units: int = 1000, quota: int | None = None) -> Account:
    return Account("key abc", Rate(units, 86400), "key abc", quota)


def units_left(bill: Bill) -> int:
    [_, (_, text)] = bill.fields()
    return int(text.split(";")[1].removeprefix("r="))


def bytes_used(counters: LocalCounters, mine: Account) -> int:
    return counters.charge(mine._replace(rate=None), 0, 0, force=True).used


@pytest.mark.parametrize(
    ("kind", "status", "sent", "urls", "cost"),
    [
        (Kind.DOCUMENT, 200, 5000, 0, 1),
        (Kind.DOCUMENT, 200, 5000, 100, 1),
        (Kind.DOCUMENT, 200, 5000, 101, 2),
        (Kind.DOCUMENT, 200, 5000, 1000, 10),
        (Kind.DOCUMENT, 307, 200, 1, 1),
        (Kind.PICTURE, 200, 50 * MIB, 0, 2),
        (Kind.PICTURE, 206, 1, 0, 2),
        (Kind.DERIVED, 200, 1, 0, 10),
        (Kind.CLIP, 200, 5 * MIB, 0, 5),
        (Kind.BATCH, 200, 0, 0, 1),
        (Kind.BATCH, 200, MIB, 0, 1),
        (Kind.BATCH, 200, MIB + 1, 0, 2),
        (Kind.BATCH, 200, 700 * MIB, 0, 700),
        (Kind.BATCH, 200, MIB, 100_000, 1000),
        *((kind, 304, 0, 0, 0) for kind in Kind),
        *((kind, status, 300, 0, 1) for kind in PAID for status in (401, 404, 422)),
        *((kind, status, 300, 0, 0) for kind in Kind for status in (500, 502, 503)),
        (Kind.FREE, 200, 5000, 0, 0),
        (Kind.FREE, 404, 5000, 0, 0),
    ],
)
def test_an_answer_costs_what_it_is(kind: Kind, status: int, sent: int, urls: int, cost: int) -> None:
    assert cost_of(kind, head=False, status=status, sent=sent, urls=urls) == cost


@given(paid, statuses, st.integers(0, 2**40), st.integers(0, 10**7))
def test_a_head_costs_nothing_but_to_look_for_what_is_not_there(kind: Kind, status: int, sent: int, urls: int) -> None:
    assert cost_of(kind, head=True, status=status, sent=sent, urls=urls) == int(400 <= status < 500)


@given(paid, st.integers(0, 2**40), st.integers(0, 10**7), st.integers(0, 2**30), st.integers(0, 10**5))
def test_more_never_costs_less(kind: Kind, sent: int, urls: int, more: int, more_urls: int) -> None:
    less, greater = (
        cost_of(kind, head=False, status=200, sent=size, urls=count)
        for size, count in ((sent, urls), (sent + more, urls + more_urls))
    )
    assert kind.least <= less <= greater


class Answer(NamedTuple):
    kind: Kind
    status: int
    head: bool
    expected: int
    signed: int
    urls: int
    length: int | None
    sent: int
    conditional: bool


answers = st.builds(
    Answer,
    paid,
    statuses,
    st.booleans(),
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.integers(0, 500),
    st.none() | st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.booleans(),
)


@given(st.lists(answers, max_size=12), st.booleans())
def test_bills_come_to_what_was_given(asked: list[Answer], counted: bool) -> None:
    counters, mine = LocalCounters(), account(10**6, 10**12 if counted else None)
    cost = size = 0
    for each in asked:
        bill = Bill(counters, mine, each.kind, head=each.head)
        bill.admit(perhaps_nothing=each.conditional)
        bill.expect(each.expected)
        bill.expect(each.signed, each.urls)
        bill.gave(each.signed, each.urls)
        bill.answered(each.status, each.length)
        bill.ended(each.status, each.sent)
        cost += cost_of(each.kind, head=each.head, status=each.status, sent=each.sent, urls=each.urls)
        size += 0 if each.head or each.status >= 400 else each.sent + each.signed
    left = Bill(counters, mine, Kind.DOCUMENT, head=True)
    left.admit(perhaps_nothing=False)
    assert 10**6 - cost <= units_left(left) <= 10**6 - cost + 60  # some of it is paid off by now
    assert bytes_used(counters, mine) == (size if counted else 0)


def test_a_list_that_is_cut_has_given_the_lots_that_were_begun() -> None:
    counters, mine = LocalCounters(), account(quota=10**6)
    bill = Bill(counters, mine, Kind.BATCH, head=False)
    bill.admit(perhaps_nothing=False)
    bill.expect(900_000, 5000)
    bill.answered(200, None)
    assert bytes_used(counters, mine) == 900_000  # nobody else is promised them meanwhile
    assert units_left(bill) == 950
    bill.gave(200_000, 1000)
    bill.ended(200, 4000)
    assert bytes_used(counters, mine) == 204_000
    assert units_left(bill) == 990


def test_what_does_not_fit_is_refused_with_when_there_is_room() -> None:
    counters, mine = LocalCounters(), account(2)
    bill = Bill(counters, mine, Kind.PICTURE, head=False)
    bill.admit(perhaps_nothing=False)
    bill.answered(200, 10)
    with pytest.raises(RateLimitedError, match=r"^2/day is the limit of key abc: come back in \d+ s$") as caught:
        Bill(counters, mine, Kind.DOCUMENT, head=False).admit(perhaps_nothing=False)
    assert caught.value.retry_after == pytest.approx(43200, abs=60)
    with pytest.raises(RateLimitedError) as caught:
        Bill(counters, mine, Kind.PICTURE, head=False).admit(perhaps_nothing=False)
    assert caught.value.retry_after == pytest.approx(86400, abs=60)


def test_bytes_that_do_not_fit_are_refused_with_how_many_are_left() -> None:
    counters, mine = LocalCounters(), account(quota=1_000_000)
    bill = Bill(counters, mine, Kind.BATCH, head=False)
    bill.admit(perhaps_nothing=False)
    bill.expect(600_000)
    with pytest.raises(QuotaExceededError, match=r"1,000,000 bytes a day .* 600,000 are used, 400,001 more are asked"):
        bill.expect(400_001)
    bill.answered(429, 300)
    assert bytes_used(counters, mine) == 0
    assert units_left(bill) == 999  # it was asked for all the same


def test_without_bytes_left_only_what_has_none_is_answered() -> None:
    counters, mine = LocalCounters(), account(quota=100)
    counters.charge(mine, 0, 100)
    with pytest.raises(QuotaExceededError, match="nothing is left") as caught:
        Bill(counters, mine, Kind.DOCUMENT, head=False).admit(perhaps_nothing=True)
    assert 0 < caught.value.retry_after <= 86400
    Bill(counters, mine, Kind.DOCUMENT, head=True).admit(perhaps_nothing=False)


def test_the_header_fields_are_those_of_the_draft() -> None:
    counters = LocalCounters()
    bill = Bill(counters, Account("a", Rate(6000, 60), "a", 10**6), Kind.CLIP, head=False)
    assert bill.fields() == []
    bill.admit(perhaps_nothing=False)
    bill.answered(200, 1000)
    policy, limit = bill.fields()
    assert policy == ("RateLimit-Policy", '"default";q=6000;w=60, "bytes";q=1000000;qu="content-bytes";w=86400')
    name, text = limit
    default, size = text.split(", ")
    assert (name, default) == ("RateLimit", '"default";r=5995;t=1')
    assert size.startswith('"bytes";r=999000;t=')


def test_a_stream_that_is_cut_after_midnight_gives_nothing_back_to_the_new_day(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(size: int) -> Bill:
        bill = Bill(counters, mine, Kind.BATCH, head=False)
        bill.admit(perhaps_nothing=False)
        bill.expect(size)
        bill.answered(200, size)
        return bill

    def is_day(today: str) -> None:
        for module in ("counters", "bill"):
            monkeypatch.setattr(f"gygo_server.limits.{module}.day", lambda: today)

    counters, mine = LocalCounters(), account(quota=100)
    is_day("2026-05-01")
    yesterday = begin(100)
    is_day("2026-05-02")
    begin(90).ended(200, 90)
    yesterday.ended(200, 5)
    assert bytes_used(counters, mine) == 90
    is_day("2026-05-03")
    assert bytes_used(counters, mine) == 0
