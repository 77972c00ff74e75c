"""What the Dockerfile does, without Docker: the same script, into a fresh environment, and the service starts there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def uv() -> str:
    found = shutil.which("uv") or shutil.which("uv", path=str(REPOSITORY / ".uv" / "bin"))
    if found is None:
        message = "uv is not here; `make install` gets it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment that a production image has."""
    target = tmp_path_factory.mktemp("app") / "venv"
    script = REPOSITORY / "deploy" / "install.sh"
    subprocess.run(["sh", script, REPOSITORY, target, uv()], check=True, timeout=150)
    return target


def run(installed: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(installed / "bin" / "python"), "-P", *arguments]
    return subprocess.run(
        command, cwd=installed, env={"HOME": str(installed), **environment}, capture_output=True, text=True, check=False
    )


def test_the_command_line_works(installed: Path) -> None:
    assert "gygo-server" in run(installed, str(installed / "bin" / "gygo-server"), "--version").stdout


def test_the_gunicorn_configuration_is_in_the_package(installed: Path) -> None:
    told = run(installed, "-c", "from gygo_server.cli.serve import gunicorn_command; print(gunicorn_command()[-1])")
    assert Path(told.stdout.strip()).is_relative_to(installed)
    checked = run(
        installed, "-m", "gunicorn", "--check-config", "-c", told.stdout.strip(), GYGO_BUCKET="any", GYGO_WORKERS="1"
    )
    assert checked.returncode == 0, checked.stderr
    refused = run(installed, "-m", "gunicorn", "--check-config", "-c", told.stdout.strip())
    assert refused.returncode != 0
    assert "GYGO_BUCKET: is not set" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("package", ["pytest", "mypy", "hypothesis", "weed", "schemathesis"])
def test_nothing_of_development_is_installed(installed: Path, package: str) -> None:
    names = {path.name for path in (installed / "bin").iterdir()}
    names |= {path.name for path in (installed / "lib").glob("python*/site-packages/*")}
    assert package not in names


def test_the_image_is_made_by_this_script_and_runs_as_nobody_in_particular() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    assert "deploy/install.sh /source /app" in dockerfile
    assert re.search(r"^USER (?!root)", dockerfile, re.MULTILINE)
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE):
        assert all((REPOSITORY / source).exists() for source in copied.split())
