"""The command line's help, and what ``gygo-server serve`` starts with and what it refuses."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from gygo_server.settings import describe_settings

Command = Callable[..., subprocess.CompletedProcess[str]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_help_names_the_commands(gygo_server: Command) -> None:
    done = gygo_server("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for command in ("audit", "demo", "ingest", "releases", "serve"):
        assert f"\n  {command} " in done.stdout


def test_serve_help_lists_every_setting_with_its_default(gygo_server: Command) -> None:
    done = gygo_server("serve", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    for row in describe_settings():
        default = f" [{row.default}]" if row.default else ""
        assert f"{row.variable} {row.about}{default}" in lines


def test_an_unknown_command_or_option_is_the_user_s_mistake(gygo_server: Command) -> None:
    for arguments in (("serves",), ("serve", "--port", "1"), ("ingest",), ("demo", "--port", "0")):
        done = gygo_server(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Error: " in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"GYGO_BUCKET": ""}, "GYGO_BUCKET: is not set"),
        ({"GYGO_WORKERS": "many"}, "GYGO_WORKERS: "),
        ({"GYGO_WORKERS": "0", "GYGO_CACHE_BYTES": "a lot"}, "GYGO_CACHE_BYTES: not a size"),
        ({"GYGO_S3_ENDPOINT": "ftp://s3.example.org"}, "GYGO_S3_ENDPOINT: not an address"),
        ({"GYGO_BUCKET": "no-such-bucket-here"}, "bucket no-such-bucket-here at http://127.0.0.1:"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "cannot be used: the store refuses"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no S3 credentials"),
    ],
)
def test_serve_refuses_settings_that_cannot_work_in_one_line(
    gygo_server: Command, tmp_path: Path, wrong: dict[str, str], said: str
) -> None:
    done = gygo_server("serve", **{"GYGO_CACHE_DIR": str(tmp_path / "cache"), **wrong})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    if "GYGO_WORKERS" in wrong:
        assert "GYGO_WORKERS: " in done.stderr, "all that is wrong is said at once"


@pytest.mark.parametrize("below", ["", "/inside"])
def test_serve_refuses_a_cache_folder_that_is_a_file(gygo_server: Command, tmp_path: Path, below: str) -> None:
    (tmp_path / "cache").write_text("not a folder")
    done = gygo_server("serve", GYGO_CACHE_DIR=f"{tmp_path / 'cache'}{below}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: GYGO_CACHE_DIR: {tmp_path / 'cache'}{below}: ")
    assert done.stderr.count("\n") == 1


def test_serve_refuses_an_address_that_is_taken_or_not_ours(gygo_server: Command, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for bind in (f"127.0.0.1:{taken.getsockname()[1]}", "192.0.2.1:8000", "no-such-host.invalid:8000"):
            done = gygo_server("serve", GYGO_CACHE_DIR=str(tmp_path / "cache"), GYGO_BIND=bind, GYGO_BUKET="typo")
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.startswith(f"error: GYGO_BIND: {bind}: ")
            assert done.stderr.count("\n") == 1


def test_serve_starts_while_the_store_is_away_and_says_so(tmp_path: Path) -> None:
    port, nobody = free_port(), free_port()
    environment = {
        **os.environ,
        "GYGO_BUCKET": "gygo-tests",
        "GYGO_S3_ENDPOINT": f"http://127.0.0.1:{nobody}",
        "GYGO_S3_ADDRESSING": "path",
        "GYGO_CACHE_DIR": str(tmp_path / "cache"),
        "GYGO_BIND": f"127.0.0.1:{port}",
        "GYGO_WORKERS": "1",
        "GYGO_S3_ENDPONT": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    log = tmp_path / "log"
    with log.open("wb") as target:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "gygo-server"), "serve"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=target,
            stderr=target,
            start_new_session=True,
        )
    try:
        base = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"{base}/healthz", timeout=5) as answer:
                    assert answer.status == 200
                    break
            except urllib.error.URLError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
        assert log.read_text().startswith("warning: the store gives no answer")
        assert "warning: GYGO_S3_ENDPONT is no setting of this service" in log.read_text()
        with pytest.raises(urllib.error.HTTPError) as not_ready:
            urllib.request.urlopen(f"{base}/readyz", timeout=10)
        assert not_ready.value.code == 503
        not_ready.value.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "Traceback" not in log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
