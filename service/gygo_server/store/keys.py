"""Object keys: the layout of the bucket, and the only place that spells it.

::

    <dataset>/dataset.json                                  names the releases
    <dataset>/releases/<release>/catalogue.<sha256>.sqlite  immutable, content-addressed
    <dataset>/videos/<sha256>.tar                           immutable, content-addressed, shared by releases

A catalogue's key holds its hash, so that two publications of one release never write the same object: the one that
``dataset.json`` names is the release, whatever else a killed publication left behind.
"""

from __future__ import annotations

from gygo_server.model import SLUG


def dataset_file(dataset: str) -> str:
    return f"{dataset}/dataset.json"


def catalogue(dataset: str, release: str, sha256: str) -> str:
    return f"{dataset}/releases/{release}/catalogue.{sha256}.sqlite"


def archive(dataset: str, sha256: str) -> str:
    return f"{dataset}/videos/{sha256}.tar"


def dataset_of_prefix(prefix: str) -> str | None:
    """The dataset that a top-level prefix (``gygo/``) stands for; None for others, such as ``_keys/``."""
    name = prefix.removesuffix("/")
    return name if SLUG.fullmatch(name) else None
