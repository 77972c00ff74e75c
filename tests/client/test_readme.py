"""The client's README runs as written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.media.sample import write_sample
from gygo_server.settings import Settings
from gygo_server.store.bucket import Bucket

README = Path(__file__).parents[2] / "client" / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def url(s3: SeaweedFS, settings: Settings, serve_with: Callable[..., str], tmp_path: Path) -> str:
    """A service with what the demo publishes, smaller."""
    store = replace(settings.s3, bucket="readme")
    bucket = Bucket(store)
    bucket.create()
    for dataset, kind in (("gygo", "binary"), ("gygo-multi", "palette")):
        write_sample(tmp_path / dataset, kind=kind, videos=4, frames=(10, 12), original_size=(320, 180))
        publish(Publication(tmp_path / dataset, dataset, "sample"), bucket, tmp_path / "state", Silent())
    return serve_with(s3=store)


@pytest.mark.parametrize("block", BLOCKS, ids=["look", "train"])
def test_it_runs_as_written(block: str, url: str) -> None:
    if "torch" in block and find_spec("torch") is None and not os.environ.get("CI"):
        pytest.skip("PyTorch is missing (make torch)")
    assert "http://127.0.0.1:8000" in block
    program = block.replace("http://127.0.0.1:8000", url)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=150, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout


def test_the_training_loop_is_fifteen_lines() -> None:
    assert len(BLOCKS[1].splitlines()) <= 15
