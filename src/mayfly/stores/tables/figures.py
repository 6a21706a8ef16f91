"""How many items a table and its indexes hold, and how large they are: counted when asked.

Counting walks rows, on a reader thread. What took long is remembered for a hundred times as long
as it took, six hours at most, which is how old DynamoDB's own figures are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.ports import Clock
from mayfly.stores.tables.definition import Definition

_QUICK_S = 0.02
_REMEMBERED_TIMES = 100
_REMEMBERED_S_MAX = 6 * 3_600.0


@dataclass(frozen=True, slots=True)
class Figures:
    """A table's figures.

    Args:
        size: Bytes of all items, as DynamoDB counts them.
        index_counts: Items in each index, by its id.
    """

    count: int = 0
    size: int = 0
    index_counts: Mapping[int, int] = field(default_factory=dict)


NONE = Figures()


class Counter:
    """Counts tables, and remembers what took long."""

    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[tuple[int, int], tuple[float, Figures]] = {}

    async def figures(self, definition: Definition) -> Figures:
        """The table's figures, now or not long ago. Raises StorageFailed."""
        key = (definition.table_id, definition.generation)
        start_s = self._clock.monotonic_s()
        good_until_s, known = self._known.get(key, (0.0, NONE))
        if start_s < good_until_s:
            return known
        found = await self._store.read(lambda connection: _count(connection, definition))
        now_s = self._clock.monotonic_s()
        took_s = now_s - start_s
        if took_s > _QUICK_S:
            good_s = min(took_s * _REMEMBERED_TIMES, _REMEMBERED_S_MAX)
            self._known = {one: kept for one, kept in self._known.items() if kept[0] > now_s}
            self._known[key] = (now_s + good_s, found)
        return found


def _count(connection: sqlite3.Connection, definition: Definition) -> Figures:
    count, size = connection.execute(
        "SELECT count(*), total(size) FROM item WHERE table_id = ?", (definition.table_id,)
    ).fetchone()
    counts = {
        index.index_id: int(
            connection.execute(
                "SELECT count(*) FROM index_entry WHERE index_id = ?", (index.index_id,)
            ).fetchone()[0]
        )
        for index in definition.shown_indexes
    }
    return Figures(int(count), int(size), counts)
