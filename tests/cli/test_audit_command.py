"""``gygo-server audit``: what it sums up is what the trail says, wherever that lies and whatever spoilt some of it."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gygo_server.audit.spool import SpooledTrail
from gygo_server.audit.trail import FileTrail
from gygo_server.cli.seaweedfs import SeaweedFS
from gygo_server.store.bucket import Bucket

Command = Callable[..., subprocess.CompletedProcess[str]]
Lines = list[dict[str, Any]]

BUCKET = "gygo-audit-command"
MAY = ("--from", "2026-05-01", "--to", "2026-06-01")
OWNERS = {"aaaaaaaaaa": "Partner Ltd", "bbbbbbbbbb": "Partner Ltd", "cccccccccc": "Other [red]GmbH[/]"}


def month() -> Lines:
    """Requests from the end of April to the beginning of June, in order."""
    chance = random.Random(5)
    at = datetime(2026, 4, 29, tzinfo=UTC)
    lines: Lines = []
    while at < datetime(2026, 6, 3, tzinfo=UTC):
        at += timedelta(seconds=chance.randrange(60, 7200))
        key = chance.choice([*OWNERS, None])
        common = {"at": at, "key": key, "owner": OWNERS.get(key or ""), "by_link": False}
        common |= {"dataset": chance.choice(["toys", "cars"]), "release": chance.choice(["r1", "r2"]), "video": None}
        ids = [f"v{n}" for n in chance.sample(range(40), chance.randrange(1, 12))]
        match chance.randrange(4):
            case 0:
                lines.append(
                    {"event": "answer", **common, "video": ids[0], "bytes_sent": chance.randrange(10**6), "cut": False}
                )
            case 1:
                videos = [
                    {"id": each, "resolution": "480p", "frames": 3, "bytes": chance.randrange(1, 10**6)} for each in ids
                ]
                sent = sum(each["bytes"] for each in videos) // 2
                lines.append({"event": "answer", **common, "videos": videos, "bytes_sent": sent, "cut": True})
            case 2:
                videos = [{"id": each, "resolution": "480p", "bytes": chance.randrange(10**9)} for each in ids]
                signed = {"urls": len(ids), "bytes_signed": sum(each["bytes"] for each in videos), "videos": videos}
                lines.append({"event": "signed", **common, **signed})
                lines.append({"event": "answer", **common, "bytes_sent": 321, "cut": False})
            case 3:
                lines.append({"event": "refused", **common, "video": ids[0], "problem": "scope-missing"})
    return lines


LINES = month()


def in_may(line: dict[str, Any]) -> bool:
    return bool(line["at"].month == 5)


def sums(lines: Lines, by: Callable[[dict[str, Any]], Any]) -> dict[Any, dict[str, Any]]:
    """What a report is to say, by other means."""
    groups: dict[Any, Lines] = defaultdict(list)
    for line in lines:
        groups[by(line)].append(line)
    found = {}
    for group, members in groups.items():
        given = [line for line in members if line["event"] != "refused"]
        named = {(line["dataset"], line["video"]) for line in given if line["video"]}
        named |= {(line["dataset"], each["id"]) for line in given for each in line.get("videos", [])}
        found[group] = {
            "requests": sum(line["event"] == "answer" for line in members),
            "refused": sum(line["event"] == "refused" for line in members),
            "videos": len(named),
            "urls": sum(line.get("urls", 0) for line in members),
            "bytes_sent": sum(line.get("bytes_sent", 0) for line in members),
            "bytes_signed": sum(line.get("bytes_signed", 0) for line in members),
            "first": f"{min(line['at'] for line in members):%Y-%m-%dT%H:%M:%S}.000Z",
            "last": f"{max(line['at'] for line in members):%Y-%m-%dT%H:%M:%S}.000Z",
        }
    return found


def without_time(lines: Lines) -> Lines:
    return [{name: value for name, value in line.items() if name != "at"} for line in lines]


@pytest.fixture(scope="module")
def trail(s3: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The month in the bucket, an object a day, and in a file; the file."""
    root = tmp_path_factory.mktemp("trail")
    bucket = Bucket(s3.settings(BUCKET))
    bucket.create()
    for trail in (
        SpooledTrail(root / "spool", bucket, seconds=60, clock=_clock()),
        FileTrail(root / "audit.jsonl", clock=_clock()),
    ):
        for line in without_time(LINES):
            trail.write(line)
        if isinstance(trail, SpooledTrail):
            trail.send()
    return root / "audit.jsonl"


