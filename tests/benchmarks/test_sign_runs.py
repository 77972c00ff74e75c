"""The benchmark of signed URLs runs from end to end; what it measures is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_it_runs_and_writes_each_ratio(tmp_path: Path) -> None:
    results = tmp_path / "sign.json"
    command = [sys.executable, "-m", "benchmarks.sign", "--rounds", "2", "--urls", "100", "--results", str(results)]
    command += ["--videos", "50", "--markdown", str(tmp_path / "RESULTS.md")]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=150, check=False)
    assert run.returncode == 0, run.stderr
    ratios = json.loads(results.read_text())["ratios"]
    assert ratios.keys() == {"presign_vs_boto3", "presign_one_vs_boto3", "stream_vs_bare_view", "stream_vs_bare_blocks"}
    assert all(ratio > 0 for ratio in ratios.values())
    assert all(name in (tmp_path / "RESULTS.md").read_text() for name in ratios)
