"""A service behind a socket, over the test bucket."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.serving import make_server

from gygo_server.access.issuing import Order, create_key
from gygo_server.app import create_app_with_settings
from gygo_server.settings import Settings
from gygo_server.store.bucket import Bucket


@contextmanager
def running(app: Flask) -> Iterator[str]:
    """The URL of an app that answers while the block runs."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def service_url(settings: Settings) -> Iterator[str]:
    """A service over the test bucket, whatever is published in it."""
    with running(create_app_with_settings(settings)) as url:
        yield url


@pytest.fixture
def serve_with(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts a service with these settings changed; its URL."""
    with ExitStack() as stack:

        def start(**changes: object) -> str:
            changed = replace(settings, **{"cache_dir": tmp_path / "service-cache", **changes})  # type: ignore[arg-type]
            return stack.enter_context(running(create_app_with_settings(changed)))

        yield start


@pytest.fixture
def serve(settings: Settings, serve_with: Callable[..., str]) -> Callable[[str], str]:
    """Starts a service whose signed URLs lead to this endpoint; its URL."""
    return lambda store_endpoint: serve_with(s3=replace(settings.s3, public_endpoint=store_endpoint))


@pytest.fixture(scope="session")
def api_key(bucket: Bucket) -> str:
    """A key to what is public, as the client sends it."""
    return create_key(bucket, Order("A client"))[1]
