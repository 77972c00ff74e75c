"""A client that openapi-python-client generates from the document, as a partner does, and the running service."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from clip_trees import Clip, Tree
from processes import Service

from api_spec import write
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.store.bucket import Bucket

BUCKET = "gygo-generated-client"
PACKAGE = "gygo_api"
IN = {"dataset": "toys", "release": "r1"}

Import = Callable[[str], Any]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Import]:
    """Imports a module of the generated package."""
    root = tmp_path_factory.mktemp("generated")
    command = [str(Path(sys.executable).parent / "openapi-python-client"), "generate", "--fail-on-warning"]
    command += ["--path", str(write.TARGET), "--config", str(write.TARGET.with_name("openapi-python-client.yaml"))]
    command += ["--meta", "none", "--output-path", str(root / PACKAGE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    sys.path.insert(0, str(root))
    yield lambda name: importlib.import_module(f"{PACKAGE}.{name}")
    sys.path.remove(str(root))
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def tree(s3: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    root = tmp_path_factory.mktemp("generated-client")
    bucket = Bucket(s3.settings(BUCKET))
    bucket.create()
    clips = [Clip(f"batch-1/v{n}", ((1,),) * (n + 2), "toys", (), ("train",)) for n in range(5)]
    tree = Tree(root / "source", clips, seed=91000)
    publish(Publication(tree.root, **IN, workers=1, fps=5), bucket, root / "state", Silent())
    return tree


@pytest.fixture(scope="module")
def service(s3: SeaweedFS, tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("generated-service")
    with Service(root, {"GYGO_BUCKET": BUCKET, "GYGO_S3_ENDPOINT": s3.endpoint}) as service:
        yield service


@pytest.fixture
def client(generated: Import, service: Service) -> Iterator[Any]:
    """As a partner makes one; of the two ways to get a list of downloads, it takes pages."""
    with generated("client").Client(base_url=service.url, headers={"Accept": "application/json"}) as client:
        yield client


def test_it_lists_the_videos_of_all_pages(generated: Import, client: Any) -> None:
    list_videos = generated("api.videos.list_videos")
    found, asked = [], {"limit": 2, "sort": generated("models").ListVideosSort.FRAMES_DESCENDING}
    while True:
        page = list_videos.sync(**IN, client=client, **asked)
        assert isinstance(page, generated("models").VideoPage)
        found += [(video.name, video.frame_count, video.mask_kind) for video in page.items]
        if page.next_ is None:
            break
        asked["cursor"] = httpx.URL(page.next_).params["cursor"]
    kind = generated("models").MaskKind.PALETTE
    assert found == [(f"batch-1/v{n}", n + 2, kind) for n in range(4, -1, -1)]
    assert page.total == 5


def test_it_gets_a_picture_and_a_mask_as_published(generated: Import, client: Any, tree: Tree) -> None:
    at = {**IN, "video": "batch-1:v3", "index": 2, "client": client}
    image = generated("api.frames.get_image").sync(**at)
    assert image.payload.read() == tree.files["JPEGImages/480p/batch-1/v3/00002.jpg"]
    mask = generated("api.frames.get_mask").sync(**at)
    assert mask.payload.read() == tree.files["Annotations/480p/batch-1/v3/00002.png"]
    part = generated("api.frames.get_image").sync_detailed(**at, range_="bytes=2-9")
    assert part.status_code == 206
    assert part.parsed.payload.read() == tree.files["JPEGImages/480p/batch-1/v3/00002.jpg"][2:10]


def test_what_fields_chooses_is_partial_and_typed(generated: Import, client: Any) -> None:
    models = generated("models")
    chosen = [models.VideoField.ID, models.VideoField.FRAME_COUNT]
    video = generated("api.videos.get_video").sync(**IN, video="batch-1:v0", client=client, fields=chosen)
    assert isinstance(video, models.PartialVideo)
    assert (video.id, video.frame_count) == ("batch-1:v0", 2)
    whole = generated("api.videos.get_video").sync(**IN, video="batch-1:v0", client=client)
    assert isinstance(whole, models.Video)
    assert whole.links.archive.endswith("/videos/batch-1:v0/archive")


def test_times_are_times(generated: Import, client: Any) -> None:
    release = generated("api.releases.get_release").sync(**IN, client=client)
    assert release.published_at.tzinfo is not None
    assert release.changes is None
    assert release.counts.videos == 5


def test_what_is_not_there_is_a_typed_problem(generated: Import, client: Any) -> None:
    answer = generated("api.videos.get_video").sync_detailed(**IN, video="no-such", client=client)
    assert answer.status_code == 404
    assert isinstance(answer.parsed, generated("models").Problem)
    assert answer.parsed.type_ == "urn:gygo:problem:video-not-found"
    assert answer.parsed.request_id == answer.headers["X-Request-Id"]
    wrong = generated("api.videos.list_videos").sync(**IN, client=client, limit=5000)
    assert [(each.location, each.field) for each in wrong.errors] == [("query", "limit")]


def test_it_asks_for_clips_and_learns_which_cannot_be_had(generated: Import, client: Any) -> None:
    models = generated("models")
    clips = [models.Clip(video=name, start=0, length=2) for name in ("batch-1/v1", "no-such")]
    answer = generated("api.clips.get_clips").sync_detailed(
        **IN, client=client, body=models.ClipsBody(clips=clips), delivery=models.GetClipsDelivery.URLS
    )
    located, missing = models.LocatedClips.from_dict(httpx.Response(200, content=answer.content).json()).items
    assert isinstance(located, models.LocatedClip)
    assert isinstance(missing, models.MissingClip)
    assert missing.error.type_ == "urn:gygo:problem:video-not-found"
    signed = httpx.get(located.url, headers=located.headers.additional_properties)
    assert len(signed.content) == located.range_.end - located.range_.start


def test_it_lists_downloads_in_pages(generated: Import, client: Any) -> None:
    body = generated("models").DownloadsBody(videos=["batch-1/v2"])
    page = generated("api.downloads.list_chosen_downloads").sync(**IN, client=client, body=body)
    assert [each.id for each in page.items] == ["batch-1:v2"]
    assert generated("api.downloads.list_downloads").sync(**IN, client=client, limit=3).total == 5


def test_it_draws_clips_for_training(generated: Import, client: Any) -> None:
    page = generated("api.samples.get_sample").sync(**IN, client=client, length=2, seed=3)
    assert {clip.length for clip in page.items} == {2}


def test_it_sends_an_api_key_as_a_bearer_token(generated: Import, service: Service) -> None:
    seen: list[httpx.Request] = []
    client = generated("client").AuthenticatedClient(
        base_url=service.url, token="gygo_some_key", httpx_args={"event_hooks": {"request": [seen.append]}}
    )
    with client:
        answer = generated("api.datasets.list_datasets").sync_detailed(client=client)
    assert seen[0].headers["Authorization"] == "Bearer gygo_some_key"
    # No key of this service: where keys are looked at, it says so.
    assert answer.status_code in {200, 401}
    assert isinstance(answer.parsed, generated("models").DatasetPage | generated("models").Problem)


def test_every_operation_is_a_function(generated: Import) -> None:
    names = [path.stem for path in Path(generated("api").__file__).parent.glob("*/[a-z]*.py")]
    assert len(names) == len(set(names))
    assert {"list_datasets", "get_release", "list_videos", "list_frames", "get_image", "get_clips"} <= set(names)
    assert all(name.startswith(("get_", "list_", "create_")) for name in names)
