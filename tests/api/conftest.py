"""Clients whose answers are all held against the OpenAPI document."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from checked_client import CheckedClient
from clip_trees import Clip, Tree
from flask.testing import FlaskClient

from gygo_server.app import create_app_with_settings
from gygo_server.ingest.publish import Report
from gygo_server.settings import Settings

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
