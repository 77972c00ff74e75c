"""What clients were promised is kept, or the version says that it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from api_spec import promise, write


def document(version: str, *paths: str) -> str:
    written: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "things", "version": version},
        "paths": {path: {"get": {"operationId": path.strip("/"), "responses": {}}} for path in paths},
    }
    return yaml.safe_dump(written)


def test_the_document_keeps_what_was_promised() -> None:
    proposed = write.TARGET.read_text(encoding="utf-8")
    broken = promise.broken_promises(promise.TARGET.read_text(encoding="utf-8"), proposed)
    assert not broken, "raise the version, or undo this:\n" + "\n".join(broken)


def test_what_breaks_nothing_may_be_promised(tmp_path: Path) -> None:
    target = tmp_path / "promised.yaml"
    for proposed in (document("1.0.0", "/a"), document("1.0.0", "/a", "/b"), document("1.1.0", "/a", "/b", "/c")):
        assert promise.renew(target, proposed) == []
        assert target.read_text() == proposed


@pytest.mark.parametrize(("old", "new"), [("1.4.0", "1.5.0"), ("1.4.0", "1.4.0"), ("0.1.0", "0.1.1")])
def test_what_breaks_something_is_refused_and_nothing_is_written(tmp_path: Path, old: str, new: str) -> None:
    target = tmp_path / "promised.yaml"
    promised = document(old, "/a", "/b")
    promise.renew(target, promised)
    assert promise.renew(target, document(new, "/a")) == ["/b: the path is gone"]
    assert target.read_text() == promised


@pytest.mark.parametrize(("old", "new"), [("1.4.0", "2.0.0"), ("0.1.0", "0.2.0"), ("0.9.0", "1.0.0")])
def test_a_version_that_says_so_may_break_it(tmp_path: Path, old: str, new: str) -> None:
    target = tmp_path / "promised.yaml"
    promise.renew(target, document(old, "/a", "/b"))
    proposed = document(new, "/a")
    assert promise.renew(target, proposed) == []
    assert target.read_text() == proposed
