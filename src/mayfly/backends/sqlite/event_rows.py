"""The backlog's statements, and what stands between a row and an `Event`.

It runs in whatever transaction it is called in and begins none. Every look-up for a lease goes
along the index (function, state, ready_ms), so that a long backlog costs no more than a short one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from mayfly.model.event import Event, EventFilter, EventState

TAKEABLE = (EventState.WAITING, EventState.LEASED)
# How much of an error a list shows.
ERROR_LENGTH_SHOWN = 2_048

_COLUMNS = (
    "event_id, function_name, qualifier, accepted_ms, due_ms, attempts, client_context, "
    "source, trace_id, condition, failed_ms, replayed_ms, state"
)
INSERT = (
    f"INSERT INTO event ({_COLUMNS}, error, payload, ready_ms) "  # noqa: S608  constants only
    f"VALUES ({', '.join('?' * 16)})"
)
CENSUS = "SELECT state, function_name, count(*), min(ready_ms) FROM event GROUP BY 2, 1"
OLDER_DUE = (
    "SELECT 1 FROM event WHERE function_name = ? AND state = 'waiting' AND ready_ms <= ? LIMIT 1"
)
STATE_OF = "SELECT state, function_name FROM event WHERE event_id = ?"
RELEASE = (
    "UPDATE event SET state = ?, ready_ms = min(due_ms, ?) WHERE function_name = ? AND state = ?"
)
PUT_BACK = (
    "UPDATE event SET state = ?, ready_ms = ?, due_ms = ?, attempts = ?, error = ?, "
    "condition = ?, failed_ms = ? WHERE event_id = ?"
)
FAIL_ANSWERED = (
    "UPDATE event SET state = 'failed', attempts = attempts + 1, condition = ?, error = ?, "
    "failed_ms = ? WHERE event_id = ?"
)
# Many events at once, their ids a JSON list: a statement costs a switch between threads.
_MANY = "event WHERE event_id IN (SELECT value FROM json_each(?))"
STATES_OF_MANY = f"SELECT state, function_name, count(*) FROM {_MANY} GROUP BY 1, 2"  # noqa: S608
DELETE_MANY = f"DELETE FROM {_MANY}"  # noqa: S608
REPLAY = (
    "UPDATE event SET state = 'waiting', ready_ms = ?, due_ms = ?, replayed_ms = ?, attempts = 0, "
    "condition = '', failed_ms = 0 WHERE seq = ?"
)
COUNT_FAILED = "SELECT count(*) FROM event WHERE state = 'failed'"
TRIM_OLD = "DELETE FROM event WHERE state = 'failed' AND failed_ms < ?"
TRIM_MANY = (
    "DELETE FROM event WHERE seq IN "
    "(SELECT seq FROM event WHERE state = 'failed' ORDER BY failed_ms, seq LIMIT ?)"
)
_DUE = (
    f"SELECT ready_ms, seq, {_COLUMNS}, error, payload FROM event "  # noqa: S608  constants only
    "WHERE function_name = ? AND state = ? AND ready_ms <= ? ORDER BY ready_ms, seq LIMIT ?"
)
_FIRST = "SELECT min(ready_ms) FROM event WHERE function_name = ? AND state = ?"


class Idle(NamedTuple):
    """An event that nobody works on."""

    seq: int
    state: EventState
    function_name: str


def insert(connection: sqlite3.Connection, event: Event, leased_until_ms: int) -> bool:
    """Write an event, leased already when `leased_until_ms` is not 0 and no older one waits.

    Returns:
        Whether it is leased.

    Raises:
        sqlite3.IntegrityError: An event with this id is there.
    """
    older = (event.function_name, event.due_ms)
    if leased_until_ms and connection.execute(OLDER_DUE, older).fetchone() is None:
        connection.execute(INSERT, _row(event, EventState.LEASED, leased_until_ms))
        return True
    connection.execute(INSERT, _row(event, event.state, event.due_ms))
    return False


def _row(event: Event, state: EventState, ready_ms: int) -> tuple[object, ...]:
    """The values of `INSERT`."""
    return (
        event.event_id,
        event.function_name,
        event.qualifier,
        event.accepted_ms,
        event.due_ms,
        event.attempts,
        event.client_context,
        event.source,
        event.trace_id,
        event.condition,
        event.failed_ms,
        event.replayed_ms,
        state,
        event.error,
        event.payload,
        ready_ms,
    )


def put_back_row(event: Event) -> tuple[object, ...]:
    """The values of `PUT_BACK`."""
    return (
        event.state,
        event.due_ms,
        event.due_ms,
        event.attempts,
        event.error,
        event.condition,
        event.failed_ms,
        event.event_id,
    )


def take(
    connection: sqlite3.Connection, name: str, *, now_ms: int, until_ms: int, count_max: int
) -> Iterator[tuple[EventState, int, int, Event]]:
    """Lease a function's oldest due events until `until_ms`.

    Yields:
        The state that each was in, its `ready_ms`, its `seq`, and the event, now leased.
    """
    # By state, for only then the index gives the order and a long backlog is not sorted.
    found = [
        row
        for state in TAKEABLE
        for row in connection.execute(_DUE, (name, state, now_ms, count_max))
    ]
    found.sort(key=lambda row: row[:2])
    for row in found[:count_max]:
        connection.execute(
            "UPDATE event SET state = 'leased', ready_ms = ? WHERE seq = ?", (until_ms, row[1])
        )
        yield EventState(row[14]), row[0], row[1], _event(row[2:14], EventState.LEASED, *row[15:])


def first_ready_ms(connection: sqlite3.Connection, name: str) -> int | None:
    """When a function's first event may be leased, or None."""
    found = [connection.execute(_FIRST, (name, state)).fetchone()[0] for state in TAKEABLE]
    return min((ready_ms for ready_ms in found if ready_ms is not None), default=None)


