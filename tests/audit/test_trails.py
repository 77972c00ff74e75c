"""Lines of the audit trail: each is one, whole, whoever writes at the same time and whatever the disk does."""

from __future__ import annotations

import json
import os
import string
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gygo_server.access.token import new_id, new_token
from gygo_server.audit import trail as trails
from gygo_server.audit.line import encode
from gygo_server.audit.reading import Line, Reader, Selection
from gygo_server.audit.trail import FileTrail

PROGRAM = Path(__file__).with_name("trail_processes.py")

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def start(*arguments: object, **more: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(PROGRAM), *map(str, arguments)], **more)


def ids(lines: list[str]) -> Counter[str]:
    return Counter(json.loads(line).get("request_id", "") for line in lines)


def read(content: bytes) -> tuple[list[Line], int]:
    reader = Reader(Selection())
    return list(reader.read(BufferedReader(cast(Any, BytesIO(content))))), reader.spoilt


# Lines


@given(st.dictionaries(st.text(), VALUES, min_size=1))
def test_whatever_is_told_is_one_line_of_printable_ascii_and_says_just_that(event: dict[str, Any]) -> None:
    encoded = encode(event)
    assert all(0x20 <= byte < 0x7F for byte in encoded)
    assert json.loads(encoded) == event


def test_what_terminals_obey_is_escaped() -> None:
    told = "a\nb\r\x1b[2J\x7f\x85\u2028\u202e\ud800"
    encoded = encode({"path": told}).decode("ascii")
    assert len(encoded.splitlines()) == 1
    assert json.loads(encoded) == {"path": told}


@given(st.text(string.ascii_letters + '_/" é', max_size=20), st.text(string.ascii_letters + "_-é", max_size=20))
def test_of_a_key_that_stands_where_it_does_not_belong_only_the_id_is_told(before: str, after: str) -> None:
    token = new_token(new_id())
    encoded = encode({"path": f"{before}{token}{after}"}).decode()
    assert token[16:40] not in encoded
    assert token[:15] in encoded


# A file


def test_lines_of_many_threads_and_processes_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    others = [start("file", path, f"process{n}", 60, 30_000) for n in range(2)]
    trail = FileTrail(path)
    with ThreadPoolExecutor(4) as pool:
        for number in range(60):
            pool.submit(trail.write, {"event": "answer", "request_id": f"thread-{number}", "path": "y" * 20_000})
    assert [other.wait(60) for other in others] == [0, 0]
    found = ids(path.read_text().splitlines())
    assert found == Counter(
        [f"thread-{n}" for n in range(60)] + [f"process{p}-{n}" for p in range(2) for n in range(60)]
    )


def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trails, "LOOK_SECONDS", 0)
    path, moved = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    trail = FileTrail(path)
    trail.write({"event": "answer", "request_id": "one"})
    path.rename(moved)
    trail.write({"event": "answer", "request_id": "two"})
    assert ids(moved.read_text().splitlines()) == {"one": 1}
    assert ids(path.read_text().splitlines()) == {"two": 1}
    assert path.stat().st_mode & 0o007 == 0


def test_a_folder_that_was_moved_away_loses_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trails, "LOOK_SECONDS", 0)
    (tmp_path / "log").mkdir()
    trail = FileTrail(tmp_path / "log" / "audit.jsonl")
    trail.write({"event": "answer", "request_id": "one"})
    (tmp_path / "log").rename(tmp_path / "old")
    trail.write({"event": "answer", "request_id": "two"})
    assert ids((tmp_path / "old" / "audit.jsonl").read_text().splitlines()) == {"one": 1, "two": 1}


def test_lines_that_cannot_be_written_are_counted_in_the_next_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trails, "LOOK_SECONDS", 0)
    path = tmp_path / "audit.jsonl"
    path.symlink_to("/dev/full")
    trail = FileTrail(path)
    for _ in range(3):
        trail.write({"event": "answer"})
    path.unlink()
    trail.write({"event": "answer", "request_id": "good"})
    lost, good = map(json.loads, path.read_text().splitlines())
    assert (lost["event"], lost["lines"]) == ("lost", 3)
    assert good["request_id"] == "good"


def test_what_a_full_disk_left_of_a_line_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with start("on_a_full_disk", path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        log = process.stdout.read()
    assert process.returncode == 0
    assert log.count(b"audit lines are lost") == 1
    lines, spoilt = read(path.read_bytes())
    assert spoilt == 1
    told = [line.fields.get("request_id") or line.fields["lines"] for line in lines]
    before = next(n for n in range(20) if told[n] != f"before-{n}")
    assert told == [*(f"before-{n}" for n in range(before)), 20 - before, *(f"after-{n}" for n in range(5))]


def test_a_line_behind_a_torn_one_is_found() -> None:
    good = b'{"time":"2026-05-01T00:00:00.000Z","event":"answer","path":"{\\"time\\":1}"}\n'
    lines, spoilt = read(good + good[:40] + good + b"\n" + b"nonsense\n" + good[:-1])
    assert [line.text.rstrip(b"\n") for line in lines] == [good.rstrip(b"\n")] * 3
    assert spoilt == 2


# Standard output


def test_lines_of_several_processes_on_one_pipe_are_whole(tmp_path: Path) -> None:
    reads, writes = os.pipe()
    processes = [start("output", tmp_path, name, 80, 50_000, stdout=writes) for name in "ab"]
    os.close(writes)
    with open(reads, encoding="ascii") as pipe:  # noqa: PTH123  (a descriptor)
        lines = pipe.read().splitlines()
    assert [process.wait(60) for process in processes] == [0, 0]
    assert ids(lines) == Counter([f"{name}-{n}" for name in "ab" for n in range(80)])
