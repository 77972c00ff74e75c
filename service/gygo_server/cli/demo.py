"""``gygo-server demo``: the whole service on this machine, with something in it."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shlex
import signal
import subprocess  # nosec B404 # starts our own servers
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

import click

from gygo_server.cli.ingest import show_findings
from gygo_server.cli.progress import ShownProgress
from gygo_server.cli.seaweedfs import SeaweedFS, die_with_parent, is_free, stop_process
from gygo_server.cli.serve import gunicorn_command
from gygo_server.errors import FaultySourceError, GygoError
from gygo_server.ingest.catalogues import is_current
from gygo_server.ingest.datasets import read_dataset
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.ingest.workers import Processes, Task
from gygo_server.media.sample import write_sample
from gygo_server.store.bucket import Bucket

BUCKET = "gygo-demo"
RELEASE = "sample"
START_SECONDS = 30
STOP_SECONDS = 10

_SYNTHETIC = (
    "Synthetic: drawn by a program for this demonstration. Not the GyGO data set, and no real product is shown."
)


class Sample(NamedTuple):
    """A data set that the demo draws, and what it is published as."""

    dataset: str
    kind: Literal["binary", "palette"]
    seed: int
    title: str


SAMPLES = (
    Sample("gygo", "binary", 0, "Synthetic sample in GyGO's layout (binary masks)"),
    Sample("gygo-multi", "palette", 1, "Synthetic sample with several objects a video (palette masks)"),
)


class DemoError(GygoError):
    """A port is taken, or a part of the demo ended by itself."""


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("gygo-demo"),
    show_default=True,
    help="Folder of the object store and the cache; used again when it is there.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port of the service.")
@click.option("--s3-port", type=click.IntRange(1, 55535), help="Port of the object store.  [a free one]")
@click.option(
    "--source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Publish this data set, under its folder's name, instead of the synthetic sample.",
)
def demo(folder: Path, port: int, s3_port: int | None, source: Path | None) -> None:
    """Start an object store, publish a sample data set unless it is there, and serve it. Ctrl-C stops everything."""
    if not is_free(port):
        raise DemoError(f"port {port} is taken; choose another with --port")
    # SIGTERM ends the demo as Ctrl-C does, and Ctrl-C also where a shell had it ignored (`demo &`).
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    folder = folder.resolve()
    try:
        with _alone(folder), SeaweedFS(folder / "s3", s3_port) as store:
            dataset = _publish(store, folder, source)
            settings = store.service_environment(BUCKET) | {"GYGO_LINK_SECRETS": _link_secret(folder / "link-secret")}
            _write_environment(settings | store.environment(), folder / "environment")
            with _gunicorn(settings, folder, port) as gunicorn:
                _wait_until_ready(gunicorn, port)
                _greet(port, dataset, folder)
                _wait_for_end(store, gunicorn)
    except KeyboardInterrupt:
        click.echo("stopped; the same command starts it again with the same data", err=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder: two object stores over one folder would spoil it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"another demo runs over {folder}; stop it, or choose another folder with --dir") from None
        yield


def _publish(store: SeaweedFS, folder: Path, source: Path | None) -> str:
    """Publish what is not there yet; the id of the dataset to show."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(store.environment())
    bucket = Bucket(store.settings(BUCKET))
    bucket.create()
    if source is not None:
        dataset = re.sub(r"[^a-z0-9._-]+", "-", source.resolve().name.lower()).strip("-._")[:64] or "dataset"
        _publish_one(Publication(source, dataset, RELEASE, title=source.resolve().name), bucket, folder)
        return dataset
    wanted = [sample for sample in SAMPLES if not _is_published(bucket, sample.dataset)]
    with TemporaryDirectory(dir=folder, prefix="sample-") as name:
        trees = [Path(name) / sample.dataset for sample in wanted]
        _draw(wanted, trees)
        for sample, tree in zip(wanted, trees, strict=True):
            publication = Publication(
                tree, sample.dataset, RELEASE, title=sample.title, description=_SYNTHETIC, fps=5, workers=2
            )
            _publish_one(publication, bucket, folder)
    return SAMPLES[0].dataset


def _draw(samples: list[Sample], trees: list[Path]) -> None:
    """Draw the samples beside each other: it takes half a minute each."""
    if samples:
        with ShownProgress() as progress:
            progress.stage("drawing samples", len(samples))
            tasks = [
                Task(sample.dataset, (tree, sample.kind, sample.seed))
                for sample, tree in zip(samples, trees, strict=True)
            ]
            for _ in Processes(len(samples), trees[0].parent).run(_draw_one, tasks):
                progress.advance()


