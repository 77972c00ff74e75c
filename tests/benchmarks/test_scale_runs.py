"""The benchmark of scale runs from end to end, and asks what it says; its figures are nobody's here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import catalogues, servers
from benchmarks.scale_build import SHARES, Scale, build_and_publish, path_of, release_id
from benchmarks.scale_questions import Release, questions
from gygo_server.catalogue.documents import categories_of
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.model import Video
from gygo_server.store.bucket import Bucket

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scale() -> Scale:
    return Scale("made-up", 1000, 10)


@pytest.fixture(scope="module")
def parts(scale: Scale) -> list[list[Video]]:
    """The videos of each release."""
    made = (catalogues.part_of(scale.sizes, number) for number in range(len(SHARES)))
    return [list(catalogues.make_videos(part, frames=scale.frames, of=scale.videos)) for part in made]


def test_releases_have_the_sizes_asked_for_and_come_in_the_order_of_names(
    scale: Scale, parts: list[list[Video]]
) -> None:
    assert [len(videos) for videos in parts] == scale.sizes == [50, 100, 250, 500, 1000]
    for videos in parts:
        names = [video.name for video in videos]
        assert names == sorted(set(names))


def test_a_release_keeps_most_videos_of_the_one_before_and_corrects_some(parts: list[list[Video]]) -> None:
    changed = kept = 0
    for before, after in pairwise(parts):
        now = {video.name: video for video in after}
        both = [video for video in before if video.name in now]
        assert len(both) >= 0.98 * len(before)
        kept += len(both)
        changed += sum(video != now[video.name] for video in both)
        assert all(len(video.archives) == len(now[video.name].archives) for video in both)
    assert 0 < changed < 0.05 * kept


def test_frames_lie_in_their_archive_one_after_the_other(parts: list[list[Video]]) -> None:
    for archive in (archive for video in parts[-1] for archive in video.archives):
        frames = archive.frames
        assert [frame.index for frame in frames] == list(range(len(frames)))
        assert frames[0].start == 0
        assert all(one.end == other.start for one, other in pairwise(frames))
        assert frames[-1].end + 1024 == archive.size
        for frame in frames:
            members = [frame.image, *([frame.mask] if frame.mask else [])]
            assert all(frame.start < member.offset < member.offset + member.size <= frame.end for member in members)
            assert all(member.size > 0 and len(bytes.fromhex(member.sha256)) == 32 for member in members)
            assert all(
                region.box.x + region.box.width <= archive.width and region.area <= region.box.width * region.box.height
                for region in frame.regions
            )


def test_the_service_answers_for_what_was_made_up(
    scale: Scale, parts: list[list[Video]], s3: SeaweedFS, bucket: Bucket, tmp_path: Path
) -> None:
    built = build_and_publish(scale, tmp_path, bucket)
    assert [each.videos for each in built] == scale.sizes
    assert [each.frames for each in built] == [
        sum(len(video.archives[0].frames) for video in videos) for videos in parts
    ]
    assert path_of(scale, tmp_path).stat().st_size == built[-1].size
    assert not path_of(scale, tmp_path, 3).exists()
    environment = {
        "GYGO_BUCKET": bucket.settings.bucket,
        "GYGO_S3_ENDPOINT": s3.endpoint,
        "GYGO_S3_ADDRESSING": "path",
        "GYGO_CACHE_DIR": str(tmp_path / "cache"),
        **s3.environment(),
    }
    with servers.gunicorn(environment, "/readyz") as base:
        release = Release(base, scale.dataset, release_id(4))
        page = release.get(release.videos({}, limit=1000))
        assert [item["name"] for item in page["items"]] == [video.name for video in parts[-1]]
        asked = {question.name: question for question in questions(release)}
        for name, after in (("all: deep page", 500), ("all: last page", 900)):
            items = release.get(asked[name].paths[0 if after == 500 else -1])["items"]
            assert [item["name"] for item in items] == [video.name for video in parts[-1][after : after + 100]]
        assert sum(video.category == catalogues.RARE for video in parts[-1]) == catalogues.RARE_VIDEOS
        rare = [video for video in parts[-1] if catalogues.RARE in categories_of(video)]
        assert asked["rare category: first page"].total == len(rare)
        category, attribute = catalogues.APART
        apart = [video for video in parts[-1] if category in categories_of(video) and attribute in video.attributes]
        assert asked["category and attribute that few have together: first page"].total == len(apart)
        assert sum(video.category == category for video in apart) == catalogues.APART_VIDEOS
        assert asked["q, a number that one video has"].total == 1


@pytest.mark.skipif(not os.environ.get("CI") and not shutil.which("wrk"), reason="wrk is missing (apt-get install wrk)")
def test_it_runs_and_writes_the_tables_and_each_ratio(tmp_path: Path) -> None:
    results, markdown = tmp_path / "scale.json", tmp_path / "scale.md"
    tiny = ["--videos", "1000", "--frames", "5", "--rounds", "1", "--seconds", "1", "--only", "all"]
    files = ["--results", str(results), "--markdown", str(markdown), "--without-datasette"]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", *tiny, *files],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    written = json.loads(results.read_text())
    ratios = written["ratios"]
    assert all(ratios[name] > 0 for name in ("last_vs_first_latency", "last_vs_first_latency_32", "page_1000_vs_100"))
    assert ratios["page_vs_datasette_first"] is ratios["page_vs_datasette_deep"] is None
    assert [each["videos"] for each in written["tables"]["builds"]["scale"]] == [50, 100, 250, 500, 1000]
    memory = written["tables"]["memory"]
    assert memory["started"]["files"] < memory["10 releases open"]["files"]
    tables = markdown.read_text()
    assert tables in run.stdout
    assert all(name in tables for name in [*ratios, "scale part-5", "all: last page", "32 clients"])
