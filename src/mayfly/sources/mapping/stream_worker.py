"""One mapping of a table's stream: a reader for each lane of each shard, woken by the table.

It finds the lanes and their checkpoints, and lets them end together; it never looks at a record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from mayfly.engine.alarm import Alarm
from mayfly.model.errors import MayflyError
from mayfly.model.mapping import Lane, SourceMapping
from mayfly.sources.filters import compile_filters
from mayfly.sources.mapping.lane import LaneReader
from mayfly.sources.mapping.means import LOOK_S, Means, Teller


class StreamWorker:
    """Reads one stream for one function. `run` once; `stop` lets it end."""

    def __init__(self, mapping: SourceMapping, means: Means) -> None:
        self._mapping = mapping
        self._means = means
        self._teller = Teller(mapping, means)
        self._passes = compile_filters(mapping.filters) if mapping.filters else None
        self._alarm = Alarm(means.clock)
        self._lanes: Sequence[LaneReader] = ()
        self._stopping = False

    def stop(self) -> None:
        """Begin nothing more; calls that were begun end. Returns at once."""
        self._stopping = True
        self._alarm.ring()
        for lane in self._lanes:
            lane.stop()

    def wake(self) -> None:
        """The function may have changed: look again."""
        for lane in self._lanes:
            lane.wake()

    async def run(self) -> None:
        """Work until `stop`, and until what was begun has ended."""
        begun = await self._begin()
        if self._stopping:
            return
        self._lanes = [
            LaneReader(self._mapping, lane, after, self._means, self._teller, self._passes)
            for lane, after in begun.items()
        ]
        deaf = self._means.tables.when_changed(self._mapping.source_name, self._changed)
        try:
            async with asyncio.TaskGroup() as tasks:
                for lane in self._lanes:
                    tasks.create_task(lane.run())
        finally:
            deaf()

    def _changed(self) -> None:
        for lane in self._lanes:
            lane.changed()

    async def _begin(self) -> Mapping[Lane, int]:
        """The lanes with their checkpoints, once they can be had; none when it is to stop."""
        while not self._stopping:
            try:
                shard_ids = self._means.tables.shards(self._mapping.source_arn)
                return await self._means.store.begin_reading(self._mapping, shard_ids)
            except MayflyError as error:
                self._teller.problem(error.message)
                self._alarm.set(self._means.clock.monotonic_s() + LOOK_S)
                await self._alarm.wait()
        return {}
