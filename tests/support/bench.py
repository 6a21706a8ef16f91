"""A driver on a bench: what is asked of it, and who remembers what it said.

snapshot, watcher, isolate = await bench.up("app.echo")
answer = await isolate.invoke(bench.invocation(), timeout_s=5)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mayfly.model.function import Code, Function, Reuse, Settings
from mayfly.model.invocation import Invocation
from mayfly.ports import Driver, Isolate, Snapshot, SnapshotSpec
from mayfly.testing.ids import SeededIds

PATIENCE_S = 20.0


class Watcher:
    """A Nursery that remembers."""

    def __init__(self) -> None:
        self.parked: list[Isolate] = []
        self.died: list[Isolate] = []
        self.printed = b""
        self.import_printed = b""
        self.snapshot_deaths: list[str] = []
        self._news = asyncio.Event()

    def isolate_parked(self, isolate: Isolate) -> None:
        self.parked.append(isolate)
        self._news.set()

    def isolate_output(self, isolate: Isolate, data: bytes) -> None:
        assert isolate in self.parked
        self.printed += data
        self._news.set()

    def isolate_died(self, isolate: Isolate) -> None:
        assert isolate in self.parked, "dead before it was parked"
        assert isolate not in self.died, "reported dead twice"
        self.died.append(isolate)
        self._news.set()

    def snapshot_output(self, data: bytes) -> None:
        self.import_printed += data
        self._news.set()

    def snapshot_died(self, reason: str) -> None:
        self.snapshot_deaths.append(reason)
        self._news.set()

    async def until(self, what: Callable[[], bool]) -> None:
        """Wait until `what` holds; asked again at each piece of news."""
        async with asyncio.timeout(PATIENCE_S):
            while not what():
                self._news.clear()
                await self._news.wait()


@dataclass
class Bench:
    """A driver and what it needs to be tried.

    Args:
        driver: Under test.
        code_path: Holds app.py and script.py.
        runtime: A runtime that the driver has.
        kill_snapshot: Kills a snapshot from outside, as an operator's `kill -9` does.
    """

    driver: Driver
    code_path: Path
    runtime: str
    kill_snapshot: Callable[[Snapshot], None]
    ids: SeededIds
    closed: bool = False

    async def close(self) -> None:
        """Close the driver, once."""
        if not self.closed:
            self.closed = True
            await self.driver.close()

    def spec(
        self,
        handler: str = "app.echo",
        *,
        reuse: Reuse = Reuse.NEVER,
        script: str | None = None,
        timeout_s: int = 10,
        memory_mib: int = 128,
        environment: Mapping[str, str] | None = None,
    ) -> SnapshotSpec:
        function = Function(
            name="contract",
            code=Code("digest", 1),
            settings=Settings(
                handler=handler,
                runtime=self.runtime,
                reuse=reuse,
                timeout_s=timeout_s,
                memory_mib=memory_mib,
            ),
            revision_id="r",
            modified_ms=0,
        )
        return SnapshotSpec(
            snapshot_id=self.ids.token(12),
            function=function,
            code_path=self.code_path,
            dependencies_path=None,
            environment={"PATH": "/usr/bin:/bin", **(environment or {})},
            init_timeout_s=PATIENCE_S,
            pids_max=64,
            script=script,
        )

    async def up(
        self, handler: str = "app.echo", *, reuse: Reuse = Reuse.NEVER
    ) -> tuple[Snapshot, Watcher, Isolate]:
        """A snapshot and one parked isolate of it."""
        watcher = Watcher()
        snapshot = await self.driver.snapshot(self.spec(handler, reuse=reuse), watcher)
        assert snapshot.facts.failure is None, snapshot.facts.failure
        return snapshot, watcher, (await births(snapshot, watcher, 1))[0]

    def invocation(self, payload: bytes = b'{"a": 1}') -> Invocation:
        function = self.spec().function
        return Invocation(self.ids.uuid(), function, payload, function.arn)


async def births(snapshot: Snapshot, watcher: Watcher, count: int) -> list[Isolate]:
    before = len(watcher.parked)
    snapshot.birth(count)
    await watcher.until(lambda: len(watcher.parked) == before + count)
    return watcher.parked[before:]
