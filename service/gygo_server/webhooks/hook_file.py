"""A webhook's object in the bucket, ``_webhooks/<id>.json``. It holds the secrets: whoever sends must know them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from gygo_server.errors import CorruptObjectError
from gygo_server.model import SLUG
from gygo_server.store import keys
from gygo_server.store.small_objects import TimeField, written
from gygo_server.webhooks.hook import Event, EventType, Hook, SigningSecret, Subject

#: Readers refuse a file of a format they do not know.
FORMAT = 1

#: 24 to 64 bytes in base64.
_SIGNED_WITH = r"whsec_([A-Za-z0-9+/]{4}){8,21}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z"


def encode(hook: Hook) -> bytes:
    """The webhook as its object in the bucket."""
    document = {
        "format": FORMAT,
        "id": hook.id,
        "url": hook.url,
        "description": hook.description,
        "key_id": hook.key_id,
        "datasets": hook.datasets,
        "secrets": [{"text": each.text, "expires_at": written(each.expires_at)} for each in hook.secrets],
        "created_at": written(hook.created_at),
        "disabled": hook.disabled,
        "known": _by_dataset(hook.known),
        "events": [_encode_event(event) for event in hook.events],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def decode(content: bytes, hook_id: str) -> Hook:
    """The webhook that an object describes.

    Raises:
        CorruptObjectError: it describes none, or another.
    """
    try:
        read = _HookSchema().load(orjson.loads(content))
    except (ValueError, ValidationError) as error:
        # The error does not repeat values, so no secret is told.
        raise CorruptObjectError(f"{keys.webhook(hook_id)}: not a webhook: {error}") from None
    if (read.pop("format"), read["id"]) != (FORMAT, hook_id):
        raise CorruptObjectError(f"{keys.webhook(hook_id)}: of another format, or another webhook")
    known = frozenset(Subject(dataset, each) for dataset, releases in read.pop("known").items() for each in releases)
    return Hook(
        secrets=tuple(SigningSecret(**each) for each in read.pop("secrets")),
        datasets=tuple(read.pop("datasets")),
        known=known,
        events=tuple(_decode_event(each) for each in read.pop("events")),
        **read,
    )


def _encode_event(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "type": event.type,
        "dataset": event.subject.dataset,
        "release": event.subject.release,
        "created_at": written(event.created_at),
        "attempts": event.attempts,
        "next_at": written(event.next_at),
        "delivered_at": written(event.delivered_at),
        "failed_at": written(event.failed_at),
        "answer": event.answer,
    }


def _decode_event(read: dict[str, Any]) -> Event:
    return Event(subject=Subject(read.pop("dataset"), read.pop("release")), **read)


def _by_dataset(known: Iterable[Subject]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for dataset, release in sorted(known):
        found.setdefault(dataset, []).append(release)
    return found


def _text(*, optional: bool = False) -> fields.String:
    return fields.String(required=True, allow_none=optional, validate=validate.Length(1, 4096))


def _slug() -> fields.String:
    return fields.String(required=True, validate=validate.Regexp(SLUG.pattern + r"\Z"))


# What goes into headers is held to its form here: nothing else may pass.
class _SecretSchema(Schema):
    text = fields.String(required=True, validate=validate.Regexp(_SIGNED_WITH, error="not a signing secret"))
    expires_at = TimeField(optional=True)


class _EventSchema(Schema):
    id = fields.String(required=True, validate=validate.Regexp(r"msg_[a-z0-9]{1,64}\Z"))
    type = fields.Enum(EventType, by_value=True, required=True)
    dataset = _slug()
    release = _slug()
    created_at = TimeField()
    attempts = fields.Integer(required=True, strict=True, validate=validate.Range(0, 2**31))
    next_at = TimeField(optional=True)
    delivered_at = TimeField(optional=True)
    failed_at = TimeField(optional=True)
    answer = _text(optional=True)


class _HookSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    format = fields.Raw(required=True)
    id = _text()
    url = _text()
    description = _text(optional=True)
    key_id = _text(optional=True)
    datasets = fields.List(_slug(), required=True)
    secrets = fields.List(fields.Nested(_SecretSchema, unknown=EXCLUDE), required=True, validate=validate.Length(1))
    created_at = TimeField()
    disabled = _text(optional=True)
    known = fields.Dict(_slug(), fields.List(_slug()), required=True)
    events = fields.List(fields.Nested(_EventSchema, unknown=EXCLUDE), required=True)