def _clock() -> Callable[[], float]:
    times = iter([line["at"].timestamp() for line in LINES])
    return lambda: next(times)


def report(gygo_server: Command, *arguments: str | Path) -> dict[str, Any]:
    done = gygo_server("audit", "report", "--json", *arguments, GYGO_BUCKET=BUCKET)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_month_in_the_bucket_adds_up(gygo_server: Command, trail: Path) -> None:
    found = report(gygo_server, *MAY)
    expected = sums(
        [line for line in LINES if in_may(line)],
        lambda line: (line["owner"], line["key"], line["dataset"], line["release"]),
    )
    rows = {(row.pop("owner"), row.pop("key"), row.pop("dataset"), row.pop("release")): row for row in found["rows"]}
    assert rows == expected
    assert found["total"] == sums([line for line in LINES if in_may(line)], lambda _: None)[None]
    assert (found["from"], found["to"]) == ("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z")
    assert (found["spoilt"], found["lost"]) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--owner", "Partner Ltd"), lambda line: line["owner"] == "Partner Ltd"),
        (("--key", "bbbbbbbbbb"), lambda line: line["key"] == "bbbbbbbbbb"),
        (("--dataset", "toys", "--release", "r2"), lambda line: (line["dataset"], line["release"]) == ("toys", "r2")),
        (
            ("--video", "v7"),
            lambda line: line["video"] == "v7" or "v7" in [each["id"] for each in line.get("videos", [])],
        ),
    ],
)
def test_of_some_lines_only(
    gygo_server: Command, trail: Path, arguments: tuple[str, ...], wanted: Callable[[dict[str, Any]], bool]
) -> None:
    found = report(gygo_server, *MAY, *arguments, trail)
    assert found["total"] == sums([line for line in LINES if in_may(line) and wanted(line)], lambda _: None)[None]


@pytest.mark.parametrize(
    ("by", "group"),
    [
        ("owner", lambda line: (line["owner"],)),
        ("key", lambda line: (line["owner"], line["key"])),
        ("dataset", lambda line: (line["dataset"],)),
        ("release", lambda line: (line["dataset"], line["release"])),
        ("day", lambda line: (f"{line['at']:%Y-%m-%d}",)),
    ],
)
def test_put_together_by_what_is_asked(
    gygo_server: Command, trail: Path, by: str, group: Callable[[dict[str, Any]], Any]
) -> None:
    expected = sums(LINES, group)
    rows = report(gygo_server, "--by", by, trail)["rows"]
    columns = len(next(iter(expected)))
    assert {tuple(row.values())[:columns]: dict(list(row.items())[columns:]) for row in rows} == expected


def test_by_video_each_byte_is_some_video_s(gygo_server: Command, trail: Path) -> None:
    found = report(gygo_server, "--by", "video", trail)
    for name in ("bytes_sent", "bytes_signed", "urls"):
        assert sum(row[name] for row in found["rows"]) == found["total"][name] > 0
    signed = sum(
        each["bytes"]
        for line in LINES
        if line["event"] == "signed" and line["dataset"] == "toys"
        for each in line["videos"]
        if each["id"] == "v7"
    )
    (row,) = [row for row in found["rows"] if (row["dataset"], row["video"]) == ("toys", "v7")]
    assert (row["bytes_signed"], row["videos"]) == (signed, 1)


