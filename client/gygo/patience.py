"""Asking again: with growing pauses, for as long as the patience lasts, and not at all for what no waiting mends."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable
from http.client import InvalidURL
from typing import Any, TypeVar

from urllib3.exceptions import HTTPError, LocationValueError, SSLError

from gygo.errors import UnreachableError
from gygo.store_connections import FAILURES

#: Statuses that mean "later".
LATER = frozenset({429, 500, 502, 503, 504})
LIMITED = 429

#: Seconds of the first pause, which doubles, and of the longest.
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0

Answer = TypeVar("Answer")


def persist(where: str, attempt: Callable[[], Answer], seconds: float) -> Answer:
    """What ``attempt`` gives, tried again for about so many seconds when it fails or its status means "later".

    Not urllib3's own loop: that writes each URL which it tries again to the log, and signed ones are secrets.

    Raises:
        UnreachableError: it failed all the time. An answer that says "later" all the time is returned.
    """
    ends = time.monotonic() + seconds
    pause = FIRST_PAUSE
    while True:
        answer: Any = None
        failure: Exception | None = None
        try:
            answer = attempt()
        except (HTTPError, *FAILURES) as error:
            if _is_hopeless(error):
                raise UnreachableError(f"{where}: cannot be asked ({error})") from error
            failure = error
        else:
            if answer.status not in LATER:
                return answer  # type: ignore[no-any-return]
        left = ends - time.monotonic()
        after = 0 if answer is None else _retry_after(answer)
        # What is over its limit for longer than we wait is told at once.
        if left <= 0 or (answer is not None and answer.status == LIMITED and after > left):
            if failure is None:
                return answer  # type: ignore[no-any-return]
            raise UnreachableError(f"{where}: no answer ({type(failure).__name__}), however often tried") from failure
        wait = max(pause * random.uniform(0.5, 1), after)  # noqa: S311  # nosec B311 # spreads retries
        time.sleep(min(wait, left))
        pause = min(2 * pause, LONGEST_PAUSE)


def _is_hopeless(error: Exception) -> bool:
    """A wrong certificate, or what is no address."""
    reason = error.args[0] if isinstance(error, SSLError) and error.args else error
    return isinstance(reason, (ssl.SSLCertVerificationError, LocationValueError, InvalidURL))


def _retry_after(answer: Any) -> float:
    """Seconds that an answer asks to wait; 0 when it says nothing, or a date."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
