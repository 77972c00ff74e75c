"""A catalogue file's connections: opened read-only and immutable; safe for threads, not to be shared across a fork."""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson


class Connections:
    """So many connections: more readers than that wait for one.

    All are opened at once, so that the file may be evicted from the disk cache while it is read.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        for _ in range(count):
            self._idle.put(_connect(path))

    def close(self) -> None:
        """Close them. Only for when nobody reads any more."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    @contextmanager
    def borrow(self) -> Iterator[sqlite3.Connection]:
        """One of them, for as long as it is needed."""
        db = self._idle.get()
        try:
            yield db
        finally:
            self._idle.put(db)

    def rows(self, sql: str, parameters: Any = ()) -> list[Any]:
        with self.borrow() as db:
            return db.execute(sql, parameters).fetchall()

    def first(self, sql: str, parameters: Any = ()) -> Any | None:
        with self.borrow() as db:
            return db.execute(sql, parameters).fetchone()

    def row(self, sql: str, parameters: Any = ()) -> Any:
        """The first row, of what every catalogue has.

        Raises:
            sqlite3.DatabaseError: there is none.
        """
        row = self.first(sql, parameters)
        if row is None:
            raise sqlite3.DatabaseError("the catalogue lacks a row that every catalogue has")
        return row


def values(several: Sequence[int | str]) -> str:
    """Values as SQL's ``json_each`` takes them."""
    return orjson.dumps(list(several)).decode()


def schema_of(path: Path) -> int:
    """The version of a catalogue's schema, whichever."""
    with closing(_connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def digests(path: Path) -> Generator[tuple[str, bytes], None, None]:
    """Each video's id and the digest of all that is said of it, in order of ids; of a catalogue of any schema."""
    with closing(_connect(path)) as db:
        yield from db.execute("SELECT id, digest FROM videos ORDER BY id")


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    db = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
    # The page cache is the kernel's: mapped once, whatever the number of connections and workers.
    db.execute(f"PRAGMA mmap_size={1 << 40}")
    db.execute("PRAGMA cache_size=-256")
    return db
