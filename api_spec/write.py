"""Writes ``openapi.yaml`` from the code: ``make openapi``."""

from pathlib import Path

from gygo_server.api.documentation import as_yaml, specification
from gygo_server.app import create_app_with_settings
from gygo_server.settings import Settings

TARGET = Path(__file__).with_name("openapi.yaml")


def current() -> str:
    """The document as the code has it now. No setting shows in it."""
    return as_yaml(specification(create_app_with_settings(Settings.from_env({"GYGO_BUCKET": "any"}))))


if __name__ == "__main__":
    TARGET.write_text(current(), encoding="utf-8")
