from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from machines import Machine, Wire
from small_trees import write_tree

from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.store.bucket import Bucket


@pytest.fixture
def dataset(request: pytest.FixtureRequest) -> str:
    """A dataset's id that no other test has."""
    return "t-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A data set of three small videos: bear, cat and dog."""
    return write_tree(tmp_path / "tree")


@pytest.fixture
def machine(s3: SeaweedFS, bucket: Bucket, tmp_path: Path) -> Iterator[Callable[[str], Machine]]:
    """Makes "machines" by name."""
    machines: list[Machine] = []

    def make(name: str = "here") -> Machine:
        environment = {
            **os.environ,
            "GYGO_BUCKET": bucket.settings.bucket,
            "GYGO_S3_ENDPOINT": s3.endpoint,
            "GYGO_S3_ADDRESSING": "path",
        }
        machines.append(Machine(environment, tmp_path / f"machine-{name}"))
        return machines[-1]

    yield make
    for started in (each for one in machines for each in one.started):
        with suppress(ProcessLookupError):
            os.killpg(started.process.pid, signal.SIGKILL)
        started.process.wait()


@pytest.fixture
def wire(s3: SeaweedFS) -> Iterator[Wire]:
    wire = Wire(s3.port)
    yield wire
    wire.cut()
