"""How many events of each function may be delivered at once, so that none keeps out the others.

A function may have as many events under way as places are still free (the dynamic thresholds of
shared switch buffers): alone it takes half of all places, beside n others as busy it gives way to
an equal share, and some stay free for who comes next. Beyond that a function with nothing under way
gets one place, up to twice the bound. Its reserved concurrency bounds it as well; and one that was
refused pauses, then is tried with one event at a time until that is answered.

    ready functions --shares--> how many to lease of each      start, stop    an event begins, ends
                                                               refused        pause, doubling
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class _Pause:
    """A function was refused: by its bound, or by a fault of the platform."""

    until_s: float
    delay_s: float


class Shares:
    """The books of what is under way. Pure.

    Args:
        places_max: Events under way at once.
        pause_s_min: First pause of a function that was refused; doubles.
        pause_s_max: Longest such pause.
    """

    def __init__(self, places_max: int, *, pause_s_min: float, pause_s_max: float) -> None:
        assert places_max > 0, "places_max must be positive"
        self._places_max = places_max
        self._pause_s_min = pause_s_min
        self._pause_s_max = pause_s_max
        self._busy: Counter[str] = Counter()
        self._busy_total = 0
        self._pauses: dict[str, _Pause] = {}

    def start(self, name: str) -> None:
        """An event of this function is under way."""
        self._busy[name] += 1
        self._busy_total += 1

    def stop(self, name: str) -> None:
        """An event of this function is not under way any more."""
        self._busy[name] -= 1
        self._busy_total -= 1
        if not self._busy[name]:
            del self._busy[name]

    def refused(self, name: str, now_s: float) -> None:
        """A call of this function was refused: let it rest, the longer the more often."""
        pause = self._pauses.get(name)
        if pause is None:
            pause = self._pauses[name] = _Pause(0.0, 0.0)
        # Calls that were under way together are refused together: they count once.
        if now_s >= pause.until_s:
            pause.delay_s = min(max(pause.delay_s * 2, self._pause_s_min), self._pause_s_max)
            pause.until_s = now_s + pause.delay_s

    def answered(self, name: str) -> None:
        """A call of this function was let in: it rests no longer."""
        self._pauses.pop(name, None)

    def forget(self, ready: Mapping[str, int]) -> None:
        """Drop what is remembered of functions that have no events."""
        for name in [name for name in self._pauses if name not in ready]:
            del self._pauses[name]

    def shares(
        self,
        ready: Mapping[str, int],
        reserved: Callable[[str], int | None],
        *,
        now_ms: int,
        now_s: float,
    ) -> dict[str, int]:
        """How many events to lease of each function, in turn, those that wait longest first.

        Args:
            ready: When each function's first event may be leased, Unix milliseconds.
            reserved: A function's reserved concurrency, or None.
            now_ms: Unix milliseconds.
            now_s: Monotonic seconds.
        """
        due = sorted((ms, name) for name, ms in ready.items() if ms <= now_ms)
        turns = deque((name, self._bound(name, reserved(name), now_s)) for _, name in due)
        free = self._places_max - self._busy_total
        granted: dict[str, int] = {}
        while turns and free > -self._places_max:
            name, bound = turns.popleft()
            mine = self._busy[name] + granted.get(name, 0)
            if mine < bound and (mine < free or mine == 0):
                granted[name] = granted.get(name, 0) + 1
                free -= 1
                turns.append((name, bound))
        return granted

    @property
    def free(self) -> int:
        """Places that nothing has; never under 0."""
        return max(0, self._places_max - self._busy_total)

    def has_room(self, name: str, reserved: int | None, *, now_s: float) -> bool:
        """Whether one more event of this function may begin, as `shares` would grant it."""
        free, mine = self._places_max - self._busy_total, self._busy[name]
        return (
            free > -self._places_max
            and (mine < free or mine == 0)
            and mine < self._bound(name, reserved, now_s)
        )

    def next_look(
        self, ready: Mapping[str, int], *, now_ms: int, now_s: float
    ) -> tuple[int | None, float | None]:
        """When there may be something to lease that there is not now, if no event ends before.

        Returns:
            Unix milliseconds of the first event that is not due yet, and monotonic seconds of the
            end of the first pause of a function whose events are due; None where there is none.
        """
        later_ms = min((ms for ms in ready.values() if ms > now_ms), default=None)
        ends_s = [
            pause.until_s
            for name, pause in self._pauses.items()
            if pause.until_s > now_s and ready.get(name, now_ms + 1) <= now_ms
        ]
        return later_ms, min(ends_s, default=None)

    def _bound(self, name: str, reserved: int | None, now_s: float) -> int:
        # A stopped function's events are given up, which needs no place of its own.
        bound = reserved or self._places_max
        pause = self._pauses.get(name)
        if pause is None:
            return bound
        return 0 if now_s < pause.until_s else 1
