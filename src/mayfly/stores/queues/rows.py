"""The rows of messages: written, taken, hidden, deleted and moved, inside a caller's transaction.

Everything here is a function of the connection and runs on the writer thread. What is particular
to FIFO queues is in `groups`; a taken row becomes a `Message` on the event loop, after the commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from mayfly.stores.queues.queue import Attribute, Draft, Message, Queue
from mayfly.stores.queues.receipts import write_receipt
from mayfly.stores.queues.schema import INLINE_BYTES_MAX

ROW = (
    "seq, box_id, message_id, envelope, body, sent_ms, receive_count, received_before, receipt, "
    "first_received_ms, visible_ms, group_key"
)
_DUE = (
    f"SELECT {ROW} FROM message WHERE box_id = ? AND visible_ms <= ? "  # noqa: S608 constants only
    "ORDER BY visible_ms, receive_count, seq LIMIT ?"
)
_ONE = f"SELECT {ROW} FROM message WHERE seq = ?"  # noqa: S608  constants only
_INSERT = (
    "INSERT INTO message (box_id, visible_ms, sent_ms, group_key, message_id, envelope, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_TAKE = (
    "UPDATE message SET visible_ms = ?, receive_count = receive_count + 1, receipt = receipt + 1, "
    "received_ms = ?, first_received_ms = ? WHERE seq = ?"
)
_MOVE = (
    "UPDATE message SET box_id = ?, visible_ms = ?, receive_count = ?, received_before = ?, "
    "sent_ms = ?, group_key = ?, message_id = ?, envelope = ?, first_received_ms = ? WHERE seq = ?"
)


class Envelope(msgspec.Struct, array_like=True, frozen=True):
    """What a message carries beside its body; the column `envelope`, as a JSON array."""

    attributes: dict[str, Attribute] = {}
    group_id: str = ""
    deduplication_id: str = ""
    sender: str = ""
    trace_header: str = ""
    dead_letter_source: str = ""


_envelopes = msgspec.json.Decoder(Envelope)
_PLAIN = msgspec.json.encode(Envelope())


@dataclass(frozen=True, slots=True)
class Row:
    """A message's row as it was read."""

    seq: int
    box_id: int
    message_id: str
    envelope: bytes
    body: str | None
    sent_ms: int
    receive_count: int
    received_before: int
    receipt: int
    first_received_ms: int
    visible_ms: int
    group_key: int | None


def read_envelope(row: Row) -> Envelope:
    """The row's envelope."""
    return _envelopes.decode(row.envelope)


def insert(
    connection: sqlite3.Connection,
    draft: Draft,
    *,
    box_id: int,
    visible_ms: int,
    now_ms: int,
    group_key: int | None = None,
) -> int:
    """Write a message; its sequence."""
    held = Envelope(
        attributes=dict(draft.attributes),
        group_id=draft.group_id,
        deduplication_id=draft.deduplication_id,
        sender=draft.sender,
        trace_header=draft.trace_header,
    )
    envelope = msgspec.json.encode(held)
    inline = len(draft.body) <= INLINE_BYTES_MAX
    body = draft.body if inline else None
    cursor = connection.execute(
        _INSERT, (box_id, visible_ms, now_ms, group_key, draft.message_id, envelope, body)
    )
    seq = cursor.lastrowid or 0
    if not inline:
        connection.execute("INSERT INTO message_body (seq, body) VALUES (?, ?)", (seq, draft.body))
    return seq


def due(connection: sqlite3.Connection, box_id: int, now_ms: int, count: int) -> list[Row]:
    """The rows that may be received, the longest visible first."""
    return [Row(*row) for row in connection.execute(_DUE, (box_id, now_ms, count))]


def find(connection: sqlite3.Connection, seq: int) -> Row | None:
    """The row, or None."""
    row = connection.execute(_ONE, (seq,)).fetchone()
    return Row(*row) if row else None


def take(
    connection: sqlite3.Connection, queue: Queue, row: Row, *, now_ms: int, visible_ms: int
) -> Message:
    """Hide a row until `visible_ms`, and what its receiver gets."""
    first_ms = row.first_received_ms or now_ms
    connection.execute(_TAKE, (visible_ms, now_ms, first_ms, row.seq))
    return message(connection, queue, row, receipt=row.receipt + 1, first_ms=first_ms)


