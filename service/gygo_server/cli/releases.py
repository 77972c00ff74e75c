"""``gygo-server releases``: what is published, whether it is whole, who may see it, and taking it back."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from rich.table import Table

from gygo_server.cli.output import as_json, print_json, print_table
from gygo_server.cli.progress import ShownProgress
from gygo_server.cli.types import PlaceType, VisibilityType
from gygo_server.cli.webhooks import announce
from gygo_server.ingest.catalogues import open_catalogue
from gygo_server.ingest.datasets import read_dataset
from gygo_server.ingest.releases import find_release, show_to, verify, withdraw
from gygo_server.model import Dataset, Visibility
from gygo_server.settings import Settings
from gygo_server.store.bucket import Bucket
from gygo_server.store.dataset_file import read_datasets


@click.group()
def releases() -> None:
    """List, show, verify and withdraw releases in the bucket, and say who may see them."""


@releases.command("list")
@click.argument("dataset", required=False)
@as_json
def list_releases(dataset: str | None, plain: bool) -> None:
    """List the releases of DATASET, or of all datasets."""
    bucket = _bucket()
    if dataset:
        each, _ = read_dataset(bucket, dataset)
        if each is None:
            raise click.ClickException(f"there is no dataset {dataset!r} in the bucket")
        found = [each]
    else:
        found, spoilt = read_datasets(bucket)
        for error in spoilt:
            click.echo(f"warning: {error}", err=True)
    rows = [row for each in found for row in _rows(each)]
    if plain:
        print_json(rows)
        return
    table = Table("dataset", "release", "published", "state", "dataset's visibility")
    for row in rows:
        columns = ("dataset", "release", "published_at", "state", "dataset_visibility")
        table.add_row(*(row[column] for column in columns))
    print_table(table)


@releases.command("show")
@click.argument("dataset")
@click.argument("release")
@as_json
def show_release(dataset: str, release: str, plain: bool) -> None:
    """Show what RELEASE of DATASET holds."""
    bucket = _bucket()
    found, entry = find_release(bucket, dataset, release)
    with TemporaryDirectory() as folder:
        document = open_catalogue(bucket, dataset, entry, Path(folder)).release
    row = next(row for row in _rows(found) if row["release"] == release)
    if plain:
        print_json({**document, **row})
        return
    table = Table(show_header=False)
    for name, value in {**row, "title": found.title, **_readable(document)}.items():
        if value is not None:
            table.add_row(name.replace("_", " "), str(value))
    print_table(table)


@releases.command("verify")
@click.argument("dataset")
@click.argument("release")
def verify_release(dataset: str, release: str) -> None:
    """Read every object of RELEASE and compare it with the hash it was published with.

    Exit code 1 when anything differs; each difference is a line on standard output.
    """
    differences = 0
    with ShownProgress() as progress:
        for difference in verify(_bucket(), dataset, release, progress):
            differences += 1
            click.echo(f"{difference.key}: {difference.message}")
    if differences:
        raise click.ClickException(f"{dataset}/{release}: {differences} difference(s)")
    click.echo(f"{dataset}/{release}: every byte is as published")


@releases.command("withdraw")
@click.argument("dataset")
@click.argument("release")
@click.option("--reason", help="Shown to whoever asks for the release.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def withdraw_release(dataset: str, release: str, reason: str | None, yes: bool) -> None:
    """Take RELEASE of DATASET back: it answers 410 from now on, and its id stays taken.

    Its objects stay in the bucket, as other releases may share them. This cannot be undone.
    """
    bucket = _bucket()
    find_release(bucket, dataset, release)
    if not yes and not click.confirm(f"withdraw {dataset}/{release} for good?", err=True):
        raise click.ClickException("nothing was withdrawn")
    withdraw(bucket, dataset, release, reason)
    click.echo(f"withdrew {dataset}/{release}")
    announce(Settings.from_env())


@releases.command("visibility")
@click.argument("place", metavar="DATASET[:RELEASE]", type=PlaceType())
@click.argument("visibility", type=VisibilityType())
def set_visibility(place: tuple[str, str | None], visibility: Visibility) -> None:
    """Say who may see RELEASE of DATASET, or DATASET as a whole, without a key that names it.

    VISIBILITY is public, registered (whoever has a key), "embargoed until 2026-12-01" or private. A release is seen by
    those whom its own and its dataset's visibility both allow; for all others it does not exist. What was public may
    lie in caches for a year.
    """
    before = show_to(_bucket(), *place, visibility)
    name = "/".join(filter(None, place))
    click.echo(f"{name} is {visibility}" + (f", it was {before}" if before != visibility else " already"))
    announce(Settings.from_env())


def _bucket() -> Bucket:
    return Bucket(Settings.from_env().s3)


def _rows(dataset: Dataset) -> list[dict[str, Any]]:
    return [
        {
            "dataset": dataset.id,
            "release": entry.id,
            "published_at": entry.published_at,
            "state": f"withdrawn {entry.withdrawn_at}" if entry.withdrawn_at else str(entry.visibility),
            "dataset_visibility": str(dataset.visibility),
            "withdrawn_reason": entry.withdrawn_reason,
        }
        for entry in dataset.releases
    ]


def _readable(document: dict[str, Any]) -> dict[str, str]:
    counts = ", ".join(f"{count} {name}" for name, count in document["counts"].items())
    resolutions = ", ".join(f"{each['resolution']} ({each['bytes'] / 1e6:.1f} MB)" for each in document["resolutions"])
    return {
        "licence": document["license"] or "not stated",
        "counts": counts,
        "resolutions": resolutions,
        "splits": ", ".join(f"{each['name']} ({each['videos']})" for each in document["splits"]),
        "categories": ", ".join(f"{each['name']} ({each['videos']})" for each in document["categories"]),
        "left out": ", ".join(sorted({each["video"] for each in document["left_out"]})) or "nothing",
    }
