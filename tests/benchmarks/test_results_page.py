"""Each benchmark writes its own section of the page, and leaves the others."""

from __future__ import annotations

from pathlib import Path

from benchmarks.results_page import write_section


def test_sections_are_added_and_replaced_by_their_titles(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    write_section(page, "# One\n\nfirst\n\n## Below\n\n| # | 1 |\n")
    write_section(page, "# One and a half\n\nother")
    assert page.read_text() == "# One\n\nfirst\n\n## Below\n\n| # | 1 |\n\n# One and a half\n\nother\n"
    write_section(page, "# One\n\nagain\n")
    write_section(page, "# One\n\nagain\n")
    assert page.read_text() == "# One\n\nagain\n\n# One and a half\n\nother\n"
