"""``gygo-server``: the service's command line."""

from __future__ import annotations

import sqlite3
import sys

import click

from gygo_server import __version__
from gygo_server.cli.audit import audit
from gygo_server.cli.demo import demo
from gygo_server.cli.ingest import ingest
from gygo_server.cli.keys import keys
from gygo_server.cli.releases import releases
from gygo_server.cli.serve import serve
from gygo_server.cli.webhooks import webhooks
from gygo_server.errors import GygoError

#: Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong, 130 interrupted.
INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__)
def cli() -> None:
    """Publishes video object segmentation data sets to S3, and serves them."""


for _command in (audit, demo, ingest, keys, releases, serve, webhooks):
    cli.add_command(_command)


def main() -> None:
    """Run the command line; our own errors are one line and exit code 1."""
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except click.exceptions.Abort:
        click.echo("interrupted; run the same command again to go on", err=True)
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except GygoError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except sqlite3.Error as error:
        click.echo(f"error: the folder that notes how far this is cannot be used: {error}; see --state-dir", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"error: {error.filename or ''}: {error.strerror or error}", err=True)
        sys.exit(1)
