"""Tables: an acknowledged write is there, in its indexes and its stream, whatever happens."""

from __future__ import annotations

import asyncio
import errno
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from mayfly.model.errors import StorageFailed
from mayfly.stores.tables.schema import TableSite
from mayfly.testing.faults import ALWAYS, Faults
from mayfly.testing.ids import seeded
from tests.faults.write_items_forever import TABLE
from tests.support.tables import Desk, Document, Refused, item, open_desk

ROOT = Path(__file__).parents[2]
LIVES = 5
SIDES = ("left", "right")


def acknowledged_until_killed(folder: Path, prefix: str, lines: int) -> list[str]:
    """Run the program, kill it when it has acknowledged `lines` writes; all that it printed."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.write_items_forever", folder, prefix],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as program:
        assert program.stdout is not None
        seen = [program.stdout.readline().strip() for _ in range(lines)]
        program.kill()
        rest = program.stdout.read().splitlines(keepends=True)
    assert program.returncode == -signal.SIGKILL
    # The last line may be cut off in the middle.
    return seen + [line.strip() for line in rest if line.endswith("\n")]


async def keys_of(desk: Desk, operation: str, **members: object) -> Counter[str]:
    found: Counter[str] = Counter()
    start: Document = {}
    while True:
        told = await desk.ask(operation, TableName="ttt", **members, **start)
        found.update(one["id"]["S"] for one in told["Items"])
        if "LastEvaluatedKey" not in told:
            return found
        start = {"ExclusiveStartKey": told["LastEvaluatedKey"]}


async def recorded_keys(desk: Desk) -> Counter[str]:
    arn = (await desk.ask("DescribeTable", TableName="ttt"))["Table"]["LatestStreamArn"]
    found: Counter[str] = Counter()
    for shard in desk.tables.shards(arn):
        made = await desk.ask(
            "GetShardIterator", StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )
        iterator = made["ShardIterator"]
        while True:
            read = await desk.ask("GetRecords", ShardIterator=iterator)
            found.update(one["dynamodb"]["Keys"]["id"]["S"] for one in read["Records"])
            if not read["Records"]:
                break
            iterator = read["NextShardIterator"]
    return found


async def check(folder: Path, acknowledged: list[str]) -> None:
    """Items, index and stream agree, and hold all that was acknowledged, each once."""
    async with open_desk(folder) as desk:
        items = await keys_of(desk, "Scan")
        indexed = await keys_of(desk, "Scan", IndexName="by-g")
        recorded = await recorded_keys(desk)
    assert items == indexed == recorded
    assert set(items.values()) == {1}
    for key in acknowledged:
        assert key in items or all(f"{key}/{side}" in items for side in SIDES), key
    pairs = {key.rpartition("/")[0] for key in items if "/" in key}
    assert all(f"{key}/{side}" in items for key in pairs for side in SIDES)


@pytest.mark.parametrize("seed", range(3))
def test_every_acknowledged_write_is_there_after_a_kill_at_a_random_moment(
    tmp_path: Path, seed: int
) -> None:
    random = seeded(seed)
    acknowledged: list[str] = []
    for life in range(LIVES):
        count = random.randint(1, 300)
        acknowledged += acknowledged_until_killed(tmp_path, f"life{life}", count)
        asyncio.run(check(tmp_path, acknowledged))


class Told:
    """What a table was said to hold, and at which sites it was refused."""

    def __init__(self) -> None:
        self.kept: set[str] = set()
        self.refused: list[str] = []

    async def live(self, folder: Path, life: str, faults: Faults) -> None:
        """Open, do a little of everything, close; what is refused is noted."""
        try:
            async with open_desk(folder, sites=faults) as desk:
                await self._work(desk, life)
        except StorageFailed as error:
            self._note(error)

    async def _work(self, desk: Desk, life: str) -> None:
        try:
            await desk.table(**TABLE)
        except Refused as error:
            if error.code != "ResourceInUseException":
                self._note(error)
        for number in range(3):
            key = f"{life}-{number}"
            try:
                await desk.put(id=key, g="g")
            except Refused as error:
                self._note(error)
            else:
                self.kept.add(key)
        try:
            await desk.table(f"other-{life}")
        except Refused as error:
            self._note(error)
        desk.clock.step(90_000)
        await desk.keeper.keep()

    def _note(self, error: Exception) -> None:
        self.refused.append(str(error))


@pytest.mark.parametrize("site", list(TableSite))
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("times", [1, ALWAYS])
async def test_what_was_told_holds_after_any_site_failed(
    tmp_path: Path, site: TableSite, number: int, times: int
) -> None:
    told, faults = Told(), Faults()
    await told.live(tmp_path, "before", faults)
    assert told.refused == []
    assert faults.visits[site]
    faults.fail(site, times=times, number=number)
    await told.live(tmp_path, "during", faults)
    assert told.refused
    assert all(str(site) in one for one in told.refused)
    faults.heal()
    await told.live(tmp_path, "after", faults)
    async with open_desk(tmp_path) as desk:
        assert set(await keys_of(desk, "Scan")) == told.kept
        assert set(await keys_of(desk, "Scan", IndexName="by-g")) == told.kept
        assert await desk.ask("GetItem", TableName="ttt", Key=item(id="before-0")) != {}