def test_show_prints_the_lines_as_they_are(gygo_server: Command, trail: Path) -> None:
    done = gygo_server("audit", "show", *MAY, "--key", "aaaaaaaaaa", GYGO_BUCKET=BUCKET)
    assert done.returncode == 0
    wanted = [
        text
        for text, line in zip(trail.read_text().splitlines(), LINES, strict=True)
        if in_may(line) and line["key"] == "aaaaaaaaaa"
    ]
    assert done.stdout.splitlines() == wanted


def test_files_may_be_compressed_and_come_by_standard_input(gygo_server: Command, trail: Path, tmp_path: Path) -> None:
    texts = trail.read_bytes().splitlines(keepends=True)
    (tmp_path / "first.gz").write_bytes(gzip.compress(b"".join(texts[:100])))
    # What several workers sent, one behind the other.
    (tmp_path / "rest.gz").write_bytes(gzip.compress(b"".join(texts[100:200])) + gzip.compress(b"".join(texts[200:])))
    both = report(gygo_server, tmp_path / "first.gz", tmp_path / "rest.gz")
    assert both == report(gygo_server, trail)
    command = ["sh", "-c", f'gygo-server audit report --json - < "{trail}"']
    piped = subprocess.run(command, env=_environment(), capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(piped.stdout) == both


def test_spoilt_lines_are_told_and_not_fatal(gygo_server: Command, trail: Path, tmp_path: Path) -> None:
    texts = trail.read_bytes().splitlines(keepends=True)
    spoilt = [
        b"\xff\xfe\n",
        b"{}\n",
        b'["time"]\n',
        b'{"time":"yesterday","event":"answer"}\n',
        b"\n",
        texts[0][:50] + b"\n",
    ]
    spoilt += [b'{"time":"2026-05-01T00:00:00.000Z","event":"answer","bytes_sent":"many"}\n']
    spoilt += [b'{"time":"2026-05-01T00:00:00.000Z","event":"signed","videos":[{"id":1,"bytes":2}]}\n']
    (tmp_path / "spoilt.jsonl").write_bytes(b"".join([*spoilt, *texts]))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(texts[0])[:-10])
    done = gygo_server("audit", "report", "--json", tmp_path / "spoilt.jsonl", tmp_path / "cut.gz")
    assert done.returncode == 0
    assert done.stderr == "warning: 8 line(s) could not be read\n"
    found = json.loads(done.stdout)
    assert found["spoilt"] == 8
    assert found["total"]["bytes_signed"] == report(gygo_server, trail)["total"]["bytes_signed"]


def test_lines_that_were_lost_are_told(gygo_server: Command, tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_text('{"time":"2026-05-01T00:00:00.000Z","event":"lost","lines":7}\n')
    done = gygo_server("audit", "report", "--owner", "Partner Ltd", tmp_path / "audit.jsonl")
    assert done.returncode == 0
    assert "7 line(s) could not be written at the time" in done.stderr


def test_the_table_shows_names_as_they_are(gygo_server: Command, trail: Path, tmp_path: Path) -> None:
    done = gygo_server("audit", "report", "--by", "owner", trail, COLUMNS="200")
    assert done.returncode == 0
    assert "Other [red]GmbH[/]" in done.stdout
    assert " GB " in done.stdout
    hostile = {"time": "2026-05-01T00:00:00.000Z", "event": "answer", "owner": "a\x1b[2J\u202eb", "bytes_sent": 1}
    (tmp_path / "hostile.jsonl").write_text(json.dumps(hostile) + "\n")
    shown = gygo_server("audit", "report", "--by", "owner", tmp_path / "hostile.jsonl", COLUMNS="200").stdout
    assert "a\\x1b[2J\\u202eb" in shown


def test_wrong_questions_are_told_in_words(gygo_server: Command, tmp_path: Path) -> None:
    for arguments in (("--from", "May"), ("--by", "hour"), ("--json", "yes.jsonl")):
        done = gygo_server("audit", "report", *arguments)
        assert done.returncode in {1, 2}
        assert "rror: " in done.stderr
        assert "Traceback" not in done.stderr


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
