"""The client's address: the only place that says what it is."""

from __future__ import annotations

from flask import request


def client_address() -> str:
    """Whose request the current one is: an IPv4 or IPv6 address, or `unix`."""
    return request.environ.get("REMOTE_ADDR") or "unix"
