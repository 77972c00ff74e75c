"""Methods whose last results are kept for as long as their object lives, and no longer."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import ParamSpec, TypeVar, cast
from weakref import WeakMethod

P = ParamSpec("P")
T = TypeVar("T")


def kept(size: int, method: Callable[P, T]) -> Callable[P, T]:
    """The method, with its last results kept. It holds no reference to its object, which so ends with its last user."""
    weak = WeakMethod(method)

    @lru_cache(maxsize=size)
    def call(*arguments: P.args, **more: P.kwargs) -> T:
        strong = weak()
        assert strong is not None  # noqa: S101  (it is being asked)
        return strong(*arguments, **more)

    return cast(Callable[P, T], call)
