"""What a publication is asked for, and what it comes to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from gygo_server.errors import PublicationError
from gygo_server.formats.files import LocalFiles, SourceFiles
from gygo_server.ingest.upload import Transfer
from gygo_server.model import RESERVED_RELEASES, SLUG, Finding, MaskKind, Severity, Visibility


@dataclass(frozen=True, slots=True)
class Publication:
    """What to publish, and as what. ``title`` and the four after it are the data set's: None keeps what it has, as does
    ``visibility``, the release's; what is new is public then.

    ``source`` is a folder here or the files of a source elsewhere; the work is done by ``workers`` processes here, or
    by those of the Dask cluster whose ``scheduler`` is named.
    """

    source: Path | SourceFiles
    dataset: str
    release: str
    title: str | None = None
    description: str | None = None
    license: str | None = None
    homepage: str | None = None
    dataset_visibility: Visibility | None = None
    visibility: Visibility | None = None
    labels: Path | None = None
    masks: MaskKind | None = None
    fps: float | None = None
    workers: int = 2
    scheduler: str | None = None
    leave_out_faulty: bool = False

    def __post_init__(self) -> None:
        for kind, value in (("dataset", self.dataset), ("release", self.release)):
            if not SLUG.fullmatch(value):
                raise PublicationError(
                    f"{kind} {value!r}: use 1 to 64 of a-z, 0-9, '.', '_', '-', and begin with a letter or digit"
                )
        if self.release in RESERVED_RELEASES:
            raise PublicationError(f"release {self.release!r}: this word stands for the newest release in URLs")
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise PublicationError(f"fps {self.fps}: a number of frames a second is needed")
        for name in ("title", "description", "license", "homepage"):
            require_unicode(name, getattr(self, name))

    @property
    def files(self) -> SourceFiles:
        # Workers on other machines have another working directory.
        return LocalFiles(self.source.absolute()) if isinstance(self.source, Path) else self.source


@dataclass(slots=True)
class Report:
    """What a publication found and did.

    ``published`` is False after a dry run, or when the release was there before; ``described``: the dataset's title
    and so on, or who may see it, were changed to what was told; ``renewed``: its catalogue was lost, or of an older
    version, and was written anew.
    """

    findings: list[Finding] = field(default_factory=list)
    videos: int = 0
    left_out: list[str] = field(default_factory=list)
    splits: dict[str, str] = field(default_factory=dict)
    transfer: Transfer = field(default_factory=Transfer)
    published: bool = False
    described: bool = False
    renewed: bool = False

    @property
    def faults(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity is Severity.FAULT]


def require_unicode(name: str, text: str | None) -> None:
    """Refuse text that JSON cannot hold: a command line's bytes that are not UTF-8.

    Raises:
        PublicationError: it is not.
    """
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise PublicationError(f"{name}: not UTF-8 text") from None
