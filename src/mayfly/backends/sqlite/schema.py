"""The tables, and the steps by which an older file becomes a newer one.

`PRAGMA user_version` counts the steps that a file has had. A step is never edited once released:
a change is a new step. A file that has had more steps than are known here is refused untouched.
Each store above has tables of its own, whose steps are counted in `component`.

    function        one row per function; `document` is the model's value as JSON
    url             one row per function URL, gone with its function
    event_settings  one row per function and qualifier, gone with its function
    event           the backlog, in order of `seq`; `ready_ms` is when it may next be taken:
                    its due time while waiting, the lease's end while leased
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from mayfly.backends.sqlite.failures import Site
from mayfly.model.errors import StorageFailed

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE function (
            name        TEXT PRIMARY KEY,
            revision_id TEXT NOT NULL,
            document    BLOB NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE url (
            function_name TEXT PRIMARY KEY REFERENCES function (name) ON DELETE CASCADE,
            url_id        TEXT NOT NULL UNIQUE,
            document      BLOB NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE event (
            seq            INTEGER PRIMARY KEY AUTOINCREMENT,
            event_id       TEXT NOT NULL UNIQUE,
            state          TEXT NOT NULL,
            ready_ms       INTEGER NOT NULL,
            due_ms         INTEGER NOT NULL,
            accepted_ms    INTEGER NOT NULL,
            attempts       INTEGER NOT NULL,
            function_name  TEXT NOT NULL,
            qualifier      TEXT NOT NULL,
            client_context TEXT NOT NULL,
            error          TEXT NOT NULL,
            payload        BLOB NOT NULL
        ) STRICT""",
        # An index ends with the rowid, here `seq`: equal times come in order of insertion.
        "CREATE INDEX event_ready ON event (state, ready_ms)",
    ),
    (
        """CREATE TABLE component (
            name    TEXT PRIMARY KEY,
            version INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
        "ALTER TABLE event ADD COLUMN source TEXT NOT NULL DEFAULT 'invoke'",
    ),
    (
        # Made anew: what is long comes last, as SQLite walks over it to what stands behind.
        """CREATE TABLE event_next (
            seq            INTEGER PRIMARY KEY AUTOINCREMENT,
            event_id       TEXT NOT NULL UNIQUE,
            state          TEXT NOT NULL,
            ready_ms       INTEGER NOT NULL,
            due_ms         INTEGER NOT NULL,
            accepted_ms    INTEGER NOT NULL,
            replayed_ms    INTEGER NOT NULL DEFAULT 0,
            failed_ms      INTEGER NOT NULL DEFAULT 0,
            attempts       INTEGER NOT NULL,
            condition      TEXT NOT NULL DEFAULT '',
            function_name  TEXT NOT NULL,
            qualifier      TEXT NOT NULL,
            source         TEXT NOT NULL,
            trace_id       TEXT NOT NULL DEFAULT '',
            client_context TEXT NOT NULL,
            error          TEXT NOT NULL,
            payload        BLOB NOT NULL
        ) STRICT""",
        """INSERT INTO event_next (seq, event_id, state, ready_ms, due_ms, accepted_ms, attempts,
            function_name, qualifier, source, client_context, error, payload)
        SELECT seq, event_id, state, ready_ms, due_ms, accepted_ms, attempts,
            function_name, qualifier, source, client_context, error, payload FROM event""",
        "UPDATE event_next SET failed_ms = accepted_ms WHERE state = 'failed'",
        "DROP TABLE event",
        "ALTER TABLE event_next RENAME TO event",
        "CREATE INDEX event_ready ON event (function_name, state, ready_ms)",
        "CREATE INDEX event_failed ON event (failed_ms) WHERE state = 'failed'",
        """CREATE TABLE event_settings (
            function_name TEXT NOT NULL REFERENCES function (name) ON DELETE CASCADE,
            qualifier     TEXT NOT NULL,
            document      BLOB NOT NULL,
            PRIMARY KEY (function_name, qualifier)
        ) STRICT, WITHOUT ROWID""",
    ),
)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to the newest form, in one transaction that the caller has begun.

    Raises:
        StorageFailed: It is a newer mayfly's file, or not one of ours.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(STEPS):
        raise StorageFailed(
            site=Site.OPEN,
            detail=f"{path} was written by a newer mayfly (schema {version}, this one knows up to "
            f"{len(STEPS)}); run that mayfly, or give another --data folder",
        )
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version == 0 and tables:
        raise StorageFailed(
            site=Site.OPEN,
            detail=f"{path} is another program's database; give another --data folder",
        )
    for step in STEPS[version:]:
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(STEPS)}")


def migrate_component(
    connection: sqlite3.Connection, path: Path, component: str, steps: Sequence[Sequence[str]]
) -> None:
    """Bring one component's tables to their newest form, in the caller's transaction.

    Raises:
        StorageFailed: They are a newer mayfly's.
    """
    row = connection.execute(
        "SELECT version FROM component WHERE name = ?", (component,)
    ).fetchone()
    version = row[0] if row else 0
    if version > len(steps):
        raise StorageFailed(
            site=Site.MIGRATE,
            detail=f"{path}: {component} was written by a newer mayfly (step {version}, this one "
            f"knows up to {len(steps)}); run that mayfly, or give another --data folder",
        )
    for step in steps[version:]:
        for statement in step:
            connection.execute(statement)
    connection.execute(
        "INSERT INTO component (name, version) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET version = excluded.version",
        (component, len(steps)),
    )
