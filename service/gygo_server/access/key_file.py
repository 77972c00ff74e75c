"""An API key's object in the bucket, ``_keys/<id>.json``: its hash, never the key itself."""

from __future__ import annotations

import orjson
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from gygo_server.access.api_key import ApiKey, Scope, Secret
from gygo_server.errors import CorruptObjectError
from gygo_server.limits.rate import parse_rate
from gygo_server.parsed_field import ParsedField
from gygo_server.store import keys
from gygo_server.store.small_objects import TimeField, written

#: Readers refuse a file of a format they do not know.
FORMAT = 1


def encode(key: ApiKey) -> bytes:
    """The key as its object in the bucket."""
    document = {
        "format": FORMAT,
        "id": key.id,
        "owner": key.owner,
        "secrets": [{"sha256": each.sha256, "expires_at": written(each.expires_at)} for each in key.secrets],
        "scopes": [str(scope) for scope in key.scopes],
        "rate": key.rate,
        "quota_bytes": key.quota_bytes,
        "created_at": written(key.created_at),
        "expires_at": written(key.expires_at),
        "revoked_at": written(key.revoked_at),
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def decode(content: bytes, key_id: str) -> ApiKey:
    """The key that an object describes.

    Raises:
        CorruptObjectError: it describes none, or another.
    """
    try:
        read = _KeySchema().load(orjson.loads(content))
    except (ValueError, ValidationError) as error:
        raise CorruptObjectError(f"{keys.api_key(key_id)}: not a key: {error}") from error
    if (read.pop("format"), read["id"]) != (FORMAT, key_id):
        raise CorruptObjectError(f"{keys.api_key(key_id)}: of another format, or another key")
    secrets = tuple(Secret(**each) for each in read.pop("secrets"))
    scopes = tuple(read.pop("scopes"))
    return ApiKey(**read, secrets=secrets, scopes=scopes)


def _checked_rate(text: str) -> str:
    """The rate as it stands, once it was found to be one."""
    parse_rate(text)
    return text


def _text() -> fields.String:
    return fields.String(required=True, validate=validate.Length(1, 1024))


class _SecretSchema(Schema):
    sha256 = fields.String(required=True, validate=validate.Regexp(r"[0-9a-f]{64}\Z"))
    expires_at = TimeField(optional=True)


class _KeySchema(Schema):
    class Meta:
        unknown = EXCLUDE

    format = fields.Raw(required=True)
    id = _text()
    owner = _text()
    secrets = fields.List(fields.Nested(_SecretSchema, unknown=EXCLUDE), required=True)
    scopes = fields.List(ParsedField(Scope.parse), required=True)
    rate = ParsedField(_checked_rate, required=True, allow_none=True)
    quota_bytes = fields.Integer(required=True, allow_none=True, strict=True, validate=validate.Range(0, 2**62))
    created_at = TimeField()
    expires_at = TimeField(optional=True)
    revoked_at = TimeField(optional=True)
