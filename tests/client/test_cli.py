"""The command line ``gygo``: what it says, to whom, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pull_trees import run_gygo, write, write_split, write_video

from gygo_server.ingest.publication import Report


@pytest.fixture
def small(publish_tree: Callable[..., Report], tmp_path: Path) -> Callable[[str], str]:
    """Publishes two videos, the releases r1 and r2; the dataset."""

    def run(dataset: str) -> str:
        root = tmp_path / "source"
        write_video(root, "a/bear", [(1,), (1, 2), None])
        write(root, "categories.csv", "video,category,attributes\na/bear,animals,occlusion\n")
        write_split(root, "train", "a/bear")
        publish_tree(root, dataset, "r1", license="CC-BY-4.0")
        write_video(root, "cat", [(255,)], mode="L", seed=10)
        publish_tree(root, dataset, "r2", license="CC-BY-4.0")
        return dataset

    return run


def test_lists(small: Callable[[str], str], service_url: str) -> None:
    dataset = small("cli-list")
    datasets = run_gygo(service_url, "list")
    assert datasets.returncode == 0
    assert [line.split()[:4] for line in datasets.stdout.splitlines() if line.startswith(f"{dataset} ")] == [
        [dataset, "r2", "2", "CC-BY-4.0"]
    ]
    releases = run_gygo(service_url, "list", dataset).stdout.splitlines()
    assert [line.split()[0] for line in releases] == ["RELEASE", "r1", "r2"]
    for arguments in ([f"{dataset}@r2"], [dataset, "--videos"]):
        videos = run_gygo(service_url, "list", *arguments).stdout.splitlines()
        assert [line.split()[:5] for line in videos[1:]] == [
            ["a/bear", "3", "2", "2", "animals"],
            ["cat", "1", "1", "1", "-"],
        ]
    chosen = run_gygo(service_url, "list", dataset, "--category", "animals", "--min-frames", "2").stdout
    assert [line.split()[0] for line in chosen.splitlines()] == ["VIDEO", "a/bear"]
    new = run_gygo(service_url, "list", dataset, "--changed-since", "r1").stdout
    assert [line.split()[0] for line in new.splitlines()] == ["VIDEO", "cat"]
    unknown = run_gygo(service_url, "list", dataset, "--changed-since", "r7")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "does not come from 'r7'; it knows: r1, r2" in unknown.stderr


def test_lists_for_machines(small: Callable[[str], str], service_url: str) -> None:
    dataset = small("cli-json")
    assert dataset in [each["id"] for each in json.loads(run_gygo(service_url, "list", "--json").stdout)]
    assert [each["id"] for each in json.loads(run_gygo(service_url, "list", dataset, "--json").stdout)] == ["r1", "r2"]
    videos = json.loads(run_gygo(service_url, "list", f"{dataset}@r1", "--json").stdout)
    assert [each["name"] for each in videos] == ["a/bear"]
    none = run_gygo(service_url, "list", dataset, "--q", "nothing", "--json")
    assert json.loads(none.stdout) == []


def test_shows(small: Callable[[str], str], service_url: str) -> None:
    dataset = small("cli-show")
    assert "latest release: r2" in run_gygo(service_url, "show", dataset).stdout
    release = run_gygo(service_url, "show", f"{dataset}@r1").stdout
    assert "counts: 1 videos, 3 frames, 2 masks, 2 objects" in release
    video = run_gygo(service_url, "show", f"{dataset}/a/bear").stdout
    assert "category: animals" in video
    assert "mask kind: palette" in video
    document = json.loads(run_gygo(service_url, "show", f"{dataset}@r2/cat", "--json").stdout)
    assert (document["name"], document["mask_kind"]) == ("cat", "binary")


def test_pull_says_what_it_did(small: Callable[[str], str], service_url: str, tmp_path: Path) -> None:
    dataset = small("cli-pull")
    tree = tmp_path / "tree"
    dry = run_gygo(service_url, "pull", dataset, "--out", tree, "--dry-run")
    assert dry.stdout.splitlines()[-1].startswith("would fetch 2 videos of cli-pull@r2 at 480p")
    done = run_gygo(service_url, "pull", dataset, "--out", tree, "--layout", "cutie")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith("cli-pull@r2 at 480p: fetched 2 videos, 6 files")
    assert done.stdout.splitlines()[1] == "1 mask rewritten for cutie; all other files are as published"
    assert f"subset: {tree}/ImageSets/train.txt" in done.stdout
    assert "note: 2 videos of fewer than 8 frames, which training passes over: a/bear, cat" in done.stderr
    assert "note: 1 frame without a mask left out (--all-frames keeps them), of: a/bear" in done.stderr
    assert "note: 1 video in no split, so that no list names them: cat" in done.stderr
    again = run_gygo(service_url, "pull", dataset, "--out", tree, "--quiet")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_progress_is_plain_lines_where_there_is_no_terminal(
    small: Callable[[str], str], service_url: str, tmp_path: Path
) -> None:
    done = run_gygo(service_url, "pull", small("cli-progress"), "--out", tmp_path / "tree")
    assert done.stderr.splitlines()[0].startswith("fetching: ")
    assert "\x1b" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pull", "d"], "Missing option '--out'"),
        (["pull", "d/v", "--out", "x"], "choose videos with --video"),
        (["pull", "d", "--out", "x", "--layout", "coco"], "'coco' is not one of"),
        (["pull", "d", "--out", "x", "--layout", "cutie", "--void", "keep"], "know no void"),
        (["pull", "d", "--out", "x", "--workers", "0"], "Invalid value for '--workers'"),
        (["list", "--videos"], "say of which DATASET"),
        (["list", "d/v"], "gygo show d/v"),
        (["list", "--url", "ftp://x"], "not the address of a service"),
        (["frobnicate"], "No such command"),
    ],
)
def test_wrong_command_lines_are_2(arguments: list[str], says: str) -> None:
    done = run_gygo("http://127.0.0.1:1", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert not Path("x").exists()


def test_the_service_must_be_named() -> None:
    done = run_gygo("", "list")
    assert done.returncode == 2
    assert "GYGO_URL" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "cli-none"], "cli-none"),
        (["show", "multi@none"], "none"),
        (["show", "multi/none"], "none"),
        (["list", "multi@r1", "--resolution", "huge"], "huge"),
        (["pull", "multi", "--out", "{tmp}", "--video", "none"], "none"),
        (["pull", "multi", "--out", "{tmp}", "--since", "none"], "none"),
        (["pull", "multi", "--out", "{tmp}", "--resolution", "huge"], "huge"),
    ],
)
def test_what_is_not_there_is_one_line_and_1(
    published: object, service_url: str, api_key: str, tmp_path: Path, arguments: list[str], says: str
) -> None:
    done = run_gygo(service_url, *(each.format(tmp=tmp_path / "tree") for each in arguments), GYGO_API_KEY=api_key)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert api_key not in line


@pytest.mark.parametrize("arguments", [["list"], ["pull", "d", "--out", "{tmp}"]])
def test_no_service_is_one_line_and_1(tmp_path: Path, arguments: list[str]) -> None:
    done = run_gygo("http://127.0.0.1:1", *(each.format(tmp=tmp_path / "tree") for each in arguments))
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: http://127.0.0.1:1/")
    assert "no answer" in line


def test_help_does_not_show_the_key() -> None:
    for name in ("pull", "list", "show"):
        done = run_gygo("http://127.0.0.1:1", name, "--help", GYGO_API_KEY="secret-key")
        assert done.returncode == 0
        assert "secret-key" not in done.stdout
        assert "GYGO_API_KEY" in done.stdout
