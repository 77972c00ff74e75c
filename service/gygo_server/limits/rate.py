"""How much one may take in which time: ``6000/minute``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

NONE = "none"

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(rf"([1-9][0-9]{{0,8}})/({'|'.join(_SECONDS)})")


class Rate(NamedTuple):
    """So many units of cost in so many seconds: at once, or over the time."""

    units: int
    seconds: int

    def __str__(self) -> str:
        return f"{self.units}/{next(name for name, seconds in _SECONDS.items() if seconds == self.seconds)}"


@lru_cache(maxsize=1024)
def parse_rate(text: str) -> Rate | None:
    """The rate that ``6000/minute`` says (or second, hour, day); None, no limit, for ``none``.

    Raises:
        ValueError: it says none.
    """
    if text == NONE:
        return None
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no rate such as 100/second, 6000/minute or 1000000/day; {NONE}: no limit")
    return Rate(int(match[1]), _SECONDS[match[2]])
