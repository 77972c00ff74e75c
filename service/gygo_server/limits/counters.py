"""What each account has taken: of its rate, and of its bytes of the day. Here, in this process; see ``shared.py``.

A rate is kept by the generic cell rate algorithm (ITU-T I.371, annex A): one time for an account, when all that it took
will be paid off at its rate. Unlike counters of windows it takes any cost after the fact, also more than there is room
for, and then says exactly how long there is none.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import NamedTuple, Protocol, TypeVar

from gygo_server.limits.rate import Rate

#: What addresses are remembered of, at most: an attacker may have any number of them. Keys are always remembered.
MAX_ADDRESSES = 100_000

#: Accounts of callers without a key begin so.
ADDRESS = "address "

#: Accounts looked through, at least, before those are dropped that have nothing to pay off any more.
_SWEEP = 1000

#: Seconds: how exact times are as sums of floats.
_GRAIN = 1e-6

T = TypeVar("T", int, float)


class Account(NamedTuple):
    """Whom a request is charged to: the name under which its cost counts, and the one under which its bytes count."""

    name: str
    rate: Rate | None
    bytes_name: str
    quota: int | None


class Lack(Enum):
    """What there is no room for."""

    RATE = 1
    BYTES = 2


class Level(NamedTuple):
    """How an account stands: seconds until its whole rate is there again, bytes of the day, and what it lacks."""

    backlog: float
    used: int
    lack: Lack | None = None


class Counters(Protocol):
    """Keeps what accounts have taken. Safe for threads."""

    def charge(
        self, account: Account, cost: int, size: int | None, *, force: bool = False, on: str | None = None
    ) -> Level:
        """Take ``cost`` units of the account's rate and ``size`` bytes of its day; less than 0 gives back. ``on``: of
        which day, as :func:`day` names it; today when it is None.

        Without ``force``, nothing is taken where the rate has no room for the cost, nor the day for the bytes: for one
        at least, unless ``size`` is None. A cost above the whole rate needs all of it to be there.
        """

    def why_local(self) -> str | None:
        """Why only this process counts though others should too; None when all is as it should be."""


class LocalCounters:
    """Those of one process: each of several counts for itself. ``clock``: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}
        self._sweep_at = _SWEEP
        self._used: dict[str, dict[str, int]] = {}  # by day

    def charge(
        self, account: Account, cost: int, size: int | None, *, force: bool = False, on: str | None = None
    ) -> Level:
        rate, quota = account.rate, account.quota
        backlog, used, step, now = 0.0, 0, 0.0, 0.0
        with self._lock:
            if rate is not None:
                now = self._clock()
                backlog = max(self._due.get(account.name, 0.0) - now, 0.0)
                step = rate.seconds / rate.units
                if not force and backlog + min(cost, rate.units) * step > rate.seconds + _GRAIN:
                    return Level(backlog, self._used_on(on).get(account.bytes_name, 0), Lack.RATE)
            if quota is not None:
                of_day = self._used_on(on)
                used = of_day.get(account.bytes_name, 0)
                if not force and size is not None and used + (size or 1) > quota:
                    return Level(backlog, used, Lack.BYTES)
                if size:
                    used = max(used + size, 0)
                    of_day[account.bytes_name] = used
                    _bound(of_day)
            if rate is not None and cost:
                backlog = max(backlog + cost * step, 0.0)
                self._due[account.name] = now + backlog
                if len(self._due) > self._sweep_at:
                    self._sweep(now)
        return Level(backlog, used)

    def why_local(self) -> str | None:
        return None

    def _used_on(self, on: str | None) -> dict[str, int]:
        """What was used of that day; the last two are remembered, as what began yesterday may end today."""
        name = day() if on is None else on
        if name not in self._used:
            self._used = dict(sorted({**self._used, name: {}}.items())[-2:])
        return self._used.get(name, {})

    def _sweep(self, now: float) -> None:
        self._due = {name: due for name, due in self._due.items() if due > now}
        _bound(self._due)
        self._sweep_at = max(_SWEEP, 2 * len(self._due))


def _bound(held: dict[str, T]) -> None:
    """Forget half of the addresses, the oldest, when they are too many."""
    if len(held) > MAX_ADDRESSES:
        for name in [name for name in held if name.startswith(ADDRESS)][: MAX_ADDRESSES // 2]:
            del held[name]


def day() -> str:
    """Today, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def seconds_of_day_left() -> int:
    """Seconds until the bytes of the day are counted anew, at 00:00 UTC."""
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return math.ceil((midnight - now).total_seconds())
