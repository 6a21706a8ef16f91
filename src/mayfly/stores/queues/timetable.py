"""One timer for all that waits here: acts at their times, in one task, by the Clock port.

    at(12.5, wake) --> heap --> run(): sleep until the earliest, act, and again

Long polls that end and messages that become visible are entries; nothing is looked at before.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from heapq import heappop, heappush

from mayfly.ports import Clock


class Entry:
    """An act at its time, or not any more."""

    __slots__ = ("_act",)

    def __init__(self, act: Callable[[], None]) -> None:
        self._act: Callable[[], None] | None = act

    def cancel(self) -> None:
        """Do not act. Harmless when it was done."""
        self._act = None

    def act(self) -> None:
        """Do it, once."""
        act, self._act = self._act, None
        if act is not None:
            act()


class Timetable:
    """Acts at their times while `run` runs. When `run` ends, all acts are done at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Entry]] = []
        self._order = itertools.count()
        self._earlier = asyncio.Event()
        self._ended = False

    def at(self, at_s: float, act: Callable[[], None]) -> Entry:
        """Do `act` on the event loop at that monotonic time. Never blocks."""
        entry = Entry(act)
        if self._ended:
            entry.act()
            return entry
        if not self._heap or at_s < self._heap[0][0]:
            self._earlier.set()
        heappush(self._heap, (at_s, next(self._order), entry))
        return entry

    async def run(self) -> None:
        """Keep the times until cancelled."""
        try:
            while True:
                self._earlier.clear()
                while self._heap and self._heap[0][0] <= self._clock.monotonic_s():
                    heappop(self._heap)[2].act()
                if self._heap:
                    await self._doze(self._heap[0][0] - self._clock.monotonic_s())
                else:
                    await self._earlier.wait()
        finally:
            self._ended = True
            while self._heap:
                heappop(self._heap)[2].act()

    async def _doze(self, seconds: float) -> None:
        """Wait so long, or until an earlier time is set."""
        async with asyncio.TaskGroup() as group:
            sleeper = group.create_task(self._clock.sleep(seconds))
            sleeper.add_done_callback(lambda _: self._earlier.set())
            await self._earlier.wait()
            sleeper.cancel()
