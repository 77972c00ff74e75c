from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest


@pytest.fixture
def dead_endpoint() -> Iterator[str]:
    """An address where nobody listens, and nobody else can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
