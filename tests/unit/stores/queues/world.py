"""A queue store on a database of its own, with a clock that moves only by hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.ports import Sites, unwatched
from mayfly.stores.queues.queue import Draft, QueueSettings, Redrive, Sent
from mayfly.stores.queues.schema import QueueSite
from mayfly.stores.queues.store import QueueStore
from mayfly.testing.ids import SeededIds

# Fields of QueueSettings and arguments of `receive`, each of its own type.
Setting = Any
START_MS = 1_750_000_000_000


class HandClock:
    """The Clock port; whoever sleeps is woken by `step`."""

    def __init__(self) -> None:
        self._now_s = 1_000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now_ms(self) -> float:
        return START_MS + (self._now_s - 1_000.0) * 1000

    def monotonic_s(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now_s + seconds, sleeper))
        await sleeper

    def step(self, seconds: float) -> None:
        """Time goes on."""
        self._now_s += seconds
        due = [one for at_s, one in self._sleepers if at_s <= self._now_s]
        self._sleepers = [one for one in self._sleepers if one[0] > self._now_s]
        for one in due:
            if not one.done():
                one.set_result(None)


@dataclass
class World:
    """What a test holds."""

    queues: QueueStore
    store: SqliteStore
    clock: HandClock
    ids: SeededIds
    group: asyncio.TaskGroup

    async def make(
        self, name: str = "q", *, redrive: tuple[str, int] | None = None, **settings: Setting
    ) -> str:
        """A queue; its name."""
        found = Redrive(*redrive) if redrive else None
        made = replace(QueueSettings(name.endswith(".fifo"), redrive=found), **settings)
        await self.queues.create(name, made)
        # The first receive counts what is in flight, on another thread; the next ones do not.
        await self.queues.receive(name)
        return name

    async def send(
        self, name: str, body: str, group_id: str = "", *, delay_s: int | None = None
    ) -> Sent:
        """One message; a FIFO queue's is deduplicated by its body."""
        draft = Draft(
            self.ids.uuid(), body, group_id=group_id, deduplication_id=body, delay_s=delay_s
        )
        (sent,) = await self.queues.send(name, [draft])
        return sent

    async def bodies(self, name: str, count_max: int = 10, **wish: Setting) -> list[str]:
        """What a receive gives."""
        found = await self.queues.receive(name, count_max=count_max, **wish)
        return [one.body for one in found]

    async def quiet(self) -> None:
        """Return when what was asked for before is done, also what followed from it."""
        for _ in range(5):
            await self.store.transact(QueueSite.SWEEP, lambda _: None)
            await settled()

    async def counts(self, name: str) -> tuple[int, int, int]:
        """Visible, in flight, delayed."""
        found = await self.queues.counts(name)
        return found.visible, found.in_flight, found.delayed


@contextlib.asynccontextmanager
async def open_world(
    folder: Path, *, clock: HandClock | None = None, sites: Sites = unwatched, seed: int = 0
) -> AsyncIterator[World]:
    """The store, running, until the block ends."""
    clock, ids = clock or HandClock(), SeededIds(seed)
    store = await SqliteStore.open(folder / "mayfly.db", sites=sites)
    try:
        queues = await QueueStore.open(store, clock, ids)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(queues.run())
            yield World(queues, store, clock, ids, group)
            running.cancel()
    finally:
        await store.close()


async def settled() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)
