"""Signed URLs that an answer gives: charged to whoever asks, and told to the audit trail."""

from __future__ import annotations

from collections.abc import Sequence

from gygo_server.api.auditing import GivenUrl, note_urls
from gygo_server.api.metering import sign


def give_urls(urls: Sequence[GivenUrl], expires_at: str) -> None:
    """Say that the current answer holds these URLs, all of them good until then.

    Raises:
        QuotaExceededError: the bytes that are to be had by them do not fit into what is left of the day.
    """
    sign(sum(each.bytes for each in urls), len(urls))
    note_urls(urls, expires_at)
