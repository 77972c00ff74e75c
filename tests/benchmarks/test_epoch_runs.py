"""The benchmark of an epoch runs from end to end with what the tests have installed; its figures are nobody's here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.skipif(not os.environ.get("CI") and not shutil.which("wrk"), reason="wrk is missing (apt-get install wrk)")
def test_it_runs_and_writes_the_table_and_each_ratio(tmp_path: Path) -> None:
    results, markdown = tmp_path / "epoch.json", tmp_path / "RESULTS.md"
    tiny = ["--videos", "4", "--frames", "9", "--scale", "1", "--rounds", "1", "--workers", "1", "--peers", "boto3"]
    files = ["--results", str(results), "--markdown", str(markdown)]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.epoch", *tiny, *files],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    ratios = json.loads(results.read_text())["ratios"]
    assert {"cold_vs_boto3", "cold_vs_best_peer", "cold_vs_limit", "decoded_vs_pillow"} <= ratios.keys()
    assert all(ratios[name] > 0 for name in ("cold_vs_boto3", "cold_vs_limit", "decoded_vs_pillow"))
    table = markdown.read_text()
    assert all(name in table for name in [*ratios, "boto3", "gygo.Clips", "wrk", "Pillow"])
    assert table in run.stdout
