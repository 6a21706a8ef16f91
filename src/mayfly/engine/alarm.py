"""One task's alarm clock: sleeps by the Clock port until the earliest time that it was set to."""

from __future__ import annotations

import asyncio
from math import inf

from mayfly.ports import Clock


class Alarm:
    """Wakes the one task that waits for it. Times are monotonic seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_s = inf
        self._moved = asyncio.Event()

    def set(self, at_s: float) -> None:
        """Wake at `at_s`, or earlier if an earlier time was set. Never blocks."""
        if at_s < self._at_s:
            self._at_s = at_s
            self._moved.set()

    def ring(self) -> None:
        """Wake now."""
        self.set(-inf)

    async def wait(self) -> None:
        """Return when the time has come; the alarm is then off. Cancelled: it stays set."""
        while (left_s := self._at_s - self._clock.monotonic_s()) > 0:
            self._moved.clear()
            if left_s == inf:
                await self._moved.wait()
            else:
                await self._doze(left_s)
        self._at_s = inf

    async def _doze(self, seconds: float) -> None:
        async with asyncio.TaskGroup() as group:
            sleeper = group.create_task(self._move_after(seconds))
            await self._moved.wait()
            sleeper.cancel()

    async def _move_after(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._moved.set()
