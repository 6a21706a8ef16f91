"""Failed events are kept for their owner to see, but not without a bound: the oldest go first.

By count, when one more has failed; by age, each hour while there are any. What goes is counted and
told: it is the one place where an accepted event is forgotten without an answer.
"""

from __future__ import annotations

import asyncio
import logging

from mayfly.engine.alarm import Alarm
from mayfly.engine.bounds import EngineLimits
from mayfly.model.errors import MayflyError
from mayfly.model.event import EventState
from mayfly.ports import Backlog, Clock
from mayfly.telemetry import LogEvent, Metrics, event_log

_LOOK_S = 3_600.0


class FailedEvents:
    """Keeps the number and the age of failed events within their bounds."""

    def __init__(
        self, backlog: Backlog, clock: Clock, limits: EngineLimits, metrics: Metrics
    ) -> None:
        self._backlog = backlog
        self._clock = clock
        self._limits = limits
        self._metrics = metrics
        self._alarm = Alarm(clock)
        self._trimming = asyncio.Lock()

    async def run(self) -> None:
        """Look for what is too old, now and each hour, until cancelled."""
        self._alarm.ring()
        while True:
            await self._alarm.wait()
            await self._trim()
            if await self._count():
                self._look_later()

    async def one_more(self) -> None:
        """An event failed: were there too many, the oldest are gone when this returns."""
        self._look_later()
        if await self._count() > self._limits.failed_events_max:
            await self._trim()

    async def _count(self) -> int:
        return (await self._backlog.counts())[EventState.FAILED]

    def _look_later(self) -> None:
        self._alarm.set(self._clock.monotonic_s() + _LOOK_S)

    async def _trim(self) -> None:
        # Those who fail together find the others' work done.
        async with self._trimming:
            before_ms = self._clock.now_ms() - self._limits.failed_events_age_s * 1000
            try:
                gone = await self._backlog.trim(
                    failed_max=self._limits.failed_events_max, before_ms=int(before_ms)
                )
            except MayflyError as error:
                event_log(LogEvent.BACKLOG_UNREACHABLE, level=logging.ERROR, error=str(error))
                return
        if gone:
            self._metrics.events_dropped += gone
            event_log(LogEvent.EVENTS_DROPPED, level=logging.WARNING, count=gone)
