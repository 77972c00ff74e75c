"""``gygo-server serve``: check the settings, then become gunicorn."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import click

import gygo_server
from gygo_server.errors import SettingsError, StoreRefusedError, StoreUnavailableError
from gygo_server.settings import PREFIX, Settings, describe_settings
from gygo_server.store.bucket import Bucket


def _settings_help() -> str:
    rows = describe_settings()
    width = max(len(row.variable) for row in rows)
    lines = [f"{row.variable:<{width}}  {row.about}" + (f" [{row.default}]" if row.default else "") for row in rows]
    return "\b\nSettings, from the environment:\n" + "\n".join(f"  {line}" for line in lines)


@click.command(epilog=_settings_help())
def serve() -> None:
    """Serve the bucket's releases over HTTP, with gunicorn.

    Credentials for S3 come from AWS's own variables (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
    AWS_PROFILE, …), its files, or the machine's role. Stops at once, saying why, when a setting is missing or wrong.
    """
    check_start(Settings.from_env())
    command = gunicorn_command()
    os.execv(command[0], command)  # noqa: S606  # nosec B606 # no shell, words of ours


def check_start(settings: Settings) -> None:
    """Refuse to start with settings that can never work; a store that is only away for now is no reason.

    Raises:
        SettingsError: the cache folder or the audit trail cannot be written, or the store refuses the bucket or our
            credentials.
    """
    # Not above: they bring Flask and redis-py along, for which no other command should have to wait.
    from gygo_server.app import audit_trail
    from gygo_server.limits.shared import SharedCounters

    try:
        settings.cache_dir.mkdir(parents=True, exist_ok=True)
        if not os.access(settings.cache_dir, os.W_OK | os.X_OK):
            raise PermissionError(13, "no permission to write")
    except OSError as error:
        raise SettingsError(f"GYGO_CACHE_DIR: {settings.cache_dir}: {error.strerror}") from None
    trail = audit_trail(settings)
    try:
        if trail is not None:
            trail.check()
    except OSError as error:
        raise SettingsError(f"GYGO_AUDIT: {trail}: {error.strerror}") from None
    try:
        Bucket(settings.s3).check()
    except StoreRefusedError as error:
        where = settings.s3.endpoint or "AWS"
        raise SettingsError(f"bucket {settings.s3.bucket} at {where} cannot be used: {error}") from None
    except StoreUnavailableError as error:
        click.echo(f"warning: {error}; starting all the same, /readyz tells when it is back", err=True)
    why = SharedCounters(settings.redis_url).check() if settings.redis_url else None
    if why is not None:
        click.echo(f"warning: {why}; until it can be used, each worker counts limits for itself", err=True)
    _check_bind(settings.bind)
    for name in sorted(name for name in os.environ if name.startswith(PREFIX)):
        if name not in {row.variable for row in describe_settings()}:
            click.echo(f"warning: {name} is no setting of this service", err=True)


def _check_bind(bind: str) -> None:
    if bind.startswith("unix:"):
        return
    host, _, port = bind.rpartition(":")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise SettingsError(f"GYGO_BIND: {bind}: {error.strerror}") from None


def gunicorn_command() -> list[str]:
    """The command that serves, in this environment."""
    return [sys.executable, "-m", "gunicorn", "-c", str(_gunicorn_config())]


def _gunicorn_config() -> Path:
    """``deploy/gunicorn.conf.py``: inside an installed package, or beside ``service/`` in a checkout."""
    package = Path(gygo_server.__file__).parent
    installed = package / "deploy" / "gunicorn.conf.py"
    return installed if installed.exists() else package.parents[1] / "deploy" / "gunicorn.conf.py"
