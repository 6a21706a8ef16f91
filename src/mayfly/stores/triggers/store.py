"""Which rules, mappings, schedules and webhooks were made by which function's manifest.

    trigger_made   (function, kind, made_id) -> the trigger's options as they are shown

Only what stands here is changed or removed when a manifest changes; what people made by other ways
is theirs. It is written before the thing is made, so that nothing made is ever forgotten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.trigger import TriggerKind

_STEPS = (
    (
        """CREATE TABLE trigger_made (
            function_name TEXT NOT NULL,
            kind          TEXT NOT NULL,
            made_id       TEXT NOT NULL,
            position      INTEGER NOT NULL,
            document      BLOB NOT NULL,
            PRIMARY KEY (function_name, kind, made_id)
        ) STRICT, WITHOUT ROWID""",
    ),
)


class TriggerSite(StrEnum):
    """Where this store does I/O."""

    COMMIT = "TRIGGERS:COMMIT"


@dataclass(frozen=True, slots=True)
class Made:
    """One thing that a trigger made.

    Args:
        made_id: What finds it again: "bucket/rule", a source's ARN, a schedule's or webhook's name.
        shown: The trigger, as a person is shown it.
    """

    kind: TriggerKind
    made_id: str
    shown: Mapping[str, object]


class TriggerStore:
    """All that manifests made. Made by `open`."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    @classmethod
    async def open(cls, store: SqliteStore) -> TriggerStore:
        """Bring the table to its newest form. Raises StorageFailed."""
        await store.migrate("triggers", _STEPS)
        return cls(store)

    def of_nowait(self, function_name: str) -> Sequence[Made]:
        """What the function's manifest made, in its order."""
        rows = self._store.read_nowait(
            lambda connection: connection.execute(
                "SELECT kind, made_id, document FROM trigger_made WHERE function_name = ? "
                "ORDER BY position",
                (function_name,),
            ).fetchall()
        )
        return [
            Made(TriggerKind(kind), made_id, msgspec.json.decode(document))
            for kind, made_id, document in rows
        ]

    async def put(self, function_name: str, made: Sequence[Made]) -> None:
        """Replace all that stands under the function. Raises StorageFailed."""
        rows = [
            (function_name, one.kind.value, one.made_id, number, msgspec.json.encode(one.shown))
            for number, one in enumerate(made)
        ]

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM trigger_made WHERE function_name = ?", (function_name,))
            connection.executemany("INSERT INTO trigger_made VALUES (?, ?, ?, ?, ?)", rows)

        await self._store.transact(TriggerSite.COMMIT, work)
