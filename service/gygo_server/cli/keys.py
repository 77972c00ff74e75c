"""``gygo-server keys``: API keys made, listed, shown, rotated and revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click
from rich.table import Table

from gygo_server.access.api_key import ANY, ApiKey, Scope
from gygo_server.access.issuing import Order, create_key, find_key, list_keys, revoke_key, rotate_key
from gygo_server.cli.output import as_json, print_json, print_table
from gygo_server.cli.types import BytesType, DurationType, EndType, RateType, ScopeType, TextType
from gygo_server.errors import CorruptObjectError
from gygo_server.ingest.datasets import read_dataset
from gygo_server.model import time_text
from gygo_server.settings import Settings
from gygo_server.store.bucket import Bucket


@click.group()
def keys() -> None:
    """Make, list, show, rotate and revoke API keys: in the bucket, which holds only their hashes."""


@keys.command("create")
@click.option("--owner", type=TextType(), required=True, help="Whose it is: for lists and the audit.")
@click.option(
    "--scope",
    "scopes",
    type=ScopeType(),
    multiple=True,
    help="dataset[:release][=read,download]: what it lets its owner see that not everybody may; * for any dataset. "
    "Several times. Without one: what is `registered`.",
)
@click.option("--rate", type=RateType(), help="How much it may ask, as in 60000/minute.  [as the settings say]")
@click.option("--quota-bytes", type=BytesType(), help="Bytes a day (UTC), served and signed.  [as the settings say]")
@click.option("--expires", "expires_at", type=EndType(), help="A date, a time, or how long from now (90d).  [never]")
@as_json
def create(plain: bool, scopes: tuple[Scope, ...], **given: Any) -> None:
    """Make a key, and print it: the only time, as only its hash is kept."""
    bucket = _bucket()
    for dataset in sorted({scope.dataset for scope in scopes} - {ANY}):
        if read_dataset(bucket, dataset)[0] is None:
            click.echo(f"warning: there is no dataset {dataset!r} yet", err=True)
    key, token = create_key(bucket, Order(scopes=scopes, **given))
    _tell(key, token, plain)


@keys.command("list")
@click.option("--owner", help="Only this owner's.")
@click.option("--good", is_flag=True, help="Only those that are neither revoked nor expired.")
@as_json
def list_all(owner: str | None, good: bool, plain: bool) -> None:
    """List the keys."""
    now = datetime.now(UTC)
    rows = []
    for key in list_keys(_bucket()):
        if isinstance(key, CorruptObjectError):
            click.echo(f"warning: {key}", err=True)
        elif owner in {None, key.owner} and not (good and key.why_not(now)):
            rows.append(_row(key))
    if plain:
        print_json(rows)
        return
    table = Table("id", "owner", "scopes", "rate", "bytes a day", "created", "expires", "state")
    for row in rows:
        limits = (row["rate"] or "", f"{row['quota_bytes']:,}" if row["quota_bytes"] is not None else "")
        times = (row["created_at"], row["expires_at"] or "never")
        table.add_row(row["id"], row["owner"], " ".join(row["scopes"]), *limits, *times, row["state"])
    print_table(table)


@keys.command("show")
@click.argument("key_id", metavar="ID")
@as_json
def show(key_id: str, plain: bool) -> None:
    """Show the key with this id: all but itself, which nobody knows but its owner."""
    _show(find_key(_bucket(), key_id), plain)


@keys.command("rotate")
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap",
    type=DurationType(),
    default="7d",
    show_default=True,
    help="How long the old one is still good: 12h, 7d; 0s: no longer.",
)
@as_json
def rotate(key_id: str, overlap: timedelta, plain: bool) -> None:
    """Give the key with this id a new secret, and print it. The id, its scopes and its links stay as they are."""
    key, token = rotate_key(_bucket(), key_id, overlap)
    _tell(key, token, plain)


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
def revoke(key_id: str, yes: bool) -> None:
    """Take the key with this id back, and every link made with it: within a minute on each replica, and for good."""
    bucket = _bucket()
    key = find_key(bucket, key_id)
    if key.revoked_at is not None:
        click.echo(f"key {key.id} of {key.owner} was revoked at {time_text(key.revoked_at)} already")
        return
    if not yes and not click.confirm(f"revoke key {key.id} of {key.owner} for good?", err=True):
        raise click.ClickException("nothing was revoked")
    revoke_key(bucket, key_id)
    click.echo(f"revoked {key_id} of {key.owner}; signed URLs of archives that it was given last until they expire")


def _tell(key: ApiKey, token: str, plain: bool) -> None:
    """The key on standard output, and what it is beside it."""
    if plain:
        print_json({**_row(key), "key": token})
        return
    click.echo(token)
    scopes = " ".join(map(str, key.scopes)) or "no scope, so what is public or registered"
    click.echo(f"key {key.id} of {key.owner}: {scopes}. It is shown only now.", err=True)
    until = _row(key)["old_secret_good_until"]
    if until:
        click.echo(f"The one before is good until {until}; --overlap 0s ends it at once.", err=True)


def _show(key: ApiKey, plain: bool) -> None:
    row = _row(key)
    if plain:
        print_json(row)
        return
    table = Table(show_header=False)
    for name, value in row.items():
        shown = "\n".join(value) if isinstance(value, list) else value
        if shown not in {None, ""}:
            table.add_row(name.replace("_", " "), str(shown))
    print_table(table)


def _row(key: ApiKey) -> dict[str, Any]:
    now = datetime.now(UTC)
    old = [secret.expires_at for secret in key.secrets if secret.expires_at and secret.expires_at > now]
    return {
        "id": key.id,
        "owner": key.owner,
        "state": key.why_not(now) or "good",
        "scopes": [str(scope) for scope in key.scopes],
        "rate": key.rate,
        "quota_bytes": key.quota_bytes,
        "created_at": time_text(key.created_at),
        "expires_at": time_text(key.expires_at) if key.expires_at else None,
        "old_secret_good_until": time_text(max(old)) if old else None,
    }


def _bucket() -> Bucket:
    return Bucket(Settings.from_env().s3)
