"""Renews ``promised.yaml``, the contract that clients were given last: ``python -m api_spec.promise``.

Clients of one version go on working with the next ones, until a major version (while that is 0, a minor one) says
otherwise. So what is promised is compared with what the code says, and a change that may break a client is refused
unless the version was raised: ``tests/api/test_promise.py`` holds every commit to it.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path

import yaml

from api_spec.compatibility import breaking_changes, may_break
from api_spec.write import current

TARGET = Path(__file__).with_name("promised.yaml")


def broken_promises(promised: str, proposed: str) -> list[str]:
    """What of the one contract (as YAML) the other breaks without saying so by its version."""
    old, new = (yaml.load(each, Loader=yaml.CSafeLoader) for each in (promised, proposed))
    if may_break(old["info"]["version"], new["info"]["version"]):
        return []
    return breaking_changes(old, new)


def renew(target: Path, proposed: str) -> list[str]:
    """Promise this contract, unless it breaks the one before; what it breaks."""
    broken = broken_promises(target.read_text(encoding="utf-8"), proposed) if target.exists() else []
    if not broken:
        target.write_text(proposed, encoding="utf-8")
    return broken


def main() -> None:
    """Renew the promise, or (``--check``) only say whether the code keeps it."""
    arguments = ArgumentParser(prog="python -m api_spec.promise", description=__doc__.splitlines()[0])
    arguments.add_argument("--check", action="store_true", help="write nothing: say what would break clients")
    check = arguments.parse_args().check
    promised = TARGET.read_text(encoding="utf-8") if TARGET.exists() else current()
    found = broken_promises(promised, current()) if check else renew(TARGET, current())
    for sentence in found:
        sys.stderr.write(f"{sentence}\n")
    if found:
        sys.exit(f"{len(found)} changes may break clients: raise the version, or undo them; nothing was written")
    sys.stdout.write("nothing breaks clients\n" if check else f"{TARGET.name} is what the code says\n")


if __name__ == "__main__":
    main()
