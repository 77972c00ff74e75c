"""How a long command tells what it does; the command line shows it, tests count it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of each stage and each step in it."""

    def stage(self, title: str, total: int) -> None:
        """A stage of ``total`` steps begins; the one before has ended."""

    def advance(self, done: int = 1) -> None:
        """``done`` steps more of the stage are done."""

    def say(self, text: str) -> None:
        """A line for the user."""


class Silent:
    """Shows nothing."""

    def stage(self, title: str, total: int) -> None:
        pass

    def advance(self, done: int = 1) -> None:
        pass

    def say(self, text: str) -> None:
        pass
