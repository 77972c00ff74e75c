"""``gygo-server ingest --scheduler``: the same release as from processes here, whatever happens to a cluster."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dask.config import set as dask_settings
from dask_clusters import DaskCluster
from dask_work import die, fill, scratch_of
from distributed import Security
from machines import GYGO_SERVER, Ingest, Machine
from small_trees import put, write_tree

import gygo_server
from gygo_server.catalogue.connections import digests
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.errors import PublicationError
from gygo_server.formats.files import LocalFiles
from gygo_server.ingest.catalogues import fetch_catalogue
from gygo_server.ingest.cluster import Cluster, Needs
from gygo_server.ingest.datasets import read_dataset
from gygo_server.ingest.progress import Silent
from gygo_server.ingest.releases import verify
from gygo_server.ingest.workers import Task
from gygo_server.store.bucket import Bucket

MakeMachine = Callable[..., Machine]
Command = Callable[..., subprocess.CompletedProcess[str]]
MakeCluster = Callable[..., DaskCluster]

PATHS = (Path(__file__).parent, Path(gygo_server.__file__).parents[1])


def environment(**more: str) -> dict[str, str]:
    paths = os.pathsep.join([*map(str, PATHS), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths, **more}


@pytest.fixture
def cluster(s3: SeaweedFS, tmp_path: Path) -> Iterator[MakeCluster]:
    """Makes clusters of no workers."""
    made: list[DaskCluster] = []

    def make(**more: str) -> DaskCluster:
        made.append(DaskCluster(tmp_path / f"dask-{len(made)}", environment(**more)))
        return made[-1].__enter__()

    yield make
    for each in made:
        each.__exit__()


@pytest.fixture(scope="module")
def dask(s3: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A cluster of two workers, which tests leave as it is."""
    with DaskCluster(tmp_path_factory.mktemp("dask") / "dask", environment()) as dask:
        dask.work("one", "two")
        yield dask


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """So many videos that something can happen on the way."""
    return write_tree(tmp_path / "tree", [f"video-{number:02d}" for number in range(60)], frames=4)


def content(bucket: Bucket, dataset: str, folder: Path) -> tuple[dict[str, bytes], list[str]]:
    """What a release holds: its videos' digests, and its archives' hashes as the bucket has them."""
    assert list(verify(bucket, dataset, "r1", Silent())) == []
    found, _ = read_dataset(bucket, dataset)
    assert found is not None
    (entry,) = found.releases
    folder.mkdir()
    stored = sorted(key.rpartition("/")[2] for key, _ in bucket.list(f"{dataset}/videos/"))
    return dict(digests(fetch_catalogue(bucket, dataset, entry, folder))), stored


def is_published(bucket: Bucket, dataset: str) -> bool:
    return read_dataset(bucket, dataset)[0] is not None


def last_line(ended: Ingest) -> str:
    assert "Traceback" not in ended.said, ended.said
    assert ended.said.count("error: ") <= 1, ended.said
    return ended.said.splitlines()[-1]


def checked_before(ended: Ingest) -> int:
    return next(int(line.split()[0]) for line in ended.said.splitlines() if line.endswith("were checked before"))


# Workers come and go


def test_the_release_is_that_of_a_local_ingest_though_workers_are_killed_and_others_come(
    cluster: MakeCluster, machine: MakeMachine, bucket: Bucket, dataset: str, many: Path, tmp_path: Path
) -> None:
    # How long the scheduler goes on asking a dead worker for a result.
    dask, here = cluster(DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="3s"), machine()
    run = here.ingest(many, dataset, "r1", "--scheduler", dask.address)
    run.wait_for(f"there are no workers at {dask.address} yet; waiting for them")
    dask.work("one", "two", "three")
    here.wait_until_noted(5)
    dask.kill("one")
    assert here.noted() < 60
    while len(list(bucket.list(f"{dataset}/videos/"))) < 5:
        assert run.process.poll() is None, run.said
    dask.kill("two")
    assert not is_published(bucket, dataset)
    assert run.end() == 0, run.said
    assert run.told.startswith(f"published {dataset}/r1: 60 videos; ")
    local = machine("local").ingest(many, f"{dataset}-local")
    assert local.end() == 0, local.said
    assert content(bucket, dataset, tmp_path / "a") == content(bucket, f"{dataset}-local", tmp_path / "b")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_command_is_ended_and_picked_up(
    dask: DaskCluster, machine: MakeMachine, bucket: Bucket, dataset: str, many: Path, number: signal.Signals
) -> None:
    here = machine()
    run = here.ingest(many, dataset, "r1", "--scheduler", dask.address)
    here.wait_until_noted(5)
    run.send(number)
    assert run.end() == (130 if number == signal.SIGINT else -number), run.said
    if number == signal.SIGINT:
        assert last_line(run) == "interrupted; run the same command again to go on"
    assert not is_published(bucket, dataset)
    again = here.ingest(many, dataset, "r1", "--scheduler", dask.address)
    assert again.end() == 0, again.said
    assert 0 < checked_before(again) < 60
    assert list(verify(bucket, dataset, "r1", Silent())) == []
    assert not list(dask.folder.rglob("*.tar")), "files in the making are left on a worker"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_scheduler_that_goes_away_is_one_line_and_the_work_is_kept(
    cluster: MakeCluster, machine: MakeMachine, bucket: Bucket, dataset: str, many: Path, number: signal.Signals
) -> None:
    dask, here = cluster(), machine()
    dask.work("one")
    run = here.ingest(many, dataset, "r1", "--scheduler", dask.address)
    here.wait_until_noted(5)
    dask.scheduler.send_signal(number)
    assert run.end() == 1, run.said
    assert last_line(run) == f"error: the Dask scheduler at {dask.address} went away; run the command again to go on"
    assert here.noted() >= 5
    assert list(bucket.list(f"{dataset}/")) == []


