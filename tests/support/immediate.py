"""The database without its threads: for virtual time, in which a thread has no say.

The SQL, the transactions and what follows a commit are the real ones; sites fail as there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from mayfly.backends.sqlite.failures import storage_failed
from mayfly.backends.sqlite.schema import migrate, migrate_component
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.ports import Sites, unwatched

T = TypeVar("T")


class ImmediateStore(SqliteStore):
    """A SqliteStore whose writes are done when they are asked for, on the event loop."""

    def __init__(self, path: Path, sites: Sites = unwatched) -> None:
        self._path = path
        self._sites = sites
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("BEGIN")
        migrate(self._connection, path)
        self._connection.execute("COMMIT")

    async def transact(
        self,
        site: str,
        work: Callable[[sqlite3.Connection], T],
        applied: Callable[[T], None] | None = None,
    ) -> T:
        """As SqliteStore's."""
        self._connection.execute("BEGIN")
        try:
            result = work(self._connection)
            self._sites(site)
            self._connection.execute("COMMIT")
        except OSError as error:
            raise storage_failed(site, error, self._path) from error
        finally:
            if self._connection.in_transaction:
                self._connection.rollback()
        if applied is not None:
            applied(result)
        return result

    async def migrate(self, component: str, steps: Sequence[Sequence[str]]) -> None:
        """As SqliteStore's."""
        await self.transact(
            "STORE:MIGRATE",
            lambda connection: migrate_component(connection, self._path, component, steps),
        )

    def read_nowait(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """As SqliteStore's."""
        return work(self._connection)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """As SqliteStore's."""
        return work(self._connection)

    async def close(self) -> None:
        """As SqliteStore's."""
        self._connection.close()
