"""All sides by name: where their code is, and what has to be installed for them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any


@dataclass(frozen=True)
class Known:
    """A side. ``prepare`` is called before all measurements, once for all sides that name the same."""

    module: str
    read: str
    distribution: str | None = None
    prepare: str | None = None
    #: gives just the clips that are asked for
    drawn: bool = True
    #: reads a rate by itself and gives no clips
    limit: bool = False

    def function(self, name: str) -> Callable[..., Any]:
        made: Callable[..., Any] = getattr(importlib.import_module(f"benchmarks.peers.{self.module}"), name)
        return made

    def version(self) -> str | None:
        """The installed version of what it needs; None when that is missing."""
        if self.distribution is None:
            return ""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None


SIDES = {
    "gygo": Known("ours", "clips_side"),
    "gygo.torch": Known("ours", "torch_side", "torch"),
    "batch": Known("ours", "batch_side"),
    "boto3": Known("by_file", "boto3_side", "boto3", "prepare"),
    "urllib3": Known("by_file", "urllib3_side", "urllib3", "prepare"),
    "s3torchconnector": Known("by_file", "s3torchconnector_side", "s3torchconnector", "prepare"),
    "webdataset": Known("webdataset_tars", "side", "webdataset", drawn=False),
    "mosaicml": Known("chunked", "mosaicml_side", "mosaicml-streaming", "prepare_mosaicml"),
    "litdata": Known("chunked", "litdata_side", "litdata", "prepare_litdata"),
    "wrk": Known("limits", "wrk", limit=True),
    "pillow": Known("limits", "pillow", limit=True),
    "simplejpeg": Known("limits", "simplejpeg", "simplejpeg", limit=True),
}
