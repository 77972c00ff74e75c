"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

#: Wider than any row: a pipe has no edge.
UNBOUNDED = 10_000


as_json = click.option("--json", "plain", is_flag=True, help="JSON instead of text.")


def print_json(document: Any) -> None:
    """Print it, indented."""
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def print_table(table: Table) -> None:
    """Print it. What does not fit into a terminal's width goes on in the next line; nothing is left out."""
    for column in table.columns:
        column.overflow = "fold"
    # Names are shown as they are, also those that look like rich's own "[red]" or ":b:".
    Console(markup=False, emoji=False, width=None if sys.stdout.isatty() else UNBOUNDED).print(table)
