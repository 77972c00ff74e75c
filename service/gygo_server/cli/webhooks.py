"""``gygo-server webhooks``: the URLs that are told of releases, what they were told, and who tells them."""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any

import click
from rich.table import Table

from gygo_server.cli.output import as_json, print_json, print_table
from gygo_server.cli.types import DurationType
from gygo_server.errors import CorruptObjectError, GygoError, KeyRefusedError, StoreError
from gygo_server.ingest.publication import require_unicode
from gygo_server.model import time_text
from gygo_server.settings import Settings
from gygo_server.store.bucket import Bucket
from gygo_server.store.dataset_file import read_datasets
from gygo_server.webhooks import registry
from gygo_server.webhooks.delivery import Attempt, Deliverer, Limits, Round
from gygo_server.webhooks.hook import Event, Hook, Subject
from gygo_server.webhooks.posting import Sender
from gygo_server.webhooks.schedule import known_now
from gygo_server.webhooks.sight import find_caller, seen_by

#: How long a command that changed a release tries to tell of it: some five seconds in all.
AFTER_A_CHANGE = Limits(begin_seconds=2, send_seconds=3)
#: How long a round of ``run`` goes on with webhooks that have much to be told, before the others have their turn again.
ROUND_SECONDS = 30.0


@click.group()
def webhooks() -> None:
    """Tell partners' URLs of new and withdrawn releases, signed by Standard Webhooks."""


@webhooks.command("add")
@click.argument("url")
@click.option("--key", "key_id", metavar="ID", help="API key whose releases are told.  [default: public ones only]")
@click.option("--dataset", "datasets", multiple=True, help="Only this dataset; may be given several times.")
@click.option("--description", help="Whose it is and what for.")
@click.option(
    "--backfill/--from-now",
    help="Tell of the releases that are there too, or only of those to come.  [default: --from-now]",
)
@as_json
def add_webhook(
    url: str,
    key_id: str | None,
    datasets: tuple[str, ...],
    description: str | None,
    backfill: bool,
    plain: bool,
) -> None:
    """Have URL told of releases. Prints its signing secret, which is not shown again.

    The URL must be https:// and lead to public addresses, or into GYGO_WEBHOOK_NETWORKS, where http:// is good too.
    """
    settings = Settings.from_env()
    bucket = Bucket(settings.s3)
    require_unicode("description", description)
    Sender(settings.webhook_networks).check(url)
    there, known = _known(bucket, key_id)
    for dataset in sorted(set(datasets) - there):
        click.echo(f"warning: there is no dataset {dataset!r} in the bucket yet", err=True)
    order = registry.Order(url, description, key_id, tuple(datasets), frozenset() if backfill else known)
    hook, secret = registry.add_hook(bucket, order)
    if plain:
        print_json({**_row(hook, _state(bucket, hook)), "secret": secret})
        return
    _tell(hook, secret)


@webhooks.command("list")
@as_json
def list_webhooks(plain: bool) -> None:
    """List all webhooks."""
    bucket = Bucket(Settings.from_env().s3)
    rows = [_row(hook, _state(bucket, hook)) for hook in _sound(bucket)]
    if plain:
        print_json(rows)
        return
    table = Table("id", "URL", "key", "datasets", "state", "pending", "failed")
    for row in rows:
        datasets = ", ".join(row["datasets"]) or "all"
        counts = [str(row["pending"]), str(row["failed"])]
        table.add_row(row["id"], row["url"], row["key"] or "public", datasets, row["state"], *counts)
    print_table(table)


@webhooks.command("show")
@click.argument("hook_id", metavar="ID")
@as_json
def show_webhook(hook_id: str, plain: bool) -> None:
    """Show webhook ID, what it was told and what it is to be told."""
    bucket = Bucket(Settings.from_env().s3)
    hook = registry.find_hook(bucket, hook_id)
    row = _row(hook, _state(bucket, hook))
    if plain:
        print_json({**row, "events": [_event_row(event) for event in hook.events]})
        return
    table = Table(show_header=False)
    for name, value in {**row, "key": row["key"] or "public", "datasets": ", ".join(row["datasets"]) or "all"}.items():
        if value is not None:
            table.add_row(name.replace("_", " "), str(value))
    print_table(table)
    for event in hook.events:
        click.echo(f"{event.id} {event.type} {event.subject}: {_outcome(event)}")


