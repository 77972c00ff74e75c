"""The address that a request comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def client_address(environ: WSGIEnvironment) -> str | None:
    """The address of who asks; None by a socket in the file system, which has none."""
    return environ.get("REMOTE_ADDR") or None
