"""Receivers of webhooks, real servers on the loopback address; those that speak TLS have a certificate of a CA that is
made here."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from local_servers import LocalServer
from standardwebhooks import Webhook


class Received(NamedTuple):
    """A message as it came; ``host`` and ``server_name`` are what the sender says it speaks to."""

    path: str
    headers: dict[str, str]
    body: bytes
    server_name: str | None

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """What it says, as the library that partners use takes it."""
        return Webhook(secret).verify(self.body, self.headers)


class Reply(NamedTuple):
    """An answer; ``raw`` in place of it is sent as it is."""

    status: int = 200
    body: bytes = b"ok"
    headers: dict[str, str] = {}  # noqa: RUF012  (never changed)
    raw: bytes | None = None


class Receiver(LocalServer):
    """Keeps the messages that come, and answers each with what ``answer`` says."""

    def __init__(
        self, answer: Callable[[Received], Reply] = lambda _: Reply(), tls: ssl.SSLContext | None = None
    ) -> None:
        self.answer = answer
        self.tls = tls
        self.received: list[Received] = []
        self.connections = 0
        super().__init__(_Handler)

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"{self.endpoint}/hook?team=7"


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def setup(self) -> None:
        self.server.owner.connections += 1
        self.server_name = None
        tls = self.server.owner.tls
        if tls:

            def note(_: object, name: str | None, __: object) -> None:
                self.server_name = name

            tls.sni_callback = note
            self.request = tls.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        super().setup()

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ssl.SSLError):
            self.close_connection = True  # the sender went away

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            self.rfile.close()
        if self.server.owner.tls:
            self.request.close()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received = Received(self.path, dict(self.headers.items()), body, self.server_name)
        self.server.owner.received.append(received)
        reply = self.server.owner.answer(received)
        if reply.raw is not None:
            self.wfile.write(reply.raw)
            return
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing on standard error."""


class Authority:
    """A certificate authority of the tests: ``file`` is what a sender is to trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA of the tests")])
        certificate = self._sign(self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=0))
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(Encoding.PEM))

    def server(self, *hosts: str, expired: bool = False) -> ssl.SSLContext:
        """A server's side of TLS, with a certificate for these hosts: names, or addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [
            x509.IPAddress(ip_address(host)) if ":" in host or host[0].isdigit() else x509.DNSName(host)
            for host in hosts
        ]
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
        certificate = self._sign(name, key.public_key(), x509.SubjectAlternativeName(names), expired=expired)
        file = self._folder / f"{hosts[0]}-{expired}.pem".replace(":", "_")
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType, *, expired: bool = False
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        issuer = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=9))
            .not_valid_after(now + timedelta(days=-1 if expired else 9))
            .add_extension(extension, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256())