# Workers that cannot


def another_version(folder: Path) -> str:
    """An installation of another version; what PYTHONPATH must begin with."""
    package = Path(gygo_server.__file__).parent
    shutil.copytree(package, folder / "gygo_server", ignore=shutil.ignore_patterns("__pycache__"))
    put(folder, "gygo_server/__init__.py", '__version__ = "0.0.9"\n')
    return os.pathsep.join([str(folder), environment()["PYTHONPATH"]])


def test_workers_without_what_they_need_are_named_before_anything_begins(
    cluster: MakeCluster, bucket: Bucket, tmp_path: Path
) -> None:
    without = "import sys; sys.modules['gygo_server'] = None; from distributed.cli.dask_worker import main; main()"
    needs = Needs(LocalFiles(tmp_path), bucket.settings)
    dask = cluster()
    dask.work("good")
    dask.work("old", PYTHONPATH=another_version(tmp_path / "old"))
    dask.work("bare", python=("-c", without))
    with pytest.raises(PublicationError) as refused, Cluster(dask.address, needs, Silent()):
        pytest.fail("they were taken")
    assert str(refused.value).startswith("workers that cannot do the work: tcp://")
    assert str(refused.value).count("tcp://") == 2
    assert "has no gygo-server" in str(refused.value)
    assert f"has gygo-server 0.0.9, and this is {gygo_server.__version__}" in str(refused.value)
    dask.kill("old")
    dask.kill("bare")
    dask.work("poor", AWS_SECRET_ACCESS_KEY="this-is-not-it")
    with (
        pytest.raises(PublicationError, match="the store refuses: 403") as refused,
        Cluster(dask.address, needs, Silent()),
    ):
        pytest.fail("it was taken")
    assert "this-is-not-it" not in str(refused.value)


def test_a_worker_of_another_version_that_comes_later_is_refused(cluster: MakeCluster, tmp_path: Path) -> None:
    dask = cluster()
    with Cluster(dask.address, Needs(LocalFiles(tmp_path), None), Silent()) as workers:
        dask.work("old", PYTHONPATH=another_version(tmp_path / "old"))
        with pytest.raises(PublicationError, match=r"^tcp://.* cannot do the work: it has gygo-server 0.0.9, and"):
            list(workers.run(fill, [Task("bear", ())]))


def test_a_cluster_that_speaks_tls(cluster: MakeCluster, tmp_path: Path) -> None:
    made = Security.temporary()
    tls = {"ca_file": made.tls_ca_file}
    for role in ("scheduler", "worker", "client"):
        tls |= {f"{role}__cert": made.tls_client_cert, f"{role}__key": made.tls_client_key}
    settings = {
        f"DASK_DISTRIBUTED__COMM__TLS__{name.upper()}": str(put(tmp_path, f"{name}.pem", text))
        for name, text in tls.items()
    }
    dask = cluster(**settings, DASK_DISTRIBUTED__COMM__DEFAULT_SCHEME="tls")
    assert dask.address.startswith("tls://")
    dask.work("one")
    needs = Needs(LocalFiles(tmp_path), None)
    prefix, here = "DASK_DISTRIBUTED__COMM__TLS__", ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY")
    dotted = {f"distributed.comm.tls.{name.lower().replace('__', '.')}": settings[prefix + name] for name in here}
    with dask_settings(dotted), Cluster(dask.address, needs, Silent()) as workers:
        assert list(workers.run(scratch_of, [Task("bear", ())])) == [dask.folder / "one"]
    with pytest.raises(PublicationError, match="no certificates"), Cluster(dask.address, needs, Silent()):
        pytest.fail("it was taken")


