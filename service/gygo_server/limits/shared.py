"""What accounts have taken, in Redis: one count for all processes and replicas."""

from __future__ import annotations

import threading
import time

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from gygo_server.limits.counters import Account, Lack, Level, LocalCounters, day
from gygo_server.limits.rate import Rate

log = structlog.get_logger()

#: A request waits for Redis so long, and then goes on without it.
TIMEOUT = 0.1

#: Seconds between two looks at whether Redis is back.
RETRY_SECONDS = 1.0

#: The bytes of a day are kept so long: it has ended everywhere then.
DAY_SECONDS = 2 * 86400

FAILURES = (RedisError, OSError, ValueError)

# As LocalCounters, in microseconds of Redis' own clock: those of replicas may differ.
_CHARGE = """
local window, units, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local quota, size, forced = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
local backlog, used, now, step = 0, 0, 0, 0
if quota >= 0 then used = tonumber(redis.call('GET', KEYS[2]) or 0) end
if window > 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
  step = window / units
  backlog = math.max(tonumber(redis.call('GET', KEYS[1]) or 0) - now, 0)
  if not forced and backlog + math.min(cost, units) * step > window + 1 then return {1, math.ceil(backlog), used} end
end
if quota >= 0 then
  if not forced and size and used + (size == 0 and 1 or size) > quota then return {2, math.ceil(backlog), used} end
  if size and size ~= 0 then
    used = math.max(used + size, 0)
    redis.call('SET', KEYS[2], string.format('%.0f', used), 'EX', ARGV[7])
  end
end
if window > 0 and cost ~= 0 then
  backlog = math.max(backlog + cost * step, 0)
  redis.call('SET', KEYS[1], string.format('%.3f', now + backlog), 'PX', string.format('%.0f', backlog / 1000 + 1))
end
return {0, math.ceil(backlog), used}
"""

_PROBE = Account("probe", Rate(1, 1), "probe", 1)


class SharedCounters:
    """Those of a Redis server. While it is away this process counts for itself, from nothing; it looks by itself
    whether the server is back, so that requests do not wait for it."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(
            url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=Retry(NoBackoff(), 0)
        )
        self._script = self._redis.register_script(_CHARGE)
        self._local = LocalCounters()
        self._away: str | None = None
        self._losing = threading.Lock()

    def charge(
        self, account: Account, cost: int, size: int | None, *, force: bool = False, on: str | None = None
    ) -> Level:
        if self._away is None:
            try:
                return self._charge(account, cost, size, force=force, on=on)
            except FAILURES as error:
                self._lose(error)
        return self._local.charge(account, cost, size, force=force, on=on)

    def why_local(self) -> str | None:
        return self._away

    def check(self) -> str | None:
        """Why the server cannot be used now; None when it can."""
        try:
            # It writes: a replica, or a server without memory, may still be read.
            self._charge(_PROBE, 1, 1, force=True, on=None)
        except FAILURES as error:
            return _why(error)
        return None

    def _charge(self, account: Account, cost: int, size: int | None, *, force: bool, on: str | None) -> Level:
        units, seconds = account.rate or (1, 0)
        quota = -1 if account.quota is None else account.quota
        answer = self._script(
            [f"gygo:rate:{account.name}", f"gygo:bytes:{on or day()}:{account.bytes_name}"],
            [seconds * 10**6, units, cost, quota, "" if size is None else size, int(force), DAY_SECONDS],
        )
        match answer:
            case [int(lack), int(backlog), int(used)]:
                return Level(backlog / 1e6, used, Lack(lack) if lack else None)
        raise ValueError("the answer is not one of Redis")

    def _lose(self, error: Exception) -> None:
        with self._losing:
            if self._away is not None:
                return
            self._away = _why(error)
            log.warning("limits are counted by this process alone", reason=self._away)
            try:
                threading.Thread(target=self._wait, daemon=True).start()
            except RuntimeError:  # no more threads: the next request asks Redis again
                self._away = None

    def _wait(self) -> None:
        # Later and not at once: what failed may be a server that the probe finds well.
        time.sleep(RETRY_SECONDS)
        while self.check() is not None:
            time.sleep(RETRY_SECONDS)
        self._away = None
        log.info("limits are counted in Redis again")


def _why(error: Exception) -> str:
    # redis-py's errors name the host and what the server said, never the URL.
    return f"redis: {str(error) or type(error).__name__}"
