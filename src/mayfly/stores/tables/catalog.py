"""All tables' definitions in memory, as the database has them; changed one transaction at a time.

A change is a function from a definition to the next: it runs on the definition that the transaction
finds, so two changes never overwrite each other. Memory follows after the commit. What a change
leaves without an owner (a dropped index, a deleted table) is `doomed`: removed bit by bit later.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.stores.tables.definition import Definition, Stream
from mayfly.stores.tables.errors import InvalidRequest, TableInUse, TableNotFound
from mayfly.stores.tables.schema import COMPONENT, STEPS, Doomed, TableSite

Numbers = Callable[[], int]
"""The next number that no table, index or stream ever had."""

Alteration = Callable[[Definition, Numbers], Definition]
"""From a definition to the next one; pure; raises a MayflyError to refuse."""

_encode = msgspec.json.encode
_definition = msgspec.json.Decoder(Definition).decode
_stream = msgspec.json.Decoder(Stream).decode


class _State(NamedTuple):
    tables: dict[str, Definition]
    streams: dict[str, Stream]


class Catalog:
    """The tables that there are. Made by `open`."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._tables: dict[str, Definition] = {}
        self._streams: dict[str, Stream] = {}
        self._changed: Callable[[], None] = _nobody

    @classmethod
    async def open(cls, store: SqliteStore) -> Catalog:
        """Make what the database lacks and read what it has. Raises StorageFailed."""
        await store.migrate(COMPONENT, STEPS)
        catalog = cls(store)
        state = await store.transact(TableSite.LOAD, _load)
        catalog._tables, catalog._streams = state
        return catalog

    def when_changed(self, wake: Callable[[], None]) -> None:
        """Call `wake` on the event loop after each change of a definition."""
        self._changed = wake

    @property
    def tables(self) -> Mapping[str, Definition]:
        """All tables by name."""
        return self._tables

    @property
    def streams(self) -> Mapping[str, Stream]:
        """All streams by ARN, ended ones too while their records may be read."""
        return self._streams

    def find(self, name: str) -> Definition:
        """The table of this name. Raises TableNotFound."""
        found = self._tables.get(name)
        if found is None:
            raise TableNotFound(f"Requested resource not found: Table: {name} not found")
        return found

    def find_stream(self, arn: str) -> Stream:
        """The stream of this ARN. Raises TableNotFound."""
        found = self._streams.get(arn)
        if found is None:
            raise TableNotFound(f"Requested resource not found: Stream: {arn} not found")
        return found

    async def create(self, name: str, make: Callable[[Numbers], Definition]) -> Definition:
        """Add a table.

        Raises:
            TableInUse: The name is taken.
        """

        def work(connection: sqlite3.Connection) -> Definition:
            if _read(connection, name) is not None:
                raise TableInUse(f"Table already exists: {name}")
            definition = make(_numbers(connection))
            row = (definition.table_id, name, definition.generation, _encode(definition))
            connection.execute("INSERT INTO table_definition VALUES (?, ?, ?, ?)", row)
            _keep_stream(connection, definition.stream)
            return definition

        return await self._store.transact(TableSite.DEFINE, work, self._remember)

    async def alter(self, name: str, change: Alteration) -> Definition:
        """Change a table.

        Raises:
            TableNotFound: There is none of this name.
        """

        def work(connection: sqlite3.Connection) -> Definition:
            before = _read(connection, name)
            if before is None:
                raise TableNotFound(f"Requested resource not found: Table: {name} not found")
            after = change(before, _numbers(connection))
            connection.execute(
                "UPDATE table_definition SET generation = ?, document = ? WHERE table_id = ?",
                (after.generation, _encode(after), after.table_id),
            )
            _keep_stream(connection, after.stream)
            kept = {one.index_id for one in after.indexes}
            dropped = (one.index_id for one in before.indexes if one.index_id not in kept)
            _doom(connection, Doomed.INDEX, dropped)
            return after

        return await self._store.transact(TableSite.DEFINE, work, self._remember)

    async def delete(self, name: str, now_ms: int) -> Definition:
        """Remove a table; its stream ends, and can be read until its records are too old.

        Raises:
            TableNotFound: There is none of this name.
            InvalidRequest: It is protected.
        """

        def work(connection: sqlite3.Connection) -> Definition:
            gone = _read(connection, name)
            if gone is None:
                raise TableNotFound(f"Requested resource not found: Table: {name} not found")
            if gone.protected:
                raise InvalidRequest(
                    "Resource cannot be deleted as it is currently protected against deletion. "
                    f"Disable deletion protection first: {gone.arn}"
                )
            connection.execute("DELETE FROM table_definition WHERE table_id = ?", (gone.table_id,))
            _doom(connection, Doomed.TABLE, [gone.table_id])
            _doom(connection, Doomed.INDEX, (one.index_id for one in gone.indexes))
            if gone.live_stream is not None:
                ended = msgspec.structs.replace(gone.live_stream, ended_ms=now_ms)
                gone = msgspec.structs.replace(gone, stream=ended)
                _keep_stream(connection, ended)
            return gone

        def applied(gone: Definition) -> None:
            self._tables.pop(name, None)
            self._remember_stream(gone.stream)
            self._changed()

        return await self._store.transact(TableSite.DEFINE, work, applied)

    def forget_streams(self, arns: Iterable[str]) -> None:
        """These streams' rows are gone."""
        for arn in arns:
            self._streams.pop(arn, None)

    def _remember(self, definition: Definition) -> None:
        self._tables[definition.name] = definition
        self._remember_stream(definition.stream)
        self._changed()

    def _remember_stream(self, stream: Stream | None) -> None:
        if stream is not None:
            self._streams[stream.arn] = stream


def _nobody() -> None:
    """Nobody waits for changes yet."""


def _load(connection: sqlite3.Connection) -> _State:
    rows = connection.execute("SELECT document FROM table_definition ORDER BY name")
    tables = {one.name: one for one in (_definition(document) for (document,) in rows)}
    rows = connection.execute("SELECT document FROM stream ORDER BY stream_id")
    streams = {one.arn: one for one in (_stream(document) for (document,) in rows)}
    return _State(tables, streams)


def _read(connection: sqlite3.Connection, name: str) -> Definition | None:
    text = "SELECT document FROM table_definition WHERE name = ?"
    row = connection.execute(text, (name,)).fetchone()
    return None if row is None else _definition(row[0])


def _numbers(connection: sqlite3.Connection) -> Numbers:
    def number() -> int:
        text = "UPDATE table_number SET next = next + 1 RETURNING next - 1"
        return int(connection.execute(text).fetchall()[0][0])

    return number


def _keep_stream(connection: sqlite3.Connection, stream: Stream | None) -> None:
    if stream is not None:
        connection.execute(
            "INSERT INTO stream (stream_id, arn, document) VALUES (?, ?, ?) "
            "ON CONFLICT (stream_id) DO UPDATE SET document = excluded.document",
            (stream.stream_id, stream.arn, _encode(stream)),
        )


def _doom(connection: sqlite3.Connection, kind: Doomed, ids: Iterable[int]) -> None:
    text = "INSERT INTO doomed (id, kind) VALUES (?, ?)"
    connection.executemany(text, [(one, kind) for one in ids])
