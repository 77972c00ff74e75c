"""gunicorn's threaded worker, for clients on an open network: it waits for none of them for long, and answers what it
refuses as the service answers everything."""

from __future__ import annotations

import errno
import resource
import socket
import time
from collections import deque
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any

import structlog
from gunicorn.http import errors
from gunicorn.util import close_graceful, http_date
from gunicorn.workers.gthread import TConn, ThreadWorker
from werkzeug.exceptions import RequestTimeout
from werkzeug.wrappers import Response

from gygo_server.api.request_limits import REFUSAL, Refusal
from gygo_server.front.client_socket import MAX_HEAD_BYTES, ClientSocket
from gygo_server.front.threads import ReplacedThreads

#: What gunicorn's parser raises, most specific first, and what the client is told.
REFUSALS: tuple[tuple[type[Exception], Refusal], ...] = (
    (errors.LimitRequestLine, Refusal(414, "the request line is longer than {config.limit_request_line} bytes")),
    (
        errors.LimitRequestHeaders,
        Refusal(
            431,
            "a request has at most {config.limit_request_fields} header fields, each of at most "
            f"{{config.limit_request_field_size}} bytes, and {MAX_HEAD_BYTES} bytes in all before its body",
        ),
    ),
    (errors.ExpectationFailed, Refusal(417, "the only expectation that is met is 100-continue")),
    (errors.UnsupportedTransferCoding, Refusal(400, "the only transfer coding that is understood is chunked")),
    (errors.InvalidRequestMethod, Refusal(400, "the request's method is not a word in capital letters")),
    (errors.InvalidHTTPVersion, Refusal(400, "the request's version is not HTTP/1.0 or HTTP/1.1")),
    (
        errors.InvalidRequestLine,
        Refusal(
            400, "the request line is not a method, a target in printable ASCII and HTTP/1.1, with a space between"
        ),
    ),
    (errors.ObsoleteFolding, Refusal(400, "a header is folded over several lines")),
    (errors.InvalidHeaderName, Refusal(400, "the name of a header holds characters that no name may have")),
    (
        errors.InvalidHeader,
        Refusal(
            400, "a header is malformed, stands twice where one may, or contradicts another about the body's length"
        ),
    ),
    (RequestTimeout, Refusal(408, "the request did not come in time")),
    (errors.ParseException, Refusal(400, "the request is not one of HTTP/1.1")),
)

_INTERNAL = Refusal(500, "see the service's log")

#: Bytes of a refused request that are read, for its client to hear of it.
_DRAINED_BYTES = 1 << 20

#: Connections beside those of clients: catalogues, archives, the store.
_OTHER_DESCRIPTORS = 4096

#: What a worker needs, in seconds, to end when its grace is over: gunicorn's loop looks once a second, and answers
#: that are cut have CUT_SECONDS. It is killed later than that.
ENDING_SECONDS = 4

#: Seconds that threads have, when their connections are cut, to close what they were sending.
CUT_SECONDS = 1.5

log = structlog.get_logger()


class Connection(TConn):  # type: ignore[misc]
    """A client's connection, in gunicorn's words."""

    sock: ClientSocket

    def __init__(self, config: Any, client: ClientSocket, address: Any, server: Any) -> None:
        super().__init__(config, client, address, server)
        # There is something to read before a thread sees it.
        self.data_ready = True

    def close(self, graceful: bool = False) -> None:
        """Close it. ``graceful``: read on for a while, or a client that is still sending would not see the answer."""
        if graceful:
            close_graceful(self.sock, max_drain=_DRAINED_BYTES)
        else:
            self.sock.close()


