"""The programs that lists of downloads are for fetch a release by them: aria2c, curl and wget, as Debian has them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from checked_client import CheckedClient
from clip_trees import Tree
from download_readers import TYPES, Listed, read_ndjson, sha256_of
from tars import files_in, source_files

from gygo_server.store.bucket import Bucket

DOWNLOADS = "/v1/datasets/downloads/releases/r1/downloads"


def needs(tool: str) -> pytest.MarkDecorator:
    package = {"aria2c": "aria2"}.get(tool, tool)
    missing = not os.environ.get("CI") and not shutil.which(tool)
    return pytest.mark.skipif(missing, reason=f"{tool} is missing (apt-get install {package})")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program in the folder `got`, without the user's own settings; what it is given comes from a pipe."""
    got = tmp_path / "got"
    got.mkdir()

    def start(*command: str, given: bytes = b"") -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            command, cwd=got, env=environment, input=given, capture_output=True, timeout=120, check=False
        )
        return subprocess.CompletedProcess(command, done.returncode, (done.stdout + done.stderr).decode())

    return start


@pytest.fixture
def got(tmp_path: Path) -> Path:
    return tmp_path / "got"


def the_list(api: CheckedClient, name: str, query: str = "") -> bytes:
    answer = api.get(f"{DOWNLOADS}?{query}", headers={"Accept": TYPES[name]})
    assert answer.status_code == 200
    return answer.data


def check_whole(got: Path, tree: Tree, api: CheckedClient, query: str = "") -> None:
    """The folder holds each archive of the list under its name, whole, and nothing else."""
    listed = read_ndjson(the_list(api, "ndjson", query))
    assert listed
    assert {each.name for each in got.iterdir()} == {each.file for each in listed}
    names = {clip.id: clip for clip in tree.clips}
    for each in listed:
        clip = names[each.id or ""]
        wanted = source_files(tree, clip.name, range(len(clip.shown)), resolution=clip.resolutions[0])
        assert files_in((got / (each.file or "")).read_bytes()) == wanted


ARIA2C = ("aria2c", "--no-conf", "--console-log-level=warn", "--summary-interval=0", "--check-integrity=true")


@needs("aria2c")
@pytest.mark.parametrize("query", ["", "split=train"])
def test_aria2c_fetches_a_release_by_its_metalink(
    api: CheckedClient,
    download_tree: Tree,
    run: Callable[..., subprocess.CompletedProcess[str]],
    got: Path,
    tmp_path: Path,
    query: str,
) -> None:
    (tmp_path / "r1.meta4").write_bytes(the_list(api, "metalink", query))
    done = run(*ARIA2C, "-M", "../r1.meta4")
    assert done.returncode == 0, done.stdout
    check_whole(got, download_tree, api, query)
    # Once more, and there is nothing left to do.
    times = {each: each.stat().st_mtime_ns for each in got.iterdir()}
    assert run(*ARIA2C, "-M", "../r1.meta4").returncode == 0
    assert {each: each.stat().st_mtime_ns for each in got.iterdir()} == times


@needs("aria2c")
@pytest.mark.parametrize("spoilt", ["hash", "size", "bytes"])
def test_aria2c_finds_out_what_is_not_as_the_metalink_says(
    api: CheckedClient,
    bucket: Bucket,
    download_tree: Tree,
    run: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    spoilt: str,
) -> None:
    query = "q=plain"
    (known,) = read_ndjson(the_list(api, "ndjson", query))
    text = the_list(api, "metalink", query).decode()
    hashed, size = f">{known.sha256}<", f"<size>{known.size}<"
    assert hashed in text
    assert size in text
    if spoilt == "hash":
        text = text.replace(hashed, f">{'0' * 64}<")
    elif spoilt == "size":
        text = text.replace(size, f"<size>{(known.size or 0) + 1}<")
    else:  # as many other bytes, at a URL that is as good as the right one
        (other,) = [each for each in read_ndjson(the_list(api, "ndjson")) if each.id == "batch-1-a"]
        text = text.replace(known.url.replace("&", "&amp;"), other.url.replace("&", "&amp;"))
        text = text.replace(size, f"<size>{other.size}<")
    (tmp_path / "r1.meta4").write_text(text)
    done = run(*ARIA2C, "-M", "../r1.meta4")
    assert done.returncode != 0, done.stdout


