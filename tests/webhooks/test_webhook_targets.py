"""Where webhooks may be sent to: one spelling of a URL, and addresses that are public or allowed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gygo_server.errors import HookTargetError
from gygo_server.webhooks.target import Target, addresses_of, is_public, read_target

#: What is not one host's on the Internet: IANA's registries of special-purpose addresses, multicast.
SPECIAL_4 = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.2.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
SPECIAL_6 = [
    IPv6Network(text)
    for text in (
        "::/127",
        "::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/32",
        "2001:db8::/32",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "192.88.99.1", "2606:4700:4700::1111", "2a00:1450:4001::1"]

special_4 = st.sampled_from(SPECIAL_4).flatmap(lambda network: st.ip_addresses(network=network))
special_6 = st.sampled_from(SPECIAL_6).flatmap(lambda network: st.ip_addresses(network=network))


def embedded(address: IPv4Address) -> list[IPv6Address]:
    """The IPv6 addresses that lead to an IPv4 address: mapped, compatible, NAT64 and 6to4."""
    number = int(address)
    return [
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address(number),
        IPv6Address(int(IPv6Address("64:ff9b::")) | number),
        IPv6Address((0x2002 << 112) | (number << 80) | 1),
    ]


def never(_: str) -> list[str]:
    raise AssertionError("no name is to be looked up")


def looks_up(*addresses: str) -> Callable[[str], list[str]]:
    return lambda _: list(addresses)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.org", Target("https", "example.org", 443, "/")),
        ("HTTPS://Example.ORG/a/b?c=d&e=%20", Target("https", "example.org", 443, "/a/b?c=d&e=%20")),
        ("https://example.org?x=1", Target("https", "example.org", 443, "/?x=1")),
        ("https://a-b.example:8443/", Target("https", "a-b.example", 8443, "/")),
        ("https://xn--bcher-kva.example/", Target("https", "xn--bcher-kva.example", 443, "/")),
        ("https://[2606:4700::0001]:1024/x", Target("https", "2606:4700::1", 1024, "/x")),
        ("http://10.0.0.1:80/x", Target("http", "10.0.0.1", 80, "/x")),
        ("http://receiver:9000/@x", Target("http", "receiver", 9000, "/@x")),
    ],
)
def test_a_url_is_read_into_its_parts(url: str, target: Target) -> None:
    assert read_target(url) == target


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "not a URL"),
        ("example.org/hook", "not a URL"),
        ("https:/example.org", "not a URL"),
        ("https://example.org/a b", "not a URL"),
        (" https://example.org/", "not a URL"),
        ("https://example.org/\n", "not a URL"),
        ("https://example.org/\r\nX-Evil: 1", "not a URL"),
        ("https://example.org/#part", "not a URL"),
        ("https://example.org\\@127.0.0.1/", "not a URL"),
        ("https://example.org/" + "a" * 2048, "not a URL"),
        ("ftp://example.org/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("gopher://example.org/", "https://"),
        ("https:///hook", "no host"),
        ("https://:443/hook", "no host"),
        ("https://user:hunter2@example.org/", "user or password"),
        ("https://user@example.org/", "user or password"),
        ("https://example.org:0/", "a port"),
        ("https://example.org:/", "a port"),
        ("https://example.org:0443/", "a port"),
        ("https://example.org:99999/", "port 99999"),
        ("https://example.org:22/", "port 22"),
        ("https://example.org:25/", "port 25"),
        ("https://bücher.example/", "ASCII"),
        ("https://ⓔxample.org/", "ASCII"),
        ("https://127。0。0。1/", "ASCII"),
        ("https://example.org./", "dot at the end"),
        ("https://127.0.0.1./", "dot at the end"),
        ("https://exa..mple.org/", "no name"),
        ("https://-example.org/", "no name"),
        ("https://exam%70le.org/", "no name"),
        (f"https://{'a' * 64}.org/", "no name"),
        (f"https://{'a.' * 127}org/", "no name"),
        ("https://[fe80::1%25eth0]/", "zone"),
        ("https://[fe80::1%eth0]/", "zone"),
        ("https://[::1/", "no host"),
        ("https://[127.0.0.1]/", "no IPv6"),
        ("https://::1/", "no host"),
    ],
)
def test_a_url_that_is_none_or_can_be_read_differently_is_refused(url: str, why: str) -> None:
    with pytest.raises(HookTargetError, match=why) as caught:
        read_target(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "0177.0.0.0x1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "127.0.0.0x1",
        "0",
        "0.0.0.0",
        "0x",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::169.254.169.254]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2002:a9fe:a9fe::1]",
        "[2001:0:7f00:1::1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "[fe80::1]",
        "224.0.0.1",
        "255.255.255.255",
        "[ff02::1]",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_spelling_of_an_address_that_is_not_public_is_taken(scheme: str, host: str) -> None:
    with pytest.raises(HookTargetError):
        addresses_of(read_target(f"{scheme}://{host}/"), [], never)


@given(st.ip_addresses(v=4), st.data())
def test_an_ipv4_address_has_one_spelling(address: IPv4Address, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 4))
    number = int(address)
    parts = [number >> (24 - 8 * place) & 0xFF for place in range(size - 1)]
    parts.append(number & ((1 << (8 * (5 - size))) - 1))
    written = [data.draw(st.sampled_from([f"{part}", f"0{part:o}", f"0x{part:x}", f"00{part}"])) for part in parts]
    host = ".".join(written)
    assert socket.inet_aton(".".join(f"{part}" for part in parts)) == address.packed
    if host == str(address):
        assert read_target(f"https://{host}/").host == host
        return
    with pytest.raises(HookTargetError):
        read_target(f"https://{host}/")


@given(st.one_of(special_4, special_6))
def test_special_addresses_are_not_public(address: IPv4Address | IPv6Address) -> None:
    assert not is_public(address)
    host = f"[{address}]" if address.version == 6 else str(address)
    with pytest.raises(HookTargetError, match="not public"):
        addresses_of(read_target(f"https://{host}/"), [], never)
    with pytest.raises(HookTargetError, match="not public"):
        addresses_of(read_target("https://example.org/"), [], looks_up("1.1.1.1", str(address)))


@given(special_4)
def test_an_ipv6_address_is_no_way_around(address: IPv4Address) -> None:
    for each in embedded(address):
        assert not is_public(each), each


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are(text: str) -> None:
    address = ip_address(text)
    assert is_public(address)
    assert addresses_of(read_target("https://example.org/"), [], looks_up(text, text)) == [text]
    if isinstance(address, IPv4Address):
        mapped, compatible, nat64, _ = embedded(address)
        assert (is_public(mapped), is_public(compatible), is_public(nat64)) == (True, False, True)


def test_an_allowed_network_is_reached_by_http_too_and_no_other() -> None:
    networks = [ip_network("10.1.0.0/16"), ip_network("fd00:1::/64")]
    for scheme in ("http", "https"):
        assert addresses_of(read_target(f"{scheme}://inside/"), networks, looks_up("10.1.2.3")) == ["10.1.2.3"]
        assert addresses_of(read_target(f"{scheme}://[fd00:1::2]/"), networks, never) == ["fd00:1::2"]
        for address in ("10.2.0.1", "127.0.0.1", "::ffff:10.1.2.3", "fd00:2::1"):
            with pytest.raises(HookTargetError, match="not public"):
                addresses_of(read_target(f"{scheme}://inside/"), networks, looks_up("10.1.2.3", address))


@pytest.mark.parametrize(
    ("url", "why"), [("http://example.org/", "begin with https"), ("https://a.example:80/", "port 80")]
)
def test_public_addresses_are_reached_by_https_only(url: str, why: str) -> None:
    with pytest.raises(HookTargetError, match=why):
        addresses_of(read_target(url), [ip_network("10.1.0.0/16")], looks_up("1.1.1.1"))


def test_a_name_without_addresses_is_refused() -> None:
    def unknown(_: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(HookTargetError, match=r"^nobody\.example has no address: Name or service not known$"):
        addresses_of(read_target("https://nobody.example/"), [], unknown)
    with pytest.raises(HookTargetError, match=r"^nobody\.example has no address$"):
        addresses_of(read_target("https://nobody.example/"), [], looks_up())
