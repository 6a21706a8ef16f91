"""What a receiver does with what it has received, on the writer thread: delete it, or hide it anew.

A receipt names one receive. It settles the message as long as the message was not received again;
a FIFO queue's also only while the message is in flight, so that its group's order holds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mayfly.stores.queues import groups, rows
from mayfly.stores.queues.catalogue import current_box
from mayfly.stores.queues.queue import VISIBILITY_S_MAX, Fate, Queue
from mayfly.stores.queues.receipts import read_receipt
from mayfly.stores.queues.rows import Row


def delete(
    connection: sqlite3.Connection, queue: Queue, receipts: Sequence[str], now_ms: int
) -> list[Fate]:
    """Delete what these receipts name; in their order, what became of each.

    Raises:
        NoSuchQueue: It is gone.
    """
    box_id = current_box(connection, queue)
    fates, touched = [], set()
    for handle in receipts:
        found = _look(connection, queue, handle, box_id=box_id, now_ms=now_ms)
        if isinstance(found, Row):
            rows.delete(connection, [found])
            touched.add(found.group_key)
            fates.append(Fate.DONE)
        else:
            fates.append(found)
    _refresh(connection, touched, now_ms)
    return fates


def change_visibility(
    connection: sqlite3.Connection,
    queue: Queue,
    changes: Sequence[tuple[str, int]],
    now_ms: int,
) -> list[Fate]:
    """Hide what the receipts name for so many seconds from now; 0 shows it at once.

    Raises:
        NoSuchQueue: It is gone.
    """
    box_id = current_box(connection, queue)
    fates, touched = [], set()
    for handle, seconds in changes:
        found = _look(connection, queue, handle, box_id=box_id, now_ms=now_ms)
        if not isinstance(found, Row):
            fates.append(found)
        elif found.visible_ms <= now_ms:
            fates.append(Fate.VISIBLE)
        elif now_ms + seconds * 1000 > _received_ms(connection, found) + VISIBILITY_S_MAX * 1000:
            fates.append(Fate.TOO_LONG)
        else:
            rows.hide(connection, found.seq, now_ms + seconds * 1000)
            touched.add(found.group_key)
            fates.append(Fate.DONE)
    _refresh(connection, touched, now_ms)
    return fates


def _look(
    connection: sqlite3.Connection, queue: Queue, handle: str, *, box_id: int, now_ms: int
) -> Row | Fate:
    """The row that a receipt may settle, or why it may not."""
    receipt = read_receipt(handle)
    if receipt is None or receipt.queue_id != queue.queue_id:
        return Fate.INVALID
    row = rows.find(connection, receipt.seq)
    if row is None or row.box_id != box_id:
        return Fate.GONE
    late = queue.settings.fifo and row.visible_ms <= now_ms
    return Fate.STALE if late or row.receipt != receipt.number else row


def _received_ms(connection: sqlite3.Connection, row: Row) -> int:
    found = connection.execute(
        "SELECT received_ms FROM message WHERE seq = ?", (row.seq,)
    ).fetchone()
    return int(found[0])


def _refresh(connection: sqlite3.Connection, touched: set[int | None], now_ms: int) -> None:
    for group_key in touched:
        if group_key is not None:
            groups.refresh(connection, group_key, now_ms)
