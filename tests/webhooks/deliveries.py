"""A deliverer whose time is told to it, and webhooks that it sends to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

from gygo_server.store.bucket import Bucket
from gygo_server.store.dataset_file import read_datasets
from gygo_server.webhooks.delivery import Deliverer, Limits, Round
from gygo_server.webhooks.hook import Hook
from gygo_server.webhooks.posting import Sender
from gygo_server.webhooks.registry import Order, add_hook, find_hook
from gygo_server.webhooks.schedule import known_now
from gygo_server.webhooks.sight import find_caller, seen_by

LOOPBACK = [ip_network("127.0.0.0/8")]


@dataclass
class Post:
    """A deliverer of the bucket. ``at`` is its time, which is the real one at first; ``later`` lets it pass."""

    bucket: Bucket
    at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    sender: Sender = field(default_factory=lambda: Sender(LOOPBACK))
    public_url: str | None = None

    def add(self, url: str, key_id: str | None = None, *datasets: str, backfill: bool = False) -> tuple[Hook, str]:
        """A webhook and its secret, as the command line makes it."""
        seen = seen_by(find_caller(self.bucket, key_id, self.at), read_datasets(self.bucket)[0])
        known = frozenset() if backfill else known_now(seen)
        return add_hook(self.bucket, Order(url, None, key_id, datasets, known))

    def round(self, seconds: float = 60, *, only: str | None = None) -> Round:
        return Deliverer(self.bucket, self.sender, self.public_url, lambda: self.at).round(Limits(seconds), only=only)

    def later(self, **time: float) -> None:
        self.at += timedelta(**time)

    def hook(self, hook: Hook) -> Hook:
        """As it is in the bucket now."""
        return find_hook(self.bucket, hook.id)
