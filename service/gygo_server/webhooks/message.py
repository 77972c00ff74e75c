"""A message as it goes over the wire, by Standard Webhooks (github.com/standard-webhooks/standard-webhooks)."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from standardwebhooks import Webhook

from gygo_server import __version__
from gygo_server.model import Dataset, ReleaseEntry, time_text
from gygo_server.webhooks.hook import Event, EventType, Hook

#: Bytes of a signing secret; Standard Webhooks asks for 24 to 64.
SECRET_BYTES = 32


class Message(NamedTuple):
    """The id of what it says, which stays the same at each attempt, and its body, JSON."""

    id: str
    body: bytes


def new_secret() -> str:
    """A new signing secret: ``whsec_`` and random bytes in base64."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def release_message(event: Event, dataset: Dataset, entry: ReleaseEntry, public_url: str | None) -> Message:
    """What a receiver is told of a release. Links are absolute when the service's address is known."""
    path = f"/v1/datasets/{dataset.id}/releases/{entry.id}"
    told: dict[str, Any] = {
        "dataset": dataset.id,
        "release": entry.id,
        "published_at": entry.published_at,
        "title": dataset.title,
        "links": {"self": f"{(public_url or '').rstrip('/')}{path}"},
    }
    if event.type is EventType.WITHDRAWN:
        told |= {"withdrawn_at": entry.withdrawn_at, "withdrawn_reason": entry.withdrawn_reason}
    return Message(event.id, _body(event.type, event.created_at, told))


def ping_message(hook: Hook, at: datetime) -> Message:
    """A message that says nothing, to try a webhook with."""
    return Message(f"msg_{secrets.token_hex(12)}", _body(EventType.PING, at, {"webhook": hook.id}))


def signed_headers(hook: Hook, message: Message, at: datetime) -> dict[str, str]:
    """The headers of an attempt: one signature for each secret that is good at this time (UTC)."""
    text = message.body.decode()
    signatures = [Webhook(secret).sign(message.id, at, text) for secret in hook.good_secrets(at)]
    return {
        "Content-Type": "application/json",
        "User-Agent": f"gygo-server/{__version__}",
        "webhook-id": message.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _body(kind: EventType, at: datetime, told: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": kind, "timestamp": time_text(at), "data": told})
