"""Settings: what each is, what it may be, and the only place that reads the environment.

Credentials are not among them: boto3 finds those through its own chain (``AWS_ACCESS_KEY_ID`` and so on).
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate, validates_schema

from gygo_server import setting_values
from gygo_server.access.addresses import TrustedProxies
from gygo_server.errors import SettingsError
from gygo_server.limits.rate import NONE, Rate
from gygo_server.parsed_field import ParsedField
from gygo_server.setting_values import PORT, Bytes, Quota
from gygo_server.store.bucket import S3Settings
from gygo_server.store.cloudfront import CloudFront, CloudFrontSettings
from gygo_server.store.sigv4 import MAX_SECONDS

PREFIX = "GYGO_"

#: All of these, or none.
_CLOUDFRONT = ("cloudfront_url", "cloudfront_key_id", "cloudfront_key_file")


def _setting(kind: Callable[..., fields.Field[Any]], about: str, default: Any = None, **options: Any) -> Any:
    required = options.pop("required", False)
    given = {"required": True} if required else {"load_default": default}
    return kind(**given, metadata={"about": about}, error_messages={"required": "is not set"}, **options)


def _url() -> validate.Validator:
    host = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?)"
    return validate.Regexp(
        rf"https?://{host}(:{PORT})?/?\Z", error="not an address such as https://s3.example.org:9000"
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
    cache_bytes = _setting(Bytes, "disk for archives, at most", 20 * 10**9)
    catalogue_cache_bytes = _setting(Bytes, "disk for catalogues, at most", 20 * 10**9, validate=validate.Range(10**6))
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
        partial(ParsedField, setting_values.secrets),
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
        partial(ParsedField, setting_values.rate),
        "what one address without a key may take, in units of cost: N/second, minute, hour or day, at once or over the "
        "time; none: no limit",
        Rate(6000, 60),
    )
    rate_key = _setting(
        partial(ParsedField, setting_values.rate), "what a key without a rate of its own may take", Rate(60000, 60)
    )
    quota_anonymous = _setting(Quota, "bytes a day (UTC) for one address without a key, such as 10GB; none: no limit")
    quota_key = _setting(Quota, "bytes a day for a key without a quota of its own; none: no limit")
    redis_url = _setting(
        partial(ParsedField, setting_values.redis_url),
        "a Redis server that counts for all workers and replicas: redis://, rediss:// or unix://; empty: each worker "
        "counts for itself",
    )
    trusted_proxies = _setting(
        partial(ParsedField, TrustedProxies.parse),
        "proxies whose X-Forwarded-For is believed: networks such as 10.0.0.0/8, with commas; unix: by a unix socket",
        TrustedProxies(),
    )
    public_url = _setting(
        fields.String, "this service as users reach it, for links; empty: as each request names it", validate=_url()
    )
    webhook_networks = _setting(
        partial(ParsedField, setting_values.networks),
        "networks (10.1.0.0/16, several with commas) that webhooks may be sent to though not public, also by http",
        (),
    )
    answers_bytes = _setting(Bytes, "memory a worker keeps finished JSON answers in, at most", 64 * 10**6)
    cors_origins = _setting(
        partial(ParsedField, setting_values.origins), "origins whose pages may read answers", ("*",)
    )
    bind = _setting(
        fields.String,
        "address and port to listen on",
        "127.0.0.1:8000",
        validate=validate.Regexp(rf"(\S+:{PORT}|unix:\S+)\Z", error="not an address and port such as 0.0.0.0:8000"),
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
    if isinstance(field, Quota):
        return NONE
    if isinstance(field, Bytes):
        return f"{value // 10**9}GB" if value % 10**9 == 0 else f"{value // 10**6}MB"
    if type(value) is tuple:
        return ",".join(value)
    return "" if value is None else str(value)


def _sentence(messages: Any) -> str:
    return " ".join(map(str, messages)) if isinstance(messages, list) else str(messages)
