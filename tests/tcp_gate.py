"""A network that can go away: a relay of real TCP connections in front of a server."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading
from typing import Any

from local_servers import LocalServer


class Gate(LocalServer):
    """Relays to a port of this machine while it is open; shut, it hangs up on everybody."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.is_open = True
        #: Answers are cut off after so many bytes of a connection; None: never.
        self.cut_after: int | None = None
        #: Answers wait until this is set, as it is at first.
        self.lets_through = threading.Event()
        self.lets_through.set()
        #: Connections that were accepted, refused ones included.
        self.connections = 0
        self._live: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(_Relay, waits_for_handlers=True)

    def shut(self) -> None:
        """Hang up, and on all who call from now on."""
        self.is_open = False
        self.lets_through.set()
        self._hang_up()

    def open(self) -> None:
        self.is_open = True

    def __exit__(self, *raised: Any) -> None:
        self.shut()
        super().__exit__(*raised)

    def _hang_up(self) -> None:
        with self._lock:
            for connection in self._live:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def relay(self, client: socket.socket) -> None:
        """Both ways, until one side is done or the gate shuts."""
        self.connections += 1
        if not self.is_open:
            return
        with socket.create_connection(("127.0.0.1", self.target)) as server:
            with self._lock:
                self._live |= {client, server}
            try:
                self._pump(client, server)
            finally:
                with self._lock:
                    self._live -= {client, server}

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        sent = 0
        while self.is_open:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(65536)
                if not data:
                    return
                if source is client:
                    server.sendall(data)
                    continue
                if self.cut_after is not None and sent + len(data) > self.cut_after:
                    client.sendall(data[: max(0, self.cut_after - sent)])
                    return
                self.lets_through.wait()
                client.sendall(data)
                sent += len(data)


class _Relay(socketserver.BaseRequestHandler):
    server: Any

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self.server.owner.relay(self.request)
