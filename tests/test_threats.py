"""README's table of threats: each names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECTION = re.search(r"(?ms)^## Security$(.*?)^## ", (ROOT / "README.md").read_text(encoding="utf-8"))
ROWS = [line for line in (SECTION[1] if SECTION else "").splitlines() if line.startswith("| ")][2:]


def test_there_is_a_table() -> None:
    assert len(ROWS) > 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[2].strip()[:60])
def test_what_stops_an_attack_has_a_test(row: str) -> None:
    asset, attack, stops, tests = (cell.strip() for cell in row.strip("|").split(" | "))
    assert asset
    assert attack
    assert stops
    named = re.findall(r"`([\w./]+)(?:::(\w+))?`", tests)
    assert named
    for file, name in named:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not name or re.search(rf"^def {name}\(", text, re.MULTILINE), f"{file} has no {name}"
