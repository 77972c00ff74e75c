"""``gygo-server audit``: what the audit trail says was taken, by whom."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.table import Table

from gygo_server.audit.reading import Line, Reader, Selection
from gygo_server.audit.report import BY, Report
from gygo_server.cli.output import as_json, print_json, print_table
from gygo_server.cli.progress import ShownProgress
from gygo_server.cli.types import TimeType
from gygo_server.model import time_text
from gygo_server.settings import Settings
from gygo_server.store.bucket import Bucket

#: What a report is put together by unless something else is asked for.
USUAL = ("key", "release")

Command = TypeVar("Command", bound=Callable[..., Any])


def _selecting(command: Command) -> Command:
    """The arguments that say which lines."""
    for decorate in reversed(
        (
            click.option("--from", "since", type=TimeType(), help="From this day or time on, UTC: 2026-05-01."),
            click.option("--to", "until", type=TimeType(), help="Before this day or time, UTC: 2026-06-01."),
            click.option("--owner", help="Only what was given to keys of this owner."),
            click.option("--key", help="Only what was given to the key with this id."),
            click.option("--dataset", help="Only of this dataset."),
            click.option("--release", help="Only of releases with this id."),
            click.option("--video", help="Only of videos with this id."),
            click.argument("files", metavar="[FILE]...", nargs=-1),
        )
    ):
        command = decorate(command)
    return command


@click.group()
def audit() -> None:
    """Tell who was given what, from the audit trail.

    From FILEs of its lines, compressed or not (- is standard input), or else from the bucket.
    """


@audit.command("report")
@_selecting
@click.option("--by", multiple=True, type=click.Choice(list(BY)), help="Put lines together by this; may be repeated.")
@as_json
def report_trail(files: tuple[str, ...], by: tuple[str, ...], plain: bool, **selected: Any) -> None:
    """Sum up requests, videos, bytes sent and bytes that URLs were signed for.

    By key and release, unless --by says otherwise. A signed URL counts whether it was used or not.
    """
    reader, report = Reader(Selection(**selected)), Report(by or USUAL)
    for line in _lines(reader, files):
        report.add(line)
    if plain:
        _print_json(reader, report)
    else:
        _print_table(report)
    if report.lost:
        click.echo(f"warning: {report.lost} line(s) could not be written at the time, and are missing here", err=True)
    _tell_spoilt(reader)


@audit.command("show")
@_selecting
def show_trail(files: tuple[str, ...], **selected: Any) -> None:
    """Print the lines themselves."""
    reader = Reader(Selection(**selected))
    try:
        for line in _lines(reader, files):
            sys.stdout.buffer.write(line.text if line.text.endswith(b"\n") else line.text + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # `| head` has seen enough; what is left in the buffer goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _tell_spoilt(reader)


def _lines(reader: Reader, files: Sequence[str]) -> Iterator[Line]:
    if files:
        with ExitStack() as stack:
            for name in files:
                file = sys.stdin.buffer if name == "-" else stack.enter_context(Path(name).open("rb"))
                yield from reader.read(file)  # type: ignore[arg-type]
        return
    bucket = Bucket(Settings.from_env().s3)
    objects = reader.objects(bucket)
    with ShownProgress() as progress:
        progress.stage("reading", len(objects))
        for lines in reader.read_objects(bucket, objects):
            yield from lines
            progress.advance()


def _tell_spoilt(reader: Reader) -> None:
    if reader.spoilt:
        click.echo(f"warning: {reader.spoilt} line(s) could not be read", err=True)


def _print_json(reader: Reader, report: Report) -> None:
    selection = reader.selection
    document = {
        "from": selection.since and time_text(selection.since),
        "to": selection.until and time_text(selection.until),
        "rows": list(report.rows()),
        "total": report.total.row(),
        "spoilt": reader.spoilt,
        "lost": report.lost,
    }
    print_json(document)


def _print_table(report: Report) -> None:
    table = Table(*report.columns, show_footer=True)
    total = _readable(report.total.row())
    for name, text in total.items():
        table.add_column(name.replace("_", " "), text, justify="left" if name in {"first", "last"} else "right")
    for row in report.rows():
        named = [_shown(row.pop(column)) for column in report.columns]
        table.add_row(*named, *_readable(row).values())
    print_table(table)


def _readable(row: dict[str, Any]) -> dict[str, str]:
    return {
        name: _size(value) if name.startswith("bytes") else f"{value:,}" if isinstance(value, int) else _shown(value)
        for name, value in row.items()
    }


def _shown(text: str | None) -> str:
    """A name without what a terminal would obey."""
    if text is None:
        return "-"
    return text if text.isprintable() else repr(text)[1:-1]


def _size(size: int) -> str:
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.1f} {units[0]}" if units[0] != "B" else f"{size} B"
