"""Files that no row needs: deleted after the commit that made them so, when no reader has them.

delete, overwrite --> object_garbage rows, in the same transaction
collect           --> the files go, then the rows: a crash in between repeats it harmlessly
start             --> files under `new` that no row names go too
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import ShuttingDown, StorageFailed
from mayfly.ports import Clock
from mayfly.stores.objects.blobs import Blobs
from mayfly.stores.objects.reader import Pins
from mayfly.stores.objects.sites import Site
from mayfly.telemetry import LogEvent, event_log

_PAGE = 256
_PATIENCE_S = 5.0
_NAMED = (
    "SELECT 1 FROM object_version WHERE file_id = ? AND file_id != ''",
    "SELECT 1 FROM object_part WHERE file_id = ? AND file_id != ''",
)


class Collector:
    """Deletes garbage. One at a time."""

    def __init__(
        self,
        database: SqliteStore,
        blobs: Blobs,
        pins: Pins,
        wanted: asyncio.Event,
        clock: Clock,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._pins = pins
        self._wanted = wanted
        self._clock = clock

    async def run(self) -> None:
        """Collect whenever it is wanted, until cancelled; a disk that refuses is tried again."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.collect()
            except ShuttingDown:
                return
            except StorageFailed as error:
                event_log(LogEvent.OBJECTS_NOT_COLLECTED, error=str(error))
                await self._clock.sleep(_PATIENCE_S)
                self._wanted.set()

    async def collect(self) -> int:
        """Delete what no reader has; how many files went.

        Raises:
            StorageFailed: Some are left; they are garbage still.
        """
        after, count = "", 0
        while page := await self._database.read(partial(_page, after=after)):
            after = page[-1][0]
            # A reader pins before the row that it read goes, so what is free here stays free.
            free = [one for one, owner in page if one not in self._pins and owner not in self._pins]
            if free:
                await self._blobs.run(partial(self._blobs.delete, free))
                await self._database.transact(Site.COMMIT, partial(_forget, file_ids=free))
                count += len(free)
        return count


async def forget_unknown(database: SqliteStore, blobs: Blobs) -> None:
    """At the start: files whose row was never committed go; the others lose their second name.

    Raises:
        StorageFailed: The folder or the rows cannot be read.
    """
    found = await blobs.run(blobs.prepare)
    if not found:
        return
    known = await database.read(partial(_known, file_ids=found))
    await blobs.run(partial(blobs.drop, [one for one in found if one not in known]))
    await blobs.run(partial(blobs.settle, found))


def _page(connection: sqlite3.Connection, after: str) -> Sequence[tuple[str, int]]:
    return connection.execute(
        "SELECT file_id, owner FROM object_garbage WHERE file_id > ? ORDER BY file_id LIMIT ?",
        (after, _PAGE),
    ).fetchall()


def _forget(connection: sqlite3.Connection, file_ids: Sequence[str]) -> None:
    connection.executemany(
        "DELETE FROM object_garbage WHERE file_id = ?", [(one,) for one in file_ids]
    )


def _known(connection: sqlite3.Connection, file_ids: Sequence[str]) -> frozenset[str]:
    """Which of them a row names."""
    return frozenset(
        one
        for one in file_ids
        if any(connection.execute(name, (one,)).fetchone() for name in _NAMED)
    )
