"""Who waits for messages, queue by queue: long polls, and listeners such as mappings.

    arrived --> `news` grows; the listeners are called; as many long polls wake as messages came
    hidden messages --> `expect`: the same, at the moment at which the first becomes visible

A long poll notes `news` before it looks into the queue, and does not go to sleep when it has
grown since: no arrival falls between looking and waiting. One that is cancelled after it was
woken wakes the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from mayfly.ports import Clock
from mayfly.stores.queues.timetable import Entry, Timetable

# The wall clock may jump: what it promised is looked at again after so long.
_EXPECT_S_MAX = 30.0


@dataclass(slots=True, eq=False)
class _Seats:
    """One queue's audience."""

    news: int = 0
    sleeping: deque[asyncio.Future[None]] = field(default_factory=deque)
    listeners: list[Callable[[], None]] = field(default_factory=list)
    expected_ms: int = 0
    alarm: Entry | None = None


class Audience:
    """The waiting, by queue id. On the event loop only."""

    def __init__(self, clock: Clock, timetable: Timetable) -> None:
        self._clock = clock
        self._timetable = timetable
        self._seats: dict[int, _Seats] = {}

    def is_listened_to(self, queue_id: int) -> bool:
        """Whether somebody wants to know when a hidden message becomes visible."""
        seats = self._seats.get(queue_id)
        return seats is not None and bool(seats.sleeping or seats.listeners)

    def arrived(self, queue_id: int, count: int = 1) -> None:
        """So many messages may be received now."""
        seats = self._seats.get(queue_id)
        if seats is None:
            return
        seats.news += 1
        for wake in tuple(seats.listeners):
            wake()
        while count > 0 and seats.sleeping:
            sleeper = seats.sleeping.popleft()
            if not sleeper.done():
                sleeper.set_result(None)
                count -= 1

    def expect(self, queue_id: int, at_ms: int) -> None:
        """A message becomes visible at that wall-clock time: wake one then."""
        seats = self._seats.get(queue_id)
        if seats is None or (seats.alarm is not None and seats.expected_ms <= at_ms):
            return
        if seats.alarm is not None:
            seats.alarm.cancel()

        def ring() -> None:
            seats.alarm = None
            self.arrived(queue_id)

        left_s = min(max(at_ms - self._clock.now_ms(), 0.0) / 1000, _EXPECT_S_MAX)
        seats.expected_ms = at_ms
        seats.alarm = self._timetable.at(self._clock.monotonic_s() + left_s, ring)

    def listen(self, queue_id: int, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever something may be received; what ends that is returned."""
        seats = self._open(queue_id)
        seats.listeners.append(wake)

        def leave() -> None:
            if wake in seats.listeners:
                seats.listeners.remove(wake)

        return leave

    def attend(self, queue_id: int) -> int:
        """A long poll is about to look: from now on its queue's news are counted."""
        return self._open(queue_id).news

    async def wait(self, queue_id: int, *, news: int, until_s: float) -> None:
        """Return when something arrived since `news` was noted, or at that monotonic time."""
        seats = self._open(queue_id)
        if seats.news != news:
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        seats.sleeping.append(sleeper)

        def end() -> None:
            if not sleeper.done():
                sleeper.set_result(None)

        end_of_wait = self._timetable.at(until_s, end)
        try:
            await sleeper
        except asyncio.CancelledError:
            if sleeper.done() and not sleeper.cancelled():
                self.arrived(queue_id)
            raise
        finally:
            end_of_wait.cancel()
            if sleeper in seats.sleeping:
                seats.sleeping.remove(sleeper)

    def forget(self, queue_id: int) -> None:
        """The queue is gone: its long polls look once more, and are told so."""
        self.arrived(queue_id, 1 << 30)
        self._seats.pop(queue_id, None)

    def _open(self, queue_id: int) -> _Seats:
        seats = self._seats.get(queue_id)
        if seats is None:
            seats = self._seats[queue_id] = _Seats()
        return seats
