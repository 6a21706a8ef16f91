"""Queues: sent messages wait on disk until somebody receives and deletes them.

    send     --one transaction, shared--> rows; then those who wait are woken
    receive  --one transaction----------> rows hidden, their receipts handed out
    delete   --one transaction----------> rows gone, a FIFO queue's group free again

Nothing polls: a long poll sleeps until a commit or the timetable wakes it. The store carries
the outbox's parcels for queues ("sqs"), so that a message and the change that caused it are one
transaction.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.parcel import Parcel
from mayfly.ports import Clock, Ids
from mayfly.stores.queues import groups, rows, settling
from mayfly.stores.queues.audience import Audience
from mayfly.stores.queues.catalogue import Catalogue, current_box, find_box
from mayfly.stores.queues.moving import Moves
from mayfly.stores.queues.queue import (
    IN_FLIGHT_MAX,
    RECEIVE_COUNT_MAX,
    Attribute,
    Counts,
    Draft,
    Fate,
    Message,
    Queue,
    QueueSettings,
    Sent,
    TooManyInFlight,
    queue_name,
)
from mayfly.stores.queues.schema import COMPONENT, STEPS, QueueSite
from mayfly.stores.queues.sweeping import sweep_forever
from mayfly.stores.queues.taking import Taken, Wish, take
from mayfly.stores.queues.timetable import Timetable

_PARCEL_GROUP = "mayfly"


class QueueStore:
    """All queues. Made by `open`; `run` keeps its time and is to be run as a task."""

    def __init__(self, store: SqliteStore, catalogue: Catalogue, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._timetable = Timetable(clock)
        self._audience = Audience(clock, self._timetable)
        self._room: dict[int, int] = {}
        self.catalogue = catalogue
        self.moves = Moves(store, catalogue, self._audience, clock, ids)

    @classmethod
    async def open(cls, store: SqliteStore, clock: Clock, ids: Ids) -> QueueStore:
        """Bring the tables to their newest form and read which queues there are.

        Raises:
            StorageFailed: The database cannot be used.
        """
        await store.migrate(COMPONENT, STEPS)
        return cls(store, await Catalogue.open(store, clock), clock, ids)

    async def run(self) -> None:
        """Wake who waits, sweep what has expired and move what is to be moved, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._timetable.run())
            group.create_task(sweep_forever(self._store, self.catalogue, self._clock))
            group.create_task(self.moves.run())

    # Queues.

    async def create(
        self, name: str, settings: QueueSettings, tags: Mapping[str, str] | None = None
    ) -> Queue:
        """Make a queue. Raises QueueExists."""
        return await self.catalogue.create(name, settings, tags or {})

    async def delete_queue(self, name: str) -> None:
        """Delete a queue with its messages; its long polls end. Raises NoSuchQueue."""
        queue = await self.catalogue.delete(name)
        self._room.pop(queue.queue_id, None)
        self._audience.forget(queue.queue_id)

    async def counts(self, name: str) -> Counts:
        """How many messages there are. Raises NoSuchQueue."""
        queue, now_ms = self.catalogue.queue(name), self._now_ms()

        def work(connection: sqlite3.Connection) -> Counts:
            return _count(connection, queue, now_ms)

        return await self._store.read(work)

    # Messages.

    async def send(self, name: str, drafts: Sequence[Draft]) -> Sequence[Sent]:
        """Keep messages; all of them or, on an error, none.

        Cancelled: they may have been kept.

        Returns:
            In the drafts' order. A duplicate on a FIFO queue names the earlier message.

        Raises:
            NoSuchQueue: It is not there.
            StorageFailed: Nothing was kept.
        """
        queue, now_ms = self.catalogue.queue(name), self._now_ms()

        def work(connection: sqlite3.Connection) -> list[Sent]:
            box_id = current_box(connection, queue)
            return [_send(connection, queue, one, box_id=box_id, now_ms=now_ms) for one in drafts]

        def applied(sent: list[Sent]) -> None:
            for draft, one in zip(drafts, sent, strict=True):
                if not one.duplicate:
                    self._came(queue, draft.delay_s, now_ms)

        return await self._store.transact(QueueSite.SEND, work, applied)

    async def receive(
        self,
        name: str,
        *,
        count_max: int = 1,
        visibility_s: int | None = None,
        wait_s: float = 0.0,
        attempt_id: str = "",
        bytes_max: int | None = None,
    ) -> Sequence[Message]:
        """Take messages; they are hidden from others for `visibility_s`.

        Cancelled: messages that were being taken stay hidden for that time, then come again.

        Args:
            name: The queue's, or its ARN.
            count_max: 1 or more; a FIFO queue gives at most 10.
            visibility_s: None: the queue's.
            wait_s: How long to wait for the first message.
            attempt_id: On a FIFO queue, the same id within five minutes gives the same messages.
            bytes_max: Of a standard queue, no further message once their bodies have so many.

        Raises:
            NoSuchQueue: It is not there, or was deleted while waiting.
            TooManyInFlight: 120,000 were received and not yet deleted.
            StorageFailed: Nothing was taken.
        """
        queue = self.catalogue.queue(queue_name(name))
        if queue.settings.fifo:
            count_max = min(count_max, RECEIVE_COUNT_MAX)
        await self._require_room(queue)
        hidden_s = queue.settings.visibility_s if visibility_s is None else visibility_s
        until_s = self._clock.monotonic_s() + wait_s
        waits = wait_s > 0
        while True:
            news = self._audience.attend(queue.queue_id) if waits else 0
            wish = Wish(
                count_max=count_max,
                visibility_s=hidden_s,
                now_ms=self._now_ms(),
                attempt_id=attempt_id,
                wants_next=waits or self._audience.is_listened_to(queue.queue_id),
                bytes_max=bytes_max,
            )
            taken = await self._take(queue, wish)
            late = self._clock.monotonic_s() >= until_s
            if taken.messages or (taken.looked_at_all and (late or not waits)):
                return taken.messages
            if taken.looked_at_all:
                await self._audience.wait(queue.queue_id, news=news, until_s=until_s)
                queue = self.catalogue.queue(queue.name)

    async def delete(self, name: str, receipts: Sequence[str]) -> Sequence[Fate]:
        """Delete received messages, each by its receipt; one's failure is its own.

        Raises:
            NoSuchQueue: It is not there.
            StorageFailed: None was deleted.
        """
        queue = self.catalogue.queue(queue_name(name))

        def work(connection: sqlite3.Connection) -> list[Fate]:
            return self.delete_in(connection, queue, receipts)

        return await self._store.transact(
            QueueSite.SETTLE, work, lambda fates: self.deleted(queue, fates)
        )

    def delete_in(
        self, connection: sqlite3.Connection, queue: Queue, receipts: Sequence[str]
    ) -> list[Fate]:
        """The same, in the caller's transaction; afterwards it calls `deleted`.

        Raises:
            NoSuchQueue: It is gone.
        """
        return settling.delete(connection, queue, receipts, self._now_ms())

    def deleted(self, queue: Queue, fates: Sequence[Fate]) -> None:
        """The deletion is durable. On the event loop."""
        gone = fates.count(Fate.DONE)
        if gone:
            self._room[queue.queue_id] = self._room.get(queue.queue_id, 0) + gone
        if queue.settings.fifo and gone:
            self._audience.arrived(queue.queue_id, gone)

    async def change_visibility(
        self, name: str, changes: Sequence[tuple[str, int]]
    ) -> Sequence[Fate]:
        """Hide received messages for so many seconds from now, each by its receipt; 0: show it.

        Raises:
            NoSuchQueue: It is not there.
            StorageFailed: Nothing was changed.
        """
        queue, now_ms = self.catalogue.queue(queue_name(name)), self._now_ms()

        def work(connection: sqlite3.Connection) -> list[Fate]:
            return settling.change_visibility(connection, queue, changes, now_ms)

        def applied(fates: list[Fate]) -> None:
            for (_, seconds), fate in zip(changes, fates, strict=True):
                if fate is Fate.DONE:
                    self._came(queue, seconds, now_ms)

        return await self._store.transact(QueueSite.SETTLE, work, applied)

    def when_arrived(self, name: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` on the event loop whenever something may be received.

        That is after each arrival, and when a hidden message becomes visible that a receive left.

        Returns:
            What ends it.

        Raises:
            NoSuchQueue: It is not there.
        """
        queue = self.catalogue.queue(queue_name(name))
        return self._audience.listen(queue.queue_id, wake)

    # The outbox's carrier.

    def put(self, connection: sqlite3.Connection, parcel: Parcel, now_ms: int) -> bool:
        """Write a parcel as a message (`outbox.Carrier`). On the writer thread."""
        queue = self.catalogue.find(queue_name(parcel.target_arn))
        box_id = None if queue is None else find_box(connection, queue)
        if queue is None or box_id is None:
            return False
        fifo = queue.settings.fifo
        draft = Draft(
            message_id=parcel.parcel_id,
            body=parcel.body.decode("utf-8", "replace"),
            attributes=_text_attributes(parcel.attributes),
            delay_s=parcel.delay_s or None,
            group_id=parcel.group_id or (_PARCEL_GROUP if fifo else ""),
            deduplication_id=parcel.parcel_id if fifo else "",
            sender=parcel.source,
        )
        _send(connection, queue, draft, box_id=box_id, now_ms=now_ms)
        return True

    def arrived(self, parcel: Parcel) -> None:
        """The message is durable (`outbox.Carrier`)."""
        queue = self.catalogue.find(queue_name(parcel.target_arn))
        if queue is not None:
            self._came(queue, parcel.delay_s or None, self._now_ms())

    # Below: what these have in common.

    def _came(self, queue: Queue, delay_s: int | None, now_ms: int) -> None:
        hidden_s = queue.settings.delay_s if delay_s is None else delay_s
        if hidden_s:
            self._audience.expect(queue.queue_id, now_ms + hidden_s * 1000)
        else:
            self._audience.arrived(queue.queue_id)

    async def _take(self, queue: Queue, wish: Wish) -> Taken:
        def work(connection: sqlite3.Connection) -> Taken:
            return take(connection, queue, wish, self.catalogue.find)

        def applied(taken: Taken) -> None:
            if taken.messages:
                room = self._room.get(queue.queue_id, 0)
                self._room[queue.queue_id] = room - len(taken.messages)
            for target in taken.buried:
                self._audience.arrived(target.queue_id)
            if taken.next_ms is not None:
                self._audience.expect(queue.queue_id, taken.next_ms)
            if not taken.looked_at_all:
                # There may be more: the next one looks.
                self._audience.arrived(queue.queue_id)

        return await self._store.transact(QueueSite.RECEIVE, work, applied)

    async def _require_room(self, queue: Queue) -> None:
        """Refuse when too many are in flight: counted anew only when it may be so."""
        if queue.settings.fifo or self._room.get(queue.queue_id, 0) > 0:
            return
        room = IN_FLIGHT_MAX - (await self.counts(queue.name)).in_flight
        self._room[queue.queue_id] = room
        if room <= 0:
            raise TooManyInFlight

    def _now_ms(self) -> int:
        return int(self._clock.now_ms())


def _send(
    connection: sqlite3.Connection, queue: Queue, draft: Draft, *, box_id: int, now_ms: int
) -> Sent:
    if queue.settings.fifo:
        return groups.send(connection, queue, draft, box_id=box_id, now_ms=now_ms)
    delay_s = queue.settings.delay_s if draft.delay_s is None else draft.delay_s
    visible_ms = now_ms + delay_s * 1000
    seq = rows.insert(connection, draft, box_id=box_id, visible_ms=visible_ms, now_ms=now_ms)
    return Sent(draft.message_id, seq)


def _count(connection: sqlite3.Connection, queue: Queue, now_ms: int) -> Counts:
    """Only what is hidden is walked, at most some 120,000 entries of an index."""
    box_id = current_box(connection, queue)
    (depth,) = connection.execute("SELECT depth FROM box WHERE box_id = ?", (box_id,)).fetchone()
    hidden, in_flight = connection.execute(
        "SELECT count(*), coalesce(sum(receive_count > 0), 0) FROM message "
        "WHERE box_id = ? AND visible_ms > ?",
        (box_id, now_ms),
    ).fetchone()
    expired_ms = now_ms - queue.settings.retention_s * 1000
    (expired,) = connection.execute(
        "SELECT count(*) FROM message WHERE box_id = ? AND sent_ms <= ?", (box_id, expired_ms)
    ).fetchone()
    return Counts(max(depth - hidden - expired, 0), in_flight, hidden - in_flight)


def _text_attributes(attributes: Mapping[str, str]) -> dict[str, Attribute]:
    return {name: Attribute("String", text) for name, text in attributes.items()}
