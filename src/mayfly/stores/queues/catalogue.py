"""Which queues there are: rows in the database, and the same in memory for every message's path.

Memory follows the commits. A writer that has a `Queue` at hand looks up by its id which box is
its own at that moment (`current_box`), for it may have been purged or deleted meanwhile.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.ports import Clock
from mayfly.stores.queues.queue import NoSuchQueue, Queue, QueueExists, QueueSettings
from mayfly.stores.queues.schema import QueueSite


@dataclass(frozen=True, slots=True)
class _Document:
    """What the column `document` holds."""

    settings: QueueSettings
    tags: dict[str, str]
    created_ms: int
    changed_ms: int


_decoder = msgspec.json.Decoder(_Document)


class Catalogue:
    """The queues by name. Made by `open`."""

    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._queues: dict[str, Queue] = {}
        self._names: list[str] = []

    @classmethod
    async def open(cls, store: SqliteStore, clock: Clock) -> Catalogue:
        """Read what is there. Raises StorageFailed."""
        catalogue = cls(store, clock)
        for queue in await store.transact(QueueSite.LOAD, _load):
            catalogue._put(queue)
        return catalogue

    def find(self, name: str) -> Queue | None:
        """The queue, or None. Any thread."""
        return self._queues.get(name)

    def queue(self, name: str) -> Queue:
        """The queue. Raises NoSuchQueue."""
        queue = self._queues.get(name)
        if queue is None:
            raise NoSuchQueue
        return queue

    def page(self, prefix: str, *, after: str, count_max: int) -> Sequence[Queue]:
        """Queues whose names begin with `prefix` and come after `after`, in order of name."""
        start = max(bisect_left(self._names, prefix), bisect_right(self._names, after))
        names = self._names[start : start + count_max]
        return [self._queues[name] for name in names if name.startswith(prefix)]

    def sources_of(self, name: str) -> Sequence[Queue]:
        """The queues whose dead-letter queue it is, in order of name."""
        found = (self._queues[one] for one in self._names)
        return [
            one for one in found if one.settings.redrive and one.settings.redrive.target == name
        ]

    async def create(self, name: str, settings: QueueSettings, tags: Mapping[str, str]) -> Queue:
        """Make a queue.

        Raises:
            QueueExists: The name is taken.
        """
        now_ms = int(self._clock.now_ms())
        document = _Document(settings, dict(tags), now_ms, now_ms)

        def work(connection: sqlite3.Connection) -> Queue:
            if _row_id(connection, name) is not None:
                raise QueueExists("A queue already exists with the same name.")
            box_id = new_box(connection)
            cursor = connection.execute(
                "INSERT INTO queue (name, box_id, document) VALUES (?, ?, ?)",
                (name, box_id, msgspec.json.encode(document)),
            )
            return _queue(cursor.lastrowid or 0, name, box_id, document)

        return await self._store.transact(QueueSite.MANAGE, work, self._put)

    async def change(self, name: str, change: Callable[[Queue], Queue]) -> Queue:
        """Set the queue to what `change` makes of it: settings and tags.

        Raises:
            NoSuchQueue: It is not there.
        """
        now_ms = int(self._clock.now_ms())

        def work(connection: sqlite3.Connection) -> Queue:
            row = connection.execute(
                "SELECT queue_id, name, box_id, document FROM queue WHERE name = ?", (name,)
            ).fetchone()
            if row is None:
                raise NoSuchQueue
            new = replace(change(_read(row)), changed_ms=now_ms)
            document = _Document(new.settings, dict(new.tags), new.created_ms, new.changed_ms)
            connection.execute(
                "UPDATE queue SET document = ? WHERE queue_id = ?",
                (msgspec.json.encode(document), new.queue_id),
            )
            return new

        return await self._store.transact(QueueSite.MANAGE, work, self._put)

    async def purge(self, name: str) -> None:
        """Take all messages out, in a moment however many they are. Raises NoSuchQueue."""

        def work(connection: sqlite3.Connection) -> Queue:
            row = _condemn(connection, name)
            box_id = new_box(connection)
            connection.execute("UPDATE queue SET box_id = ? WHERE name = ?", (box_id, name))
            return replace(_read(row), box_id=box_id)

        await self._store.transact(QueueSite.MANAGE, work, self._put)

    async def delete(self, name: str) -> Queue:
        """Delete the queue with its messages. Raises NoSuchQueue."""

        def work(connection: sqlite3.Connection) -> Queue:
            queue = _read(_condemn(connection, name))
            connection.execute("DELETE FROM queue WHERE queue_id = ?", (queue.queue_id,))
            return queue

        return await self._store.transact(QueueSite.MANAGE, work, self._drop)

    def _put(self, queue: Queue) -> None:
        if queue.name not in self._queues:
            insort(self._names, queue.name)
        self._queues[queue.name] = queue

    def _drop(self, queue: Queue) -> None:
        if self._queues.pop(queue.name, None) is not None:
            self._names.remove(queue.name)


def current_box(connection: sqlite3.Connection, queue: Queue) -> int:
    """The box that the queue has in this transaction. Raises NoSuchQueue."""
    box_id = find_box(connection, queue)
    if box_id is None:
        raise NoSuchQueue
    return box_id


def find_box(connection: sqlite3.Connection, queue: Queue) -> int | None:
    """The box that the queue has in this transaction, or None: it is gone."""
    row = connection.execute(
        "SELECT box_id FROM queue WHERE queue_id = ?", (queue.queue_id,)
    ).fetchone()
    return None if row is None else int(row[0])


def new_box(connection: sqlite3.Connection) -> int:
    """An empty box."""
    return connection.execute("INSERT INTO box DEFAULT VALUES").lastrowid or 0


_Row = tuple[int, str, int, bytes]


def _load(connection: sqlite3.Connection) -> list[Queue]:
    rows = connection.execute("SELECT queue_id, name, box_id, document FROM queue ORDER BY name")
    return [_read(row) for row in rows]


def _row_id(connection: sqlite3.Connection, name: str) -> int | None:
    row = connection.execute("SELECT queue_id FROM queue WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else None


def _condemn(connection: sqlite3.Connection, name: str) -> _Row:
    """Give the queue's box up to the sweeper; the queue's row as it was."""
    row: _Row | None = connection.execute(
        "SELECT queue_id, name, box_id, document FROM queue WHERE name = ?", (name,)
    ).fetchone()
    if row is None:
        raise NoSuchQueue
    connection.execute("INSERT INTO condemned (box_id) VALUES (?)", (row[2],))
    return row


def _read(row: _Row) -> Queue:
    queue_id, name, box_id, document = row
    return _queue(queue_id, name, box_id, _decoder.decode(document))


def _queue(queue_id: int, name: str, box_id: int, document: _Document) -> Queue:
    return Queue(
        queue_id=queue_id,
        box_id=box_id,
        name=name,
        settings=document.settings,
        tags=document.tags,
        created_ms=document.created_ms,
        changed_ms=document.changed_ms,
    )
