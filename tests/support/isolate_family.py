"""The daemon's half of one isolate, with a socket that the test holds in the isolate's place.

    family = Family(Reuse.NEVER)
    await family.park()
    family.channel.sendall(...)  # what the isolate says

It stands for the household and owns the nursery; the log is a pipe. Call `close` at the end.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from mayfly.daemon.world import RealClock
from mayfly.drivers.channel import READY, Hub, frame
from mayfly.drivers.process.isolate import ProcessIsolate
from mayfly.drivers.process.memory import memory_of
from mayfly.model.function import Reuse
from mayfly.ports import Clock, MemoryUse, Nursery
from mayfly.testing.driver import FakeDriver
from mayfly.testing.ids import SeededIds
from tests.support.bench import Bench, Watcher
from tests.support.platform import RUNTIME


class Family:
    """Household, Nursery and the isolate's own end of the channel."""

    def __init__(self, reuse: Reuse) -> None:
        driver = FakeDriver(RealClock(), {})
        self.bench = Bench(driver, Path("/nowhere"), RUNTIME, lambda _: None, SeededIds(1))
        self.spec = self.bench.spec(reuse=reuse)
        self.watcher = Watcher()
        self.nursery: Nursery = self.watcher
        self.clock: Clock = RealClock()
        self.loop = asyncio.get_running_loop()
        self.was_told: asyncio.Future[None] = self.loop.create_future()
        self.hub = Hub(self.loop)
        self.sent: list[tuple[bytes, int]] = []
        self.dying: list[int] = []
        self.calls = 0
        mine, self.channel = socket.socketpair()
        mine.setblocking(False)
        log, self.log = os.pipe2(os.O_NONBLOCK)
        self.isolate = ProcessIsolate(
            self, 7, channel=mine.detach(), log=log, namespace_pid=0, born_ms=1.0
        )

    def send(self, kind: bytes, isolate_id: int) -> None:
        self.sent.append((kind, isolate_id))
        if not self.was_told.done():
            self.was_told.set_result(None)

    def call_began(self) -> None:
        self.calls += 1

    def call_ended(self) -> None:
        self.calls -= 1

    def expect_death(self, isolate_id: int) -> None:
        self.dying.append(isolate_id)

    def isolate_ready(self, isolate: ProcessIsolate) -> None:
        self.nursery.isolate_parked(isolate)

    def host_pid(self, namespace_pid: int) -> int:
        return namespace_pid

    def memory_of(self, pid: int) -> MemoryUse:
        return memory_of(pid)

    async def park(self) -> None:
        self.channel.sendall(frame(READY))
        await self.watcher.until(lambda: bool(self.watcher.parked))

    def close(self) -> None:
        self.isolate.buried(0)
        self.channel.close()
        os.close(self.log)
        self.hub.close()
