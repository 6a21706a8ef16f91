"""What is particular to FIFO queues: order within a message group, duplicates, repeated receives.

A group is locked while one of its messages is in flight. Those in flight are always among its
first ten, for only an unlocked group is received from, and at most ten at a time: so a group's
`ready_ms` is found by looking at its head, however long it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from mayfly.stores.queues import rows
from mayfly.stores.queues.queue import (
    DEDUPLICATION_MS,
    RECEIVE_COUNT_MAX,
    Draft,
    Message,
    Queue,
    Sent,
)
from mayfly.stores.queues.rows import ROW, Row

_HEAD = f"SELECT {ROW} FROM message WHERE group_key = ? ORDER BY seq LIMIT ?"  # noqa: S608


def send(
    connection: sqlite3.Connection, queue: Queue, draft: Draft, *, box_id: int, now_ms: int
) -> Sent:
    """Write a message at the end of its group, unless it was sent in the last five minutes."""
    scope = draft.group_id if queue.settings.deduplication_per_group else ""
    key = (queue.queue_id, scope, draft.deduplication_id)
    row = connection.execute(
        "SELECT message_id, seq, expires_ms FROM deduplication "
        "WHERE queue_id = ? AND scope = ? AND deduplication_id = ?",
        key,
    ).fetchone()
    if row is not None and row[2] > now_ms:
        return Sent(row[0], row[1], duplicate=True)
    delay_s = queue.settings.delay_s if draft.delay_s is None else draft.delay_s
    visible_ms = now_ms + delay_s * 1000
    group_key = join(connection, box_id, draft.group_id, visible_ms)
    seq = rows.insert(
        connection,
        draft,
        box_id=box_id,
        visible_ms=visible_ms,
        now_ms=now_ms,
        group_key=group_key,
    )
    connection.execute(
        "INSERT OR REPLACE INTO deduplication VALUES (?, ?, ?, ?, ?, ?)",
        (*key, draft.message_id, seq, now_ms + DEDUPLICATION_MS),
    )
    return Sent(draft.message_id, seq)


def join(connection: sqlite3.Connection, box_id: int, group_id: str, ready_ms: int) -> int:
    """The group's key; a group that has no messages yet is ready at `ready_ms`."""
    row = connection.execute(
        "SELECT group_key FROM message_group WHERE box_id = ? AND group_id = ?", (box_id, group_id)
    ).fetchone()
    if row is not None:
        return int(row[0])
    cursor = connection.execute(
        "INSERT INTO message_group (box_id, group_id, ready_ms) VALUES (?, ?, ?)",
        (box_id, group_id, ready_ms),
    )
    return cursor.lastrowid or 0


def ready(connection: sqlite3.Connection, box_id: int, now_ms: int) -> int | None:
    """The group that has waited longest for a receiver, or None."""
    row = connection.execute(
        "SELECT group_key FROM message_group WHERE box_id = ? AND ready_ms <= ? "
        "ORDER BY ready_ms, group_key LIMIT 1",
        (box_id, now_ms),
    ).fetchone()
    return int(row[0]) if row else None


def head(connection: sqlite3.Connection, group_key: int, now_ms: int, count: int) -> list[Row]:
    """The group's first messages, up to the first that is still delayed."""
    found = []
    for row in connection.execute(_HEAD, (group_key, count)):
        one = Row(*row)
        if one.visible_ms > now_ms:
            break
        found.append(one)
    return found


def refresh(connection: sqlite3.Connection, group_key: int, now_ms: int) -> None:
    """Set when the group may next be received from; without messages it goes."""
    found = connection.execute(
        "SELECT visible_ms, receive_count > received_before FROM message "
        "WHERE group_key = ? ORDER BY seq LIMIT ?",
        (group_key, RECEIVE_COUNT_MAX),
    ).fetchall()
    if not found:
        connection.execute("DELETE FROM message_group WHERE group_key = ?", (group_key,))
        return
    in_flight = [visible_ms for visible_ms, received in found if received and visible_ms > now_ms]
    connection.execute(
        "UPDATE message_group SET ready_ms = ? WHERE group_key = ?",
        (max(in_flight, default=found[0][0]), group_key),
    )


def next_ready_ms(connection: sqlite3.Connection, box_id: int, now_ms: int) -> int | None:
    """When the next locked or delayed group may be received from."""
    row = connection.execute(
        "SELECT min(ready_ms) FROM message_group WHERE box_id = ? AND ready_ms > ?",
        (box_id, now_ms),
    ).fetchone()
    return None if row[0] is None else int(row[0])


def remember(
    connection: sqlite3.Connection,
    queue: Queue,
    attempt_id: str,
    taken: Sequence[tuple[int, int]],
    now_ms: int,
) -> None:
    """Keep what a receive took, as (seq, receipt number), so that it can be repeated."""
    connection.execute(
        "INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?)",
        (queue.queue_id, attempt_id, msgspec.json.encode(taken), now_ms + DEDUPLICATION_MS),
    )


def repeat(
    connection: sqlite3.Connection,
    queue: Queue,
    attempt_id: str,
    *,
    box_id: int,
    now_ms: int,
    visible_ms: int,
) -> list[Message]:
    """The same messages with the same receipts again, hidden anew.

    Returns:
        None of them when one was deleted, changed or received by another meanwhile.
    """
    row = connection.execute(
        "SELECT taken FROM attempt WHERE queue_id = ? AND attempt_id = ? AND expires_ms > ?",
        (queue.queue_id, attempt_id, now_ms),
    ).fetchone()
    if row is None:
        return []
    taken = msgspec.json.decode(row[0], type=list[tuple[int, int]])
    found = [(rows.find(connection, seq), number) for seq, number in taken]
    kept = [
        one
        for one, number in found
        if one is not None
        and one.box_id == box_id
        and one.receipt == number
        and one.visible_ms > now_ms
    ]
    if len(kept) != len(taken):
        return []
    for one in kept:
        rows.hide(connection, one.seq, visible_ms)
    for key in {one.group_key for one in kept if one.group_key is not None}:
        refresh(connection, key, now_ms)
    return [_again(connection, queue, one) for one in kept]


def _again(connection: sqlite3.Connection, queue: Queue, row: Row) -> Message:
    first_ms = row.first_received_ms
    again = rows.message(connection, queue, row, receipt=row.receipt, first_ms=first_ms)
    return replace(again, receive_count=row.receive_count)
