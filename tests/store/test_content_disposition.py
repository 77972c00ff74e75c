"""The names that browsers save files under: read back with the rules of RFC 6266, they are what was given."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gygo_server.store.content_disposition import attachment

#: RFC 6266 and RFC 8187: a quoted string without escapes, then perhaps an extended value.
HEADER = re.compile(
    r"""attachment;\ filename="(?P<plain>[\x20\x21\x23-\x5b\x5d-\x7e]+)"
    (;\ filename\*=UTF-8''(?P<extended>([A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})+))?""",
    re.VERBOSE,
)


def names(header: str) -> tuple[str, str]:
    """The name that a browser takes, and the one that an old program takes."""
    read = HEADER.fullmatch(header)
    assert read is not None, header
    plain, extended = read["plain"], read["extended"]
    return (plain if extended is None else unquote(extended, errors="strict")), plain


@pytest.mark.parametrize(
    ("filename", "saved", "fallback"),
    [
        ("toys-r1-car-480p.tar", "toys-r1-car-480p.tar", "toys-r1-car-480p.tar"),
        ("cool car (1).tar", "cool car (1).tar", "cool car (1).tar"),
        ("über.tar", "über.tar", "_ber.tar"),
        ("日本語.tar", "日本語.tar", "___.tar"),
        ('say "hi".tar', 'say "hi".tar', "say _hi_.tar"),
        ("100%41.tar", "100%41.tar", "100_41.tar"),
        ("../../etc/passwd", ".._.._etc_passwd", ".._.._etc_passwd"),
        ("a\\b.tar", "a_b.tar", "a_b.tar"),
        ("a\r\nSet-Cookie: x=1.tar", "a__Set-Cookie: x=1.tar", "a__Set-Cookie_ x=1.tar"),
        ("photo\u202egpj.exe", "photo_gpj.exe", "photo_gpj.exe"),
        ("\ud800.tar", "_.tar", "_.tar"),
        ("", "_", "_"),
    ],
)
def test_a_name_is_saved(filename: str, saved: str, fallback: str) -> None:
    assert names(attachment(filename)) == (saved, fallback)


@given(st.text())
@example('"\\\x00\x7f\x85\u2028%')
def test_every_name_is_a_header_in_ascii_and_is_read_back(filename: str) -> None:
    saved, fallback = names(attachment(filename))
    assert len(saved) == len(fallback) == max(1, len(filename))
    for given_, kept in zip(filename, saved, strict=False):
        assert kept == given_ or (kept == "_" and (given_ in "/\\" or not given_.isprintable()))
