"""The table store: items by key, pages, transactions, streams; durable, on the one database.

    get_nowait, page, read_all     reads; what an index answers at once is read on the event loop
    write, write_all, write_once   writes: prepared on the loop, done in one transaction
    shards, read_stream, ...       streams, for GetRecords and for event source mappings

A write is handed in as a function that prepares it for a definition, as it may have to be prepared
again: when the table changes between preparation and commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.ports import Clock
from mayfly.stores.tables import records
from mayfly.stores.tables.catalog import Catalog
from mayfly.stores.tables.definition import Definition
from mayfly.stores.tables.errors import (
    ConditionFailed,
    InvalidRequest,
    Reason,
    TokenMismatch,
    TransactionCanceled,
)
from mayfly.stores.tables.layout import Place
from mayfly.stores.tables.pages import PAGE_BYTES_MAX, Walk
from mayfly.stores.tables.schema import TableSite
from mayfly.stores.tables.writes import Effect, Outdated, Write, apply

TOKEN_MS_MAX = 10 * 60_000
_PREPARED_TIMES_MAX = 20
# What is read on the event loop at most; the rest of a page is read on a thread.
_LOOP_ROWS_MAX = 50
_LOOP_BYTES_MAX = 64 * 1024
_ALL_ROWS = 1 << 40

_GET = "SELECT size, document FROM item WHERE table_id = ? AND hash_key = ? AND range_key = ?"


class Kept(NamedTuple):
    """An item that is there: its size in bytes, and its JSON."""

    size: int
    document: bytes


class TableStore:
    """Tables on a `SqliteStore`. Made by `open`; used on one event loop."""

    def __init__(self, store: SqliteStore, catalog: Catalog, clock: Clock) -> None:
        self.catalog = catalog
        self._store = store
        self._clock = clock
        self._wakers: dict[str, list[Callable[[], None]]] = {}

    @classmethod
    async def open(cls, store: SqliteStore, clock: Clock) -> TableStore:
        """Open the tables of a database. Raises StorageFailed."""
        return cls(store, await Catalog.open(store), clock)

    # Items

    def get_nowait(self, definition: Definition, place: Place) -> Kept | None:
        """The item at a place, as it was last acknowledged."""
        row = self._store.read_nowait(
            lambda connection: connection.execute(_GET, (definition.table_id, *place)).fetchone()
        )
        return None if row is None else Kept(*row)

    async def read_all(self, wanted: Sequence[tuple[Definition, Place]]) -> Sequence[Kept | None]:
        """Several items, all at one moment."""

        def work(connection: sqlite3.Connection) -> list[Kept | None]:
            rows = (
                connection.execute(_GET, (definition.table_id, *place)).fetchone()
                for definition, place in wanted
            )
            return [None if row is None else Kept(*row) for row in rows]

        return await self._store.read(work)

    async def page(self, walk: Walk) -> None:
        """Fill a page: its first rows at once, what is longer on a reader thread."""
        done = self._store.read_nowait(
            lambda connection: walk.advance(
                connection, rows_max=_LOOP_ROWS_MAX, bytes_max=_LOOP_BYTES_MAX
            )
        )
        if not done:
            await self._store.read(
                lambda connection: walk.advance(
                    connection, rows_max=_ALL_ROWS, bytes_max=PAGE_BYTES_MAX
                )
            )

    async def write(self, prepare: Callable[[], Write]) -> Effect:
        """Do one write; durable when it returns.

        Args:
            prepare: Looks its table up in `catalog`; may be called again.

        Raises:
            ConditionFailed: Nothing was written.
            MayflyError: What `prepare` and the update refuse.
        """
        now_ms = int(self._clock.now_ms())
        for _ in range(_PREPARED_TIMES_MAX):
            write = prepare()

            def work(connection: sqlite3.Connection, write: Write = write) -> Effect:
                return apply(connection, write, now_ms)

            def applied(effect: Effect, write: Write = write) -> None:
                if effect.recorded:
                    self._wake(write.definition.name)

            try:
                return await self._store.transact(TableSite.COMMIT, work, applied)
            except Outdated:
                continue
        raise Outdated("the table changes all the time: try again")

    async def write_all(self, prepare: Callable[[], Sequence[Write]]) -> Sequence[Effect]:
        """Do several writes in one transaction, none of which has a condition."""
        return await self._together(prepare, _apply_each)

    async def write_each(self, prepare: Callable[[], Sequence[Write]]) -> Sequence[Effect]:
        """Do those of several writes whose conditions hold, in one transaction."""
        return await self._together(prepare, _apply_where_it_holds)

    async def write_once(
        self, prepare: Callable[[], Sequence[Write]], *, token: str, digest: bytes
    ) -> Sequence[Effect]:
        """Do all of several writes or none.

        Args:
            token: The caller's, or "": with one that was used within ten minutes nothing is done
                again.
            digest: Tells what the token was used for.

        Returns:
            What they did; nothing for a token that was used.

        Raises:
            TransactionCanceled: One could not be done; with each one's reason.
            TokenMismatch: The token was used for something else.
        """
        now_ms = int(self._clock.now_ms())

        def work(
            connection: sqlite3.Connection, writes: Sequence[Write], now_ms: int = now_ms
        ) -> Sequence[Effect]:
            if token and _was_used(connection, token, digest, now_ms):
                return []
            effects = _apply_or_refuse(connection, writes, now_ms)
            if token:
                row = (token, digest, now_ms)
                connection.execute("INSERT OR REPLACE INTO write_token VALUES (?, ?, ?)", row)
            return effects

        return await self._together(prepare, work)

    async def _together(
        self,
        prepare: Callable[[], Sequence[Write]],
        act: Callable[[sqlite3.Connection, Sequence[Write], int], Sequence[Effect]],
    ) -> Sequence[Effect]:
        now_ms = int(self._clock.now_ms())
        for _ in range(_PREPARED_TIMES_MAX):
            writes = prepare()

            def work(
                connection: sqlite3.Connection, writes: Sequence[Write] = writes
            ) -> Sequence[Effect]:
                return act(connection, writes, now_ms)

            def applied(effects: Sequence[Effect], writes: Sequence[Write] = writes) -> None:
                pairs = zip(writes, effects, strict=False)
                for name in {one.definition.name for one, effect in pairs if effect.recorded}:
                    self._wake(name)

            try:
                return await self._store.transact(TableSite.COMMIT, work, applied)
            except Outdated:
                continue
        raise Outdated("the tables change all the time: try again")

    # Streams

    def shards(self, stream_arn: str) -> list[str]:
        """The ids of a stream's shards; fixed for its life. Raises TableNotFound."""
        return records.shard_ids(self.catalog.find_stream(stream_arn))

    def read_stream(
        self, stream_arn: str, shard_id: str, after_sequence: int, count_max: int
    ) -> Sequence[records.StreamRow]:
        """A shard's records above a sequence, oldest first; 0 is before the first.

        `records.record_document` makes a document of each. There may be fewer than `count_max`
        and still more to come where records are large; none means that there is none.

        Raises:
            TableNotFound: There is no such stream or shard.
        """
        stream = self.catalog.find_stream(stream_arn)
        shard = records.shard_number(stream, shard_id)
        return self._store.read_nowait(
            lambda connection: records.read_records(
                connection, stream, shard, after_sequence, count_max
            )
        )

    def latest_sequence(self) -> int:
        """The highest sequence of any record so far: what comes later is above it."""
        return self._store.read_nowait(records.given_sequence)

    def oldest_sequence(self) -> int:
        """No record that is still there has a lower sequence."""
        return self._store.read_nowait(records.oldest_sequence)

    def when_changed(self, table_name: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` on the event loop after each commit that a table's stream tells of.

        Returns:
            Ends it.
        """
        wakers = self._wakers.setdefault(table_name, [])
        wakers.append(wake)

        def end() -> None:
            if wake in wakers:
                wakers.remove(wake)

        return end

    def _wake(self, table_name: str) -> None:
        for wake in tuple(self._wakers.get(table_name, ())):
            wake()


def _apply_each(
    connection: sqlite3.Connection, writes: Sequence[Write], now_ms: int
) -> Sequence[Effect]:
    return [apply(connection, write, now_ms) for write in writes]


def _apply_where_it_holds(
    connection: sqlite3.Connection, writes: Sequence[Write], now_ms: int
) -> Sequence[Effect]:
    effects = []
    for write in writes:
        try:
            effects.append(apply(connection, write, now_ms))
        except ConditionFailed:
            effects.append(Effect(None, None, None, 0, recorded=False))
    return effects


def _apply_or_refuse(
    connection: sqlite3.Connection, writes: Sequence[Write], now_ms: int
) -> Sequence[Effect]:
    """Do them all; the first failure does not hide the others' reasons."""
    effects, reasons, failed = [], [], False
    for write in writes:
        try:
            effects.append(apply(connection, write, now_ms))
            reasons.append(Reason("None"))
        except ConditionFailed as error:
            failed = True
            reasons.append(Reason("ConditionalCheckFailed", error.message, error.item))
        except InvalidRequest as error:
            failed = True
            reasons.append(Reason("ValidationError", error.message))
    if failed:
        raise TransactionCanceled(reasons)
    return effects


def _was_used(connection: sqlite3.Connection, token: str, digest: bytes, now_ms: int) -> bool:
    row = connection.execute(
        "SELECT digest, created_ms FROM write_token WHERE token = ?", (token,)
    ).fetchone()
    if row is None or not 0 <= now_ms - row[1] < TOKEN_MS_MAX:
        return False
    if row[0] != digest:
        raise TokenMismatch(
            "Requested parameters do not match those of the earlier request with this "
            "ClientRequestToken"
        )
    return True
