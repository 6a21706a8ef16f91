"""An object store on a real database and folder, and a queue that keeps what it is told."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.parcel import Parcel
from mayfly.ports import Sites, unwatched
from mayfly.sources.objects import announce, notify
from mayfly.stores.objects.record import (
    ALWAYS,
    Cause,
    ChangeKind,
    Conditions,
    Facts,
    Placed,
    Placement,
)
from mayfly.stores.objects.store import ObjectStore
from mayfly.testing.clock import VirtualClock
from mayfly.testing.ids import SeededIds

QUEUE = "arn:aws:sqs:us-east-1:000000000000:told"
CAUSE = Cause("tester", "127.0.0.9", "request-1")
PLAIN = Facts()


class QueueOfRows:
    """A carrier "sqs" with one queue, whose messages are rows; `woken` tells who arrived."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    def put(self, connection: sqlite3.Connection, parcel: Parcel, now_ms: int) -> bool:
        """Keep it, if it is for the queue."""
        del now_ms
        if parcel.target_arn != QUEUE:
            return False
        row = (parcel.parcel_id, parcel.body)
        connection.execute("INSERT INTO told (parcel_id, body) VALUES (?, ?)", row)
        return True

    def arrived(self, parcel: Parcel) -> None:
        """Remember it."""
        self.woken.append(parcel.parcel_id)


@dataclass
class Objects:
    """A store and what is under it."""

    store: ObjectStore
    database: SqliteStore
    outbox: Outbox
    root: Path
    clock: VirtualClock
    queue: QueueOfRows

    async def put(
        self,
        key: str,
        body: bytes = b"",
        *,
        bucket: str = "b",
        facts: Facts = PLAIN,
        conditions: Conditions = ALWAYS,
        kind: ChangeKind = ChangeKind.PUT,
    ) -> Placed:
        """Put a body that is there already."""
        async with self.store.open_upload() as upload:
            await upload.write(body)
            placement = Placement(bucket, key, facts, conditions, kind)
            return await self.store.put(upload, placement, CAUSE)

    async def read(
        self,
        key: str,
        *,
        version_id: str = "",
        first: int = 0,
        size: int | None = None,
        bucket: str = "b",
    ) -> bytes:
        """The body, or a range of it."""
        with await self.store.get(bucket, key, version_id) as reader:
            return b"".join([chunk async for chunk in reader.chunks(first, size)])

    def files(self) -> list[str]:
        """All files of large bodies, with their folder."""
        found = (one for one in self.root.rglob("*") if one.is_file())
        return sorted(str(one.relative_to(self.root)) for one in found)

    async def told(self) -> list[dict[str, object]]:
        """The documents in the queue, in order."""
        rows = await self.database.read(
            lambda connection: connection.execute("SELECT body FROM told ORDER BY n").fetchall()
        )
        return [json.loads(body) for (body,) in rows]


@contextlib.asynccontextmanager
async def opened_objects(folder: Path, *, sites: Sites = unwatched) -> AsyncIterator[Objects]:
    """Open FOLDER/mayfly.db and FOLDER/objects; close them afterwards."""
    database = await SqliteStore.open(folder / "mayfly.db", sites=sites)
    try:
        steps = [["CREATE TABLE told (n INTEGER PRIMARY KEY, parcel_id TEXT, body BLOB)"]]
        await database.migrate("test-queue", steps)
        outbox, clock, queue = Outbox(), VirtualClock(), QueueOfRows()
        outbox.employ("sqs", queue)
        # The same ids must not come again in the folder's next life.
        (folder / "life").touch()
        with (folder / "life").open("ab+") as life:
            life.write(b"1")
            seed = life.tell()
        root = folder / "objects"
        store = await ObjectStore.open(
            database=database,
            outbox=outbox,
            root=root,
            clock=clock,
            ids=SeededIds(seed),
            notify=notify,
            announce=announce,
            sites=sites,
        )
        outbox.employ("s3", store.carrier)
        try:
            yield Objects(store, database, outbox, root, clock, queue)
        finally:
            await store.close()
    finally:
        await database.close()
