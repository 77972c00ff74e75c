"""The client against a service that says "later": it waits as long as that says, and gets everything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3

import gygo
from gygo_server.limits.rate import Rate


def test_a_client_that_is_too_fast_waits_as_long_as_it_is_told(
    serve_with: Callable[..., str], published: dict[str, Path]
) -> None:
    url = serve_with(rate_anonymous=Rate(3, 1))
    statuses = []
    while 429 not in statuses:
        answer = urllib3.request("GET", f"{url}/v1/datasets", retries=False)
        statuses.append(answer.status)
    assert answer.headers["Retry-After"] == "1"
    client = gygo.connect(url)
    assert [client.dataset("multi").id for _ in range(9)] == ["multi"] * 9


def test_without_patience_the_refusal_is_told(serve_with: Callable[..., str], published: dict[str, Path]) -> None:
    client = gygo.connect(serve_with(rate_anonymous=Rate(1, 86400)), patience=0)
    client.dataset("multi")
    with pytest.raises(gygo.GygoError, match=r"1/day is the limit of address 127\.0\.0\.1"):
        client.dataset("multi")
