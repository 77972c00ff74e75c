"""Rates as they are written in settings and keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gygo_server.limits.rate import Rate, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("6000/minute", Rate(6000, 60)),
        ("100/second", Rate(100, 1)),
        ("1/hour", Rate(1, 3600)),
        ("1000000/day", Rate(1_000_000, 86400)),
        ("none", None),
    ],
)
def test_a_rate_is_a_number_and_a_unit_of_time(text: str, rate: Rate | None) -> None:
    assert parse_rate(text) == rate


@given(st.integers(1, 10**9 - 1), st.sampled_from(["second", "minute", "hour", "day"]))
def test_a_rate_is_written_as_it_is_read(units: int, unit: str) -> None:
    assert str(parse_rate(f"{units}/{unit}")) == f"{units}/{unit}"


@pytest.mark.parametrize(
    "text",
    [
        *("", "6000", "/minute", "0/minute", "-1/minute", "1.5/second", "1e3/second", "6000/minutes", "6000 /minute"),
        *("6000/fortnight", "None", "\u0661/second", "1/second;2/day", "1_0/second", "01/second", "1/second\n"),
        "9" * 10 + "/day",
    ],
)
def test_what_is_no_rate_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no rate such as 100/second, 6000/minute or 1000000/day; none: no limit"):
        parse_rate(text)
