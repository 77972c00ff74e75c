"""What keys look like, and that mistyped ones are known without asking anybody."""

from __future__ import annotations

import hashlib
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gygo_server.access.token import PATTERN, new_id, new_token, read_token

CHARACTERS = string.ascii_letters + string.digits + "_"


def test_a_key_says_whose_it_is_and_what_it_is_for() -> None:
    key_id = new_id()
    token = new_token(key_id)
    assert re.fullmatch(r"gygo_[a-z0-9]{10}_[A-Za-z0-9]{38}", token)
    assert PATTERN.fullmatch(token)
    read = read_token(token)
    assert read is not None
    assert read.key_id == key_id
    assert read.sha256 == hashlib.sha256(token.encode()).hexdigest()


def test_no_two_keys_are_alike() -> None:
    assert len({new_token("a" * 10) for _ in range(1000)}) == 1000
    assert len({new_id() for _ in range(1000)}) == 1000


@given(st.integers(0, 53), st.sampled_from(CHARACTERS))
def test_a_key_with_another_character_is_none(place: int, character: str) -> None:
    token = new_token("abc0123xyz")
    changed = token[:place] + character + token[place + 1 :]
    assert (read_token(changed) is None) == (changed != token)


@given(st.integers(5, 53))
def test_a_key_with_two_characters_exchanged_is_none(place: int) -> None:
    token = new_token("abc0123xyz")
    changed = token[: place - 1] + token[place] + token[place - 1] + token[place + 1 :]
    assert (read_token(changed) is None) == (changed != token)


@given(st.text(max_size=80))
def test_anything_else_is_none(text: str) -> None:
    assert read_token(text) is None


@pytest.mark.parametrize("around", [" {}", "{} ", "{}\n", "{}\x00", "\N{NO-BREAK SPACE}{}", "Bearer {}", "{}{}"])
def test_a_key_with_something_around_it_is_none(around: str) -> None:
    token = new_token("abc0123xyz")
    assert read_token(around.format(token, token)) is None
