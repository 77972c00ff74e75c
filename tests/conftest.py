"""What all tests stand on: a real S3 server and real, small data sets published in it. One server a test process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
from flask.testing import FlaskClient
from tcp_gate import Gate

from gygo_server.app import create_app_with_settings
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication, Report
from gygo_server.ingest.publish import publish
from gygo_server.media.sample import write_sample
from gygo_server.settings import Settings
from gygo_server.store.bucket import Bucket

REPOSITORY = Path(__file__).parents[1]
BUCKET = "gygo-tests"

#: Limits have tests of their own; others ask as much as they like.
UNLIMITED = {"GYGO_RATE_ANONYMOUS": "none", "GYGO_RATE_KEY": "none"}


def pytest_configure() -> None:
    """Nothing of the developer's own environment may reach a test."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "GYGO_")) and name != "GYGO_VOS_SAMPLES"]:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    # hypothesis would else give each example 200 ms: how long things take is measured in benchmarks/, not here.
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A running SeaweedFS, whose keys are in the environment."""
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        os.environ.update(server.environment())
        yield server


@pytest.fixture(scope="session")
def bucket_named(s3: SeaweedFS) -> Callable[[str], Bucket]:
    """Makes a bucket of that name, for tests that want one of their own."""

    def make(name: str) -> Bucket:
        bucket = Bucket(s3.settings(name))
        bucket.create()
        return bucket

    return make


@pytest.fixture(scope="session")
def bucket(bucket_named: Callable[[str], Bucket]) -> Bucket:
    return bucket_named(BUCKET)


@pytest.fixture
def gate(s3: SeaweedFS) -> Iterator[Gate]:
    """A network to the S3 server that can be cut."""
    with Gate(s3.port) as gate:
        yield gate


@pytest.fixture(scope="session")
def binary_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set in GyGO's layout: videos in subfolders, binary masks."""
    root = tmp_path_factory.mktemp("binary")
    write_sample(root, kind="binary", videos=6, frames=(3, 9), original_size=(320, 180))
    return root


@pytest.fixture(scope="session")
def palette_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set with palette masks of several objects."""
    root = tmp_path_factory.mktemp("palette")
    write_sample(root, kind="palette", videos=5, frames=(3, 9), original_size=(320, 180))
    return root


@pytest.fixture(scope="session")
def public_tree() -> Path:
    """The real sequences. They are no part of this project: GYGO_VOS_SAMPLES says where they are."""
    folder = Path(os.environ.get("GYGO_VOS_SAMPLES", REPOSITORY.parent / "shared" / "vos")) / "public"
    if not folder.is_dir():
        message = f"no real sequences at {folder}; set GYGO_VOS_SAMPLES"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture
def publish_tree(bucket: Bucket, tmp_path: Path) -> Callable[..., Report]:
    """Publishes a folder as a release; keyword arguments are a Publication's."""

    def run(source: Path, dataset: str, release: str = "r1", **more: object) -> Report:
        publication = Publication(source, dataset, release, workers=1, **more)  # type: ignore[arg-type]
        return publish(publication, bucket, tmp_path / "state", Silent())

    return run


@pytest.fixture(scope="session")
def published(
    bucket: Bucket, binary_tree: Path, palette_tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Two datasets in the bucket, each with the release `r1`, and the trees they came from."""
    state = tmp_path_factory.mktemp("state")
    trees = {"toys": binary_tree, "multi": palette_tree}
    for dataset, tree in trees.items():
        publish(Publication(tree, dataset, "r1", title=f"The {dataset}", fps=5, workers=2), bucket, state, Silent())
    return trees


@pytest.fixture(scope="session")
def settings(s3: SeaweedFS, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Those of a service over the test bucket, which looks for new releases quickly."""
    environment = {
        "GYGO_BUCKET": BUCKET,
        "GYGO_S3_ENDPOINT": s3.endpoint,
        "GYGO_S3_ADDRESSING": "path",
        "GYGO_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
        "GYGO_REFRESH_SECONDS": "0.2",
        "GYGO_LOG_REQUESTS": "false",
        **UNLIMITED,
    }
    return Settings.from_env(environment)


@pytest.fixture(scope="session")
def client(settings: Settings, published: dict[str, Path]) -> FlaskClient:
    """A client of the service, without a socket in between, over the published datasets."""
    return create_app_with_settings(settings).test_client()


@pytest.fixture
def fresh_client(settings: Settings, tmp_path: Path) -> FlaskClient:
    """A client of a replica that has nothing on its disk yet."""
    return create_app_with_settings(replace(settings, cache_dir=tmp_path / "cache")).test_client()


@pytest.fixture(scope="session")
def command_for(
    s3: SeaweedFS, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Callable[..., subprocess.CompletedProcess[str]]]:
    """For a bucket, what runs the command line over it, in a process of its own."""
    state = tmp_path_factory.mktemp("command-state")

    def over(name: str) -> Callable[..., subprocess.CompletedProcess[str]]:
        environment = {
            **os.environ,
            "GYGO_BUCKET": name,
            "GYGO_S3_ENDPOINT": s3.endpoint,
            "GYGO_S3_ADDRESSING": "path",
            "XDG_STATE_HOME": str(state),
        }

        def run(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
            command = [str(Path(sys.executable).parent / "gygo-server"), *map(str, arguments)]
            return subprocess.run(
                command, env={**environment, **more}, capture_output=True, text=True, timeout=120, check=False
            )

        return run

    return over


@pytest.fixture
def gygo_server(
    bucket: Bucket, tmp_path: Path, command_for: Callable[[str], Callable[..., subprocess.CompletedProcess[str]]]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line in a process of its own, with the test bucket's settings."""
    run = command_for(BUCKET)
    return lambda *arguments, **more: run(*arguments, **{"XDG_STATE_HOME": str(tmp_path / "state"), **more})
