"""Servers on the loopback address, in a thread of the test's process while a block runs."""

from __future__ import annotations

import socketserver
import threading
from types import TracebackType
from typing import Any, Self


class LocalServer:
    """Answers connections by a handler, which finds this object as ``self.server.owner``. A context manager."""

    def __init__(self, handler: type[socketserver.BaseRequestHandler], *, waits_for_handlers: bool = False) -> None:
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.owner = self
        self._server.daemon_threads = not waits_for_handlers
        self._server.block_on_close = waits_for_handlers
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    owner: Any
