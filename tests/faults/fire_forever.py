"""A program that hands schedules over until it is killed; it says which occurrences it has told.

python fire_forever.py FOLDER     the clock is a number in FOLDER/clock, a second on at each turn
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.sources.schedule import ScheduleSource
from mayfly.stores.schedules.store import ScheduleStore
from mayfly.testing.clock import VirtualClock
from mayfly.testing.ids import SeededIds
from tests.support.carrier import TableCarrier


async def main(folder: Path, seed: int, began_s: int) -> None:
    """Fire, a turn of the source for each minute of virtual time."""
    database = await SqliteStore.open(folder / "mayfly.db")
    carrier, outbox = TableCarrier(database), Outbox()
    await carrier.open()
    outbox.employ("lambda", carrier)
    clock = VirtualClock(wall_ms=began_s * 1000.0)
    store = await ScheduleStore.open(database, outbox, int(clock.now_ms()))
    source = ScheduleSource(store, clock, SeededIds(seed), lambda _: True)
    for _ in itertools.count():
        await source.turn()
        sys.stdout.write(f"{int(clock.now_ms() // 1000)}\n")
        sys.stdout.flush()
        clock.step(60)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
