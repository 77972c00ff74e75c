"""The client's address: the only place that says what it is."""

from __future__ import annotations

import threading
import time

import structlog
from flask import request

from gygo_server.access.addresses import UNIX
from gygo_server.api.services import services
from gygo_server.settings import variable_of

log = structlog.get_logger()

#: Seconds between two warnings that a header was not believed.
WARNING_SECONDS = 3600.0


def client_address() -> str:
    """Whose request the current one is: an IPv4 or IPv6 address, or `unix`."""
    environ, proxies = request.environ, services().settings.trusted_proxies
    peer, forwarded = environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR")
    if forwarded is not None and not proxies.trusts(peer):
        _warning.write(peer or UNIX)
    return proxies.client(peer, forwarded)


class _Warning:
    """A warning that is written once an hour, however many reasons there are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0.0

    def write(self, peer: str) -> None:
        with self._lock:
            now = time.monotonic()
            if now < self._next:
                return
            self._next = now + WARNING_SECONDS
        setting = variable_of("trusted_proxies")
        log.warning(
            "X-Forwarded-For not believed: if it is a proxy, name it in the setting", peer=peer, setting=setting
        )


_warning = _Warning()
