"""Mappings on disk: which source feeds which function, and how far each lane of a stream is.

    mapping      one JSON document each; function and source together are unique
    checkpoint   (mapping, shard, lane) -> the sequence up to which everything is settled

Memory follows the commits. A checkpoint's advance and the parcels that tell of what was given up
are one transaction. What the running source says of a mapping (`Standing`) is kept in memory only:
the store is where it and the API meet.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

import msgspec

from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import CallerError, Conflict, NotFound
from mayfly.model.mapping import Lane, SourceKind, SourceMapping, Standing
from mayfly.model.parcel import Parcel
from mayfly.stores.tables.records import given_sequence

MAPPINGS_MAX = 5_000
_STEPS = (
    (
        """CREATE TABLE mapping (
            mapping_id    TEXT PRIMARY KEY,
            function_name TEXT NOT NULL,
            qualifier     TEXT NOT NULL,
            source_arn    TEXT NOT NULL,
            document      BLOB NOT NULL,
            UNIQUE (function_name, qualifier, source_arn)
        ) STRICT""",
        """CREATE TABLE checkpoint (
            mapping_id TEXT NOT NULL,
            shard_id   TEXT NOT NULL,
            lane       INTEGER NOT NULL,
            lanes      INTEGER NOT NULL,
            sequence   INTEGER NOT NULL,
            PRIMARY KEY (mapping_id, shard_id, lane)
        ) STRICT, WITHOUT ROWID""",
    ),
)
_MISSING = "The resource you requested does not exist."
_decode = msgspec.json.Decoder(SourceMapping).decode
_encode = msgspec.json.encode


class MappingSite(StrEnum):
    """Where this store does I/O."""

    LOAD = "MAPPINGS:LOAD"
    COMMIT = "MAPPINGS:COMMIT"
    ADVANCE = "MAPPINGS:ADVANCE"


class TooManyMappings(CallerError):
    """The platform holds as many as it can."""


class MappingStore:
    """All mappings. Made by `open`."""

    def __init__(self, store: SqliteStore, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox
        self._mappings: dict[str, SourceMapping] = {}
        self._standing: dict[str, Standing] = {}
        self._wake: Callable[[], None] = _nobody

    @classmethod
    async def open(cls, store: SqliteStore, outbox: Outbox) -> MappingStore:
        """Bring the tables to their newest form and read what there is. Raises StorageFailed."""
        await store.migrate("mappings", _STEPS)
        opened = cls(store, outbox)
        opened._mappings = await store.transact(MappingSite.LOAD, _load)
        return opened

    def when_changed(self, wake: Callable[[], None]) -> None:
        """Call `wake` on the event loop after each change of a mapping."""
        self._wake = wake

    # Mappings

    def find_nowait(self, mapping_id: str) -> SourceMapping:
        """The mapping. Raises NotFound."""
        found = self._mappings.get(mapping_id)
        if found is None:
            raise NotFound(_MISSING)
        return found

    def has(self, mapping_id: str) -> bool:
        """Whether the mapping is there."""
        return mapping_id in self._mappings

    def all_nowait(self) -> Sequence[SourceMapping]:
        """All mappings, in order of their ids."""
        return [self._mappings[one] for one in sorted(self._mappings)]

    async def create(self, mapping: SourceMapping, *, newest: bool = False) -> SourceMapping:
        """Add a mapping.

        Args:
            newest: Of a stream: begin with what comes after this transaction.

        Raises:
            Conflict: The function has one of this source.
            StorageFailed: Nothing was written.
        """

        def work(connection: sqlite3.Connection) -> SourceMapping:
            (count,) = connection.execute("SELECT count(*) FROM mapping").fetchone()
            if count >= MAPPINGS_MAX:
                raise TooManyMappings(f"there are {count} mappings, the most that can be")
            after = given_sequence(connection) if newest else 0
            placed = replace(mapping, start_sequence=after)
            _refuse_second(connection, placed)
            connection.execute("INSERT INTO mapping VALUES (?, ?, ?, ?, ?)", _row(placed))
            return placed

        return await self._store.transact(MappingSite.COMMIT, work, self._put)

    async def change(
        self, mapping_id: str, change: Callable[[SourceMapping], SourceMapping]
    ) -> SourceMapping:
        """Replace a mapping by what `change`, a pure function, makes of it.

        Raises:
            NotFound: It is gone.
            Conflict: Its function has another one of this source.
            StorageFailed: Nothing was written.
        """

        def work(connection: sqlite3.Connection) -> SourceMapping:
            before = _read(connection, mapping_id)
            after = replace(change(before), revision=before.revision + 1)
            _refuse_second(connection, after)
            connection.execute(
                "UPDATE mapping SET function_name = ?, qualifier = ?, source_arn = ?, document = ? "
                "WHERE mapping_id = ?",
                (*_row(after)[1:], mapping_id),
            )
            return after

        return await self._store.transact(MappingSite.COMMIT, work, self._put)

    async def delete(self, mapping_id: str) -> SourceMapping:
        """Remove a mapping with its checkpoints; as it was. Raises NotFound, StorageFailed."""

        def work(connection: sqlite3.Connection) -> SourceMapping:
            gone = _read(connection, mapping_id)
            connection.execute("DELETE FROM mapping WHERE mapping_id = ?", (mapping_id,))
            connection.execute("DELETE FROM checkpoint WHERE mapping_id = ?", (mapping_id,))
            return gone

        def applied(gone: SourceMapping) -> None:
            self._mappings.pop(gone.mapping_id, None)
            self._standing.pop(gone.mapping_id, None)
            self._wake()

        return await self._store.transact(MappingSite.COMMIT, work, applied)

    # How far streams were read

    async def begin_reading(
        self, mapping: SourceMapping, shard_ids: Sequence[str]
    ) -> Mapping[Lane, int]:
        """The checkpoint of each lane of each shard.

        Where the number of lanes has changed, each new lane begins at the hindmost old one: what
        others had settled beyond it comes again, in order.

        Raises:
            StorageFailed: They could not be read or written.
        """

        def work(connection: sqlite3.Connection) -> dict[Lane, int]:
            return {
                lane: sequence
                for shard_id in shard_ids
                for lane, sequence in _lanes_of(connection, mapping, shard_id).items()
            }

        return await self._store.transact(MappingSite.ADVANCE, work)

    async def advance(
        self,
        mapping_id: str,
        lane: Lane,
        sequence: int,
        *,
        parcels: Sequence[Parcel] = (),
        now_ms: int = 0,
    ) -> None:
        """Everything of a lane up to `sequence` is settled; told of in the same transaction.

        Does nothing for a mapping that was deleted meanwhile, and never goes back.

        Raises:
            StorageFailed: Nothing was written.
        """

        def work(connection: sqlite3.Connection) -> Sequence[Parcel]:
            moved = connection.execute(
                "UPDATE checkpoint SET sequence = ? WHERE mapping_id = ? AND shard_id = ? "
                "AND lane = ? AND lanes = ? AND sequence < ?",
                (sequence, mapping_id, lane.shard_id, lane.number, lane.count, sequence),
            )
            if not moved.rowcount or not parcels:
                return ()
            return self._outbox.post(connection, parcels, now_ms)

        await self._store.transact(MappingSite.ADVANCE, work, self._outbox.posted)

    def checkpoints_nowait(self, mapping_id: str) -> Mapping[Lane, int]:
        """All checkpoints of a mapping."""
        rows = self._store.read_nowait(
            lambda connection: connection.execute(
                "SELECT shard_id, lane, lanes, sequence FROM checkpoint WHERE mapping_id = ?",
                (mapping_id,),
            ).fetchall()
        )
        return {Lane(shard_id, lane, lanes): sequence for shard_id, lane, lanes, sequence in rows}

    # What the running source says

    def standing_nowait(self, mapping_id: str) -> Standing:
        """What the source last said of a mapping."""
        return self._standing.get(mapping_id, Standing())

    def report(
        self, mapping_id: str, *, revision: int | None = None, result: str | None = None
    ) -> None:
        """The source says what it reads for, or what came of it; None is "as before"."""
        if mapping_id not in self._mappings:
            return
        before = self.standing_nowait(mapping_id)
        self._standing[mapping_id] = Standing(
            before.revision if revision is None else revision,
            before.result if result is None else result,
        )

    def _put(self, mapping: SourceMapping) -> None:
        self._mappings[mapping.mapping_id] = mapping
        self._wake()


def _nobody() -> None:
    """Nobody waits for changes yet."""


def _load(connection: sqlite3.Connection) -> dict[str, SourceMapping]:
    rows = connection.execute("SELECT mapping_id, document FROM mapping").fetchall()
    return {mapping_id: _decode(document) for mapping_id, document in rows}


def _read(connection: sqlite3.Connection, mapping_id: str) -> SourceMapping:
    row = connection.execute(
        "SELECT document FROM mapping WHERE mapping_id = ?", (mapping_id,)
    ).fetchone()
    if row is None:
        raise NotFound(_MISSING)
    return _decode(row[0])


def _row(mapping: SourceMapping) -> tuple[object, ...]:
    return (
        mapping.mapping_id,
        mapping.function_name,
        mapping.qualifier,
        mapping.source_arn,
        _encode(mapping),
    )


def _refuse_second(connection: sqlite3.Connection, mapping: SourceMapping) -> None:
    row = connection.execute(
        "SELECT mapping_id FROM mapping WHERE function_name = ? AND qualifier = ? "
        "AND source_arn = ? AND mapping_id != ?",
        (mapping.function_name, mapping.qualifier, mapping.source_arn, mapping.mapping_id),
    ).fetchone()
    if row is None:
        return
    arn, name = mapping.source_arn, mapping.function_name
    if mapping.kind is SourceKind.QUEUE:
        told = (
            f'An event source mapping with SQS arn (" {arn} ") and function (" {name} ") already '
            "exists."
        )
    else:
        told = (
            f'The event source arn (" {arn} ") and function (" {name} ") provided mapping already '
            "exists."
        )
    raise Conflict(f"{told} Please update or delete the existing mapping with UUID {row[0]}")


def _lanes_of(
    connection: sqlite3.Connection, mapping: SourceMapping, shard_id: str
) -> Mapping[Lane, int]:
    key = (mapping.mapping_id, shard_id)
    rows = connection.execute(
        "SELECT lane, lanes, sequence FROM checkpoint WHERE mapping_id = ? AND shard_id = ?", key
    ).fetchall()
    if len(rows) == mapping.parallel and all(row[1] == mapping.parallel for row in rows):
        return {Lane(shard_id, lane, lanes): sequence for lane, lanes, sequence in rows}
    begin = min((row[2] for row in rows), default=mapping.start_sequence)
    lanes = [Lane(shard_id, number, mapping.parallel) for number in range(mapping.parallel)]
    if connection.execute("SELECT 1 FROM mapping WHERE mapping_id = ?", key[:1]).fetchone():
        connection.execute("DELETE FROM checkpoint WHERE mapping_id = ? AND shard_id = ?", key)
        connection.executemany(
            "INSERT INTO checkpoint VALUES (?, ?, ?, ?, ?)",
            [(*key, lane.number, lane.count, begin) for lane in lanes],
        )
    return dict.fromkeys(lanes, begin)
