"""``gygo``: data sets of a GyGO server on the command line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

import click

from gygo import __version__
from gygo.client import Client, connect
from gygo.errors import GygoError
from gygo.listing import Listing
from gygo.progress import ShownProgress, human_bytes, plain, say
from gygo.pull.layouts import LAYOUTS
from gygo.pull.plan import Request
from gygo.pull.report import say_plan, say_summary
from gygo.pull.run import pull as run_pull

#: Exit codes: 0 done, 1 it could not be done, or not all of it, 2 the command line is wrong, 130 interrupted.
INTERRUPTED = 130

_FILTERS = ("split", "category", "attribute", "min_frames", "max_frames", "min_objects", "q")

F = TypeVar("F", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__)
def cli() -> None:
    """Video object segmentation data sets from a GyGO server: look what there is, and get it."""


def service_options(command: F) -> F:
    """Where the service is, and who asks."""
    for option in (
        click.option("--key", envvar="GYGO_API_KEY", metavar="KEY", help="API key; better set GYGO_API_KEY."),
        click.option("--url", envvar="GYGO_URL", metavar="URL", help="The service; or set GYGO_URL."),
    ):
        command = option(command)
    return command


def filter_options(command: F) -> F:
    """The service's filters of videos."""
    for option in (
        click.option("--q", metavar="WORDS", help="Words, or beginnings of words, of names, categories, attributes."),
        click.option("--min-objects", type=click.IntRange(0), metavar="N"),
        click.option("--max-frames", type=click.IntRange(0), metavar="N"),
        click.option("--min-frames", type=click.IntRange(0), metavar="N"),
        click.option("--attribute", multiple=True, metavar="A", help="Repeated: videos with all of them."),
        click.option("--category", multiple=True, metavar="C", help="Repeated: videos of any of them."),
        click.option("--split", multiple=True, metavar="S", help="Repeated: videos in any of them."),
    ):
        command = option(command)
    return command


@cli.command()
@click.argument("release", metavar="DATASET[@RELEASE]")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder of the tree.")
@click.option("--layout", type=click.Choice(sorted(LAYOUTS)), help="Whose loader is to read it; davis unless told.")
@filter_options
@click.option("--video", multiple=True, metavar="V", help="This video, by name or id. Repeated: these.")
@click.option("--resolution", metavar="R", help="The release's default unless told.")
@click.option("--void", type=click.Choice(["keep", "zero"]), help="Whether 255 stays in masks, or becomes background.")
@click.option("--all-frames", is_flag=True, help="Frames without a mask too, where the layout leaves them out.")
@click.option("--since", metavar="RELEASE", help="Only videos that are new, or other ones, since this release.")
@click.option("--delete", is_flag=True, help="Delete videos that the release does not have any more.")
@click.option("--workers", type=click.IntRange(1, 256), default=8, show_default=True, metavar="N")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@click.option("--quiet", is_flag=True, help="Say nothing but what went wrong.")
@service_options
def pull(release: str, out: Path, quiet: bool, url: str | None, key: str | None, **options: Any) -> int:
    """Get a release, or some of its videos, as a tree of files that the loaders of a layout read as it is.

    The same command again goes on where it was interrupted, and fetches only what is new; so does a newer release in
    the same folder. Then options of the layout need not be repeated.

    Files are as published, byte for byte, wherever the layout allows. A tree is fit for one layout:

    \b
    davis        DAVIS 2017: JPEGImages/480p, Annotations/480p, ImageSets/2017; masks are ids, void stays
    davis2016    DAVIS 2016: the same with ImageSets/480p; masks are 0 or 255
    youtube-vos  JPEGImages, Annotations, meta.json
    cutie        Cutie, XMem: JPEGImages, Annotations; a mask for each frame, no void
    sam2         SAM 2's training and predictor: the same with frames called by numbers
    """
    if "/" in release:
        raise click.UsageError("DATASET[@RELEASE] has no '/'; choose videos with --video")
    layout = options["layout"] or "davis"
    if options["void"] == "keep" and not LAYOUTS[layout].may_keep_void:
        raise click.UsageError(f"the loaders of {layout} know no void: 255 would be an object; leave --void keep out")
    filters = _given({name: options.pop(name) for name in _FILTERS})
    request = Request(release, out, filters, options.pop("video"), **options)
    _client(url, key).release(release)  # a wrong address is told at once; what is under way waits longer
    summary = run_pull(_client(url, key, request.workers, patience=120), request, ShownProgress(quiet=quiet))
    if request.dry_run:
        say_plan(summary.plan, delete=request.delete)
        return 0
    say_summary(summary, quiet=quiet)
    return 1 if summary.failed or summary.ended else 0


