"""The source of mappings: a worker for each that is enabled, started and stopped as the store says.

    store --changed--> align: stop what is gone or differs, start what is missing
    worker ends --> align again

Workers are tasks of one group and know nothing of each other: a slow function delays only its own.
When the platform stops, batches that were begun end with the engine, and what they settle is kept.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from mayfly.engine.alarm import Alarm
from mayfly.model.mapping import SourceKind, SourceMapping
from mayfly.sources.mapping.means import Means, Teller
from mayfly.sources.mapping.queue_worker import QueueWorker
from mayfly.sources.mapping.stream_worker import StreamWorker
from mayfly.telemetry import LogEvent

# A worker that fell over starts again after so long.
RESTART_S = 5.0


class Worker(Protocol):
    """Reads for one mapping."""

    def stop(self) -> None:
        """Begin nothing more; what was begun ends. Returns at once."""
        ...

    def wake(self) -> None:
        """The function may have changed. Returns at once."""
        ...

    async def run(self) -> None:
        """Work until it was stopped and all has ended."""
        ...


@dataclass(frozen=True, slots=True)
class _Running:
    mapping: SourceMapping
    worker: Worker


class MappingSource:
    """All mappings at work. `run` is a task of the daemon's."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._alarm = Alarm(means.clock)
        self._running: dict[str, _Running] = {}
        self._not_before_s: dict[str, float] = {}
        means.store.when_changed(self._alarm.ring)

    def function_changed(self, name: str) -> None:
        """A function was created, updated or deleted. Returns at once."""
        for one in self._running.values():
            if one.mapping.function_name == name:
                one.worker.wake()

    async def run(self) -> None:
        """Read for all mappings until cancelled, and until what was begun has ended.

        Cancelled a second time: calls that run are killed.
        """
        cancelled: asyncio.CancelledError | None = None
        async with asyncio.TaskGroup() as tasks:
            try:
                self._alarm.ring()
                while True:
                    await self._alarm.wait()
                    self._align(tasks)
            except asyncio.CancelledError as error:
                cancelled = error
                for one in self._running.values():
                    one.worker.stop()
        if cancelled is not None:
            raise cancelled

    def _align(self, tasks: asyncio.TaskGroup) -> None:
        wanted = {one.mapping_id: one for one in self._means.store.all_nowait() if one.enabled}
        for mapping_id, one in self._running.items():
            found = wanted.get(mapping_id)
            if found is None or found.revision != one.mapping.revision:
                one.worker.stop()
        now_s = self._means.clock.monotonic_s()
        for mapping_id, mapping in wanted.items():
            if mapping_id in self._running:
                continue
            due_s = self._not_before_s.pop(mapping_id, now_s)
            if due_s > now_s:
                self._not_before_s[mapping_id] = due_s
                self._alarm.set(due_s)
                continue
            make = QueueWorker if mapping.kind is SourceKind.QUEUE else StreamWorker
            running = _Running(mapping, make(mapping, self._means))
            self._running[mapping_id] = running
            tasks.create_task(self._work(running))

    async def _work(self, running: _Running) -> None:
        mapping, store = running.mapping, self._means.store
        teller = Teller(mapping, self._means)
        store.report(mapping.mapping_id, revision=mapping.revision)
        teller.says(LogEvent.MAPPING_STARTED)
        try:
            await running.worker.run()
        except Exception as error:  # noqa: BLE001 a worker's border: the others go on
            teller.says(LogEvent.MAPPING_FAILED, level=logging.ERROR, error=repr(error))
            teller.stands("PROBLEM: Internal Lambda error")
            due_s = self._means.clock.monotonic_s() + RESTART_S
            self._not_before_s[mapping.mapping_id] = due_s
        finally:
            del self._running[mapping.mapping_id]
            store.report(mapping.mapping_id, revision=0)
            if not store.has(mapping.mapping_id):
                self._means.metrics.mappings.pop(mapping.mapping_id, None)
            teller.says(LogEvent.MAPPING_STOPPED)
            self._alarm.ring()
