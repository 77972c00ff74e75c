"""Cursors: they come back as they went out, and only for the question that they were made for."""

from __future__ import annotations

import base64

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gygo_server.catalogue.cursor import BadCursorError, decode, encode

INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
KEYS = st.lists(INTEGERS | TEXT, min_size=1, max_size=4)
QUESTIONS = st.recursive(
    st.none() | st.integers(-1000, 1000) | TEXT, lambda each: st.lists(each, max_size=3), max_leaves=6
)


def shape_of(key: list[int | str]) -> tuple[type, ...]:
    return tuple(type(part) for part in key)


@given(KEYS, QUESTIONS)
def test_a_cursor_comes_back_as_it_went_out(key: list[int | str], question: object) -> None:
    assert decode(encode(key, question), question, shape_of(key)) == key


@given(KEYS, QUESTIONS)
def test_a_cursor_needs_no_escaping_in_a_url(key: list[int | str], question: object) -> None:
    assert set(encode(key, question)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(KEYS, QUESTIONS, QUESTIONS)
def test_a_cursor_of_another_question_is_refused(key: list[int | str], asked: object, other: object) -> None:
    if asked == other:
        return
    with pytest.raises(BadCursorError, match="another question"):
        decode(encode(key, asked), other, shape_of(key))


@given(st.text(max_size=80) | st.text("abcXYZ019-_=+/", max_size=80))
@example("")
@example("=")
@example("====")
@example("\ud800")
@example("W10")
@example(base64.urlsafe_b64encode(b"5").decode())
@example(base64.urlsafe_b64encode(b"null").decode())
@example(base64.urlsafe_b64encode(b'"text"').decode())
@example(base64.urlsafe_b64encode(b"{}").decode())
@example(base64.urlsafe_b64encode(b"[" * 300).decode())
@example(base64.urlsafe_b64encode(b"\xff\xfe").decode())
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(BadCursorError):
        decode(text, "question", (int,))


def tampered(key: list[object]) -> str:
    """A cursor with the right tag and another key."""
    tag = orjson.loads(base64.urlsafe_b64decode(encode([1], "question") + "=="))[0]
    return base64.urlsafe_b64encode(orjson.dumps([tag, *key])).decode().rstrip("=")


@pytest.mark.parametrize(
    "key",
    [[], [1, 2], ["1"], [1.0], [True], [None], [[1]], [{"a": 1}], [2**63], [2**64 - 1], [-(2**63) - 0.5]],
    ids=str,
)
def test_a_tampered_key_of_another_shape_is_refused(key: list[object]) -> None:
    with pytest.raises(BadCursorError, match="not a cursor"):
        decode(tampered(key), "question", (int,))


def test_the_tampering_of_this_test_would_else_be_read() -> None:
    assert decode(tampered([7]), "question", (int,)) == [7]


@given(st.data())
def test_a_changed_character_never_gives_anything_but_a_key_or_a_refusal(data: st.DataObject) -> None:
    text = encode([123456, "name"], "question")
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.sampled_from("ABCabc019-_=.")) + text[place + 1 :]
    try:
        key = decode(changed, "question", (int, str))
    except BadCursorError:
        return
    assert shape_of(key) == (int, str)
