"""One sandbox for hostile code: source in, answers out, over the real driver.

async with sandbox(SOURCE) as box:
    answer = await box.call({"do": "this"})
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mayfly.model.function import Reuse
from mayfly.model.invocation import Answer
from mayfly.ports import Door, Driver, Isolate, Snapshot
from mayfly.testing.ids import SeededIds
from tests.support.bench import Bench, Watcher, births
from tests.support.platform import RUNTIME
from tests.support.process_driver import kill_snapshot, process_driver

Json = Any
_TAIL_BYTES = 65_536


class Listener(Watcher):
    """Remembers the end of what was printed, and how much it was."""

    def __init__(self) -> None:
        super().__init__()
        self.printed_bytes = self.import_bytes = 0

    def isolate_output(self, isolate: Isolate, data: bytes) -> None:
        self.printed_bytes += len(data)
        self.printed = self.printed[-_TAIL_BYTES:]
        super().isolate_output(isolate, data)

    def snapshot_output(self, data: bytes) -> None:
        self.import_bytes += len(data)
        self.import_printed = self.import_printed[-_TAIL_BYTES:]
        super().snapshot_output(data)


class Sandbox:
    """A snapshot of some source, and its isolates.

    Args:
        bench: Its driver and what is made with it.
    """

    def __init__(self, bench: Bench, snapshot: Snapshot, watcher: Listener) -> None:
        self.bench, self.snapshot, self.watcher = bench, snapshot, watcher

    async def isolates(self, count: int) -> list[Isolate]:
        """New ones, parked."""
        return await births(self.snapshot, self.watcher, count)

    async def invoke(
        self, event: object = None, *, timeout_s: float = 20, isolate: Isolate | None = None
    ) -> Answer:
        """Call it in a new isolate, or in `isolate`."""
        one = isolate or (await self.isolates(1))[0]
        return await one.invoke(
            self.bench.invocation(json.dumps(event).encode()), timeout_s=timeout_s
        )

    async def call(self, event: object = None, *, isolate: Isolate | None = None) -> Json:
        """The answer of a call that must go well."""
        answer = await self.invoke(event, isolate=isolate)
        assert answer.error is None, answer.payload
        return json.loads(answer.payload)


@asynccontextmanager
async def node() -> AsyncIterator[Driver]:
    """A driver whose runtime's tree is shared by the suite."""
    async with process_driver() as driver:
        yield driver


async def open_box(  # noqa: PLR0913 - what may differ, named by its caller
    driver: Driver,
    folder: Path,
    source: str,
    *,
    environment: Mapping[str, str] | None = None,
    reuse: Reuse = Reuse.NEVER,
    memory_mib: int = 128,
    seed: int = 1,
    files: Mapping[str, str] | None = None,
    doors: tuple[Door, ...] = (),
) -> Sandbox:
    """A sandbox on `driver`; closed with it.

    Args:
        driver: Who makes it.
        folder: Where its code goes.
        source: Of app.py; `files` are others, by path.
        environment: Of the function.
        reuse: What becomes of an isolate after its call.
        memory_mib: Of one isolate.
        seed: Another one for each sandbox of a driver.
        files: Texts by their paths below the code's folder.
        doors: All that it can connect to.
    """
    code = folder / f"code{seed}"
    for name, text in {"app.py": source, **(files or {})}.items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(text)
    bench = Bench(driver, code, RUNTIME, kill_snapshot, SeededIds(seed))
    watcher = Listener()
    spec = bench.spec("app.handler", reuse=reuse, environment=environment, memory_mib=memory_mib)
    snapshot = await driver.snapshot(replace(spec, doors=doors), watcher)
    assert snapshot.facts.failure is None, snapshot.facts.failure.payload
    return Sandbox(bench, snapshot, watcher)


@asynccontextmanager
async def sandbox(
    folder: Path,
    source: str,
    *,
    environment: Mapping[str, str] | None = None,
    reuse: Reuse = Reuse.NEVER,
    memory_mib: int = 128,
) -> AsyncIterator[Sandbox]:
    """A sandbox on a driver of its own."""
    async with node() as driver:
        yield await open_box(
            driver, folder, source, environment=environment, reuse=reuse, memory_mib=memory_mib
        )
