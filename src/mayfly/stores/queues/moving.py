"""Moves all messages out of a dead-letter queue, back to where they came from or elsewhere.

    start --> RUNNING --piece by piece--> COMPLETED
                 |--cancel--> CANCELLED      |--a queue is gone--> FAILED

A task is a row, so it goes on after a restart where it stopped: each piece and its count are
one transaction. Only what was there at the start is moved, in order, and by its own pace.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import CallerError, ShuttingDown, StorageFailed
from mayfly.ports import Clock, Ids
from mayfly.stores.queues import groups, rows
from mayfly.stores.queues.audience import Audience
from mayfly.stores.queues.catalogue import Catalogue, find_box
from mayfly.stores.queues.queue import Queue, queue_name
from mayfly.stores.queues.rows import ROW, Row
from mayfly.stores.queues.schema import QueueSite
from mayfly.telemetry import LogEvent, event_log

PER_SECOND_DEFAULT = 500
_PIECE_MAX = 100
_TASKS_KEPT = 10
_RETRY_S = 1.0
_COLUMNS = (
    "task_id, source, destination, per_second, status, moved, to_move, started_ms, failure, "
    "last_seq"
)


class MoveRunning(CallerError):
    """A queue is being emptied by another task already."""

    code = "UnsupportedOperation"


class NoSuchMove(CallerError):
    """No move of this name is running."""

    code = "ResourceNotFoundException"
    status = 404

    def __init__(self) -> None:
        super().__init__("Task does not exist.")


@dataclass(frozen=True, slots=True)
class Move:
    """A move, as it stands.

    Args:
        source: The dead-letter queue's name.
        destination: A queue's name, or "": back to where each message came from.
        per_second: At most so many messages a second.
        status: RUNNING, COMPLETED, CANCELLED or FAILED.
        last_seq: The newest message at the start.
    """

    task_id: str
    source: str
    destination: str
    per_second: int
    status: str
    moved: int
    to_move: int
    started_ms: int
    failure: str
    last_seq: int


class Moves:
    """The moves of all queues. `run` does them."""

    def __init__(
        self,
        store: SqliteStore,
        catalogue: Catalogue,
        audience: Audience,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._audience = audience
        self._clock = clock
        self._ids = ids
        self._started = asyncio.Event()
        self._started.set()

    async def start(self, source: str, destination: str, per_second: int) -> Move:
        """Begin to empty a queue.

        Raises:
            NoSuchQueue: The source is not there.
            MoveRunning: It is being emptied already.
        """
        queue, task_id = self._catalogue.queue(source), self._ids.uuid()
        now_ms = int(self._clock.now_ms())

        def work(connection: sqlite3.Connection) -> Move:
            if any(one.status == "RUNNING" for one in _moves(connection, source)):
                raise MoveRunning(
                    "There is already a task running. Only one active task is allowed for a "
                    "source queue arn at a given time."
                )
            box_id = find_box(connection, queue)
            count, last = connection.execute(
                "SELECT count(*), coalesce(max(seq), 0) FROM message WHERE box_id = ?", (box_id,)
            ).fetchone()
            values = (task_id, source, destination, per_second, "RUNNING", 0, count, now_ms)
            connection.execute(
                f"INSERT INTO move_task ({_COLUMNS}) "  # noqa: S608  constants only
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', ?)",
                (*values, last),
            )
            connection.execute(
                "DELETE FROM move_task WHERE source = ? AND task_no NOT IN "
                "(SELECT task_no FROM move_task WHERE source = ? ORDER BY task_no DESC LIMIT ?)",
                (source, source, _TASKS_KEPT),
            )
            return Move(*values, "", last)

        return await self._store.transact(QueueSite.MOVE, work, lambda _: self._started.set())

    async def cancel(self, task_id: str) -> Move:
        """End a running move; what was moved stays moved. Raises NoSuchMove."""

        def work(connection: sqlite3.Connection) -> Move:
            row = connection.execute(
                "UPDATE move_task SET status = 'CANCELLED' "  # noqa: S608  constants only
                f"WHERE task_id = ? AND status = 'RUNNING' RETURNING {_COLUMNS}",
                (task_id,),
            ).fetchone()
            if row is None:
                raise NoSuchMove
            return Move(*row)

        return await self._store.transact(QueueSite.MOVE, work)

    def of(self, source: str, count_max: int) -> Sequence[Move]:
        """The newest moves out of a queue, newest first."""
        return self._store.read_nowait(lambda connection: _moves(connection, source))[:count_max]

    async def run(self) -> None:
        """Do the moves, also those that an earlier life of the platform began."""
        doing: set[str] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._started.wait()
                self._started.clear()
                for move in self._store.read_nowait(_running):
                    if move.task_id not in doing:
                        doing.add(move.task_id)
                        group.create_task(self._empty(move))

    async def _empty(self, move: Move) -> None:
        """Move piece by piece until there is nothing more, or the task is ended."""
        size = min(_PIECE_MAX, move.per_second)
        while True:
            start_s = self._clock.monotonic_s()
            try:
                moved = await self._move_piece(move, size)
            except ShuttingDown:
                return
            except StorageFailed as error:
                event_log(LogEvent.QUEUES_UNREACHABLE, level=logging.WARNING, error=str(error))
                await self._clock.sleep(_RETRY_S)
                continue
            if moved is None:
                return
            left_s = start_s + moved / move.per_second - self._clock.monotonic_s()
            await self._clock.sleep(max(left_s, 0.0))

    async def _move_piece(self, move: Move, size: int) -> int | None:
        """How many were moved; None when the task has ended."""
        now_ms, ids = int(self._clock.now_ms()), [self._ids.uuid() for _ in range(size)]

        def work(connection: sqlite3.Connection) -> list[Queue] | None:
            return _Piece(connection, self._catalogue, move, now_ms).move(ids)

        def applied(targets: list[Queue] | None) -> None:
            for target in targets or ():
                self._audience.arrived(target.queue_id)

        targets = await self._store.transact(QueueSite.MOVE, work, applied)
        return None if targets is None else len(targets)


class _Piece:
    """Some messages of a move, in one transaction."""

    def __init__(
        self, connection: sqlite3.Connection, catalogue: Catalogue, move: Move, now_ms: int
    ) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._move = move
        self._now_ms = now_ms

    def move(self, ids: Sequence[str]) -> list[Queue] | None:
        """Where each went; None when the task is over."""
        status = self._connection.execute(
            "SELECT status FROM move_task WHERE task_id = ?", (self._move.task_id,)
        ).fetchone()
        if status is None or status[0] != "RUNNING":
            return None
        source = self._catalogue.find(self._move.source)
        box_id = None if source is None else find_box(self._connection, source)
        if box_id is None:
            self._end("FAILED", "the source queue does not exist")
            return None
        found = self._visible(box_id, len(ids))
        if not found:
            self._end("COMPLETED")
            return None
        targets = []
        for row, message_id in zip(found, ids, strict=False):
            target = self._target(row)
            if target is None or not self._revive(row, target, message_id):
                self._end("FAILED", "the queue that a message is to go to does not exist")
                break
            targets.append(target)
        self._connection.execute(
            "UPDATE move_task SET moved = moved + ? WHERE task_id = ?",
            (len(targets), self._move.task_id),
        )
        return targets

    def _visible(self, box_id: int, count: int) -> list[Row]:
        """In order of sending; what is in flight is left to its receiver."""
        rows_ = self._connection.execute(
            f"SELECT {ROW} FROM message WHERE box_id = ? AND visible_ms <= ? "  # noqa: S608
            "AND seq <= ? ORDER BY visible_ms, receive_count, seq LIMIT ?",
            (box_id, self._now_ms, self._move.last_seq, count),
        )
        return [Row(*one) for one in rows_]

    def _target(self, row: Row) -> Queue | None:
        name = self._move.destination or queue_name(rows.read_envelope(row).dead_letter_source)
        return self._catalogue.find(name)

    def _revive(self, row: Row, target: Queue, message_id: str) -> bool:
        box_id, group_key = find_box(self._connection, target), None
        if box_id is None:
            return False
        delay_s = target.settings.delay_s
        if target.settings.fifo:
            group_id, ready_ms = rows.read_envelope(row).group_id, self._now_ms + delay_s * 1000
            group_key = groups.join(self._connection, box_id, group_id, ready_ms)
        rows.revive(
            self._connection,
            row,
            message_id=message_id,
            box_id=box_id,
            group_key=group_key,
            now_ms=self._now_ms,
            delay_s=delay_s,
        )
        if row.group_key is not None:
            groups.refresh(self._connection, row.group_key, self._now_ms)
        return True

    def _end(self, status: str, failure: str = "") -> None:
        self._connection.execute(
            "UPDATE move_task SET status = ?, failure = ? WHERE task_id = ?",
            (status, failure, self._move.task_id),
        )


def _moves(connection: sqlite3.Connection, source: str) -> list[Move]:
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM move_task "  # noqa: S608  constants only
        "WHERE source = ? ORDER BY task_no DESC",
        (source,),
    )
    return [Move(*row) for row in found.fetchall()]


def _running(connection: sqlite3.Connection) -> list[Move]:
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM move_task WHERE status = 'RUNNING'"  # noqa: S608 constants only
    )
    return [Move(*row) for row in found.fetchall()]
