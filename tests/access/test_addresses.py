"""Whose address a request came from: only what trusted proxies say is believed."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gygo_server.access.addresses import UNIX, TrustedProxies, network_of

INSIDE = TrustedProxies.parse("10.0.0.0/8, 192.0.2.7, fd00::/8")

addresses = st.ip_addresses().map(str)
inside = st.ip_addresses(network="10.0.0.0/8").map(str) | st.ip_addresses(network="fd00::/8").map(str)


def is_inside(address: str) -> bool:
    read = ip_address(address)
    if isinstance(read, IPv6Address) and read.ipv4_mapped:
        read = read.ipv4_mapped
    return any(read in ip_network(each) for each in ("10.0.0.0/8", "192.0.2.7", "fd00::/8"))


def plain(address: str) -> str:
    read = ip_address(address)
    return str(read.ipv4_mapped or read) if isinstance(read, IPv6Address) else str(read)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # anybody may send it
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.99, 198.51.100.1", "198.51.100.1"),  # what came before the first that is not trusted
        ("10.0.0.1", "198.51.100.1, 10.0.0.2, 192.0.2.7", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),  # somebody inside
        ("10.0.0.1", " 198.51.100.1 ,\t10.0.0.2 ", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1:51234", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1", "2001:DB8:0::1", "2001:db8::1"),
        ("10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("fd00::1", "198.51.100.1", "198.51.100.1"),
        ("fe80::1%eth0", None, "fe80::1"),
        *(("10.0.0.1", text, "10.0.0.1") for text in ("unknown", "", "_hidden", "a.example", "1.2.3", "1.2.3.4.5")),
        *(("10.0.0.1", text, "10.0.0.1") for text in ("1.2.3.4:port", "1.2.3.4:", "[::1", "for=1.2.3.4", "1.2.3.4;")),
        ("10.0.0.1", "198.51.100.1,", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, unknown, 10.0.0.2", "10.0.0.2"),  # the proxy that passed it on
        ("10.0.0.1", "01.2.3.4", "10.0.0.1"),
        ("10.0.0.1", "\u0661.2.3.4", "10.0.0.1"),
        ("", None, UNIX),
        ("", "198.51.100.1", UNIX),
    ],
)
def test_the_client_is_the_first_from_the_right_that_is_no_trusted_proxy(
    peer: str, forwarded: str | None, client: str
) -> None:
    assert INSIDE.client(peer, forwarded) == client


def test_a_unix_socket_s_peer_is_trusted_when_it_is_said() -> None:
    behind = TrustedProxies.parse("unix,10.0.0.0/8")
    assert behind.client("", "198.51.100.1, 10.0.0.1") == "198.51.100.1"
    assert behind.client("", "unknown") == UNIX
    assert behind.client("203.0.113.9", "198.51.100.1") == "203.0.113.9"


@given(peer=addresses, forwarded=st.none() | st.text(max_size=200))
def test_without_trusted_proxies_nothing_that_is_sent_moves_the_address(peer: str, forwarded: str | None) -> None:
    assert TrustedProxies().client(peer, forwarded) == plain(peer)


@given(client=addresses, before=st.text(max_size=80), hops=st.lists(inside, max_size=5), peer=inside)
def test_whatever_a_client_sends_before_its_own_address_is_not_read(
    client: str, before: str, hops: list[str], peer: str
) -> None:
    assume(not is_inside(client))
    assert INSIDE.client(peer, ", ".join([before, client, *hops])) == plain(client)


@given(peer=addresses, forwarded=st.text(alphabet="0123456789abcdef.:[]%, unkow", max_size=200))
def test_the_answer_is_always_an_address(peer: str, forwarded: str) -> None:
    found = INSIDE.client(peer, forwarded)
    assert plain(found) == found
    assert INSIDE.trusts(peer) or found == plain(peer)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_a_client(address: IPv4Address) -> None:
    assert network_of(str(address)) == str(address)


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_the_addresses_of_a_64_are_one_client(address: IPv6Address, host: int) -> None:
    assume(address.ipv4_mapped is None)
    other = IPv6Address(int(address) >> 64 << 64 | host)
    assume(other.ipv4_mapped is None)
    assert network_of(str(address)) == network_of(str(other))
    assert address in ip_network(network_of(str(address)))
    neighbour = IPv6Address(int(address) ^ 1 << 64)
    assert network_of(str(neighbour)) != network_of(str(address))


def test_all_by_a_unix_socket_are_one_client() -> None:
    assert network_of(UNIX) == UNIX


@pytest.mark.parametrize("text", ["10.0.0.0/33", "proxy.example.org", "10.0.0.1/8", "10.0.0.0/8;fd00::/8", "*", "Unix"])
def test_what_is_no_network_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no network such as 10\.0\.0\.0/8, nor unix"):
        TrustedProxies.parse(text)
