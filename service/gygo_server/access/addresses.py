"""Whose address a request came from, where there may be proxies in between (`X-Forwarded-For`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

#: The peer on a unix socket, which has no address.
UNIX = "unix"

_IN_BRACKETS = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")
_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")

#: One person may have as many addresses as this.
_IPV6_PREFIX = 64


class TrustedProxies:
    """Those whose `X-Forwarded-For` is believed."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """``texts``: networks as CIDR, addresses, or ``unix`` for whoever comes by a unix socket.

        Raises:
            ValueError: names what is none of them.
        """
        self._texts = tuple(texts)
        self._unix = UNIX in self._texts
        self._networks = []
        for text in self._texts:
            if text != UNIX:
                try:
                    self._networks.append(ip_network(text))
                except ValueError as error:
                    raise ValueError(f"{text!r} is no network such as 10.0.0.0/8, nor {UNIX} ({error})") from None
        self.client = lru_cache(maxsize=4096)(self._client)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Those that are listed, with commas between them.

        Raises:
            ValueError: as the constructor.
        """
        return cls(part.strip() for part in text.split(",") if part.strip())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrustedProxies) and self._texts == other._texts

    def __hash__(self) -> int:
        return hash(self._texts)

    def __str__(self) -> str:
        return ",".join(self._texts)

    def trusts(self, peer: str) -> bool:
        """Whether this is one of them: an address, or nothing, which is a unix socket's."""
        return self._is_trusted(_read(peer))

    def _client(self, peer: str, forwarded: str | None) -> str:
        """The address of the client, with ``peer`` at the other end of the connection and this `X-Forwarded-For`.

        From the right, as each proxy adds whom it was asked by: the first that is no trusted proxy. From others the
        header is not read, and what is none of addresses ends the way at the proxy that passed it on.
        """
        found = _read(peer)
        hops = reversed(forwarded.split(",")) if forwarded is not None else iter(())
        for hop in hops:
            if not self._is_trusted(found):
                break
            before = _read_hop(hop.strip())
            if before is None:
                break
            found = before
        return UNIX if found is None else str(found)

    def _is_trusted(self, address: IPv4Address | IPv6Address | None) -> bool:
        if address is None:
            return self._unix
        return any(address in network for network in self._networks)


def network_of(address: str) -> str:
    """What is taken for one client: an IPv4 address, or the /64 of an IPv6 address; all by unix sockets together."""
    read = _read(address)
    if isinstance(read, IPv6Address):
        return str(IPv6Network((int(read) >> _IPV6_PREFIX << _IPV6_PREFIX, _IPV6_PREFIX)))
    return address


def _read(address: str) -> IPv4Address | IPv6Address | None:
    """An address in the form that it has only one of; None when it is none."""
    try:
        read = ip_address(address.partition("%")[0])  # without the zone of a link-local one
    except ValueError:
        return None
    return (read.ipv4_mapped or read) if isinstance(read, IPv6Address) else read


def _read_hop(hop: str) -> IPv4Address | IPv6Address | None:
    """An entry of `X-Forwarded-For`, which may have a port; None when it is none, such as ``unknown``."""
    match = _IN_BRACKETS.fullmatch(hop) or _WITH_PORT.fullmatch(hop)
    return _read(match[1] if match else hop)
