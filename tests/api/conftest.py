"""Clients whose answers are all held against the OpenAPI document."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from checked_client import CheckedClient
from clip_trees import Clip, Tree
from flask.testing import FlaskClient
from guarded_releases import Guard, publish_guarded
from processes import Service

from gygo_server.app import create_app_with_settings
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication, Report
from gygo_server.ingest.publish import publish
from gygo_server.settings import Settings
from gygo_server.store import keys
from gygo_server.store.bucket import Bucket

sys.path.insert(0, str(Path(__file__).parents[2]))  # for api_spec


@pytest.fixture(scope="session")
def api(client: FlaskClient) -> CheckedClient:
    """The service over the published datasets."""
    return CheckedClient(client.application)


@pytest.fixture
def fresh_api(fresh_client: FlaskClient) -> CheckedClient:
    """A replica that has nothing on its disk yet."""
    return CheckedClient(fresh_client.application)


@pytest.fixture
def api_with(settings: Settings, tmp_path: Path) -> Callable[..., CheckedClient]:
    """Makes a replica with these settings changed and an empty disk."""
    numbers = itertools.count()

    def make(**changes: object) -> CheckedClient:
        changed = replace(settings, **{"cache_dir": tmp_path / f"replica-{next(numbers)}", **changes})  # type: ignore[arg-type]
        return CheckedClient(create_app_with_settings(changed))

    return make


@pytest.fixture
def publish_clips(publish_tree: Callable[..., Report], tmp_path: Path) -> Callable[..., Tree]:
    """Publishes clips as a release; the tree they were written to."""
    numbers = itertools.count()

    def run(dataset: str, clips: list[Clip], release: str = "r1", *, seed: int = 0, **more: object) -> Tree:
        tree = Tree(tmp_path / f"source-{next(numbers)}", clips, seed=seed)
        publish_tree(tree.root, dataset, release, **more)
        return tree

    return run


#: A name whose files' paths do not fit into a tar's plain headers.
LONG_NAME = f"{'long' * 30}/{'é' * 60}/{'name' * 30}"


@pytest.fixture(scope="session")
def clip_tree(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The release `r1` of the dataset `clips`: videos of several lengths, with masks, without, and here and there."""
    root = tmp_path_factory.mktemp("clips")
    clips = [
        Clip("batch-1/a", ((1,), (1, 2)) * 6, "toys", ("blur",), ("train",), resolutions=("480p", "original")),
        Clip("batch-1/b", ((1,),) * 3, "toys", (), ("val",)),
        Clip("bare", (None,) * 5, "models", (), ("train",)),
        Clip("sparse", ((1,), None, (1, 2), None, None, (2,)), None, (), ("train",), size=(160, 120)),
        Clip(LONG_NAME, ((1,),) * 4, None, (), ("val",)),
    ]
    tree = Tree(root / "source", clips, seed=31000)
    publish(Publication(tree.root, "clips", "r1", workers=1, fps=5), bucket, root / "state", Silent())
    return tree


@pytest.fixture(scope="session")
def download_tree(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The release `r1` of the dataset `downloads`: videos whose names are a trial for formats of lists."""
    root = tmp_path_factory.mktemp("downloads")
    both = ("480p", "original")
    clips = [
        Clip("batch-1/a", ((1,), (1, 2)), "toys", ("blur", "occlusion"), ("train",), resolutions=both),
        Clip("batch-1-a", ((1,),) * 3, "clothes", ("blur",), ("val",)),
        Clip('say "hi" & <go>', ((1,),), "clothes", (), ("train",)),
        Clip("ä b/ü 100% é", ((1, 2), (3,)), None, (), ("val",)),
        Clip("[1-3]{a,b}#1 ~'=x", ((1,),), "toys"),
        Clip("only/original", ((1,),), resolutions=("original",)),
        Clip("no\u200bsuch\uffffcharacter", ((1,),)),
        Clip("plain", (None,) * 4, "models", (), ("train",)),
        Clip(LONG_NAME, ((1,),) * 2),
    ]
    tree = Tree(root / "source", clips, seed=43000)
    publish(Publication(tree.root, "downloads", "r1", workers=1, fps=5), bucket, root / "state", Silent())
    return tree


@pytest.fixture
def lose(bucket: Bucket, api: CheckedClient) -> Callable[..., None]:
    """Takes a video's archive away from the bucket, or puts other bytes in its place, as nothing but a mishap does."""

    def run(dataset: str, video: str, spoil: Callable[[bytes], bytes] | None = None) -> None:
        found = api.get(f"/v1/datasets/{dataset}/releases/r1/videos/{video}").json
        for resolution in found["resolutions"]:
            key = keys.archive(dataset, resolution["archive"]["sha256"])
            content = bucket.get(key).content
            bucket.delete(key)
            if spoil is not None:
                bucket.put(key, spoil(content), replaces=None)

    return run


@pytest.fixture(scope="session")
def guard(
    s3: SeaweedFS, bucket_named: Callable[[str], Bucket], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guard]:
    """The service, in processes of its own, over datasets of which not everybody may see everything."""
    root = tmp_path_factory.mktemp("guarded")
    bucket = bucket_named("gygo-guarded")
    guarded = publish_guarded(bucket, root)
    environment = {
        "GYGO_BUCKET": "gygo-guarded",
        "GYGO_S3_ENDPOINT": s3.endpoint,
        "GYGO_LINK_SECRETS": "0123456789abcdef" * 2,
    }
    with Service(root, environment) as service:
        yield Guard(service, guarded)
