"""Which videos are not as they were in an earlier release, worked out from the catalogue of the one before.

A catalogue remembers the releases that it comes from, its *lineage*, and of each what was in it since: a video carries
the position of the release from which on it has been as it is, and what it, or a video that is gone, was in earlier
releases is kept by its digest. So one catalogue says what has changed since any of them.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_REMEMBER = """
INSERT INTO past SELECT last, id, first, digest, gone FROM before.past;
INSERT INTO past
    SELECT {before}, b.id, b.since, b.digest, 0 FROM before.videos AS b LEFT JOIN main.videos AS v ON v.id = b.id
    WHERE v.digest IS NOT b.digest;
UPDATE past SET gone = NOT EXISTS (SELECT 1 FROM main.videos AS v WHERE v.id = past.id);
"""


class Lineage:
    """The past of a catalogue that is being built in ``db``; ``before`` is the file it comes after."""

    def __init__(self, db: sqlite3.Connection, before: Path | None) -> None:
        self._db = db
        self._before = before
        self._releases: list[str] = []

    def begin(self) -> None:
        """Before the first video."""
        if self._before is not None:
            self._db.execute("ATTACH ? AS before", [str(self._before)])
            rows = self._db.execute("SELECT release FROM before.lineage ORDER BY position")
            self._releases = [release for (release,) in rows]

    def since(self, video: str, digest: bytes) -> int:
        """The position of the release from which on the video has been as it is now."""
        if self._before is not None:
            row = self._db.execute("SELECT since, digest FROM before.videos WHERE id=?", [video]).fetchone()
            if row is not None and row[1] == digest:
                return int(row[0])
        return len(self._releases)

    def write(self, release: str) -> list[tuple[str, str, NDArray[np.uint32]]]:
        """Once all videos are in: write the past, and the lineage with this release at its end.

        Gives the sets of videos that are new, and that are new or have changed, since each earlier release.
        """
        if self._before is not None:
            for statement in _REMEMBER.format(before=len(self._releases) - 1).split(";")[:-1]:
                self._db.execute(statement)
        sets = []
        for position, earlier in enumerate(self._releases):
            both, added = self._numbers(_CHANGED, position), self._numbers(_ADDED, position)
            sets += [("added_since", earlier, added), ("changed_since", earlier, both)]
            gone = self._db.execute(f"SELECT count(*) FROM ({GONE})", {"at": position}).fetchone()[0]  # noqa: S608  # nosec B608 # a constant
            counts = (len(added), len(both) - len(added), gone)
            self._db.execute("INSERT INTO lineage VALUES (?,?,?,?,?)", (position, earlier, *counts))
        self._db.execute("INSERT INTO lineage VALUES (?,?,0,0,0)", (len(self._releases), release))
        return sets

    def changes(self) -> dict[str, Any] | None:
        """How many videos are new, other or gone since the release before; None without one."""
        if not self._releases:
            return None
        row = self._db.execute(
            "SELECT release, added, changed, removed FROM lineage WHERE position=?", [len(self._releases) - 1]
        ).fetchone()
        return dict(zip(("since", "added", "changed", "removed"), row, strict=True))

    def _numbers(self, sql: str, position: int) -> NDArray[np.uint32]:
        return np.fromiter((n for (n,) in self._db.execute(sql, {"at": position})), np.uint32)


#: The videos that are not as they were in the release at `:at`. One may have become again what it was.
_CHANGED = """
SELECT v.n FROM videos AS v WHERE v.since > :at
AND NOT EXISTS (SELECT 1 FROM past WHERE id = v.id AND first <= :at AND last >= :at AND digest = v.digest)
"""

#: Those that were not there at all.
_ADDED = """
SELECT v.n FROM videos AS v WHERE v.since > :at
AND NOT EXISTS (SELECT 1 FROM past WHERE id = v.id AND first <= :at AND last >= :at)
"""

#: The videos that were in the release at `:at` and are in this one no more, in the order they went.
GONE = "SELECT id FROM past WHERE last >= :at AND first <= :at AND gone"
