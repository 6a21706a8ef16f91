"""Schedules on disk: what is due is a column with an index, and advances with the hand-over.

    schedule         `document` is the schedule as JSON; `due_ms` is NULL when it is never due again
    schedule_group   the groups; "default" is always there
    schedule_token   requests that were done, by the token with which they may come again

`fire` writes the parcel and the next due time in one transaction, and only where the row still
says what the caller saw: so an occurrence is handed over once, whoever dies in between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import CallerError, Conflict, NotFound
from mayfly.model.parcel import Parcel
from mayfly.stores.schedules.groups import forget_group, load_group
from mayfly.stores.schedules.schedule import DEFAULT_GROUP, Group, Plan, Schedule
from mayfly.stores.schedules.tokens import Token, done_before, remember

_STEPS = (
    (
        """CREATE TABLE schedule (
            group_name    TEXT NOT NULL,
            name          TEXT NOT NULL,
            revision_id   TEXT NOT NULL,
            enabled       INTEGER NOT NULL,
            as_of_ms      INTEGER NOT NULL,
            occurrence_ms INTEGER,
            due_ms        INTEGER,
            last_ms       INTEGER,
            document      BLOB NOT NULL,
            PRIMARY KEY (group_name, name)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX schedule_due ON schedule (due_ms) WHERE due_ms IS NOT NULL",
        "CREATE INDEX schedule_as_of ON schedule (as_of_ms)",
        """CREATE TABLE schedule_group (
            name     TEXT PRIMARY KEY,
            document BLOB NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE schedule_token (
            token    TEXT PRIMARY KEY,
            request  BLOB NOT NULL,
            until_ms INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX schedule_token_until ON schedule_token (until_ms)",
    ),
)
_SELECT = "SELECT document, as_of_ms, occurrence_ms, due_ms, last_ms FROM schedule"
_SEEN = "group_name = ? AND name = ? AND revision_id = ? AND as_of_ms = ? AND occurrence_ms IS ?"
_DELETE = "DELETE FROM schedule"
_ADVANCE = "UPDATE schedule SET as_of_ms = ?, occurrence_ms = ?, due_ms = ?, last_ms = ?"


class ScheduleSite(StrEnum):
    """Where this store does I/O."""

    COMMIT = "SCHEDULES:COMMIT"
    FIRE = "SCHEDULES:FIRE"


SCHEDULES_MAX = 100_000
GROUPS_MAX = 500


class TooManySchedules(CallerError):
    """The platform holds as many as it can."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A schedule with when it is due."""

    schedule: Schedule
    plan: Plan


class ScheduleStore:
    """All schedules of the platform. Made by `open`."""

    def __init__(self, store: SqliteStore, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox
        self._wake: Callable[[], None] = lambda: None

    @classmethod
    async def open(cls, store: SqliteStore, outbox: Outbox, now_ms: int) -> ScheduleStore:
        """Bring the tables to their newest form. Raises StorageFailed."""
        await store.migrate("schedules", _STEPS)
        opened = cls(store, outbox)
        group = Group(DEFAULT_GROUP, now_ms, now_ms)

        def work(connection: sqlite3.Connection) -> None:
            row = (group.name, msgspec.json.encode(group))
            connection.execute("INSERT OR IGNORE INTO schedule_group VALUES (?, ?)", row)

        await store.transact(ScheduleSite.COMMIT, work)
        return opened

    def when_changed(self, wake: Callable[[], None]) -> None:
        """Call `wake` on the event loop when the next due time may be an earlier one."""
        self._wake = wake

    # Schedules

    async def create(self, schedule: Schedule, plan: Plan, token: Token) -> str:
        """Add a schedule; its ARN.

        Raises:
            Conflict: The name is taken, or the token was for something else.
            NotFound: The group is not there.
            StorageFailed: Nothing was written.
        """

        def work(connection: sqlite3.Connection) -> None:
            if done_before(connection, token):
                return
            load_group(connection, schedule.group)
            _require_room(connection, "schedule", SCHEDULES_MAX)
            try:
                connection.execute(
                    "INSERT INTO schedule VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", _row(schedule, plan)
                )
            except sqlite3.IntegrityError:
                raise Conflict(f"Schedule {schedule.name} already exists.") from None
            remember(connection, token)

        await self._store.transact(ScheduleSite.COMMIT, work, lambda _: self._wake())
        return schedule.arn

    async def replace(self, schedule: Schedule, plan: Plan, *, expected_revision_id: str) -> bool:
        """Put it in the place of the one that has `expected_revision_id`.

        Returns:
            False when somebody changed or deleted that one meanwhile: nothing was written.
        """
        group, name, *rest = _row(schedule, plan)

        def work(connection: sqlite3.Connection) -> bool:
            changed = connection.execute(
                "UPDATE schedule SET revision_id = ?, enabled = ?, as_of_ms = ?, "
                "occurrence_ms = ?, due_ms = ?, last_ms = ?, document = ? "
                "WHERE group_name = ? AND name = ? AND revision_id = ?",
                (*rest, group, name, expected_revision_id),
            )
            return changed.rowcount > 0

        return await self._store.transact(ScheduleSite.COMMIT, work, lambda _: self._wake())

    async def delete(self, group: str, name: str, token: Token) -> None:
        """Remove one. Raises NotFound, StorageFailed."""

        def work(connection: sqlite3.Connection) -> None:
            if done_before(connection, token):
                return
            gone = connection.execute(
                "DELETE FROM schedule WHERE group_name = ? AND name = ?", (group, name)
            )
            if not gone.rowcount:
                raise not_found(name)
            remember(connection, token)

        await self._store.transact(ScheduleSite.COMMIT, work)

    def find_nowait(self, group: str, name: str) -> Planned | None:
        """The schedule now, or None."""
        found = self._planned(f"{_SELECT} WHERE group_name = ? AND name = ?", (group, name))
        return found[0] if found else None

    async def page(
        self,
        *,
        group: str,
        prefix: str,
        enabled: bool | None,
        after: tuple[str, str],
        count_max: int,
    ) -> Sequence[Schedule]:
        """Schedules in order of group and name.

        Args:
            group: Of this group only, or "": of all.
            enabled: Those of this state only, or None.
            after: Group and name of the last one that the caller has.
        """
        query = (
            "SELECT document FROM schedule WHERE (group_name, name) > (?, ?) "
            "AND (? = '' OR group_name = ?) AND (? IS NULL OR enabled = ?) "
            "AND substr(name, 1, length(?)) = ? ORDER BY group_name, name LIMIT ?"
        )
        start = max(after, (group, "")) if group else after
        values = (*start, group, group, enabled, enabled, prefix, prefix, count_max)

        def work(connection: sqlite3.Connection) -> list[Schedule]:
            return [
                msgspec.json.decode(document, type=Schedule)
                for (document,) in connection.execute(query, values)
            ]

        return await self._store.read(work)

    # Groups

    async def create_group(self, group: Group, token: Token) -> str:
        """Add a group; its ARN. Raises Conflict, StorageFailed."""

        def work(connection: sqlite3.Connection) -> None:
            if done_before(connection, token):
                return
            _require_room(connection, "schedule_group", GROUPS_MAX)
            row = (group.name, msgspec.json.encode(group))
            try:
                connection.execute("INSERT INTO schedule_group VALUES (?, ?)", row)
            except sqlite3.IntegrityError:
                raise Conflict(f"Schedule group {group.name} already exists.") from None
            remember(connection, token)

        await self._store.transact(ScheduleSite.COMMIT, work)
        return group.arn

    def group_nowait(self, name: str) -> Group:
        """The group. Raises NotFound."""
        return self._store.read_nowait(lambda connection: load_group(connection, name))

    async def change_group(self, name: str, change: Callable[[Group], Group]) -> None:
        """Replace a group by what `change`, a pure function, makes of it. Raises NotFound."""

        def work(connection: sqlite3.Connection) -> None:
            group = change(load_group(connection, name))
            row = (msgspec.json.encode(group), name)
            connection.execute("UPDATE schedule_group SET document = ? WHERE name = ?", row)

        await self._store.transact(ScheduleSite.COMMIT, work)

    async def delete_group(self, name: str, token: Token) -> None:
        """Remove a group with all its schedules. Raises NotFound, StorageFailed."""

        def work(connection: sqlite3.Connection) -> None:
            if not done_before(connection, token):
                forget_group(connection, name)
                remember(connection, token)

        await self._store.transact(ScheduleSite.COMMIT, work)

    def groups_nowait(self, *, prefix: str, after: str, count_max: int) -> Sequence[Group]:
        """Groups in order of name, after the one that the caller has."""
        query = (
            "SELECT document FROM schedule_group WHERE name > ? "
            "AND substr(name, 1, length(?)) = ? ORDER BY name LIMIT ?"
        )
        rows = self._store.read_nowait(
            lambda connection: connection.execute(
                query, (after, prefix, prefix, count_max)
            ).fetchall()
        )
        return [msgspec.json.decode(document, type=Group) for (document,) in rows]

    # What is due

    def next_due_ms_nowait(self) -> int | None:
        """When the first one is due, or None."""
        query = "SELECT min(due_ms) FROM schedule WHERE due_ms IS NOT NULL"
        found: int | None = self._store.read_nowait(
            lambda connection: connection.execute(query).fetchone()
        )[0]
        return found

    def due_nowait(self, now_ms: int, count_max: int) -> Sequence[Planned]:
        """Those that are due, the longest due first."""
        query = f"{_SELECT} WHERE due_ms <= ? ORDER BY due_ms LIMIT ?"
        return self._planned(query, (now_ms, count_max))

    def found_after_nowait(self, moment_ms: int, count_max: int) -> Sequence[Planned]:
        """Those whose due time was found when the clock showed more than `moment_ms`."""
        return self._planned(f"{_SELECT} WHERE as_of_ms > ? LIMIT ?", (moment_ms, count_max))

    async def fire(
        self,
        seen: Planned,
        after: Plan,
        now_ms: int,
        parcels: Sequence[Parcel] = (),
        *,
        delete: bool = False,
    ) -> bool:
        """Hand an occurrence over and move on to the next plan, both or neither.

        Args:
            seen: As the caller read it; changed meanwhile, nothing is written.
            parcels: What is handed over: the first whose target exists. None where only the plan
                changes.
            delete: Remove the schedule instead of keeping it with the next plan.

        Returns:
            Whether it was done.

        Raises:
            StorageFailed: Nothing was written.
        """
        schedule, before = seen.schedule, seen.plan
        row = (
            *(schedule.group, schedule.name, schedule.revision_id),
            *(before.as_of_ms, before.occurrence_ms),
        )
        following = (after.as_of_ms, after.occurrence_ms, after.due_ms, after.last_ms)

        def work(connection: sqlite3.Connection) -> Sequence[Parcel] | None:
            if delete:
                changed = connection.execute(f"{_DELETE} WHERE {_SEEN}", row)
            else:
                changed = connection.execute(
                    f"{_ADVANCE} WHERE {_SEEN}",
                    (*following, *row),
                )
            if not changed.rowcount:
                return None
            for parcel in parcels:
                if kept := self._outbox.post(connection, [parcel], now_ms):
                    return kept
            return ()

        def applied(kept: Sequence[Parcel] | None) -> None:
            if kept:
                self._outbox.posted(kept)

        return await self._store.transact(ScheduleSite.FIRE, work, applied) is not None

    def _planned(self, query: str, values: tuple[object, ...]) -> list[Planned]:
        rows = self._store.read_nowait(
            lambda connection: connection.execute(query, values).fetchall()
        )
        return [
            Planned(msgspec.json.decode(document, type=Schedule), Plan(*numbers))
            for document, *numbers in rows
        ]


def not_found(name: str) -> NotFound:
    """The error for a schedule that is not there."""
    return NotFound(f"Schedule {name} does not exist.")


def _require_room(connection: sqlite3.Connection, table: str, count_max: int) -> None:
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    if count >= count_max:
        raise TooManySchedules(
            f"The platform holds {count} rows of {table}, and {count_max} at most; delete some."
        )


def _row(schedule: Schedule, plan: Plan) -> tuple[object, ...]:
    return (
        schedule.group,
        schedule.name,
        schedule.revision_id,
        schedule.enabled,
        plan.as_of_ms,
        plan.occurrence_ms,
        plan.due_ms,
        plan.last_ms,
        msgspec.json.encode(schedule),
    )