def find(connection: sqlite3.Connection, wanted: EventFilter, count_max: int) -> list[Event]:
    """The newest that match, without payloads, errors cut."""
    where, values = _where(wanted)
    found = connection.execute(
        f"SELECT {_COLUMNS}, substr(error, 1, {ERROR_LENGTH_SHOWN}) FROM event "  # noqa: S608
        f"WHERE {where} ORDER BY seq DESC LIMIT ?",
        (*values, count_max),
    )
    return [_event(row[:12], EventState(row[12]), row[13], b"") for row in found]


def whole(connection: sqlite3.Connection, event_id: str) -> Event | None:
    """One event with its payload, or None."""
    row = connection.execute(
        f"SELECT {_COLUMNS}, error, payload FROM event WHERE event_id = ?",  # noqa: S608
        (event_id,),
    ).fetchone()
    return None if row is None else _event(row[:12], EventState(row[12]), row[13], row[14])


def idle(
    connection: sqlite3.Connection,
    wanted: EventFilter,
    count_max: int,
    *,
    replayed_before_ms: int | None = None,
) -> list[Idle]:
    """Matching events that nobody works on, the oldest first.

    Args:
        replayed_before_ms: Leave out those that wait since a replay at this time or later.
    """
    where, values = _where(wanted)
    where += " AND state <> 'leased'"
    if replayed_before_ms is not None:
        where += " AND (state = 'failed' OR replayed_ms < ?)"
        values.append(replayed_before_ms)
    found = connection.execute(
        f"SELECT seq, state, function_name FROM event WHERE {where} "  # noqa: S608
        "ORDER BY seq LIMIT ?",
        (*values, count_max),
    )
    return [Idle(seq, EventState(state), name) for seq, state, name in found.fetchall()]


def _where(wanted: EventFilter) -> tuple[str, list[object]]:
    """A filter as a condition; every value is bound, none is written into the text."""
    parts, values = ["accepted_ms >= ?"], list[object]([wanted.since_ms])
    if wanted.event_ids:
        parts.append(f"event_id IN ({', '.join('?' * len(wanted.event_ids))})")
        values += wanted.event_ids
    if wanted.function_name:
        parts.append("function_name = ?")
        values.append(wanted.function_name)
    if wanted.states:
        parts.append(f"state IN ({', '.join('?' * len(wanted.states))})")
        values += sorted(wanted.states)
    if wanted.source:
        parts.append("substr(source, 1, ?) = ?")
        values += [len(wanted.source), wanted.source]
    if wanted.until_ms:
        parts.append("accepted_ms < ?")
        values.append(wanted.until_ms)
    return " AND ".join(parts), values


def _event(
    row: tuple[str, str, str, int, int, int, str, str, str, str, int, int],
    state: EventState,
    error: str,
    payload: bytes,
) -> Event:
    """The first twelve of `_COLUMNS` and the rest."""
    (
        event_id,
        function_name,
        qualifier,
        accepted_ms,
        due_ms,
        attempts,
        client_context,
        source,
        trace_id,
        condition,
        failed_ms,
        replayed_ms,
    ) = row
    return Event(
        event_id=event_id,
        function_name=function_name,
        qualifier=qualifier,
        payload=payload,
        accepted_ms=accepted_ms,
        due_ms=due_ms,
        state=state,
        attempts=attempts,
        client_context=client_context,
        error=error,
        source=source,
        trace_id=trace_id,
        condition=condition,
        failed_ms=failed_ms,
        replayed_ms=replayed_ms,
    )
