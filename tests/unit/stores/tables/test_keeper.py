"""The tables' own work as a task: woken by changes, back after a failure."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from mayfly.stores.tables.keeper import TableKeeper
from mayfly.stores.tables.schema import TableSite
from mayfly.testing.clock import VirtualClock
from mayfly.testing.faults import Faults
from tests.support.tables import Desk, Document, open_desk

WAIT_S = 20
INDEX: Document = {
    "AttributeDefinitions": [{"AttributeName": "g", "AttributeType": "S"}],
    "GlobalSecondaryIndexUpdates": [
        {
            "Create": {
                "IndexName": "by-g",
                "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        }
    ],
}


class Pauses(VirtualClock):
    """A clock whose pauses end when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = asyncio.Event()
        self.over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asleep.set()
        await self.over.wait()
        self.step(seconds)


@contextlib.asynccontextmanager
async def _kept(folder: Path, faults: Faults, clock: Pauses) -> AsyncIterator[Desk]:
    """A desk whose keeper runs."""
    async with open_desk(folder, sites=faults, clock=clock) as desk, asyncio.TaskGroup() as group:
        keeper = group.create_task(TableKeeper(desk.store, desk.tables, clock).run())
        async with asyncio.timeout(WAIT_S):
            yield desk
        keeper.cancel()


async def _until_active(desk: Desk) -> None:
    status = ""
    while status != "ACTIVE":
        # A write gives the others their turn.
        await desk.put(id="b")
        told = await desk.ask("DescribeTable", TableName="ttt")
        status = told["Table"]["GlobalSecondaryIndexes"][0]["IndexStatus"]


async def test_a_change_wakes_the_keeper(tmp_path: Path) -> None:
    clock = Pauses()
    async with _kept(tmp_path, Faults(), clock) as desk:
        await desk.table()
        await desk.put(id="a", g="g")
        await clock.asleep.wait()
        await desk.ask("UpdateTable", TableName="ttt", **INDEX)
        await _until_active(desk)


async def test_a_failure_is_waited_out(tmp_path: Path) -> None:
    clock, faults = Pauses(), Faults()
    async with _kept(tmp_path, faults, clock) as desk:
        await desk.table()
        await desk.put(id="a", g="g")
        faults.fail(TableSite.KEEP, times=1)
        await desk.ask("UpdateTable", TableName="ttt", **INDEX)
        clock.over.set()
        await _until_active(desk)
        assert faults.visits[TableSite.KEEP] >= 2
