"""A carrier for tests: keeps what it is given in a table, so that a rolled-back parcel is gone."""

from __future__ import annotations

import sqlite3

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.parcel import Parcel


class TableCarrier:
    """An `outbox.Carrier` on a table of its own."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.told: list[Parcel] = []

    async def open(self) -> None:
        """Make the table."""
        create = (
            "CREATE TABLE IF NOT EXISTS carried "
            "(seq INTEGER PRIMARY KEY, id TEXT UNIQUE, body BLOB, at_ms INTEGER)"
        )

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(create)

        await self._store.transact("TEST", work)

    def put(self, connection: sqlite3.Connection, parcel: Parcel, now_ms: int) -> bool:
        """Keep it."""
        row = (parcel.parcel_id, parcel.body, now_ms)
        connection.execute("INSERT INTO carried (id, body, at_ms) VALUES (?, ?, ?)", row)
        return True

    def arrived(self, parcel: Parcel) -> None:
        """It is durable."""
        self.told.append(parcel)

    def carried(self) -> list[tuple[bytes, int]]:
        """Bodies, and when each was handed over, in order."""
        found: list[tuple[bytes, int]] = self._store.read_nowait(
            lambda connection: connection.execute(
                "SELECT body, at_ms FROM carried ORDER BY seq"
            ).fetchall()
        )
        return found