@webhooks.command("test")
@click.argument("hook_id", metavar="ID")
def test_webhook(hook_id: str) -> None:
    """Send webhook ID a `ping` now. Exit code 1 when it does not arrive."""
    answer = _deliverer(Settings.from_env()).ping(hook_id)
    line = f"{answer.text} ({answer.seconds:.2f} s)"
    if not answer.is_success:
        raise click.ClickException(line)
    click.echo(line)


@webhooks.command("remove")
@click.argument("hook_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove_webhook(hook_id: str, yes: bool) -> None:
    """Remove webhook ID, and what it was to be told."""
    bucket = Bucket(Settings.from_env().s3)
    if not yes and not click.confirm(f"remove webhook {_named(bucket, hook_id)} for good?", err=True):
        raise click.ClickException("nothing was removed")
    registry.remove_hook(bucket, hook_id)
    click.echo(f"removed webhook {hook_id}")


@webhooks.command("enable")
@click.argument("hook_id", metavar="ID")
def enable_webhook(hook_id: str) -> None:
    """Send to webhook ID again, also what it has missed."""
    registry.enable_hook(Bucket(Settings.from_env().s3), hook_id)
    click.echo(f"enabled webhook {hook_id}")


@webhooks.command("disable")
@click.argument("hook_id", metavar="ID")
def disable_webhook(hook_id: str) -> None:
    """Send nothing to webhook ID until it is enabled again."""
    registry.disable_hook(Bucket(Settings.from_env().s3), hook_id, "by hand")
    click.echo(f"disabled webhook {hook_id}")


@webhooks.command("rotate")
@click.argument("hook_id", metavar="ID")
@click.option(
    "--overlap",
    type=DurationType(),
    default="24h",
    show_default=True,
    help="How long the old secret signs too: 12h, 7d; 0s: no longer.",
)
def rotate_webhook(hook_id: str, overlap: timedelta) -> None:
    """Give webhook ID a new signing secret. Prints it; it is not shown again."""
    hook, secret = registry.rotate_secret(Bucket(Settings.from_env().s3), hook_id, overlap)
    _tell(hook, secret)


@webhooks.command("failed")
@click.argument("hook_id", metavar="[ID]", required=False)
@as_json
def failed_webhooks(hook_id: str | None, plain: bool) -> None:
    """List what was given up: of webhook ID, or of all."""
    bucket = Bucket(Settings.from_env().s3)
    hooks = [registry.find_hook(bucket, hook_id)] if hook_id else _sound(bucket)
    found = [(hook, event) for hook in hooks for event in hook.dead]
    if plain:
        print_json([{"webhook": hook.id, **_event_row(event)} for hook, event in found])
        return
    for hook, event in found:
        click.echo(f"{hook.id} {event.id} {event.type} {event.subject}: {_outcome(event)}")


@webhooks.command("retry")
@click.argument("hook_id", metavar="ID")
@click.argument("event_id", metavar="[EVENT]", required=False)
def retry_webhook(hook_id: str, event_id: str | None) -> None:
    """Send again what was given up of webhook ID: EVENT, or all; with all the attempts that it had at first."""
    settings = Settings.from_env()
    hook = registry.revive(Bucket(settings.s3), hook_id, event_id)
    if hook.disabled:
        click.echo(f"webhook {hook_id} is disabled, {hook.disabled}: it is sent when it is enabled", err=True)
        return
    _show(_deliverer(settings).round(Limits(ROUND_SECONDS), only=hook_id))


@webhooks.command("run")
@click.option(
    "--interval",
    type=click.FloatRange(1, 86400),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look for what is to be told.",
)
@click.option("--once", is_flag=True, help="Look and send once, then end.")
def run_webhooks(interval: float, once: bool) -> None:
    """Tell webhooks of releases, also of those whose embargo ends, and try again what failed.

    Any number of these may run at the same time. SIGTERM and Ctrl-C end it after the messages that are under way;
    what is left is sent by the next one.
    """
    deliverer = _deliverer(Settings.from_env())
    stop = _stop_on_signals()
    limits = Limits(min(interval, ROUND_SECONDS))
    while not stop.is_set():
        try:
            _show(deliverer.round(limits, stop=stop))
        except StoreError as error:
            if once:
                raise
            click.echo(f"warning: {error}; trying again in {interval:g} s", err=True)
        if once:
            return
        stop.wait(interval)


def announce(settings: Settings) -> None:
    """Tell webhooks of what has just been changed, within a few seconds. What fails is left to ``webhooks run``, and
    is no failure of the change."""
    try:
        done = _deliverer(settings).round(AFTER_A_CHANGE)
    except Exception as error:  # noqa: BLE001  (the change is made, whatever this is)
        why = error if isinstance(error, GygoError) else f"{type(error).__name__}: {error}"
        click.echo(f"warning: webhooks were not told: {why}; `gygo-server webhooks run` tells them", err=True)
        return
    for trouble in done.troubles:
        click.echo(f"warning: {trouble}", err=True)
    told = sum(attempt.answer.is_success for attempt in done.attempts)
    if told or done.pending:
        left = f", {done.pending} pending: `gygo-server webhooks run` goes on" if done.pending else ""
        click.echo(f"webhooks: {told} told{left}", err=True)


def _deliverer(settings: Settings) -> Deliverer:
    return Deliverer(Bucket(settings.s3), Sender(settings.webhook_networks), settings.public_url)


def _known(bucket: Bucket, key_id: str | None) -> tuple[set[str], frozenset[Subject]]:
    """The datasets that there are, and the releases that a new webhook knows: those that its key may see now."""
    caller = find_caller(bucket, key_id, datetime.now(UTC))
    datasets, spoilt = read_datasets(bucket)
    if spoilt:
        raise spoilt[0]  # its releases would be told as new ones
    return {dataset.id for dataset in datasets}, known_now(seen_by(caller, datasets))


def _sound(bucket: Bucket) -> list[Hook]:
    """The webhooks that can be read; of the others, a warning each."""
    found: list[Hook] = []
    for each in registry.list_hooks(bucket):
        if isinstance(each, Hook):
            found.append(each)
        else:
            click.echo(f"warning: {each}", err=True)
    return found


def _named(bucket: Bucket, hook_id: str) -> str:
    """A webhook as a question names it, also one that cannot be read."""
    try:
        return f"{hook_id}, to {registry.find_hook(bucket, hook_id).url},"
    except CorruptObjectError as error:
        return f"{hook_id} ({error})"


def _tell(hook: Hook, secret: str) -> None:
    """The secret on standard output, and what it is beside it."""
    click.echo(secret)
    click.echo(f"what webhook {hook.id} signs with; it is shown only now", err=True)


def _state(bucket: Bucket, hook: Hook) -> str:
    if hook.disabled:
        return f"disabled: {hook.disabled}"
    try:
        find_caller(bucket, hook.key_id, datetime.now(UTC))
    except KeyRefusedError as error:
        return f"ended: {error}"
    return "enabled"


def _row(hook: Hook, state: str) -> dict[str, Any]:
    """A webhook without its secrets."""
    return {
        "id": hook.id,
        "url": hook.url,
        "description": hook.description,
        "key": hook.key_id,
        "datasets": hook.datasets,
        "created_at": time_text(hook.created_at),
        "state": state,
        "pending": len(hook.pending),
        "delivered": sum(event.delivered_at is not None for event in hook.events),
        "failed": len(hook.dead),
    }


def _event_row(event: Event) -> dict[str, Any]:
    times = {name: getattr(event, name) for name in ("created_at", "next_at", "delivered_at", "failed_at")}
    return {
        "event": event.id,
        "type": event.type,
        "dataset": event.subject.dataset,
        "release": event.subject.release,
        "attempts": event.attempts,
        **{name: time and time_text(time) for name, time in times.items()},
        "answer": event.answer,
    }


def _outcome(event: Event) -> str:
    answer = event.answer or "no answer yet"
    if event.delivered_at:
        return f"delivered at {time_text(event.delivered_at)}"
    if event.next_at:
        return f"{answer}; attempt {event.attempts + 1} at {time_text(event.next_at)}"
    return f"{answer}; given up after {event.attempts} attempts"


def _show(done: Round) -> None:
    """A line for each attempt, on standard output; what went wrong beside them, on standard error."""
    for attempt in done.attempts:
        click.echo(_line(attempt))
    for trouble in done.troubles:
        click.echo(f"warning: {trouble}", err=True)


def _line(attempt: Attempt) -> str:
    event = attempt.event
    now = time_text(datetime.now(UTC))
    return f"{now} webhook {attempt.hook_id}: {event.type} {event.subject} {event.id}: {_outcome(event)}"


def _stop_on_signals() -> threading.Event:
    """Set by the first SIGTERM or SIGINT; the second one does what it always does."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, end)
    return stop
