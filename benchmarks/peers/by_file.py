"""Peers that keep one object a file: boto3, urllib3 on signed URLs, s3torchconnector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import urllib3
from botocore.config import Config

from benchmarks.peers.job import Fetch, Job, Read, Wanted, by_threads

PREFIX = "files"
_UPLOADS = 16


def client(job: Job, connections: int) -> object:
    """boto3's, with a connection for each thread."""
    config = Config(max_pool_connections=connections, s3={"addressing_style": "path"})
    return boto3.client("s3", endpoint_url=job.world.endpoint, config=config)


def prepare(job: Job) -> None:
    """Upload the files of all clips of the job, one object each."""
    s3 = client(job, _UPLOADS)
    paths = {path for wanted in job.wanted for path in _paths(job, wanted)}

    def put(path: Path) -> None:
        s3.put_object(Bucket=job.world.bucket, Key=_key(job, path), Body=path.read_bytes())

    with ThreadPoolExecutor(_UPLOADS) as pool:
        list(pool.map(put, sorted(paths)))


def boto3_side(job: Job) -> Callable[[], Iterator[Read]]:
    s3 = client(job, job.threads)

    def get(path: Path) -> bytes:
        content: bytes = s3.get_object(Bucket=job.world.bucket, Key=_key(job, path))["Body"].read()
        return content

    return by_threads(job, _of_files(job, get))


def urllib3_side(job: Job) -> Callable[[], Iterator[Read]]:
    s3 = client(job, 1)
    pool = urllib3.PoolManager(maxsize=job.threads)
    paths = {path for wanted in job.wanted for path in _paths(job, wanted)}
    # Signed beforehand: this side is about the transfers.
    urls = {
        path: s3.generate_presigned_url("get_object", {"Bucket": job.world.bucket, "Key": _key(job, path)})
        for path in paths
    }

    def get(path: Path) -> bytes:
        answer = pool.request("GET", urls[path])
        if answer.status != 200:
            raise SystemExit(f"{path.name}: {answer.status}")
        return answer.data

    return by_threads(job, _of_files(job, get))


def s3torchconnector_side(job: Job) -> Callable[[], Iterator[Read]]:
    from s3torchconnector import S3ClientConfig, S3MapDataset

    def content(reader: object) -> bytes:
        return reader.read()

    # from_objects takes the list as it is: nothing is listed, and each `dataset[i]` is one GET.
    paths = sorted({path for wanted in job.wanted for path in _paths(job, wanted)})
    places = {path: place for place, path in enumerate(paths)}
    dataset = S3MapDataset.from_objects(
        [f"s3://{job.world.bucket}/{_key(job, path)}" for path in paths],
        region="us-east-1",
        endpoint=job.world.endpoint,
        transform=content,
        s3client_config=S3ClientConfig(force_path_style=True),
    )
    return by_threads(job, _of_files(job, lambda path: dataset[places[path]]))


def _of_files(job: Job, get: Callable[[Path], bytes]) -> Fetch:
    def fetch(wanted: Wanted) -> tuple[list[bytes], list[bytes]]:
        world = job.world
        images = [get(world.image(wanted.video, index)) for index in wanted.indices]
        return images, [get(world.mask(wanted.video, index)) for index in wanted.indices]

    return fetch


def _paths(job: Job, wanted: Wanted) -> list[Path]:
    world, video = job.world, wanted.video
    return [path for index in wanted.indices for path in (world.image(video, index), world.mask(video, index))]


def _key(job: Job, path: Path) -> str:
    return f"{PREFIX}/{path.relative_to(job.world.tree)}"
