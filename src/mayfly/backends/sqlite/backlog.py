"""Accepted events, on disk before they are acknowledged, until they are answered or given up.

    accept --> WAITING --lease--> LEASED --settle--> (gone)
                  ^                  |--retry--> WAITING, due later
                  `--lease's end-----'--fail---> FAILED, kept with its error

`ready_ms` is when a row may next be taken: its due time while it waits, the lease's end while it
is leased, so that an event whose worker vanished comes back by itself. `counts` never touches the
disk: what each commit changed is added up here.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mayfly.backends.sqlite.failures import Site
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import Conflict
from mayfly.model.event import Event, EventState
from mayfly.model.function import LATEST
from mayfly.model.parcel import Parcel

_COLUMNS = (
    "event_id, function_name, qualifier, payload, accepted_ms, due_ms, attempts, client_context, "
    "error, source"
)
_INSERT = (
    f"INSERT INTO event ({_COLUMNS}, state, ready_ms) "  # noqa: S608  constants only
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_DUE = (
    f"SELECT ready_ms, seq, state, {_COLUMNS} FROM event "  # noqa: S608  constants only
    "WHERE state = ? AND ready_ms <= ? ORDER BY ready_ms, seq LIMIT ?"
)
_TAKEABLE = (EventState.WAITING, EventState.LEASED)

# What a commit changed: how many more or fewer there are in each state.
_Change = Counter[EventState]


def _nobody() -> None:
    """Nobody delivers yet."""


class SqliteBacklog:
    """The port `Backlog` on a `SqliteStore`. Made by `open`."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._counts: _Change = Counter()
        self._wake: Callable[[], None] = _nobody

    def when_arrived(self, wake: Callable[[], None]) -> None:
        """Call `wake` on the event loop when the outbox has put an event here."""
        self._wake = wake

    @classmethod
    async def open(cls, store: SqliteStore) -> SqliteBacklog:
        """Count what is there. Raises StorageFailed."""
        backlog = cls(store)

        def count(connection: sqlite3.Connection) -> _Change:
            rows = connection.execute("SELECT state, count(*) FROM event GROUP BY state")
            return Counter({EventState(state): number for state, number in rows})

        backlog._counts = await store.transact(Site.BACKLOG_LOAD, count)
        return backlog

    async def accept(self, event: Event) -> None:
        """Keep an event; those who accept at the same time share one fsync.

        Cancelled: the event may have been kept.

        Raises:
            Conflict: An event with this id is there.
            StorageFailed: The event was not kept.
        """
        row = _row(event)

        def work(connection: sqlite3.Connection) -> _Change:
            try:
                connection.execute(_INSERT, row)
            except sqlite3.IntegrityError as error:
                raise Conflict(f"event {event.event_id} was accepted before") from error
            return Counter({event.state: 1})

        await self._store.transact(Site.BACKLOG_COMMIT, work, self._counts.update)

    def put(self, connection: sqlite3.Connection, parcel: Parcel, now_ms: int) -> bool:
        """Keep a parcel for a function as an event (`outbox.Carrier`).

        A function that does not exist makes no difference here: the event fails visibly.
        """
        name, _, qualifier = parcel.target_arn.split(":", 6)[6].partition(":")
        due_ms = now_ms + parcel.delay_s * 1000
        event = Event(
            event_id=parcel.parcel_id,
            function_name=name,
            qualifier=qualifier or LATEST,
            payload=parcel.body,
            accepted_ms=now_ms,
            due_ms=due_ms,
            source=parcel.source,
        )
        connection.execute(_INSERT, _row(event))
        return True

    def arrived(self, parcel: Parcel) -> None:
        """The event is durable: count it, and wake who delivers (`outbox.Carrier`)."""
        del parcel
        self._counts[EventState.WAITING] += 1
        self._wake()

    async def lease(self, *, now_ms: int, lease_ms: int, count_max: int) -> Sequence[Event]:
        """Take up to `count_max` events that are due, in order of due time, then of acceptance.

        An event whose lease has ended is due again.
        """

        def work(connection: sqlite3.Connection) -> list[tuple[EventState, Event]]:
            # By state, for only then the index gives the order and a long backlog is not sorted.
            rows = [
                row
                for state in _TAKEABLE
                for row in connection.execute(_DUE, (state, now_ms, count_max))
            ]
            rows = sorted(rows, key=lambda row: row[:2])[:count_max]
            connection.executemany(
                "UPDATE event SET state = ?, ready_ms = ? WHERE seq = ?",
                [(EventState.LEASED, now_ms + lease_ms, row[1]) for row in rows],
            )
            return [(EventState(row[2]), _event(row[3:])) for row in rows]

        def applied(taken: list[tuple[EventState, Event]]) -> None:
            self._counts.subtract(state for state, _ in taken)
            self._counts[EventState.LEASED] += len(taken)

        taken = await self._store.transact(Site.BACKLOG_COMMIT, work, applied)
        return [event for _, event in taken]

    async def settle(self, event_id: str) -> None:
        """The event was answered: forget it. Harmless when it is gone."""

        def work(connection: sqlite3.Connection) -> _Change:
            delete = "DELETE FROM event WHERE event_id = ? RETURNING state"
            return Counter(
                {EventState(state): -1 for (state,) in connection.execute(delete, (event_id,))}
            )

        await self._store.transact(Site.BACKLOG_COMMIT, work, self._counts.update)

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

    async def fail(self, event: Event, *, error: str) -> None:
        """Keep the event as failed, its attempts as they were counted. Harmless when it is gone."""
        await self._put_back(replace(event, state=EventState.FAILED, error=error))

    async def release(self, *, now_ms: int) -> int:
        """Every lease ends now; each event is due as it was before it was taken."""

        def work(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "UPDATE event SET state = ?, ready_ms = min(due_ms, ?) WHERE state = ?",
                (EventState.WAITING, now_ms, EventState.LEASED),
            ).rowcount

        def applied(released: int) -> None:
            self._counts.update({EventState.WAITING: released, EventState.LEASED: -released})

        return await self._store.transact(Site.BACKLOG_COMMIT, work, applied)

    async def counts(self) -> Mapping[str, int]:
        """How many events are in each state; every state is there."""
        return {state.value: self._counts[state] for state in EventState}

    async def next_due_ms(self) -> int | None:
        """When `lease` could next give something: the first due time or end of a lease."""

        def work(connection: sqlite3.Connection) -> list[int]:
            smallest = "SELECT min(ready_ms) FROM event WHERE state = ?"
            found = [connection.execute(smallest, (state,)).fetchone()[0] for state in _TAKEABLE]
            return [ready_ms for ready_ms in found if ready_ms is not None]

        return min(await self._store.transact(Site.BACKLOG_READ, work), default=None)

    async def _put_back(self, event: Event) -> None:
        def work(connection: sqlite3.Connection) -> _Change:
            before = connection.execute(
                "SELECT state FROM event WHERE event_id = ?", (event.event_id,)
            ).fetchone()
            if before is None:
                return Counter()
            connection.execute(
                "UPDATE event SET state = ?, ready_ms = ?, due_ms = ?, attempts = ?, error = ? "
                "WHERE event_id = ?",
                (
                    event.state,
                    event.due_ms,
                    event.due_ms,
                    event.attempts,
                    event.error,
                    event.event_id,
                ),
            )
            change: _Change = Counter({event.state: 1})
            change[EventState(before[0])] -= 1
            return change

        await self._store.transact(Site.BACKLOG_COMMIT, work, self._counts.update)


def _row(event: Event) -> tuple[object, ...]:
    """The values of `_INSERT`."""
    return (
        event.event_id,
        event.function_name,
        event.qualifier,
        event.payload,
        event.accepted_ms,
        event.due_ms,
        event.attempts,
        event.client_context,
        event.error,
        event.source,
        event.state,
        event.due_ms,
    )


def _event(row: tuple[str, str, str, bytes, int, int, int, str, str, str]) -> Event:
    """A row of `_COLUMNS` that has just been leased."""
    event_id, function_name, qualifier, payload, accepted, due, attempts, context, error, source = (
        row
    )
    return Event(
        event_id=event_id,
        function_name=function_name,
        qualifier=qualifier,
        payload=payload,
        accepted_ms=accepted,
        due_ms=due,
        state=EventState.LEASED,
        attempts=attempts,
        client_context=context,
        error=error,
        source=source,
    )
