"""Where a webhook may be sent to: which URLs are taken, and which addresses their hosts may have.

Whoever names a URL could have this machine speak to what only it can reach: its own services, the network around it,
the metadata service of a cloud. So a URL has one spelling only, and every address of its host must be public, or in a
network that the operator allows.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from gygo_server.errors import HookTargetError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]

#: The addresses of a host's name, as text.
Resolve = Callable[[str], Sequence[str]]

MAX_URL = 2048

# Our own reading of a URL, and the only one: what is connected to, and what is asked for there, come from it.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#\\]*)(?P<path>[A-Za-z0-9/._~!$&'()*+,;=:@%?-]*)"
)
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]+)(?::(?P<port>[1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
#: What some libraries take for a number in an IPv4 address, as WHATWG's URL standard does.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_PORTS = {"https": 443, "http": 80}

#: IPv6 addresses that are routed on the Internet (RFC 4291, IANA's registry of global unicast addresses).
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
#: IPv4 addresses as IPv6 hosts reach them: RFC 6052.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Target(NamedTuple):
    """A URL in its parts: ``host`` in lower case, an IPv6 address without brackets; ``path`` with the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_encrypted(self) -> bool:
        return self.scheme == "https"

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def read_target(url: str) -> Target:
    """The parts of a webhook's URL.

    Raises:
        HookTargetError: it is none, or written in a way that programs read differently. The error does not repeat the
            URL, which may hold a secret.
    """
    if not url.isascii():
        raise HookTargetError("the URL has characters beyond ASCII: write its host as xn--…, all else as %…")
    match = _URL.fullmatch(url)
    if match is None or len(url) > MAX_URL:
        raise HookTargetError(f"not a URL such as https://example.org/hook, of {MAX_URL} characters at most")
    scheme = match["scheme"].lower()
    if scheme not in _PORTS:
        raise HookTargetError("the URL must begin with https://")
    if "@" in match["authority"]:
        raise HookTargetError("the URL holds a user or password: messages are signed, that is how they are known")
    authority = _AUTHORITY.fullmatch(match["authority"])
    if authority is None:
        raise HookTargetError("the URL names no host, or a port that is none")
    host, port = _host(authority["host"].lower()), int(authority["port"] or _PORTS[scheme])
    if not (port in _PORTS.values() or 1024 <= port <= 65535):
        raise HookTargetError(f"port {port}: only 80, 443 and those from 1024 are sent to")
    path = match["path"]
    return Target(scheme, host, port, path if path.startswith("/") else f"/{path}")


def addresses_of(target: Target, networks: Networks, resolve: Resolve) -> list[str]:
    """The addresses of a target's host, all of which may be connected to. The name is asked for once.

    Raises:
        HookTargetError: the host has no address, or one that nothing may be sent to.
    """
    literal = _literal(target.host)
    try:
        found = [str(literal)] if literal else list(dict.fromkeys(resolve(target.host)))
    except OSError as error:
        raise HookTargetError(f"{target.host} has no address: {error.strerror or error}") from None
    if not found:
        raise HookTargetError(f"{target.host} has no address")
    for text in found:
        _require_allowed(target, ipaddress.ip_address(text), networks)
    return found


def resolve(host: str) -> list[str]:
    """The addresses that this machine has for a name.

    Raises:
        OSError: it has none.
    """
    return [str(each[4][0]) for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


def is_public(address: Address) -> bool:
    """Whether it is one host's on the Internet, also inside of an address that stands for another."""
    stands_for = list(_stands_for(address))
    if stands_for:
        return all(map(is_public, stands_for))
    special = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    if special or address.is_link_local or not address.is_global:
        return False
    return address.version == 4 or address in _GLOBAL_IPV6


def _host(text: str) -> str:
    """A host in the one spelling that is taken: a name, four decimal numbers, or IPv6 without brackets."""
    if text.startswith("["):
        try:
            return str(ipaddress.IPv6Address(_without_zone(text[1:-1])))
        except ValueError:
            raise HookTargetError("the URL's host is no IPv6 address, or one with a zone") from None
    labels = text.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise HookTargetError("the URL's host is no IPv4 address of four decimal numbers") from None
    if len(text) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise HookTargetError("the URL's host is no name such as example.org (without a dot at the end)")
    return text


def _without_zone(text: str) -> str:
    if "%" in text:
        raise ValueError("a zone")
    return text


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _require_allowed(target: Target, address: Address, networks: Networks) -> None:
    if any(address in network for network in networks):
        return
    if not is_public(address):
        raise HookTargetError(
            f"{target.host} has the address {address}, which is not public: see GYGO_WEBHOOK_NETWORKS"
        )
    if not target.is_encrypted:
        raise HookTargetError("http:// is for GYGO_WEBHOOK_NETWORKS only: the URL must begin with https://")
    if target.port == _PORTS["http"]:
        raise HookTargetError("port 80 is for http:// in GYGO_WEBHOOK_NETWORKS only")


def _stands_for(address: Address) -> Iterable[Address]:
    """The IPv4 addresses that an IPv6 address leads to: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            yield address.ipv4_mapped
        if address.sixtofour:
            yield address.sixtofour
        if address.teredo:
            yield from address.teredo
        if address in _NAT64:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
