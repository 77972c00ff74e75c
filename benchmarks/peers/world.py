"""The benchmark's data and servers: a drawn or given tree, many times over, published to SeaweedFS, and the service."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path

from benchmarks import servers
from benchmarks.peers.job import EPOCH, LENGTH, RESOLUTION, SEED, Wanted, World
from gygo.sampling import Epoch, ReleaseClips
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.publication import Publication
from gygo_server.ingest.publish import publish
from gygo_server.media.sample import write_sample
from gygo_server.store.bucket import Bucket

BUCKET = "gygo-epoch"
DATASET = "epoch"
RELEASE = "r1"
#: Drawn one line higher than `480p`, which is scaled from it: the least that has 854×480 there, and quick to draw.
DRAWN = (856, 481)
_START_OF_IMAGE = b"\xff\xd8"
_COMMENT = b"\xff\xfe"


class Unbridled(SeaweedFS):
    """SeaweedFS without the limits of memory that it has in the demo: its garbage collector took two thirds of it."""

    def _command(self, config: Path) -> list[str]:
        return ["env", "-u", "GOMEMLIMIT", "-u", "GOGC", *super()._command(config)]


def draw(folder: Path, *, source: Path | None, videos: int, frames: int, scale: int) -> dict[str, int]:
    """The tree ``folder/tree`` at 480p, each video ``scale`` times; the numbers of frames by name."""
    if source is None:
        source = folder / "drawn"
        write_sample(source, kind="palette", videos=videos, frames=(frames, frames), original_size=DRAWN)
    counts: dict[str, int] = {}
    for video in sorted(path for path in (source / "JPEGImages" / RESOLUTION).iterdir() if path.is_dir()):
        masks = source / "Annotations" / RESOLUTION / video.name
        for copy in range(scale):
            name = f"{video.name}-{copy:03d}"
            counts[name] = _copy(video, masks, folder / "tree", name, copy)
    return dict(sorted(counts.items()))


def _copy(images: Path, masks: Path, tree: Path, name: str, number: int) -> int:
    """A video under another name, its frames from 0. Each JPEG has a comment, or the store would hold it only once."""
    to_images, to_masks = (tree / top / RESOLUTION / name for top in ("JPEGImages", "Annotations"))
    to_images.mkdir(parents=True)
    to_masks.mkdir(parents=True)
    text = f"copy {number}".encode()
    comment = _COMMENT + (len(text) + 2).to_bytes(2) + text
    files = [path for path in sorted(images.iterdir()) if (masks / f"{path.stem}.png").exists()]
    for index, path in enumerate(files):
        content = path.read_bytes()
        (to_images / f"{index:05d}.jpg").write_bytes(_START_OF_IMAGE + comment + content[2:])
        shutil.copyfile(masks / f"{path.stem}.png", to_masks / f"{index:05d}.png")
    return len(files)


def start(stack: ExitStack, folder: Path, frames: dict[str, int]) -> World:
    """Publish ``folder/tree`` to a SeaweedFS of its own, and start the service."""
    store = stack.enter_context(Unbridled(folder / "s3"))
    os.environ.update(store.environment())
    os.environ["AWS_DEFAULT_REGION"] = os.environ["AWS_REGION"] = "us-east-1"
    bucket = Bucket(store.settings(BUCKET))
    bucket.create()
    publish(Publication(folder / "tree", DATASET, RELEASE), bucket, folder / "state", Silent())
    environment = {
        **store.service_environment(BUCKET),
        "GYGO_CACHE_DIR": str(folder / "cache"),
    }
    service = stack.enter_context(servers.gunicorn(environment, "/readyz"))
    return World(service, store.endpoint, BUCKET, DATASET, str(folder), frames)


def epoch(frames: dict[str, int]) -> list[Wanted]:
    """The clips that every side reads, in the order in which ours gives them."""
    names = list(frames)
    release = ReleaseClips(f"{DATASET}/{RELEASE}", list(frames.values()), LENGTH)
    return [Wanted(names[at.video], at.start, at.step) for at in Epoch([release], seed=SEED, number=EPOCH)]
