"""The benchmark runs from end to end; what it measures is nobody's business here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.skipif(
    not os.environ.get("CI") and not (shutil.which("wrk") and shutil.which("nginx")),
    reason="wrk or nginx is missing (apt-get install nginx-light wrk)",
)
def test_it_runs_and_writes_each_ratio(tmp_path: Path) -> None:
    results = tmp_path / "basics.json"
    command = [sys.executable, "-m", "benchmarks.basics", "--rounds", "1", "--seconds", "1", "--results", str(results)]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=150, check=False)
    assert run.returncode == 0, run.stderr
    ratios = json.loads(results.read_text())["ratios"]
    assert {"page_vs_bare_view", "frame_vs_send_file", "frame_vs_nginx"} <= ratios.keys()
    assert all(ratio > 0 for ratio in ratios.values())
    assert all(name in run.stdout for name in ratios)
