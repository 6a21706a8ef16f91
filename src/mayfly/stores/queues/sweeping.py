"""Takes away what nobody can receive any more, a bounded piece in each transaction.

Expired messages, the boxes of purged and deleted queues, ended deduplication and attempts. No
answer depends on it: whoever receives or counts leaves out what is only still on the disk.
"""

from __future__ import annotations

import logging
import sqlite3

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import ShuttingDown, StorageFailed
from mayfly.ports import Clock
from mayfly.stores.queues import groups, rows
from mayfly.stores.queues.catalogue import Catalogue, find_box
from mayfly.stores.queues.queue import Queue
from mayfly.stores.queues.schema import QueueSite
from mayfly.telemetry import LogEvent, event_log

SWEEP_EVERY_S = 15.0
_PIECE = 500
_ALL_MS = 1 << 62


async def sweep_forever(store: SqliteStore, catalogue: Catalogue, clock: Clock) -> None:
    """Sweep now and then, until cancelled; a full disk only makes it wait for its next turn."""
    while True:
        await clock.sleep(SWEEP_EVERY_S)
        try:
            await sweep(store, catalogue, clock)
        except ShuttingDown:
            return
        except StorageFailed as error:
            event_log(LogEvent.QUEUES_UNREACHABLE, level=logging.WARNING, error=str(error))


async def sweep(store: SqliteStore, catalogue: Catalogue, clock: Clock) -> None:
    """Take away all that is spent now. Raises StorageFailed."""
    now_ms = int(clock.now_ms())
    while await store.transact(QueueSite.SWEEP, _sweep_condemned):
        pass
    for queue in catalogue.page("", after="", count_max=1 << 30):
        while await _sweep_queue(store, queue, now_ms):
            pass

    def work(connection: sqlite3.Connection) -> bool:
        gone = [_sweep_table(connection, table, now_ms) for table in _EXPIRING]
        return any(gone)

    while await store.transact(QueueSite.SWEEP, work):
        pass


async def _sweep_queue(store: SqliteStore, queue: Queue, now_ms: int) -> bool:
    """Whether there may be more."""
    sent_before_ms = now_ms - queue.settings.retention_s * 1000

    def is_there(connection: sqlite3.Connection) -> bool:
        return bool(rows.expired(connection, queue.box_id, sent_before_ms, 1))

    def work(connection: sqlite3.Connection) -> bool:
        box_id = find_box(connection, queue)
        if box_id is None:
            return False
        found = rows.expired(connection, box_id, sent_before_ms, _PIECE)
        rows.delete(connection, found)
        for group_key in {one.group_key for one in found if one.group_key is not None}:
            groups.refresh(connection, group_key, now_ms)
        return len(found) == _PIECE

    return store.read_nowait(is_there) and await store.transact(QueueSite.SWEEP, work)


def _sweep_condemned(connection: sqlite3.Connection) -> bool:
    """Empty one condemned box by a piece; whether there may be more."""
    row = connection.execute("SELECT box_id FROM condemned LIMIT 1").fetchone()
    if row is None:
        return False
    found = rows.expired(connection, row[0], _ALL_MS, _PIECE)
    rows.delete(connection, found)
    if len(found) < _PIECE:
        connection.execute("DELETE FROM message_group WHERE box_id = ?", row)
        connection.execute("DELETE FROM box WHERE box_id = ?", row)
        connection.execute("DELETE FROM condemned WHERE box_id = ?", row)
    return True


_EXPIRING = {
    "deduplication": "queue_id, scope, deduplication_id",
    "attempt": "queue_id, attempt_id",
}


def _sweep_table(connection: sqlite3.Connection, table: str, now_ms: int) -> bool:
    """Whether there may be more."""
    key = _EXPIRING[table]
    gone = connection.execute(
        f"DELETE FROM {table} WHERE ({key}) IN "  # noqa: S608  constants only
        f"(SELECT {key} FROM {table} WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?)",
        (now_ms, _PIECE),
    ).rowcount
    return gone == _PIECE
