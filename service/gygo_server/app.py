"""The composition root: the only place where the parts of the service are put together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask

from gygo.disk_cache import DiskCache
from gygo_server.access.key_ring import KeyRing
from gygo_server.access.link import LinkSigner
from gygo_server.api import (
    changes,
    clips,
    compression,
    datasets,
    documentation,
    downloads,
    frames,
    health,
    metering,
    problems,
    releases,
    request_limits,
    samples,
    signed_links,
    videos,
)
from gygo_server.api.answers import AnswerCache
from gygo_server.api.auditing import AuditedRequests
from gygo_server.api.callers import LinkedRequests
from gygo_server.api.cross_origin import CrossOrigin
from gygo_server.api.request_log import RequestLog, configure_logging
from gygo_server.api.security_headers import SecurityHeaders
from gygo_server.api.services import EXTENSION, Services
from gygo_server.audit.spool import SpooledTrail
from gygo_server.audit.trail import FileTrail, OutputTrail, Trail
from gygo_server.library import Library
from gygo_server.limits.counters import LocalCounters
from gygo_server.limits.shared import SharedCounters
from gygo_server.settings import Settings
from gygo_server.store.archives import ArchiveReader
from gygo_server.store.bucket import Bucket
from gygo_server.store.cloudfront import CloudFront
from gygo_server.store.signed_urls import SignedUrls

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: The extension that is the application's audit trail, or None.
AUDIT = "gygo_audit"

#: A readiness check that takes longer is given up by whoever asks.
PROBE_SECONDS = 2.0

#: Connections to each open catalogue, at most: each is a descriptor, and is needed for a fraction of a millisecond.
CATALOGUE_CONNECTIONS = 4

#: A question in a request's body is at most so long: a thousand clips are a hundredth of it.
MAX_QUESTION_BYTES = 4 << 20


def create_app() -> Flask:
    """The service with the settings of the environment: what gunicorn calls.

    Raises:
        SettingsError: a setting is missing or wrong.
    """
    settings = Settings.from_env()
    configure_logging(settings.log_level)
    app = create_app_with_settings(settings)
    trail = app.extensions[AUDIT]
    if isinstance(trail, SpooledTrail):
        trail.start()
    return app


def create_app_with_settings(settings: Settings) -> Flask:
    """The service with these settings. Nothing is opened or connected before the first request."""
    app = Flask("gygo_server", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_QUESTION_BYTES
    app.url_map.strict_slashes = False
    app.url_map.converters["index"] = frames.IndexConverter
    bucket = Bucket(settings.s3)
    app.extensions[EXTENSION] = Services(
        settings=settings,
        bucket=bucket,
        probe=Bucket(replace(settings.s3, timeout=min(PROBE_SECONDS, settings.s3.timeout))),
        library=Library(
            bucket,
            settings.cache_dir,
            catalogue_bytes=settings.catalogue_cache_bytes,
            refresh_seconds=settings.refresh_seconds,
            connections=min(settings.threads, CATALOGUE_CONNECTIONS),
        ),
        archives=ArchiveReader(bucket, DiskCache(settings.cache_dir / "archives", settings.cache_bytes)),
        answers=AnswerCache(settings.answers_bytes),
        signed_urls=SignedUrls(
            bucket,
            seconds=settings.url_seconds,
            max_seconds=settings.url_max_seconds,
            bucket_seconds=settings.url_bucket_seconds,
            cloudfront=CloudFront(settings.cloudfront) if settings.cloudfront else None,
        ),
        keys=KeyRing(bucket, refresh_seconds=settings.key_refresh_seconds),
        links=LinkSigner(settings.link_secrets) if settings.link_secrets else None,
        counters=SharedCounters(settings.redis_url) if settings.redis_url else LocalCounters(),
    )
    compression.register(app)
    problems.register(app)
    request_limits.register(app)
    metering.register(app)
    api = documentation.register(app)
    for part in (datasets, releases, changes, videos, frames, clips, samples, downloads, signed_links, health):
        api.register_blueprint(part.blueprint)
    https = (settings.public_url or "").startswith("https:")
    metered = LinkedRequests(metering.Metered(app.wsgi_app))
    around: WSGIApplication = SecurityHeaders(CrossOrigin(metered, settings.cors_origins), https=https)
    trail = app.extensions[AUDIT] = audit_trail(settings)
    if trail is not None:
        around = AuditedRequests(around, trail, anonymous=settings.audit_anonymous)
    app.wsgi_app = RequestLog(around, log_requests=settings.log_requests)  # type: ignore[method-assign]
    return app


def audit_trail(settings: Settings) -> Trail | None:
    """Where the audit trail goes; None when there is to be none."""
    folder = settings.cache_dir / "audit"
    match settings.audit.partition(":"):
        case ("file", _, path):
            return FileTrail(Path(path))
        case ("stdout", _, _):
            return OutputTrail(folder)
        case ("bucket", _, _):
            return SpooledTrail(folder, Bucket(settings.s3), seconds=settings.audit_seconds)
    return None
