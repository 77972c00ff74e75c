"""The list of codes: complete, stable in form, explained."""

from __future__ import annotations

import pickle
import re

import pytest

from gygo_server.formats.findings import Code, Report, shown
from gygo_server.media.pictures import PictureCode
from gygo_server.model import Severity


@pytest.mark.parametrize("code", Code)
def test_codes_are_kebab_case_and_explained(code: Code) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)
    assert code.meaning.endswith(".")
    assert pickle.loads(pickle.dumps(code)) is code
    assert Code(str(code)) is code


def test_what_media_finds_is_listed() -> None:
    assert {str(code) for code in PictureCode} <= {str(code) for code in Code}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gr\u00f6\u00dfe a\u00a0b \U0001f468\u200d\U0001f469", "gr\u00f6\u00dfe a\u00a0b \U0001f468\u200d\U0001f469"),
        ("a\x1b[31m\n", r"a\x1b[31m\n"),
        ("caf\udce9", r"caf\xe9"),
        ("\ud800", r"\ud800"),
        ("a\u2028b", r"a\u2028b"),
    ],
)
def test_shown(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_a_report_keeps_the_order_and_knows_faults() -> None:
    report = Report()
    report.warning(Code.STRAY_FILE, "a", "one")
    assert not report.has_faults()
    report.fault(Code.UNREADABLE, "b\n", "two", "v\udcff")
    assert report.has_faults()
    assert [finding.severity for finding in report.findings] == [Severity.WARNING, Severity.FAULT]
    assert (report.findings[1].path, report.findings[1].video) == (r"b\n", r"v\xff")
    assert type(report.findings[0].code) is str
