"""What names mean, and which a release can keep."""

from __future__ import annotations

import pytest

from gygo_server.formats.names import frame_number, is_litter, video_name_fault


@pytest.mark.parametrize("name", ["a/../b", "./a", "a//b", "", "é" * 257, "/".join(["x" * 99] * 6)])
def test_names_that_no_folder_has(name: str) -> None:
    assert video_name_fault(name)


@pytest.mark.parametrize(
    "name", ["bear", "batch-00002/cool-car-gray", "two words", "gr\u00f6\u00dfe", "a.b", "x" * 512, "👨‍👩‍👧"]
)
def test_good_video_names(name: str) -> None:
    assert video_name_fault(name) is None


@pytest.mark.parametrize(
    ("stem", "number"), [("00012", 12), ("frame_000012", 12), ("a1b", None), ("x-7", 7), ("٣", None)]
)
def test_frame_number(stem: str, number: int | None) -> None:
    assert frame_number(stem) == number


def test_litter_names() -> None:
    assert is_litter("Thumbs.DB")
    assert not is_litter("thumbs")