@cli.command("list")
@click.argument("name", required=False, metavar="[DATASET[@RELEASE]]")
@click.option("--videos", is_flag=True, help="The videos of the latest release, rather than the releases.")
@filter_options
@click.option("--resolution", metavar="R", help="Videos that have it.")
@click.option("--changed-since", metavar="RELEASE", help="Videos that are new, or other ones, since this release.")
@click.option("--json", "as_json", is_flag=True, help="For machines: a JSON array of what the service says.")
@service_options
def list_(
    name: str | None,
    videos: bool,
    resolution: str | None,
    as_json: bool,
    url: str | None,
    key: str | None,
    **filters: Any,
) -> None:
    """List datasets; the releases of a dataset; or, with @RELEASE, --videos or a filter, videos."""
    chosen = _given({**filters, "resolution": resolution})
    if name is None:
        if videos or chosen:
            raise click.UsageError("say of which DATASET[@RELEASE] to list videos")
        _list(_client(url, key), "/v1/datasets", {"limit": 1000}, as_json, _DATASET_COLUMNS)
    elif "/" in name:
        raise click.UsageError(f"DATASET[@RELEASE] has no '/'; try: gygo show {name}")
    elif videos or chosen or "@" in name:
        release = _client(url, key).release(name)
        _list(release.http, f"{release.path}/videos", {**chosen, "limit": 500}, as_json, _VIDEO_COLUMNS)
    else:
        _list_releases(_client(url, key), name, as_json)


@cli.command()
@click.argument("name", metavar="DATASET[@RELEASE][/VIDEO]")
@click.option("--json", "as_json", is_flag=True, help="For machines: what the service says.")
@service_options
def show(name: str, as_json: bool, url: str | None, key: str | None) -> None:
    """Show what there is to know of a dataset, a release or a video."""
    dataset, slash, video = name.partition("/")
    client = _client(url, key)
    if slash:
        release = client.release(dataset)
        document = client.http.get_json(release.video(video).path)
    elif "@" in dataset:
        document = client.release(dataset).document
    else:
        document = client.http.get_json(f"/v1/datasets/{quote(dataset, safe='')}")
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        _say_document(document)


def main() -> None:
    """Run the command line; our own errors are one line and exit code 1."""
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted; run the same command again to go on", err=True)
        sys.stdout.flush()
        os._exit(INTERRUPTED)  # at once: threads may wait for a silent server
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except GygoError as error:
        _leave(f"error: {error}", 1)
    except BrokenPipeError:  # `gygo list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _leave(f"error: {where}{error.strerror or error}", 1)


def _leave(message: str, code: int) -> NoReturn:
    click.echo(plain(message), err=True)
    sys.exit(code)


def _client(url: str | None, key: str | None, connections: int = 4, *, patience: float = 5) -> Client:
    if not url:
        raise click.UsageError("say where the service is: --url URL, or GYGO_URL in the environment")
    try:
        return connect(url, key or None, connections=connections, patience=patience)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _given(filters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value not in (None, ())}


_Columns = Sequence[tuple[str, Callable[[dict[str, Any]], object]]]

