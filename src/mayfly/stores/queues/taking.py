"""Receiving, on the writer thread: what may be taken is hidden, what is spent goes elsewhere.

    visible row --older than the retention--------> deleted
                --received as often as allowed----> the dead-letter queue, in this transaction
                --else----------------------------> hidden until its visibility ends; handed out

One receive looks at a bounded number of rows, however many of them are spent: `looked_at_all`
says whether it saw the queue's end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from mayfly.stores.queues import groups, rows
from mayfly.stores.queues.catalogue import current_box, find_box
from mayfly.stores.queues.queue import Message, Queue
from mayfly.stores.queues.rows import Row

_LOOK_AT_MAX = 200
_ROUNDS_MAX = 50


@dataclass(slots=True)
class Taken:
    """What a receive has come to.

    Args:
        buried: The dead-letter queue that messages were moved to, once for each.
        next_ms: When the next message becomes visible, where the caller asked for that.
    """

    messages: list[Message] = field(default_factory=list)
    buried: list[Queue] = field(default_factory=list)
    looked_at_all: bool = False
    next_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a receive asks for.

    Args:
        wants_next: Whether to find out when the next message becomes visible.
        bytes_max: Of bodies: no more messages once there are so many; a FIFO queue ignores it.
    """

    count_max: int
    visibility_s: int
    now_ms: int
    attempt_id: str = ""
    wants_next: bool = False
    bytes_max: int | None = None


def take(
    connection: sqlite3.Connection,
    queue: Queue,
    wish: Wish,
    find_queue: Callable[[str], Queue | None],
) -> Taken:
    """Receive from a queue. Raises NoSuchQueue."""
    return _Taking(connection, queue, wish, find_queue).run()


class _Taking:
    """One receive, in its transaction."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        queue: Queue,
        wish: Wish,
        find_queue: Callable[[str], Queue | None],
    ) -> None:
        self._connection = connection
        self._queue = queue
        self._wish = wish
        self._find_queue = find_queue
        self._box_id = current_box(connection, queue)
        self._expired_ms = wish.now_ms - queue.settings.retention_s * 1000
        self._visible_ms = wish.now_ms + wish.visibility_s * 1000
        self._taken = Taken()
        self._bytes = 0

    def run(self) -> Taken:
        taken, wish = self._taken, self._wish
        if self._queue.settings.fifo:
            self._take_groups()
        else:
            self._take_rows()
        if wish.wants_next and taken.looked_at_all:
            find_next = groups.next_ready_ms if self._queue.settings.fifo else rows.next_visible_ms
            taken.next_ms = find_next(self._connection, self._box_id, wish.now_ms)
        return taken

    def _take_rows(self) -> None:
        """Of a standard queue: about in order, whoever comes."""
        looked, wish_bytes = 0, self._wish.bytes_max
        while len(self._taken.messages) < self._wish.count_max and looked < _LOOK_AT_MAX:
            wanted = self._wish.count_max - len(self._taken.messages)
            found = rows.due(self._connection, self._box_id, self._wish.now_ms, wanted)
            for row in found:
                if wish_bytes is not None and self._bytes >= wish_bytes:
                    return
                self._take_or_dispose(row)
            looked += len(found)
            self._taken.looked_at_all = len(found) < wanted
            # Hidden for no time, they would be found again.
            if self._taken.looked_at_all or self._wish.visibility_s == 0:
                return

    def _take_groups(self) -> None:
        """Of a FIFO queue: as many as possible of one group, then the next group."""
        wish = self._wish
        if wish.attempt_id and self._repeat():
            return
        numbers: list[tuple[int, int]] = []
        for _ in range(_ROUNDS_MAX):
            wanted = wish.count_max - len(self._taken.messages)
            if not wanted:
                break
            group_key = groups.ready(self._connection, self._box_id, wish.now_ms)
            if group_key is None:
                self._taken.looked_at_all = True
                break
            head = groups.head(self._connection, group_key, wish.now_ms, wanted)
            taken = [row for row in head if self._take_or_dispose(row)]
            numbers += [(row.seq, row.receipt + 1) for row in taken]
            groups.refresh(self._connection, group_key, wish.now_ms)
            if wish.visibility_s == 0:
                # Nothing hides what was taken: another round would take it again.
                break
        if wish.attempt_id and numbers:
            groups.remember(self._connection, self._queue, wish.attempt_id, numbers, wish.now_ms)

    def _repeat(self) -> bool:
        self._taken.messages = groups.repeat(
            self._connection,
            self._queue,
            self._wish.attempt_id,
            box_id=self._box_id,
            now_ms=self._wish.now_ms,
            visible_ms=self._visible_ms,
        )
        return bool(self._taken.messages)

    def _take_or_dispose(self, row: Row) -> bool:
        """Whether the row was handed out."""
        redrive, now_ms = self._queue.settings.redrive, self._wish.now_ms
        if row.sent_ms <= self._expired_ms:
            rows.delete(self._connection, [row])
            return False
        spent = row.receive_count - row.received_before
        if redrive is not None and spent >= redrive.receive_count_max:
            target = self._find_queue(redrive.target)
            # Without its dead-letter queue a message stays: rather once more than lost.
            if target is not None and self._bury(row, target):
                return False
        message = rows.take(
            self._connection, self._queue, row, now_ms=now_ms, visible_ms=self._visible_ms
        )
        self._bytes += len(message.body)
        self._taken.messages.append(message)
        return True

    def _bury(self, row: Row, target: Queue) -> bool:
        """Whether the message could go there."""
        now_ms, box_id, group_key = self._wish.now_ms, find_box(self._connection, target), None
        if box_id is None or target.settings.fifo != self._queue.settings.fifo:
            return False
        if target.settings.fifo:
            group_id = rows.read_envelope(row).group_id
            group_key = groups.join(self._connection, box_id, group_id, now_ms)
        rows.bury(
            self._connection, self._queue, row, box_id=box_id, group_key=group_key, now_ms=now_ms
        )
        self._taken.buried.append(target)
        return True
