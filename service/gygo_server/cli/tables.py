"""Tables on standard output: whole words in a terminal, and no line cut for a program that reads them."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

#: Wider than any row: a pipe has no edge.
UNBOUNDED = 10_000


def print_table(table: Table) -> None:
    """Print it. What does not fit into a terminal's width goes on in the next line; nothing is left out."""
    for column in table.columns:
        column.overflow = "fold"
    # Names are shown as they are, also those that look like rich's own "[red]" or ":b:".
    Console(markup=False, emoji=False, width=None if sys.stdout.isatty() else UNBOUNDED).print(table)