@pytest.mark.parametrize(
    ("source", "where", "why"),
    [
        ("/proc/self/cwd/tree", "", "/proc/self/cwd/tree is no folder on"),
        ("/proc/self/cwd", "tree", "its files are not there on"),
    ],
)
def test_a_disk_that_a_worker_does_not_see_is_told(
    dask: DaskCluster, bucket: Bucket, s3: SeaweedFS, dataset: str, tree: Path, source: str, where: str, why: str
) -> None:
    # What this path leads to is another folder in each process.
    settings = {"GYGO_BUCKET": bucket.settings.bucket, "GYGO_S3_ENDPOINT": s3.endpoint, "GYGO_S3_ADDRESSING": "path"}
    arguments = ["ingest", source, "--dataset", dataset, "--release", "r1", "--scheduler", dask.address]
    done = subprocess.run(
        [str(GYGO_SERVER), *arguments, "--state-dir", str(tree.parent / "state")],
        cwd=tree.parent / where,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 1
    assert why in done.stderr.splitlines()[-1]
    assert list(bucket.list(f"{dataset}/")) == []


def test_a_video_over_which_workers_die_is_named(cluster: MakeCluster, tmp_path: Path) -> None:
    dask = cluster(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1")
    dask.work("one", "two")
    with (
        Cluster(dask.address, Needs(LocalFiles(tmp_path), None), Silent()) as workers,
        pytest.raises(PublicationError, match=r"^bear: 2 worker\(s\) died over this video, .*run the command again"),
    ):
        list(workers.run(die, [Task("bear", ())]))


def test_what_fails_on_a_worker_is_told_with_its_video(dask: DaskCluster, tmp_path: Path) -> None:
    with (
        Cluster(dask.address, Needs(LocalFiles(tmp_path), None), Silent()) as workers,
        pytest.raises(PublicationError, match=r"^bear: a worker failed: OSError: .*No space left on device"),
    ):
        list(workers.run(fill, [Task("bear", ())]))


# What it says


def test_faults_are_listed_as_by_a_local_ingest(
    dask: DaskCluster, gygo_server: Command, dataset: str, tree: Path
) -> None:
    put(tree, "JPEGImages/480p/bear/00001.jpg", b"")
    put(tree, "Annotations/480p/cat/00001.png", b"GIF")
    arguments = ("ingest", tree, "--dataset", dataset, "--release", "r1", "--dry-run")
    here = gygo_server(*arguments, "--workers", "1")
    there = gygo_server(*arguments, "--scheduler", dask.address)
    faults = [line for line in here.stderr.splitlines() if line.startswith("fault: ")]
    assert len(faults) == 2
    assert [line for line in there.stderr.splitlines() if line.startswith("fault: ")] == faults
    assert (there.returncode, there.stdout) == (1, here.stdout)


def test_a_scheduler_that_is_not_there_is_one_line(gygo_server: Command, dataset: str, tree: Path) -> None:
    nobody = "tcp://127.0.0.1:9"
    done = gygo_server("ingest", tree, "--dataset", dataset, "--release", "r1", "--scheduler", nobody)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"error: no Dask scheduler can be used at {nobody}: Timed out")


@pytest.mark.parametrize(
    ("scheduler", "why"),
    [
        ("nowhere", "expected tcp://host:port"),
        ("http://localhost:8786", "expected tcp://host:port"),
        ("tcp://localhost", "expected tcp://host:port"),
        ("tls://localhost:8786", "Dask has no certificates"),
    ],
)
def test_an_address_that_can_be_none_is_refused_at_once(scheduler: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(PublicationError, match=why), Cluster(scheduler, Needs(LocalFiles(tmp_path), None), Silent()):
        pytest.fail("it was taken")


def test_workers_here_and_there_are_a_wrong_command_line(gygo_server: Command, dataset: str, tree: Path) -> None:
    both = ("--workers", "2", "--scheduler", "tcp://127.0.0.1:9")
    done = gygo_server("ingest", tree, "--dataset", dataset, "--release", "r1", *both)
    assert done.returncode == 2
    assert "give one of them" in done.stderr


def test_without_dask_it_says_what_to_install(dataset: str, tree: Path) -> None:
    without = "import sys; sys.modules['distributed'] = None; from gygo_server.cli.main import main; main()"
    arguments = ["ingest", str(tree), "--dataset", dataset, "--release", "r1", "--scheduler", "tcp://127.0.0.1:9"]
    done = subprocess.run(
        [sys.executable, "-c", without, *arguments, "--dry-run", "--state-dir", str(tree.parent / "state")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: a Dask cluster needs pip install 'gygo-server[cluster]'")