@needs("aria2c")
def test_aria2c_is_content_with_a_metalink_of_nothing(
    api: CheckedClient,
    download_tree: Tree,
    run: Callable[..., subprocess.CompletedProcess[str]],
    got: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "none.meta4").write_bytes(the_list(api, "metalink", "q=nothing"))
    assert run(*ARIA2C, "-M", "../none.meta4").returncode == 0
    assert list(got.iterdir()) == []


@needs("aria2c")
def test_aria2c_fetches_by_the_list_of_urls(
    api: CheckedClient, download_tree: Tree, run: Callable[..., subprocess.CompletedProcess[str]], got: Path
) -> None:
    done = run("aria2c", "--no-conf", "--console-log-level=warn", "-i", "-", given=the_list(api, "uri-list", "q=a"))
    assert done.returncode == 0, done.stdout
    check_whole(got, download_tree, api, "q=a")


@needs("curl")
@pytest.mark.parametrize("query", ["", "split=train"])
def test_curl_fetches_a_release_by_its_configuration(
    api: CheckedClient,
    download_tree: Tree,
    run: Callable[..., subprocess.CompletedProcess[str]],
    got: Path,
    query: str,
) -> None:
    done = run("curl", "-q", "-sS", "-K", "-", given=the_list(api, "curl", query))
    assert done.returncode == 0, done.stdout
    check_whole(got, download_tree, api, query)


@needs("curl")
@pytest.mark.parametrize("place", [0, 1, -1])
def test_curl_tells_of_one_that_cannot_be_had_and_fetches_the_others(
    api: CheckedClient,
    download_tree: Tree,
    run: Callable[..., subprocess.CompletedProcess[str]],
    got: Path,
    place: int,
) -> None:
    listed = read_ndjson(the_list(api, "ndjson"))
    refused = sha256_of(listed[place])
    spoilt = the_list(api, "curl").replace(refused.encode(), b"0" * 64)
    done = run("curl", "-q", "-sS", "-K", "-", given=spoilt)
    assert done.returncode == 22, done.stdout  # curl(1): "HTTP page not retrieved"
    assert {each.name for each in got.iterdir()} == {each.file for each in listed} - {listed[place].file}


@needs("curl")
def test_curl_has_nothing_to_do_for_a_configuration_of_nothing(
    api: CheckedClient, download_tree: Tree, run: Callable[..., subprocess.CompletedProcess[str]], got: Path
) -> None:
    done = run("curl", "-q", "-sS", "-K", "-", given=the_list(api, "curl", "q=nothing"))
    assert done.returncode == 2
    assert "no URL specified" in done.stdout
    assert list(got.iterdir()) == []


@needs("wget")
@pytest.mark.parametrize("query", ["", "split=train"])
def test_wget_fetches_a_release_by_the_list_of_urls(
    api: CheckedClient,
    download_tree: Tree,
    run: Callable[..., subprocess.CompletedProcess[str]],
    got: Path,
    query: str,
) -> None:
    done = run("wget", "--no-config", "-nv", "--content-disposition", "-i", "-", given=the_list(api, "uri-list", query))
    assert done.returncode == 0, done.stdout
    listed: list[Listed] = read_ndjson(the_list(api, "ndjson", query))
    # wget takes the plain name where there are two, and escapes in it what it likes to; the bytes are all there.
    wanted = sorted((each.size or 0) for each in listed)
    assert sorted(each.stat().st_size for each in got.iterdir()) == wanted
    if query:
        assert "downloads-r1-plain-480p.tar" in {each.name for each in got.iterdir()}
