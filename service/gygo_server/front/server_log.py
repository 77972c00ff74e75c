"""gunicorn's own log, as JSON lines beside the service's."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger

from gygo_server.api.request_log import JsonFormatter


class ServerLog(Logger):  # type: ignore[misc]
    """gunicorn's logger with our lines: what a client sent cannot end one, and no secret is in them."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonFormatter())