def message(
    connection: sqlite3.Connection, queue: Queue, row: Row, *, receipt: int, first_ms: int
) -> Message:
    """What a receiver gets of a row as it was just before it was taken."""
    held = Envelope() if row.envelope == _PLAIN else read_envelope(row)
    return Message(
        message_id=row.message_id,
        body=_body(connection, row),
        receipt=write_receipt(queue.queue_id, row.box_id, row.seq, receipt),
        sequence=row.seq,
        sent_ms=row.sent_ms,
        first_received_ms=first_ms,
        receive_count=row.receive_count + 1,
        attributes=held.attributes,
        group_id=held.group_id,
        deduplication_id=held.deduplication_id,
        sender=held.sender,
        trace_header=held.trace_header,
        dead_letter_source=held.dead_letter_source,
    )


def delete(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Delete these rows with their bodies."""
    for row in rows:
        connection.execute("DELETE FROM message WHERE seq = ?", (row.seq,))
        if row.body is None:
            connection.execute("DELETE FROM message_body WHERE seq = ?", (row.seq,))


def hide(connection: sqlite3.Connection, seq: int, visible_ms: int) -> None:
    """Change when a message may be received."""
    connection.execute("UPDATE message SET visible_ms = ? WHERE seq = ?", (visible_ms, seq))


def bury(
    connection: sqlite3.Connection,
    queue: Queue,
    row: Row,
    *,
    box_id: int,
    group_key: int | None,
    now_ms: int,
) -> None:
    """Move a message to a dead-letter queue's box.

    A standard queue's keeps the time at which it was sent, a FIFO queue's gets a new one (Developer
    Guide, "Setting up dead-letter queue retention"). It keeps the count of its receives.
    """
    held = msgspec.structs.replace(read_envelope(row), dead_letter_source=queue.arn)
    sent_ms = now_ms if queue.settings.fifo else row.sent_ms
    count = row.receive_count
    envelope = msgspec.json.encode(held)
    changed = (box_id, now_ms, count, count, sent_ms, group_key, row.message_id, envelope)
    connection.execute(_MOVE, (*changed, row.first_received_ms, row.seq))


def revive(
    connection: sqlite3.Connection,
    row: Row,
    *,
    message_id: str,
    box_id: int,
    group_key: int | None,
    now_ms: int,
    delay_s: int,
) -> None:
    """Move a message out of a dead-letter queue: it begins anew, as if it were just sent."""
    held = msgspec.structs.replace(read_envelope(row), dead_letter_source="")
    visible_ms, envelope = now_ms + delay_s * 1000, msgspec.json.encode(held)
    changed = (box_id, visible_ms, 0, 0, now_ms, group_key, message_id, envelope, 0)
    connection.execute(_MOVE, (*changed, row.seq))


def next_visible_ms(connection: sqlite3.Connection, box_id: int, now_ms: int) -> int | None:
    """When the next hidden or delayed message becomes visible."""
    row = connection.execute(
        "SELECT visible_ms FROM message WHERE box_id = ? AND visible_ms > ? "
        "ORDER BY visible_ms LIMIT 1",
        (box_id, now_ms),
    ).fetchone()
    return int(row[0]) if row else None


def expired(
    connection: sqlite3.Connection, box_id: int, sent_before_ms: int, count: int
) -> Sequence[Row]:
    """Rows that were sent at or before that time, the oldest first."""
    rows = connection.execute(
        f"SELECT {ROW} FROM message WHERE box_id = ? AND sent_ms <= ? "  # noqa: S608 constants only
        "ORDER BY sent_ms LIMIT ?",
        (box_id, sent_before_ms, count),
    )
    return [Row(*row) for row in rows]


def _body(connection: sqlite3.Connection, row: Row) -> str:
    if row.body is not None:
        return row.body
    found = connection.execute("SELECT body FROM message_body WHERE seq = ?", (row.seq,)).fetchone()
    return str(found[0])
