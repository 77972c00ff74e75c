"""gunicorn, for the demo and for production alike: `gunicorn -c deploy/gunicorn.conf.py`. Settings: README."""

import gc
import sys
from typing import Any

from gygo_server.errors import SettingsError
from gygo_server.front.server_log import ServerLog
from gygo_server.front.worker import ENDING_SECONDS, Worker
from gygo_server.settings import Settings

try:
    _settings = Settings.from_env()
except SettingsError as error:
    sys.exit(f"error: {error}")

wsgi_app = "gygo_server.app:create_app()"
bind = _settings.bind
_of_worker = {"client_seconds": _settings.client_seconds, "graceful_seconds": _settings.graceful_seconds}
worker_class = type("Worker", (Worker,), _of_worker)
worker_connections = 1000  # of which those without a request make room for others
workers = _settings.workers
threads = _settings.threads
timeout = _settings.worker_timeout
graceful_timeout = _settings.graceful_seconds + ENDING_SECONDS
keepalive = 75  # longer than a load balancer's idle time, so that it is not us who hang up first
# Each worker makes its own application: a live S3 client must not cross a fork.
preload_app = False
# Heartbeats in memory: a slow disk must not look like a dead worker.
worker_tmp_dir = "/dev/shm"  # noqa: S108
limit_request_line = 8190  # as much as gunicorn takes: filters may have many values
limit_request_fields = 100
limit_request_field_size = 8190
http_parser = "python"  # the same refusals wherever it runs
accesslog = None  # the service writes its own, as JSON
# No header of a request may move the service elsewhere, and no socket in the home folder is shared with other services.
forwarder_headers = ""
control_socket_disable = True
logger_class = ServerLog
# Below this gunicorn logs the heads of requests, with their keys.
loglevel = "info" if _settings.log_level == "debug" else _settings.log_level


def post_worker_init(_worker: Any) -> None:
    """What is there when a worker is ready stays: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()
