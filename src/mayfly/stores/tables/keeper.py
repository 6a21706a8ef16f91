"""What tables do by themselves: fill new indexes, end items, forget old records and dropped rows.

    backfill   every item into an index that was added, then the index is ACTIVE
    expire     items whose time to live is over, each with its stream record
    trim       stream records older than a day, tokens older than ten minutes
    sweep      rows of deleted tables and dropped indexes

Each works in small transactions between other writes, and from its start again after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from dataclasses import dataclass
from itertools import takewhile

import msgspec

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import StorageFailed
from mayfly.ports import Clock
from mayfly.stores.tables.definition import Definition, Index, IndexStatus
from mayfly.stores.tables.errors import InvalidRequest, TableNotFound
from mayfly.stores.tables.keys import key_item
from mayfly.stores.tables.layout import (
    EXPIRED_S_MAX,
    Place,
    entry_of,
    expiry_bytes,
    expiry_s,
    place_of_item,
)
from mayfly.stores.tables.records import RETENTION_MS, decode_item
from mayfly.stores.tables.schema import Doomed, TableSite
from mayfly.stores.tables.store import TOKEN_MS_MAX, TableStore
from mayfly.stores.tables.values import Item
from mayfly.stores.tables.writes import ADD_ENTRY, Write, WriteKind
from mayfly.telemetry import LogEvent, event_log

ROWS_MAX = 500
EVERY_S = 10.0
_AFTER_FAILURE_S = 5.0

_EXPIRED = (
    "SELECT i.document FROM index_entry AS e JOIN item AS i ON i.item_id = e.item_id "
    "WHERE e.index_id = ? AND e.hash_key > ? AND e.hash_key <= ? LIMIT ?"
)
_NEXT_ITEMS = (
    "SELECT item_id, hash_key, range_key, document FROM item "
    "WHERE table_id = ? AND (hash_key, range_key) > (?, ?) ORDER BY hash_key, range_key LIMIT ?"
)
_OLDEST_RECORD = "SELECT created_ms FROM stream_record ORDER BY sequence LIMIT 1"
_OLDEST_USE = "SELECT created_ms FROM write_token ORDER BY created_ms LIMIT 1"
_SWEEP = {
    Doomed.TABLE: (
        "DELETE FROM item WHERE item_id IN (SELECT item_id FROM item WHERE table_id = ? LIMIT ?)"
    ),
    Doomed.INDEX: (
        "DELETE FROM index_entry WHERE (index_id, hash_key, range_key, item_hash, item_range) IN "
        "(SELECT index_id, hash_key, range_key, item_hash, item_range FROM index_entry "
        "WHERE index_id = ? LIMIT ?)"
    ),
}


class TableKeeper:
    """The tables' own work. One task runs it; cancelled, it can be run again."""

    def __init__(self, store: SqliteStore, tables: TableStore, clock: Clock) -> None:
        self._store = store
        self._tables = tables
        self._catalog = tables.catalog
        self._clock = clock
        self._wake = asyncio.Event()
        self._catalog.when_changed(self._wake.set)

    async def run(self) -> None:
        """Keep the tables until cancelled: at once after a change, else every few seconds."""
        while True:
            self._wake.clear()
            pause_s = EVERY_S
            try:
                await self.keep()
            except StorageFailed as error:
                event_log(LogEvent.TABLES_UNREACHABLE, level=logging.WARNING, error=str(error))
                pause_s = _AFTER_FAILURE_S
            await self._woken(pause_s)

    async def keep(self) -> None:
        """Do all that is to be done now."""
        for definition in tuple(self._catalog.tables.values()):
            for index in definition.indexes:
                if index.status is IndexStatus.CREATING:
                    await self._backfill(definition, index)
        await self._expire()
        await self._trim()
        await self._sweep()

    async def _woken(self, pause_s: float) -> None:
        """Until something changed, or the pause is over."""
        async with asyncio.TaskGroup() as group:
            pause = group.create_task(self._clock.sleep(pause_s))
            woken = group.create_task(self._wake.wait())
            await asyncio.wait((pause, woken), return_when=asyncio.FIRST_COMPLETED)
            pause.cancel()
            woken.cancel()

    async def _backfill(self, definition: Definition, index: Index) -> None:
        after: Place | None = Place(b"", b"")
        while after is not None:
            begin = after

            def fill(connection: sqlite3.Connection, begin: Place = begin) -> Place | None:
                return _fill(connection, definition, index, begin)

            after = await self._store.transact(TableSite.KEEP, fill)
        with contextlib.suppress(TableNotFound):
            await self._catalog.alter(definition.name, lambda one, _: _activated(one, index))

    async def _expire(self) -> None:
        for name in tuple(self._catalog.tables):
            while await self._expire_some(name):
                pass

    async def _expire_some(self, name: str) -> bool:
        """Remove a few items that have ended; whether there may be more."""
        now_s = int(self._clock.now_ms() / 1000)
        definition = self._catalog.tables.get(name)
        index = None if definition is None else definition.expiry
        if definition is None or index is None or index.status is not IndexStatus.ACTIVE:
            return False
        low, high = expiry_bytes(max(0, now_s - EXPIRED_S_MAX)), expiry_bytes(now_s)
        values = (index.index_id, low, high, ROWS_MAX)
        found = self._store.read_nowait(
            lambda connection: connection.execute(_EXPIRED, values).fetchall()
        )
        items = [decode_item(document) for (document,) in found]

        def prepare() -> list[Write]:
            current = self._catalog.tables.get(name)
            if current is None or current.table_id != definition.table_id:
                return []
            return [_ending(current, item, now_s) for item in items]

        if items:
            await self._tables.write_each(prepare)
        return len(items) == ROWS_MAX

    async def _trim(self) -> None:
        now_ms = int(self._clock.now_ms())
        if self._store.read_nowait(lambda connection: _has_old(connection, now_ms)):
            while await self._store.transact(
                TableSite.KEEP, lambda connection: _trim_some(connection, now_ms)
            ):
                pass
        ended = [
            one.stream_id
            for one in self._catalog.streams.values()
            if one.ended_ms and one.ended_ms < now_ms - RETENTION_MS
        ]
        arns = [a for a, one in self._catalog.streams.items() if one.stream_id in ended]
        if ended:
            await self._store.transact(
                TableSite.KEEP,
                lambda connection: connection.executemany(
                    "DELETE FROM stream WHERE stream_id = ?", [(one,) for one in ended]
                ),
                lambda _: self._catalog.forget_streams(arns),
            )

    async def _sweep(self) -> None:
        while self._store.read_nowait(
            lambda connection: connection.execute("SELECT 1 FROM doomed LIMIT 1").fetchone()
        ):
            await self._store.transact(TableSite.KEEP, _sweep_some)


