"""What one request takes: cost and bytes, before the work as far as they are known, afterwards as they turned out."""

from __future__ import annotations

import math
from enum import Enum

from gygo_server.errors import QuotaExceededError, RateLimitedError
from gygo_server.limits.counters import Account, Counters, Lack, Level, day, seconds_of_day_left

#: A batch costs a unit for each of these that is begun; a list of signed URLs one for so many of them.
BATCH_BYTES = 1 << 20
LIST_URLS = 100


class Kind(Enum):
    """A kind of answer, by what it costs: so many units at ``least``, or (a batch) more ``by_bytes``."""

    FREE = (0, False)
    DOCUMENT = (1, False)
    PICTURE = (2, False)
    DERIVED = (10, False)
    CLIP = (5, False)
    BATCH = (1, True)

    def __init__(self, least: int, by_bytes: bool) -> None:
        self.least = least
        self.by_bytes = by_bytes


def cost_of(kind: Kind, *, head: bool, status: int, sent: int, urls: int) -> int:
    """What an answer costs, of ``sent`` bytes and so many signed URLs: nothing when there is nothing in it, or when it
    is our fault; a refusal one unit."""
    if kind is Kind.FREE or status >= 500 or status == 304 or (head and status < 400):
        return 0
    if status >= 400:
        return 1
    if status >= 300:
        return max(1, -(-urls // LIST_URLS))
    by_bytes = -(-sent // BATCH_BYTES) if kind.by_bytes else 0
    return max(kind.least, by_bytes, -(-urls // LIST_URLS)) if by_bytes or urls else kind.least


class Bill:
    """The bill of one request; its bytes are those of the day on which it was asked, also when it ends on the next.
    ``level``: how the account stands; None before it was asked."""

    def __init__(self, counters: Counters, account: Account, kind: Kind, *, head: bool, anew: bool = False) -> None:
        """``head``: the answer has no body, and costs nothing, unless it is worked out ``anew`` all the same."""
        self.account = account
        self.level: Level | None = None
        self._counters = counters
        self._day = day()
        self._kind = kind
        self._head = head
        self._free = head and not anew
        self._admitted = False
        self._cost = 0  # what has been charged so far
        self._bytes = 0
        self._given = 0  # bytes and URLs that were signed and given, and URLs that are still to come
        self._urls = 0
        self._coming = 0

    def admit(self, *, perhaps_nothing: bool) -> None:
        """Before the work: take the least that such an answer costs. ``perhaps_nothing``: it may be 304.

        Raises:
            RateLimitedError, QuotaExceededError: there is no room for it. Nothing is charged.
        """
        least = 0 if self._free or perhaps_nothing else self._kind.least
        self.level = self._counters.charge(self.account, least, None if self._head else 0, on=self._day)
        self._refuse(self.level, 0)
        self._admitted, self._cost = True, least

    def expect(self, size: int, urls: int = 0) -> None:
        """Take what is known before it is given: ``size`` bytes to be sent or signed, in so many URLs.

        Raises:
            QuotaExceededError: it does not fit into what is left of the day.
        """
        self._coming += urls
        if self.account.quota is not None and size and not self._head:
            level = self._counters.charge(self.account._replace(rate=None), 0, size, on=self._day)
            self._refuse(level, size)
            self._bytes += size
            if self.level is not None:
                self.level = self.level._replace(used=level.used)

    def gave(self, size: int, urls: int) -> None:
        """Note that so many bytes were signed and given, in so many URLs."""
        self._given += size
        self._urls += urls

    def answered(self, status: int, length: int | None) -> None:
        """When the answer begins: charge what it says that it will be. ``length``: None when it does not say."""
        self._settle(status, length or 0, max(self._urls, self._coming), expected=True)

    def ended(self, status: int, sent: int) -> None:
        """When the answer has ended: charge what was really sent and given."""
        self._settle(status, sent, self._urls, expected=False)

    def fields(self) -> list[tuple[str, str]]:
        """``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers-10)."""
        policies, limits = [], []
        rate, quota, level = self.account.rate, self.account.quota, self.level
        if level is None:
            return []
        if rate is not None:
            left = int(max(rate.seconds - level.backlog, 0) * rate.units / rate.seconds + 1e-6)
            policies.append(f'"default";q={rate.units};w={rate.seconds}')
            limits.append(f'"default";r={left};t={math.ceil(level.backlog)}')
        if quota is not None:
            policies.append(f'"bytes";q={quota};qu="content-bytes";w=86400')
            limits.append(f'"bytes";r={max(quota - level.used, 0)};t={seconds_of_day_left()}')
        return [("RateLimit-Policy", ", ".join(policies)), ("RateLimit", ", ".join(limits))]

    def _settle(self, status: int, sent: int, urls: int, *, expected: bool) -> None:
        if not self._admitted:
            return
        sent = 0 if self._head else sent
        cost = cost_of(self._kind, head=self._free, status=status, sent=sent, urls=urls)
        size = 0 if self.account.quota is None or self._head or status >= 400 else sent + self._given
        if expected and status < 400:
            size = max(size, self._bytes)
        if (cost, size) != (self._cost, self._bytes):
            cost_more, more = cost - self._cost, size - self._bytes
            self.level = self._counters.charge(self.account, cost_more, more, force=True, on=self._day)
            self._cost, self._bytes = cost, size

    def _refuse(self, level: Level, size: int) -> None:
        rate, quota = self.account.rate, self.account.quota
        if level.lack is Lack.RATE:
            assert rate is not None  # noqa: S101
            least = min(self._kind.least, rate.units) * rate.seconds / rate.units
            seconds = max(1, math.ceil(level.backlog + least - rate.seconds))
            raise RateLimitedError(f"{rate} is the limit of {self.account.name}: come back in {seconds} s", seconds)
        if level.lack is Lack.BYTES:
            asked = f"{size:,} more are asked for" if size else "nothing is left"
            if quota is not None and size > quota:
                asked = f"the {size:,} that are asked for at once are more than that on any day"
            raise QuotaExceededError(
                f"{quota:,} bytes a day is the quota of {self.account.bytes_name}: {level.used:,} are used, {asked}; "
                "counted anew from 00:00 UTC",
                seconds_of_day_left(),
            )
