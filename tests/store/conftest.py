from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tcp_gate import Gate

from gygo_server.cli.seaweedfs import SeaweedFS


@pytest.fixture
def gate(s3: SeaweedFS) -> Iterator[Gate]:
    """A network to the S3 server that can be cut."""
    with Gate(s3.port) as gate:
        yield gate


@pytest.fixture
def dead_endpoint() -> Iterator[str]:
    """An address where nobody listens, and nobody else can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