def _activated(definition: Definition, index: Index) -> Definition:
    indexes = tuple(
        msgspec.structs.replace(one, status=IndexStatus.ACTIVE)
        if one.index_id == index.index_id
        else one
        for one in definition.indexes
    )
    return definition.changed(indexes=indexes)


def _fill(
    connection: sqlite3.Connection, definition: Definition, index: Index, after: Place
) -> Place | None:
    """Some more items into the index; after which one to go on, None at the end.

    Writes since the index was added keep it themselves; what is put again here is the same.
    """
    if connection.execute("SELECT 1 FROM doomed WHERE id = ?", (index.index_id,)).fetchone():
        return None
    rows = connection.execute(_NEXT_ITEMS, (definition.table_id, *after, ROWS_MAX)).fetchall()
    for item_id, hash_key, range_key, document in rows:
        try:
            entry = entry_of(definition, index, decode_item(document))
        except InvalidRequest:
            # As in DynamoDB: an item that the index cannot take is not in it.
            continue
        if entry is not None:
            connection.execute(ADD_ENTRY, (*entry, hash_key, range_key, item_id))
    return Place(*rows[-1][1:3]) if len(rows) == ROWS_MAX else None


@dataclass(frozen=True, slots=True)
class _HasEnded:
    """Holds of an item that is over by now, also when it was written again meanwhile."""

    definition: Definition
    now_s: int

    def holds(self, item: Item) -> bool:
        """Whether it is over (`writes.Condition`)."""
        end_s = expiry_s(self.definition, item)
        return end_s is not None and self.now_s - EXPIRED_S_MAX < end_s <= self.now_s


def _ending(definition: Definition, item: Item, now_s: int) -> Write:
    return Write(
        WriteKind.DELETE,
        definition,
        key_item(definition.key, item),
        place_of_item(definition, item),
        condition=_HasEnded(definition, now_s),
        by_expiry=True,
    )


def _has_old(connection: sqlite3.Connection, now_ms: int) -> bool:
    """Whether the oldest record or token is too old."""
    for text, age_ms in ((_OLDEST_RECORD, RETENTION_MS), (_OLDEST_USE, TOKEN_MS_MAX)):
        row = connection.execute(text).fetchone()
        if row is not None and row[0] < now_ms - age_ms:
            return True
    return False


def _trim_some(connection: sqlite3.Connection, now_ms: int) -> bool:
    """Delete some old records and tokens; whether there may be more.

    Records are old in the order of their sequence: the first that is young enough ends it.
    """
    rows = connection.execute(
        "SELECT sequence, created_ms FROM stream_record ORDER BY sequence LIMIT ?", (ROWS_MAX,)
    ).fetchall()
    old = list(takewhile(lambda row: row[1] < now_ms - RETENTION_MS, rows))
    if old:
        connection.execute("DELETE FROM stream_record WHERE sequence <= ?", (old[-1][0],))
    tokens = connection.execute(
        "DELETE FROM write_token WHERE token IN "
        "(SELECT token FROM write_token WHERE created_ms < ? ORDER BY created_ms LIMIT ?)",
        (now_ms - TOKEN_MS_MAX, ROWS_MAX),
    ).rowcount
    return ROWS_MAX in (len(old), tokens)


def _sweep_some(connection: sqlite3.Connection) -> None:
    """Delete some rows that have no owner."""
    row = connection.execute("SELECT id, kind FROM doomed LIMIT 1").fetchone()
    if row is None:
        return
    deleted = connection.execute(_SWEEP[Doomed(row[1])], (row[0], ROWS_MAX)).rowcount
    if deleted < ROWS_MAX:
        connection.execute("DELETE FROM doomed WHERE id = ?", (row[0],))