class Worker(ThreadWorker):  # type: ignore[misc]
    """A worker whose clients have ``client_seconds`` to send a request, and to take some of an answer.

    Connections on which nothing happens hold no thread, and make room for new ones when there are too many. Requests
    have ``graceful_seconds`` to end when the worker stops; then they are cut, and tell (audit, limits) what they sent.
    """

    client_seconds: float
    graceful_seconds: int
    tpool: ReplacedThreads
    pending_conns: deque[Connection]
    keepalived_conns: deque[Connection]

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._without_descriptors = False
        self._under_way: set[Connection] = set()

    def init_process(self) -> None:
        # gunicorn's own process kills workers after the same setting: theirs is sooner.
        self.cfg.set("graceful_timeout", self.graceful_seconds)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.worker_connections + _OTHER_DESCRIPTORS
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
        super().init_process()

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._cut()

    def _cut(self) -> None:
        """End the connections under way, so that their threads end the answers, with a line in the audit trail."""
        for connection in list(self._under_way):
            with suppress(OSError):  # it has just been closed
                connection.sock.shutdown(socket.SHUT_RDWR)
        until = time.monotonic() + CUT_SECONDS
        while self._under_way and time.monotonic() < until:
            time.sleep(0.01)

    def get_thread_pool(self) -> ReplacedThreads:
        return ReplacedThreads(self.cfg.threads, self.worker_connections)

    def accept(self, listener: Any) -> None:
        """Take a new connection; a thread has it when its client has sent something."""
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                self._without_descriptors = True
            elif error.errno not in {errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED}:
                raise
            return
        client = ClientSocket(accepted, self.client_seconds, self.tpool.waiting)
        connection = Connection(self.cfg, client, address, listener.getsockname())
        connection.timeout = time.monotonic() + self.client_seconds
        self.nr_conns += 1
        self.pending_conns.append(connection)
        self.poller.register(client, EVENT_READ, partial(self.on_pending_socket_readable, connection))

    def murder_pending(self) -> None:
        super().murder_pending()
        if self.nr_conns >= self.worker_connections or self._without_descriptors:
            # Here, where no event of the connection is under way.
            self._without_descriptors = False
            self._close_idle()

    def _close_idle(self) -> None:
        """Close the connection that has been without a request for longest."""
        for idle in (self.keepalived_conns, self.pending_conns):
            if idle:
                connection = idle.popleft()
                self.poller.unregister(connection.sock)
                self.nr_conns -= 1
                connection.close()
                return

    def handle(self, conn: Connection) -> Any:
        conn.sock.expect_head()
        self._under_way.add(conn)
        try:
            kept = super().handle(conn)
        finally:
            self._under_way.discard(conn)
        if not kept:
            # Not in the main loop, as gunicorn does: it may take two seconds, in which nobody would be accepted.
            conn.close(graceful=True)
        return kept

    def handle_request(self, req: Any, conn: Connection) -> Any:
        conn.sock.expect_body(req.force_close)
        return super().handle_request(req, conn)

    def _keepalive_after(self, conn: Connection, keepalive: Any) -> bool:
        """Whether the connection is good for another request, behind a body that nobody read."""
        try:
            return bool(super()._keepalive_after(conn, keepalive))
        except errors.ParseException as error:
            # The answer is out: a second one would be taken for that of the next request.
            log.debug("connection ended", reason=f"malformed rest of an answered request: {error}")
            return False

    def handle_error(self, req: Any, client: ClientSocket, addr: Any, exc: Exception) -> None:
        """Answer with a problem, the way of all other answers: with their headers, and a line in the log."""
        refusal = next((refusal for kind, refusal in REFUSALS if isinstance(exc, kind)), _INTERNAL)
        if refusal is _INTERNAL:
            log.error("unforeseen", exc_info=exc)
        else:
            log.warning(
                "request refused", status=refusal.status, reason=str(exc)[:200], client=addr[0] if addr else None
            )
        environ = self._environ(req, refusal._replace(detail=refusal.detail.format(config=self.cfg)))
        answer = Response.from_app(self.wsgi, environ, buffered=True)
        fields = [("Date", http_date()), ("Connection", "close"), *answer.headers]
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        try:
            client.sendall(f"HTTP/1.1 {answer.status}\r\n{head}\r\n".encode("latin-1") + answer.data)
        except OSError as error:
            log.debug("refused client is gone", reason=str(error))

    def _environ(self, req: Any, refusal: Refusal) -> dict[str, Any]:
        return {
            "REQUEST_METHOD": getattr(req, "method", None) or "-",
            "PATH_INFO": getattr(req, "path", None) or "",
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            REFUSAL: refusal,
        }
