"""Remembers that the store gives no answer, so that not every request waits for it in turn."""

from __future__ import annotations

import threading
import time

from gygo_server.errors import StoreSilentError

#: How long a silent store is left alone before somebody asks it again.
AWAY_SECONDS = 1.0


class Outage:
    """While the store is known to be silent, one caller at a time finds out if it still is; the others fail at once.

    ``ask_seconds`` is how long finding out may take.
    """

    def __init__(self, ask_seconds: float) -> None:
        self._ask_seconds = ask_seconds
        self._lock = threading.Lock()
        self._why: str | None = None
        self._ask_again_at = 0.0

    def refuse(self) -> None:
        """Do nothing while all is well, or when it is the caller's turn to find out.

        Raises:
            StoreSilentError: the store gave no answer a moment ago.
        """
        if self._why is None:
            return
        with self._lock:
            now = time.monotonic()
            if self._why is not None and now < self._ask_again_at:
                raise StoreSilentError(self._why)
            self._ask_again_at = now + self._ask_seconds

    def began(self, error: StoreSilentError) -> None:
        """The store gave no answer."""
        with self._lock:
            self._why, self._ask_again_at = str(error), time.monotonic() + AWAY_SECONDS

    def ended(self) -> None:
        """The store gave an answer, whichever."""
        if self._why is not None:
            with self._lock:
                self._why = None
