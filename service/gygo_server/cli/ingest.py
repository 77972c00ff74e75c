"""``gygo-server ingest``: publish a data set on disk or in S3 as a release."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from gygo_server.cli.progress import ShownProgress
from gygo_server.cli.types import VisibilityType
from gygo_server.cli.webhooks import announce
from gygo_server.errors import FaultySourceError
from gygo_server.ingest.bucket_files import SCHEME, BucketFiles
from gygo_server.ingest.publication import Publication, Report
from gygo_server.ingest.publish import dry_run, publish
from gygo_server.model import Finding, MaskKind, Severity
from gygo_server.settings import Settings
from gygo_server.store.bucket import Bucket


def default_state() -> Path:
    """Where publications note how far they are (XDG Base Directory: state)."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "gygo-server" / "ingest"


class _Source(click.Path):
    """A folder, or an ``s3://`` URL, which stays text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if str(value).startswith(SCHEME) else super().convert(value, param, ctx)


@click.command()
@click.argument("source", type=_Source(exists=True, file_okay=False, path_type=Path))
@click.option("--dataset", required=True, help="Id of the dataset, new or not: a-z, 0-9, '.', '_', '-'.")
@click.option("--release", required=True, help="Id of the new release.")
@click.option("--title", help="The dataset's title.")
@click.option("--description", help="What the dataset is, in a sentence or two.")
@click.option("--license", help="The dataset's licence, as its publisher states it.")
@click.option("--homepage", help="The dataset's home page.")
@click.option(
    "--visibility",
    type=VisibilityType(),
    help="Who may see the release: public, registered (whoever has a key), 'embargoed until 2026-12-01' or private "
    "(keys that name it).  [public, or as it is]",
)
@click.option(
    "--dataset-visibility",
    type=VisibilityType(),
    help="Who may see the dataset at all, whatever its releases say.  [public, or as it is]",
)
@click.option(
    "--categories",
    "labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV or JSON with categories and attributes; else categories.csv or .json in SOURCE, if there is one.",
)
@click.option(
    "--masks",
    type=click.Choice([MaskKind.BINARY.value, MaskKind.PALETTE.value]),
    help="How to read the masks; else it is found out for each video.",
)
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), help="Frames a second, if it is known.")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Processes on this machine that check and pack.  [default: as many as it has processors]",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Dask scheduler (tcp://host:8786, tls://…) whose workers check and pack, not processes here. They need "
    "this version of gygo-server[cluster], credentials of their own, and SOURCE in S3 or on a disk that they share.",
)
@click.option("--dry-run", "only_check", is_flag=True, help="Check everything, publish nothing.")
@click.option(
    "--leave-out-faulty", is_flag=True, help="Publish the videos without fault; the release lists the others."
)
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to note how far this is, so that it can be picked up.  [~/.local/state/gygo-server/ingest]",
)
def ingest(
    source: Path | str,
    only_check: bool,
    masks: str | None,
    state_dir: Path | None,
    workers: int | None,
    scheduler: str | None,
    **given: Any,
) -> None:
    """Publish the data set in SOURCE (GyGO, DAVIS 2016 or DAVIS 2017 layout) as a release.

    SOURCE is a folder, or s3://bucket/prefix at GYGO_S3_ENDPOINT, with the same credentials as for GYGO_BUCKET.

    Every picture is read first; when there is a fault, all faults are listed and nothing is published. Interrupted or
    killed, it goes on where it was when the same command is given again. The bucket is that of GYGO_BUCKET,
    GYGO_S3_ENDPOINT, …: see `gygo-server serve --help`.
    """
    if scheduler and workers:
        raise click.UsageError("--workers are processes here, --scheduler has its own: give one of them")
    publication = Publication(
        source if isinstance(source, Path) else BucketFiles.from_url(source, Settings.from_env().s3),
        masks=MaskKind(masks) if masks else None,
        workers=workers or os.cpu_count() or 2,
        scheduler=scheduler,
        **given,
    )
    state = state_dir or default_state()
    try:
        with ShownProgress() as progress:
            if only_check:
                report = dry_run(publication, state, progress)
            else:
                report = publish(publication, Bucket(Settings.from_env().s3), state, progress)
    except FaultySourceError as error:
        show_findings(list(error.findings))
        raise
    show_findings(report.findings)
    if only_check:
        click.echo(f"{report.videos} videos without fault, {len(report.faults)} faults, nothing published")
        raise SystemExit(1 if report.faults else 0)
    click.echo(_outcome(publication, report))
    announce(Settings.from_env())


def show_findings(findings: list[Finding]) -> None:
    """A line each: severity, file, code, what is wrong."""
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    for finding in findings:
        style = "red" if finding.severity is Severity.FAULT else "yellow"
        console.print(
            f"{finding.severity}: {finding.path}: {finding.message} [{finding.code}]",
            style=style,
            soft_wrap=True,
        )


def _outcome(publication: Publication, report: Report) -> str:
    name = f"{publication.dataset}/{publication.release}"
    transfer = report.transfer
    if not report.published:
        done = [f"{transfer.sent} archives that the bucket had lost were sent again"] if transfer.sent else []
        done += ["what is said of the dataset and who may see it was changed"] if report.described else []
        done += ["its catalogue was written anew"] if report.renewed else []
        return f"{name} is published already, with this content; {' and '.join(done) or 'nothing to do'}"
    left_out = f"; left out {len(report.left_out)} with faults" if report.left_out else ""
    return (
        f"published {name}: {report.videos} videos{left_out}; {transfer.sent} archives sent "
        f"({transfer.sent_bytes / 1e6:.1f} MB), {transfer.shared} were there ({transfer.shared_bytes / 1e6:.1f} MB)"
    )
