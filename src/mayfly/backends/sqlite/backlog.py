"""Accepted events, on disk before they are acknowledged, until they are answered or given up.

    accept --> WAITING --lease--> LEASED --settle--> (gone), its parcels posted
          |       ^                ^ |--retry--> WAITING, due later
          |       |--lease's end---|-'--fail---> FAILED, kept with its error, its parcels posted
          |       `--------------replay-----------'
          `-- born leased, when whoever delivers has a place for it

`ready_ms` is when a row may next be taken: its due time while it waits, the lease's end while it is
leased, so that an event whose worker vanished comes back by itself. How many there are in each
state, and when the first of each function is ready, is kept in memory, brought up to date by each
commit; so neither `counts` nor `ready_nowait` touches the disk. Nothing else is: a hundred thousand
waiting events cost rows, not memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mayfly.backends.sqlite import event_rows as rows
from mayfly.backends.sqlite.failures import Site
from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import Conflict
from mayfly.model.event import Condition, Event, EventFilter, EventState
from mayfly.model.function import LATEST
from mayfly.model.parcel import Parcel

# A change of many rows is made in pieces, so that others' writes come in between.
_PIECE = 500


def _nobody() -> None:
    """Nobody delivers yet."""


@dataclass(frozen=True, slots=True)
class _Leased(Parcel):
    """A parcel whose event was born leased.

    Args:
        event: To be handed on when its transaction is durable.
        until_ms: The end of the lease, Unix milliseconds.
    """

    event: Event | None = None
    until_ms: int = 0


@dataclass(slots=True)
class _Change:
    """What a commit changed.

    Args:
        counts: How many more or fewer there are in each state.
        ready: When the first of these functions is ready now, None where there is none.
        posted: Parcels that found their target.
        lost: ARNs of targets that are gone.
        taken: Events that were leased.
        found: How many rows were meant.
    """

    counts: dict[EventState, int] = field(default_factory=dict)
    ready: dict[str, int | None] = field(default_factory=dict)
    posted: Sequence[Parcel] = ()
    lost: Sequence[str] = ()
    taken: Sequence[Event] = ()
    found: int = 0

    def count(self, state: EventState, number: int) -> None:
        """Add to what changed."""
        self.counts[state] = self.counts.get(state, 0) + number


class SqliteBacklog:
    """The port `Backlog`, and the carrier "lambda", on a `SqliteStore`. Made by `open`."""

    def __init__(self, store: SqliteStore, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox
        self._counts: dict[EventState, int] = dict.fromkeys(EventState, 0)
        self._ready: dict[str, int] = {}
        self._wake: Callable[[], None] = _nobody
        self._begin: Callable[[Event], None] | None = None
        self._lease_ms = 0
        # Also counted down by the writer thread, where a commit that fails returns nothing. It is
        # only an offer: `begin` has the last word.
        self._places = 0

    @classmethod
    async def open(cls, store: SqliteStore, outbox: Outbox | None = None) -> SqliteBacklog:
        """Count what is there. Raises StorageFailed.

        Args:
            outbox: Takes the parcels of events that end; the backlog is not yet employed in it.
        """
        backlog = cls(store, Outbox() if outbox is None else outbox)

        def load(connection: sqlite3.Connection) -> _Change:
            change = _Change()
            for state, name, number, first in connection.execute(rows.CENSUS):
                change.count(EventState(state), number)
                if state in rows.TAKEABLE:
                    before = change.ready.get(name)
                    change.ready[name] = first if before is None else min(before, first)
            return change

        await store.transact(Site.BACKLOG_LOAD, load, backlog._apply)
        return backlog

    def when_arrived(self, wake: Callable[[], None]) -> None:
        """Call `wake` on the event loop when an event came by another door than `accept`."""
        self._wake = wake

    def serve(self, begin: Callable[[Event], None], *, lease_ms: int) -> None:
        """Hand events of other doors that are born leased to `begin`, on the event loop."""
        self._begin, self._lease_ms = begin, lease_ms

    def offer(self, places: int) -> None:
        """Let up to so many events of other doors be born leased, until the next offer."""
        self._places = places

    async def accept(self, event: Event, *, leased_until_ms: int = 0) -> bool:
        """Keep an event; those who accept at the same time share one fsync.

        Cancelled: the event may have been kept.

        Args:
            leased_until_ms: Keep it leased already, if no older one of its function is due.

        Returns:
            Whether it is leased.

        Raises:
            Conflict: An event with this id is there.
            StorageFailed: The event was not kept.
        """

        def work(connection: sqlite3.Connection) -> bool:
            try:
                return rows.insert(connection, event, leased_until_ms)
            except sqlite3.IntegrityError as error:
                raise Conflict(f"event {event.event_id} was accepted before") from error

        def applied(leased: bool) -> None:
            self._counts[EventState.LEASED if leased else event.state] += 1
            ready_ms = leased_until_ms if leased else event.due_ms
            self._may_be_ready(event.function_name, ready_ms)

        return await self._store.transact(Site.BACKLOG_COMMIT, work, applied)

    def put(self, connection: sqlite3.Connection, parcel: Parcel, now_ms: int) -> bool | Parcel:
        """Write a parcel as an event, leased already if a place was offered (`outbox.Carrier`).

        A function that does not exist makes no difference here: the event fails visibly.
        """
        name, qualifier = _target(parcel)
        event = Event(
            event_id=parcel.parcel_id,
            function_name=name,
            qualifier=qualifier or LATEST,
            payload=parcel.body,
            accepted_ms=now_ms,
            due_ms=now_ms + parcel.delay_s * 1000,
            source=parcel.source,
        )
        offered = self._places > 0 and self._begin is not None and not parcel.delay_s
        until_ms = now_ms + self._lease_ms if offered else 0
        if not rows.insert(connection, event, until_ms):
            return True
        self._places -= 1
        return _Leased(
            parcel.parcel_id,
            parcel.target_arn,
            parcel.body,
            parcel.source,
            event=replace(event, state=EventState.LEASED),
            until_ms=until_ms,
        )

    def arrived(self, parcel: Parcel) -> None:
        """The event is durable: count it, and tell who delivers (`outbox.Carrier`)."""
        if isinstance(parcel, _Leased) and parcel.event is not None:
            self._counts[EventState.LEASED] += 1
            self._may_be_ready(parcel.event.function_name, parcel.until_ms)
            if self._begin is not None:
                self._begin(parcel.event)
            return
        self._counts[EventState.WAITING] += 1
        # Perhaps too early, by its delay: the next lease finds out.
        self._may_be_ready(_target(parcel)[0], 0)
        self._wake()

    def ready_nowait(self) -> Mapping[str, int]:
        """When the first event of each function is ready; a view, not to be kept."""
        return self._ready

    async def lease(
        self, *, now_ms: int, lease_ms: int, shares: Mapping[str, int]
    ) -> Sequence[Event]:
        """Take the oldest due events of some functions. An event whose lease ended is due again."""

        def work(connection: sqlite3.Connection) -> _Change:
            change = _Change()
            found: list[tuple[int, int, Event]] = []
            for name, share in shares.items():
                for state, ready_ms, seq, event in rows.take(
                    connection, name, now_ms=now_ms, until_ms=now_ms + lease_ms, count_max=share
                ):
                    change.count(state, -1)
                    change.count(EventState.LEASED, 1)
                    found.append((ready_ms, seq, event))
                change.ready[name] = rows.first_ready_ms(connection, name)
            found.sort(key=lambda one: one[:2])
            change.taken = [event for _, _, event in found]
            return change

        change = await self._store.transact(Site.BACKLOG_COMMIT, work, self._apply)
        return change.taken

    async def settle(
        self, event_id: str, *, parcels: Sequence[Parcel] = (), now_ms: int = 0
    ) -> bool:
        """The event was answered: forget it and post its parcels. Harmless when it is gone.

        Returns:
            False when a parcel's target is gone: then the event is kept as failed and says so.
        """

        def work(connection: sqlite3.Connection) -> _Change:
            found = connection.execute(rows.STATE_OF, (event_id,)).fetchone()
            if found is None:
                return _Change()
            state, name = found
            posted = self._outbox.post(connection, parcels, now_ms)
            change = _Change({EventState(state): -1}, posted=posted, lost=_lost(parcels, posted))
            if change.lost:
                change.count(EventState.FAILED, 1)
                told = (Condition.SUCCESS, _told_lost(change.lost), now_ms, event_id)
                connection.execute(rows.FAIL_ANSWERED, told)
            else:
                connection.execute("DELETE FROM event WHERE event_id = ?", (event_id,))
            change.ready[name] = rows.first_ready_ms(connection, name)
            return change

        change = await self._store.transact(Site.BACKLOG_COMMIT, work, self._apply)
        return not change.lost

    async def settle_all(self, event_ids: Sequence[str]) -> None:
        """These were answered, and nothing follows: forget them, in one transaction."""
        wanted = json.dumps(list(event_ids))

        def work(connection: sqlite3.Connection) -> _Change:
            change = _Change()
            found = connection.execute(rows.STATES_OF_MANY, (wanted,)).fetchall()
            connection.execute(rows.DELETE_MANY, (wanted,))
            for state, name, number in found:
                change.count(EventState(state), -number)
                change.ready[name] = rows.first_ready_ms(connection, name)
            return change

        await self._store.transact(Site.BACKLOG_COMMIT, work, self._apply)

    async def retry(self, event: Event, *, due_ms: int, error: str, attempted: bool = True) -> None:
        """Put the event back, due at `due_ms`, an attempt counted when there was one.

        Harmless when the event is gone.
        """
        again = replace(
            event,
            state=EventState.WAITING,
            due_ms=due_ms,
            attempts=event.attempts + attempted,
            error=error,
        )
        await self._put_back(again)

    async def fail(
        self,
        event: Event,
        *,
        error: str,
        condition: Condition,
        now_ms: int,
        parcels: Sequence[Parcel] = (),
    ) -> None:
        """Keep the event as failed and post its parcels. Harmless when it is gone."""
        failed = replace(
            event, state=EventState.FAILED, error=error, condition=condition, failed_ms=now_ms
        )
        await self._put_back(failed, parcels)

    async def release(self, *, now_ms: int) -> int:
        """Every lease ends now; each event is due as it was before it was taken."""
        names = list(self._ready)

        def work(connection: sqlite3.Connection) -> _Change:
            change = _Change()
            for name in names:
                bounds = (EventState.WAITING, now_ms, name, EventState.LEASED)
                released = connection.execute(rows.RELEASE, bounds).rowcount
                if released:
                    change.count(EventState.WAITING, released)
                    change.count(EventState.LEASED, -released)
                    change.ready[name] = rows.first_ready_ms(connection, name)
            return change

        change = await self._store.transact(Site.BACKLOG_COMMIT, work, self._apply)
        return change.counts.get(EventState.WAITING, 0)

    async def counts(self) -> Mapping[str, int]:
        """How many events are in each state; every state is there."""
        return {state.value: number for state, number in self._counts.items()}

    async def find(self, wanted: EventFilter, *, count_max: int) -> Sequence[Event]:
        """The newest that match, newest first; payloads left out, errors cut."""
        return await self._store.read(lambda connection: rows.find(connection, wanted, count_max))

    async def event(self, event_id: str) -> Event | None:
        """One event, whole, or None."""
        return await self._store.read(lambda connection: rows.whole(connection, event_id))

    async def replay(self, wanted: EventFilter, *, now_ms: int) -> int:
        """Have matching events run again now; those that are being worked on are left alone."""

        def work(connection: sqlite3.Connection) -> _Change:
            found = rows.idle(connection, wanted, _PIECE, replayed_before_ms=now_ms)
            change = _changed(found)
            connection.executemany(
                rows.REPLAY, [(now_ms, now_ms, now_ms, one.seq) for one in found]
            )
            change.count(EventState.WAITING, len(found))
            _look_again(connection, change, found)
            return change

        replayed = await self._by_pieces(work)
        if replayed:
            self._wake()
        return replayed

    async def remove(self, wanted: EventFilter) -> int:
        """Forget matching events; those that are being worked on are left alone."""

        def work(connection: sqlite3.Connection) -> _Change:
            found = rows.idle(connection, wanted, _PIECE)
            connection.executemany("DELETE FROM event WHERE seq = ?", [(one.seq,) for one in found])
            change = _changed(found)
            _look_again(connection, change, found)
            return change

        return await self._by_pieces(work)

    async def trim(self, *, failed_max: int, before_ms: int) -> int:
        """Forget failed events that are too old or too many, the oldest first."""

        def work(connection: sqlite3.Connection) -> _Change:
            old = connection.execute(rows.TRIM_OLD, (before_ms,)).rowcount
            (left,) = connection.execute(rows.COUNT_FAILED).fetchone()
            many = 0
            if left > failed_max:
                many = connection.execute(rows.TRIM_MANY, (left - failed_max,)).rowcount
            return _Change({EventState.FAILED: -(old + many)})

        change = await self._store.transact(Site.BACKLOG_COMMIT, work, self._apply)
        return -change.counts[EventState.FAILED]

    async def _put_back(self, event: Event, parcels: Sequence[Parcel] = ()) -> None:
        def work(connection: sqlite3.Connection) -> _Change:
            found = connection.execute(rows.STATE_OF, (event.event_id,)).fetchone()
            if found is None:
                return _Change()
            posted = self._outbox.post(connection, parcels, event.failed_ms)
            change = _Change({EventState(found[0]): -1}, posted=posted)
            change.count(event.state, 1)
            lost = _lost(parcels, posted)
            error = f"{event.error}\n{_told_lost(lost)}" if lost else event.error
            connection.execute(rows.PUT_BACK, rows.put_back_row(replace(event, error=error)))
            name = event.function_name
            change.ready[name] = rows.first_ready_ms(connection, name)
            return change

        await self._store.transact(Site.BACKLOG_COMMIT, work, self._apply)

    async def _by_pieces(self, work: Callable[[sqlite3.Connection], _Change]) -> int:
        """Repeat a change until it finds fewer events than a piece has; how many it found."""
        total = 0
        while True:
            change = await self._store.transact(Site.BACKLOG_COMMIT, work, self._apply)
            total += change.found
            if change.found < _PIECE:
                return total

    def _may_be_ready(self, name: str, ready_ms: int) -> None:
        before = self._ready.get(name)
        if before is None or ready_ms < before:
            self._ready[name] = ready_ms

    def _apply(self, change: _Change) -> None:
        for state, number in change.counts.items():
            self._counts[state] += number
        for name, first_ms in change.ready.items():
            if first_ms is None:
                self._ready.pop(name, None)
            else:
                self._ready[name] = first_ms
        self._outbox.posted(change.posted)


def _target(parcel: Parcel) -> tuple[str, str]:
    """The function and the qualifier that a parcel's ARN names."""
    name, _, qualifier = parcel.target_arn.split(":", 6)[6].partition(":")
    return name, qualifier


def _lost(parcels: Sequence[Parcel], posted: Sequence[Parcel]) -> Sequence[str]:
    kept = {parcel.parcel_id for parcel in posted}
    return [parcel.target_arn for parcel in parcels if parcel.parcel_id not in kept]


def _told_lost(arns: Sequence[str]) -> str:
    return f"the record could not be delivered: {', '.join(arns)} does not exist or refused it"


def _changed(found: Sequence[rows.Idle]) -> _Change:
    """The change when these leave the states that they are in."""
    change = _Change(found=len(found))
    for one in found:
        change.count(one.state, -1)
    return change


def _look_again(
    connection: sqlite3.Connection, change: _Change, found: Sequence[rows.Idle]
) -> None:
    for name in {one.function_name for one in found}:
        change.ready[name] = rows.first_ready_ms(connection, name)