def _draw_one(_scratch: Path, tree: Path, kind: Literal["binary", "palette"], seed: int) -> None:
    write_sample(tree, kind=kind, seed=seed)


def _publish_one(publication: Publication, bucket: Bucket, folder: Path) -> None:
    if _is_published(bucket, publication.dataset):
        click.echo(f"{publication.dataset} is there already; for another state of it choose another --dir", err=True)
        return
    try:
        with ShownProgress() as progress:
            report = publish(publication, bucket, folder / "ingest", progress)
    except FaultySourceError as error:
        show_findings(list(error.findings))
        raise
    show_findings(report.findings)


def _is_published(bucket: Bucket, dataset: str) -> bool:
    found, _ = read_dataset(bucket, dataset)
    entry = found.release(RELEASE) if found else None
    # Published by an older version, it is published once more, which renews its catalogue.
    return entry is not None and is_current(bucket, dataset, entry)


@contextmanager
def _gunicorn(settings: dict[str, str], folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GYGO_S3_")}
    environment |= {
        **settings,
        "GYGO_CACHE_DIR": str(folder / "cache"),
        "GYGO_BIND": f"127.0.0.1:{port}",
    }
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(  # nosec B603 # no shell, words of ours
            gunicorn_command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )
    try:
        yield process
    finally:
        stop_process(process, STOP_SECONDS)


def _wait_until_ready(gunicorn: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if gunicorn.poll() is not None:
            raise DemoError("the service stopped as soon as it was started; see service.log in the demo's folder")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:  # nosec B310 # http, as is said
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise DemoError(f"the service is not ready after {START_SECONDS} s; see service.log in the demo's folder")


def _link_secret(file: Path) -> str:
    """What the demo signs links with, made once, so that they are good after the next start too."""
    if not file.exists():
        file.touch(0o600)
        file.write_text(secrets.token_urlsafe(32))
    return file.read_text()


def _write_environment(settings: dict[str, str], file: Path) -> None:
    """What a shell needs to publish into the demo's bucket and to make keys; for this user only: secrets are in it."""
    lines = [f"export {name}={value}\n" for name, value in settings.items()]
    file.touch(0o600)
    file.write_text("".join(lines))


def _greet(port: int, dataset: str, folder: Path) -> None:
    base = f"http://127.0.0.1:{port}"
    release = f"{base}/v1/datasets/{dataset}/releases/latest"
    first = f"$(curl -sL '{release}/videos?limit=1&fields=links' | grep -o 'http[^\"]*/frames' | head -n 1)"
    gygo_server = shlex.quote(str(Path(sys.executable).parent / "gygo-server"))
    environment = shlex.quote(str(folder / "environment"))
    headers = "-H \"Authorization: Bearer $key\" -H 'Content-Type: application/json'"
    body = """'{"url": "'"$frames/0/image"'"}'"""
    link = f'curl -s -X POST {headers} -d {body} "${{frames%/videos/*}}/links"'
    click.echo(f"ready {base}")
    click.echo(
        f"""
# the datasets; the videos of the newest release; the same, filtered
curl -s {base}/v1/datasets
curl -sL '{release}/videos?limit=2'
curl -sL '{release}/videos?split=train&sort=-frames&fields=id,frame_count'
# the first video's frames, its first picture and mask, all of it as a tree of files
frames={first}
curl -s "$frames?limit=2"
curl -s "$frames/0/image" -o frame.jpg
curl -s "$frames/0/mask" -o mask.png
curl -sL "${{frames%/frames}}/archive" | tar -x
# to publish a data set into it
. {environment}; {gygo_server} ingest --help
# a key, and a link made with it for whoever has none
key=$(. {environment}; {gygo_server} keys create --owner me)
{link}

The description of the API: {base}/docs/    Ctrl-C stops everything."""
    )
    sys.stdout.flush()


def _wait_for_end(store: SeaweedFS, gunicorn: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            time.sleep(0.5)
        except KeyboardInterrupt:
            click.echo("stopping, this may take ten seconds …", err=True)
            raise
        if gunicorn.poll() is not None:
            raise DemoError("the service ended by itself; see service.log in the demo's folder")
        if not store.is_running:
            raise DemoError("the object store ended by itself; see s3/weed.log in the demo's folder")
