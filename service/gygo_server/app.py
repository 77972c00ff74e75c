"""The composition root: the only place where the parts of the service are put together."""

from __future__ import annotations

from flask import Flask
from flask_compress import Compress
from flask_cors import CORS

from gygo_server.api import datasets, documentation, frames, health, problems, releases, request_log, videos
from gygo_server.api.answers import AnswerCache
from gygo_server.api.services import EXTENSION, Services
from gygo_server.library import Library
from gygo_server.settings import Settings
from gygo_server.store.archives import ArchiveReader
from gygo_server.store.bucket import Bucket
from gygo_server.store.disk_cache import DiskCache

#: Headers of answers that scripts of other origins may read.
EXPOSED = ["Accept-Ranges", "Content-Range", "ETag", "Link", "Repr-Digest", "Retry-After", request_log.HEADER]


def create_app() -> Flask:
    """The service with the settings of the environment: what gunicorn calls.

    Raises:
        SettingsError: a setting is missing or wrong.
    """
    settings = Settings.from_env()
    request_log.configure_logging(settings.log_level)
    return create_app_with_settings(settings)


def create_app_with_settings(settings: Settings) -> Flask:
    """The service with these settings. Nothing is opened or connected before the first request."""
    app = Flask("gygo_server", static_folder=None)
    app.url_map.strict_slashes = False
    bucket = Bucket(settings.s3)
    app.extensions[EXTENSION] = Services(
        settings=settings,
        bucket=bucket,
        library=Library(
            bucket,
            settings.cache_dir,
            catalogue_bytes=settings.catalogue_cache_bytes,
            refresh_seconds=settings.refresh_seconds,
            connections=settings.threads,
        ),
        archives=ArchiveReader(bucket, DiskCache(settings.cache_dir / "archives", settings.cache_bytes)),
        answers=AnswerCache(settings.answers_bytes),
    )
    # Flask runs what is registered last first: the log sees the answer as it goes out.
    request_log.register(app, log_requests=settings.log_requests)
    CORS(app, origins=list(settings.cors_origins), expose_headers=EXPOSED, max_age=86400)
    Compress(app)
    problems.register(app)
    api = documentation.register(app)
    for part in (datasets, releases, videos, frames, health):
        api.register_blueprint(part.blueprint)
    return app
