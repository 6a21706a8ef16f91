"""Virtual time: a clock that only moves when everybody waits, and the event loop that moves it.

`VirtualLoop` is asyncio's own loop with two changes. Its time is the clock's; and where it would
block until the next timer, it moves the clock there instead. So an hour's wait takes no time, a
run is the same every time, and `asyncio.timeout`, `call_later` and `Clock.sleep` agree. When
nothing is ready, no timer is set and no thread reports within a moment, the test would hang for
ever: `Deadlocked` is raised instead, which is how a lost wake-up shows.

    @in_virtual_time
    async def test_an_idle_isolate_goes(clock: VirtualClock) -> None:
        await clock.sleep(3600)
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import selectors
from collections.abc import Callable, Coroutine
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_START_WALL_MS = 1_750_000_000_000.0
_START_S = 1_000.0
_THREAD_GRACE_S = 2.0
# The loop compares times to a nanosecond; a step must not be lost to rounding.
_STEP_S = 2e-9


class Deadlocked(Exception):
    """Every task waits for something that nobody will do."""


class VirtualClock:
    """The Clock port in virtual time."""

    def __init__(self, *, wall_ms: float = _START_WALL_MS) -> None:
        self._now_s = _START_S
        self._offset_ms = wall_ms - _START_S * 1000

    def now_ms(self) -> float:
        """Virtual wall-clock time."""
        return self._now_s * 1000 + self._offset_ms

    def monotonic_s(self) -> float:
        """Virtual seconds."""
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time. Only inside a `VirtualLoop` of this clock."""
        await asyncio.sleep(seconds)

    def step(self, seconds: float) -> None:
        """Move time forward. `VirtualLoop` does it; a test without a loop may."""
        self._now_s += seconds

    def jump_wall(self, milliseconds: float) -> None:
        """Set the wall clock forward or back, as NTP does; durations do not see it."""
        self._offset_ms += milliseconds


class _Selector(selectors.DefaultSelector):
    """Waits by moving the clock. Real file descriptors and threads still get their turn."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None:
            ready = super().select(_THREAD_GRACE_S)
            if not ready:
                raise Deadlocked("nothing is ready and no timer is set: a wake-up was lost")
            return ready
        self._clock.step(timeout + _STEP_S)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a `VirtualClock`'s."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_Selector(clock))
        self._virtual_clock = clock

    def time(self) -> float:
        """The clock's time: timers of asyncio follow it."""
        return self._virtual_clock.monotonic_s()


def run_virtual(main: Callable[[VirtualClock], Coroutine[object, object, T]]) -> T:
    """Run `main(clock)` to its end in virtual time.

    Raises:
        Deadlocked: Nothing could go on.
    """
    clock = VirtualClock()
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main(clock))


def in_virtual_time(
    test: Callable[Concatenate[VirtualClock, P], Coroutine[object, object, None]],
) -> Callable[P, None]:
    """Turn an async test whose first parameter is a `VirtualClock` into a plain one.

    Fixtures, parameters and Hypothesis's `given` see the remaining parameters.
    """

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtual(lambda clock: test(clock, *args, **kwargs))

    whole = inspect.signature(test)
    rest = list(whole.parameters.values())[1:]
    setattr(run, "__signature__", whole.replace(parameters=rest))  # noqa: B010 no such attribute
    del run.__wrapped__
    return run