_DATASET_COLUMNS: _Columns = (
    ("DATASET", lambda each: each["id"]),
    ("LATEST", lambda each: each["latest_release"]),
    ("RELEASES", lambda each: len(each["releases"])),
    ("LICENCE", lambda each: each["license"]),
    ("TITLE", lambda each: each["title"]),
)
_RELEASE_COLUMNS: _Columns = (
    ("RELEASE", lambda each: each["id"]),
    ("PUBLISHED", lambda each: each["published_at"][:10]),
    ("VIDEOS", lambda each: each["counts"]["videos"]),
    ("FRAMES", lambda each: each["counts"]["frames"]),
    ("MASKS", lambda each: each["counts"]["masks"]),
    ("BYTES", lambda each: " ".join(f"{r['resolution']}:{human_bytes(r['bytes'])}" for r in each["resolutions"])),
    ("SPLITS", lambda each: ",".join(split["name"] for split in each["splits"])),
)
_VIDEO_COLUMNS: _Columns = (
    ("VIDEO", lambda each: each["name"]),
    ("FRAMES", lambda each: each["frame_count"]),
    ("MASKS", lambda each: each["mask_count"]),
    ("OBJECTS", lambda each: len(each["objects"])),
    ("CATEGORY", lambda each: each["category"]),
    ("SPLITS", lambda each: ",".join(each["splits"])),
    ("SIZE", lambda each: " ".join(f"{r['resolution']}:{r['width']}x{r['height']}" for r in each["resolutions"])),
)


def _list(client: Any, url: str, query: dict[str, Any], as_json: bool, columns: _Columns) -> None:
    http = client.http if isinstance(client, Client) else client
    _say_all(Listing(http, url, query, lambda each: each), as_json, columns)


def _list_releases(client: Client, dataset: str, as_json: bool) -> None:
    withdrawn = [
        f"withdrawn: {each['id']} on {each['withdrawn_at'][:10]}"
        for each in client.http.get_json(f"/v1/datasets/{quote(dataset, safe='')}")["releases"]
        if each["withdrawn_at"] is not None
    ]
    _say_all([each.document for each in client.dataset(dataset).releases()], as_json, _RELEASE_COLUMNS)
    if not as_json:
        for line in withdrawn:
            say(line)


def _say_all(items: Iterable[dict[str, Any]], as_json: bool, columns: _Columns) -> None:
    if as_json:
        between = "[\n"
        for item in items:
            click.echo(between + json.dumps(item), nl=False)
            between = ",\n"
        click.echo("\n]" if between == ",\n" else "[]")
        return
    rows = [[heading for heading, _ in columns]]
    rows += [[_cell(value(item)) for _, value in columns] for item in items]
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    return "-" if value in (None, "") else plain(str(value))


def _say_document(document: dict[str, Any]) -> None:
    """A line a field; a line an item for lists of objects."""
    for name, value in document.items():
        if name == "links":
            continue
        title = name.replace("_", " ")
        if isinstance(value, list) and value and isinstance(value[0], dict):
            say(f"{title}:")
            for item in value:
                say(f"  {_fields(item)}")
        else:
            say(f"{title}: {_said(name, value)}")


def _fields(item: dict[str, Any]) -> str:
    first, *rest = (name for name in item if name not in ("links", "path", "imageset_url"))
    others = ", ".join(f"{name.replace('_', ' ')} {_said(name, item[name])}" for name in rest if item[name] is not None)
    return f"{_cell(item[first])}" + (f"  ({others})" if others else "")


def _said(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(_counted(key, each) for key, each in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(_cell(each) for each in value) or "-"
    return human_bytes(value) if name == "bytes" else _cell(value)


def _counted(name: str, value: Any) -> str:
    """``3 videos``, ``41.0 kB``, ``sha256 0a1b…``."""
    if not isinstance(value, int):
        return f"{name} {_said(name, value)}"
    return human_bytes(value) if name == "bytes" else f"{value} {name}"
