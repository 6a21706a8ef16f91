"""What `mayfly apply` made for each system, kept by the platform that has it: no file to lose.

    system   name -> the things that were made for it, as (kind, name)

Only what stands here may be removed when a system declares it no more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import Conflict

SYSTEMS_MAX = 1_000
_STEPS = (
    (
        """CREATE TABLE system (
            name     TEXT PRIMARY KEY,
            document BLOB NOT NULL
        ) STRICT, WITHOUT ROWID""",
    ),
)


class SystemSite(StrEnum):
    """Where this store does I/O."""

    COMMIT = "SYSTEMS:COMMIT"


class Thing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that was made: a bucket, a table, a queue, a function, a schedule."""

    kind: str
    name: str


class SystemStore:
    """All systems of the platform. Made by `open`."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    @classmethod
    async def open(cls, store: SqliteStore) -> SystemStore:
        """Bring the table to its newest form. Raises StorageFailed."""
        await store.migrate("systems", _STEPS)
        return cls(store)

    def made_nowait(self, name: str) -> Sequence[Thing]:
        """What was made for a system; empty for one that is not known."""
        row = self._store.read_nowait(
            lambda connection: connection.execute(
                "SELECT document FROM system WHERE name = ?", (name,)
            ).fetchone()
        )
        return [] if row is None else msgspec.json.decode(row[0], type=list[Thing])

    async def put(self, name: str, made: Sequence[Thing]) -> None:
        """Replace what stands under a system; one with nothing is forgotten.

        Raises:
            Conflict: There are too many systems.
            StorageFailed: Nothing was written.
        """
        document = msgspec.json.encode(list(made))

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM system WHERE name = ?", (name,))
            if not made:
                return
            (count,) = connection.execute("SELECT count(*) FROM system").fetchone()
            if count >= SYSTEMS_MAX:
                raise Conflict(f"there are {count} systems, and {SYSTEMS_MAX} at most")
            connection.execute("INSERT INTO system VALUES (?, ?)", (name, document))

        await self._store.transact(SystemSite.COMMIT, work)
