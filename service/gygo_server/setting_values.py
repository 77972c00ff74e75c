"""Values of settings that are more than a word or a number: how each is written, and what is wrong with one."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gygo_server.limits.rate import NONE, Rate, parse_rate
from gygo_server.parsed_field import ParsedField

_BYTES = re.compile(r"(\d+)\s*(B|KB|MB|GB|TB|KIB|MIB|GIB|TIB)?", re.IGNORECASE)
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
PORT = r"(6553[0-5]|655[0-2]\d|65[0-4]\d{2}|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})"
_ORIGIN = re.compile(rf"https?://(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*)(:{PORT})?")


def size_of(text: str) -> int:
    """The bytes that a size such as ``20GB`` or ``512MiB`` means.

    Raises:
        ValueError: it is none.
    """
    match = _BYTES.fullmatch(text.strip())
    if match is None:
        raise ValueError("not a size; write it as 500MB or 20GiB")
    return int(match[1]) * _UNITS[(match[2] or "").upper()]


class Bytes(ParsedField[int | None]):
    """A size such as ``20GB`` or ``512MiB``."""

    def __init__(self, parse: Callable[[str], int | None] = size_of, **more: Any) -> None:
        super().__init__(parse, **more)


class Quota(Bytes):
    """A size, or ``none``."""

    def __init__(self, **more: Any) -> None:
        super().__init__(lambda text: None if text == NONE else size_of(text), **more)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def origins(text: str) -> tuple[str, ...]:
    """Origins as browsers write them, separated by commas; ``*`` is any."""
    given = _parts(text)
    for origin in given:
        # "null" is not one: any page in a sandbox has it.
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin} is not an origin such as https://shop.example.org, in small letters")
    return given


def secrets(text: str) -> tuple[str, ...]:
    """Secrets, separated by commas. What is wrong with one is told without telling it."""
    given = _parts(text)
    if any(len(secret) < 32 for secret in given):
        raise ValueError("a secret has 32 characters at least; make one with: openssl rand -base64 32")
    return given


def rate(text: str) -> Rate | None:
    """A rate such as ``6000/minute``, or ``none``."""
    return parse_rate(text.strip())


#: What the address of a Redis server may set. redis-py takes more, and fails later at what is text and no object.
_REDIS_PARAMETER = re.compile(
    r"db|username|password|client_name|max_connections|health_check_interval|retry_on_timeout"
    r"|socket_(timeout|connect_timeout|keepalive)|ssl_[a-z_]+"
).fullmatch


def redis_url(text: str) -> str:
    """The address of a Redis server. It may hold a password: what is wrong with it is told without telling it."""
    # Not above: it takes a quarter of a second, which only who has Redis should wait for.
    from redis.connection import ConnectionPool, parse_url
    from redis.exceptions import RedisError

    url = text.strip()
    try:
        given = parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:
        given = {}
    if not ("path" in given or "host" in given):
        raise ValueError("not an address such as redis://:password@host:6379/0, rediss://… or unix:///path")
    try:
        # What of its parameters does not fit is said only here; nothing is connected.
        ConnectionPool.from_url(url).make_connection()
        fits = all(_REDIS_PARAMETER(name) for name in parse_qs(urlsplit(url).query))
    except (ValueError, TypeError, RedisError):
        fits = False
    if not fits:  # without naming any: it may be a part of a password that was not escaped
        raise ValueError("a parameter after its ? is none that is known, or does not fit")
    return url


def networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Networks in CIDR notation, separated by commas."""
    try:
        return tuple(map(ipaddress.ip_network, _parts(text)))
    except ValueError as error:
        raise ValueError(f"not networks such as 10.1.0.0/16,fd00:1::/64: {error}") from None
