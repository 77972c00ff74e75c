"""Settings: what each is, what it may be, and the only place that reads the environment.

Credentials are not among them: boto3 finds those through its own chain (``AWS_ACCESS_KEY_ID`` and so on).
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate, validates_schema
from redis.connection import ConnectionPool, parse_url
from redis.exceptions import RedisError

from gygo_server.access.addresses import TrustedProxies
from gygo_server.errors import SettingsError
from gygo_server.limits.rate import NONE, Rate, parse_rate
from gygo_server.store.bucket import S3Settings
from gygo_server.store.cloudfront import CloudFront, CloudFrontSettings
from gygo_server.store.sigv4 import MAX_SECONDS

PREFIX = "GYGO_"

#: All of these, or none.
_CLOUDFRONT = ("cloudfront_url", "cloudfront_key_id", "cloudfront_key_file")

_BYTES = re.compile(r"(\d+)\s*(B|KB|MB|GB|TB|KIB|MIB|GIB|TIB)?", re.IGNORECASE)
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_PORT = r"(6553[0-5]|655[0-2]\d|65[0-4]\d{2}|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})"

_ORIGIN = re.compile(rf"https?://(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*)(:{_PORT})?")


def size_of(text: str) -> int:
    """The bytes that a size such as ``20GB`` or ``512MiB`` means.

    Raises:
        ValueError: it is none.
    """
    match = _BYTES.fullmatch(text.strip())
    if match is None:
        raise ValueError("not a size; write it as 500MB or 20GiB")
    return int(match[1]) * _UNITS[(match[2] or "").upper()]


class _Bytes(fields.Field[int]):
    """A size such as ``20GB`` or ``512MiB``."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        try:
            return size_of(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from None


class _Origins(fields.Field[tuple[str, ...]]):
    """Origins as browsers write them, separated by commas; ``*`` is any."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[str, ...]:
        origins = tuple(part.strip() for part in str(value).split(",") if part.strip())
        for origin in origins:
            # "null" is not one: any page in a sandbox has it.
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValidationError(f"{origin} is not an origin such as https://shop.example.org, in small letters")
        return origins


class _Secrets(fields.Field[tuple[str, ...]]):
    """Secrets, separated by commas. What is wrong with one is told without telling it."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[str, ...]:
        secrets = tuple(part.strip() for part in str(value).split(",") if part.strip())
        if any(len(secret) < 32 for secret in secrets):
            raise ValidationError("a secret has 32 characters at least; make one with: openssl rand -base64 32")
        return secrets


class _Quota(_Bytes):
    """A size, or ``none``."""

    def _deserialize(self, value: Any, *more: Any, **kwargs: Any) -> Any:
        return None if value == NONE else super()._deserialize(value, *more, **kwargs)


class _Rate(fields.Field[Rate | None]):
    """A rate such as ``6000/minute``, or ``none``."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Rate | None:
        try:
            return parse_rate(str(value).strip())
        except ValueError as error:
            raise ValidationError(str(error)) from None


class _Proxies(fields.Field[TrustedProxies]):
    """Networks, separated by commas."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> TrustedProxies:
        try:
            return TrustedProxies.parse(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from None


#: What the address of a Redis server may set. redis-py takes more, and fails later at what is text and no object.
_REDIS_PARAMETER = re.compile(
    r"db|username|password|client_name|max_connections|health_check_interval|retry_on_timeout"
    r"|socket_(timeout|connect_timeout|keepalive)|ssl_[a-z_]+"
).fullmatch


class _RedisUrl(fields.Field[str]):
    """The address of a Redis server. It may hold a password: what is wrong with it is told without telling it."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        url = str(value).strip()
        try:
            given = parse_url(url)  # type: ignore[no-untyped-call]
        except ValueError:
            given = {}
        if not ("path" in given or "host" in given):
            raise ValidationError("not an address such as redis://:password@host:6379/0, rediss://… or unix:///path")
        try:
            # What of its parameters does not fit is said only here; nothing is connected.
            ConnectionPool.from_url(url).make_connection()
            fits = all(_REDIS_PARAMETER(name) for name in parse_qs(urlsplit(url).query))
        except (ValueError, TypeError, RedisError):
            fits = False
        if not fits:  # without naming any: it may be a part of a password that was not escaped
            raise ValidationError("a parameter after its ? is none that is known, or does not fit")
        return url


class _Networks(fields.Field[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]]):
    """Networks in CIDR notation, separated by commas."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        try:
            return tuple(ipaddress.ip_network(part.strip()) for part in str(value).split(",") if part.strip())
        except ValueError as error:
            raise ValidationError(f"not networks such as 10.1.0.0/16,fd00:1::/64: {error}") from None


def _setting(kind: type[fields.Field[Any]], about: str, default: Any = None, **options: Any) -> Any:
    required = options.pop("required", False)
    given = {"required": True} if required else {"load_default": default}
    return kind(**given, metadata={"about": about}, error_messages={"required": "is not set"}, **options)


def _url() -> validate.Validator:
    host = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?)"
    return validate.Regexp(
        rf"https?://{host}(:{_PORT})?/?\Z", error="not an address such as https://s3.example.org:9000"
    )


class _SettingsSchema(Schema):
    """Every setting once: its type, default, limits and what it is for."""

    class Meta:
        unknown = EXCLUDE

    bucket = _setting(
        fields.String,
        "the bucket that holds the datasets",
        required=True,
        validate=validate.Regexp(
            r"[A-Za-z0-9._-]{3,63}\Z", error="not a bucket's name: 3 to 63 letters, digits, . _ -"
        ),
    )
    s3_endpoint = _setting(fields.String, "the S3 server; empty: AWS", validate=_url())
    s3_public_endpoint = _setting(
        fields.String, "the S3 server as users reach it, for which URLs are signed; empty: the same", validate=_url()
    )
    s3_region = _setting(fields.String, "region to sign for", "us-east-1")
    s3_addressing = _setting(
        fields.String,
        "bucket in the path or in the host name",
        "auto",
        validate=validate.OneOf(["auto", "path", "virtual"]),
    )
    s3_timeout = _setting(fields.Float, "seconds to wait for the S3 server", 10.0, validate=validate.Range(0.1, 600))
    url_seconds = _setting(
        fields.Integer,
        "how long a signed URL is good, in seconds",
        3600,
        validate=validate.Range(60, MAX_SECONDS),
    )
    url_max_seconds = _setting(
        fields.Integer,
        "how long one is good at most, whatever is asked, in seconds",
        MAX_SECONDS,
        validate=validate.Range(60, MAX_SECONDS),
    )
    url_bucket_seconds = _setting(
        fields.Integer,
        "for so many seconds the same question gives the same signed URL, for caches; 0: for one second",
        900,
        validate=validate.Range(0, 86400),
    )
    cloudfront_url = _setting(
        fields.String, "a CloudFront distribution of the bucket, to sign URLs for instead of S3", validate=_url()
    )
    cloudfront_key_id = _setting(fields.String, "the id of the public key that the distribution trusts")
    cloudfront_key_file = _setting(fields.String, "file with its private key, RSA in PEM")
    cache_dir = _setting(
        fields.String, "folder for archives and catalogues; may be deleted at any time", "~/.cache/gygo-server"
    )
    cache_bytes = _setting(_Bytes, "disk for archives, at most", 20 * 10**9)
    catalogue_cache_bytes = _setting(_Bytes, "disk for catalogues, at most", 20 * 10**9, validate=validate.Range(10**6))
    refresh_seconds = _setting(
        fields.Float, "how old the list of releases may be, in seconds", 5.0, validate=validate.Range(0.1, 3600)
    )
    key_refresh_seconds = _setting(
        fields.Float,
        "how old what is known of API keys may be while the store answers, in seconds; never above 50",
        10.0,
        validate=validate.Range(0.1, 50),
    )
    link_secrets = _setting(
        _Secrets,
        "what signed links are signed with: 32 characters or more, by chance; several with commas, of which the first "
        "signs and all are accepted; empty: no links are made",
        (),
    )
    link_max_seconds = _setting(
        fields.Integer,
        "how long a signed link is good at most, whatever is asked, in seconds",
        30 * 86400,
        validate=validate.Range(60, 366 * 86400),
    )
    rate_anonymous = _setting(
        _Rate,
        "what one address without a key may take, in units of cost: N/second, minute, hour or day, at once or over the "
        "time; none: no limit",
        Rate(6000, 60),
    )
    rate_key = _setting(_Rate, "what a key without a rate of its own may take", Rate(60000, 60))
    quota_anonymous = _setting(_Quota, "bytes a day (UTC) for one address without a key, such as 10GB; none: no limit")
    quota_key = _setting(_Quota, "bytes a day for a key without a quota of its own; none: no limit")
    redis_url = _setting(
        _RedisUrl,
        "a Redis server that counts for all workers and replicas: redis://, rediss:// or unix://; empty: each worker "
        "counts for itself",
    )
    trusted_proxies = _setting(
        _Proxies,
        "proxies whose X-Forwarded-For is believed: networks such as 10.0.0.0/8, with commas; unix: by a unix socket",
        TrustedProxies(),
    )
    public_url = _setting(
        fields.String, "this service as users reach it, for links; empty: as each request names it", validate=_url()
    )
    webhook_networks = _setting(
        _Networks,
        "networks (10.1.0.0/16, several with commas) that webhooks may be sent to though not public, also by http",
        (),
    )
    answers_bytes = _setting(_Bytes, "memory a worker keeps finished JSON answers in, at most", 64 * 10**6)
    cors_origins = _setting(_Origins, "origins whose pages may read answers", ("*",))
    bind = _setting(
        fields.String,
        "address and port to listen on",
        "127.0.0.1:8000",
        validate=validate.Regexp(rf"(\S+:{_PORT}|unix:\S+)\Z", error="not an address and port such as 0.0.0.0:8000"),
    )
    workers = _setting(fields.Integer, "gunicorn worker processes", 2, validate=validate.Range(1, 256))
    threads = _setting(fields.Integer, "threads a worker", 8, validate=validate.Range(1, 256))
    worker_timeout = _setting(
        fields.Integer,
        "seconds after which a worker that does not move is replaced",
        60,
        validate=validate.Range(1, 3600),
    )
    client_seconds = _setting(
        fields.Float,
        "seconds that a client has to send a request, and to take some more of an answer",
        20.0,
        validate=validate.Range(0.5, 600),
    )
    graceful_seconds = _setting(
        fields.Integer,
        "seconds that requests have to end when the service stops, which it has done 4 seconds later",
        30,
        validate=validate.Range(1, 3600),
    )
    log_level = _setting(
        fields.String, "least level to log", "info", validate=validate.OneOf(["debug", "info", "warning", "error"])
    )
    log_requests = _setting(fields.Boolean, "a log line for each request", True)
    audit = _setting(
        fields.String,
        "where the audit trail goes: none, stdout, file:/path/of/it.jsonl, or bucket",
        "none",
        validate=validate.Regexp(r"(none|stdout|bucket|file:/.+)\Z", error="not none, stdout, bucket or file:/path"),
    )
    audit_anonymous = _setting(fields.Boolean, "whether it tells of requests without a key too", True)
    audit_seconds = _setting(
        fields.Float, "how often it is sent to the bucket, in seconds", 60.0, validate=validate.Range(0.1, 3600)
    )

    @validates_schema
    def _check_url_seconds(self, loaded: dict[str, Any], **_: Any) -> None:
        if loaded["url_max_seconds"] < loaded["url_seconds"]:
            usual = f"the {loaded['url_seconds']} s that a signed URL is good for when nothing else is asked"
            raise ValidationError(f"less than {usual}", "url_max_seconds")

    @validates_schema
    def _check_cloudfront(self, loaded: dict[str, Any], **_: Any) -> None:
        given = [loaded[name] for name in _CLOUDFRONT]
        if not any(given):
            return
        if not all(given):
            missing = {name: ["is not set, but others for CloudFront are"] for name in _CLOUDFRONT if not loaded[name]}
            raise ValidationError(missing)
        try:
            CloudFront(CloudFrontSettings(given[0], given[1], Path(given[2])))
        except SettingsError as error:
            raise ValidationError(str(error), "cloudfront_key_file") from None


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process."""

    s3: S3Settings
    url_seconds: int
    url_max_seconds: int
    url_bucket_seconds: int
    cloudfront: CloudFrontSettings | None
    cache_dir: Path
    cache_bytes: int
    catalogue_cache_bytes: int
    refresh_seconds: float
    key_refresh_seconds: float
    link_secrets: tuple[str, ...] = field(repr=False)
    link_max_seconds: int
    rate_anonymous: Rate | None
    rate_key: Rate | None
    quota_anonymous: int | None
    quota_key: int | None
    redis_url: str | None = field(repr=False)
    trusted_proxies: TrustedProxies
    public_url: str | None
    webhook_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    answers_bytes: int
    cors_origins: tuple[str, ...]
    bind: str
    workers: int
    threads: int
    worker_timeout: int
    client_seconds: float
    graceful_seconds: int
    log_level: str
    log_requests: bool
    audit: str
    audit_anonymous: bool
    audit_seconds: float

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """The settings in the environment.

        Raises:
            SettingsError: every setting that is missing or wrong, in one line.
        """
        environment = os.environ if environment is None else environment
        given = {
            name: environment[variable]
            for name, variable in ((name, variable_of(name)) for name in _SettingsSchema().fields)
            if environment.get(variable, "").strip()
        }
        try:
            loaded: dict[str, Any] = _SettingsSchema().load(given)
        except ValidationError as error:
            wrong = [f"{variable_of(str(name))}: {_sentence(why)}" for name, why in error.messages_dict.items()]
            raise SettingsError("; ".join(wrong)) from None
        s3 = S3Settings(
            bucket=loaded.pop("bucket"),
            endpoint=loaded.pop("s3_endpoint"),
            public_endpoint=loaded.pop("s3_public_endpoint"),
            region=loaded.pop("s3_region"),
            addressing=loaded.pop("s3_addressing"),
            timeout=loaded.pop("s3_timeout"),
        )
        url, key_id, key_file = (loaded.pop(name) for name in _CLOUDFRONT)
        cloudfront = CloudFrontSettings(url, key_id, Path(key_file)) if url else None
        try:
            cache_dir = Path(loaded.pop("cache_dir")).expanduser()
        except RuntimeError:
            raise SettingsError(f"{variable_of('cache_dir')}: there is no home folder for its ~") from None
        return cls(s3=s3, cache_dir=cache_dir, cloudfront=cloudfront, **loaded)


class SettingDescription(NamedTuple):
    """A setting as the documentation shows it."""

    variable: str
    default: str
    about: str


def describe_settings() -> list[SettingDescription]:
    """Every setting, in order, for ``--help`` and README."""
    return [
        SettingDescription(variable_of(name), _default(field), field.metadata["about"])
        for name, field in _SettingsSchema().fields.items()
    ]


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def _default(field: fields.Field[Any]) -> str:
    if field.required:
        return "required"
    value = field.load_default
    if isinstance(field, _Quota):
        return NONE
    if isinstance(field, _Bytes):
        return f"{value // 10**9}GB" if value % 10**9 == 0 else f"{value // 10**6}MB"
    if type(value) is tuple:
        return ",".join(value)
    return "" if value is None else str(value)


def _sentence(messages: Any) -> str:
    return " ".join(map(str, messages)) if isinstance(messages, list) else str(messages)
