"""``RESULTS.md``: a section for each benchmark, which writes its own and leaves the others."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).with_name("RESULTS.md")


def write_section(page: Path, section: str) -> None:
    """Put a section, which begins with its title (``# …``), in the place of the one with this title, or at the end."""
    sections = re.split(r"^(?=# )", page.read_text() if page.exists() else "", flags=re.MULTILINE)
    section = section.rstrip() + "\n"
    title = section.splitlines()[0]
    kept = [section if each.startswith(f"{title}\n") else each.rstrip() + "\n" for each in sections if each.strip()]
    page.write_text("\n".join(kept if section in kept else [*kept, section]))
