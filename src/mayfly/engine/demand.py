"""How many isolates to park ahead, estimated from what happened lately. Pure.

    target = the larger of  most calls at once + arrivals a second x seconds that a birth takes
                            most arrivals within a tenth of a second

The second serves callers that ask again as soon as they are answered: the next burst of the same
size finds each isolate parked. How long a birth takes is its mean, or the longest of lately: who
was held up by a neighbour once has enough parked to outlast that when it comes again. "Lately" is
this window and the one before it, so an estimate fades one to two windows after the demand did. A
burst counts at once: the rate of a young window is taken over its own age.
"""

from __future__ import annotations

from math import ceil

_BIRTH_S_GUESS = 0.003
_BIRTH_WEIGHT = 0.1
_YOUNG_S = 0.25
_BURST_S = 0.1


class Demand:
    """One version's recent demand.

    Args:
        window_s: Length of one window.
        now_s: Monotonic seconds.
    """

    __slots__ = (
        "_birth_s",
        "_birth_s_max",
        "_birth_s_max_before",
        "_burst",
        "_burst_before",
        "_burst_count",
        "_burst_start_s",
        "_count",
        "_count_before",
        "_peak",
        "_peak_before",
        "_start_s",
        "_window_s",
    )

    def __init__(self, *, window_s: float, now_s: float) -> None:
        self._window_s = window_s
        self._start_s = now_s
        self._count = self._count_before = 0
        self._peak = self._peak_before = 0
        self._burst = self._burst_before = 0
        self._burst_count = 0
        self._burst_start_s = now_s
        self._birth_s = _BIRTH_S_GUESS
        self._birth_s_max = self._birth_s_max_before = 0.0

    def arrive(self, *, now_s: float, running: int) -> None:
        """A call came; `running` calls of this version are under way, it included."""
        if now_s - self._start_s >= self._window_s:
            self._roll(now_s)
        self._count += 1
        if now_s - self._burst_start_s >= _BURST_S:
            self._burst_start_s = now_s
            self._burst_count = 0
        self._burst_count += 1
        if self._burst_count > self._burst:
            self._burst = self._burst_count
        if running > self._peak:
            self._peak = running

    def learn_birth(self, seconds: float) -> None:
        """An isolate took so long from asked for to parked."""
        self._birth_s += (seconds - self._birth_s) * _BIRTH_WEIGHT
        self._birth_s_max = max(self._birth_s_max, seconds)

    def target(self, now_s: float) -> int:
        """How many isolates should be parked."""
        if now_s - self._start_s >= self._window_s:
            self._roll(now_s)
        elapsed_s = now_s - self._start_s
        steady = (self._count + self._count_before) / (self._window_s + elapsed_s)
        burst = self._count / max(elapsed_s, _YOUNG_S)
        birth_s = max(self._birth_s, self._birth_s_max, self._birth_s_max_before)
        ahead = max(steady, burst) * birth_s
        at_once = max(self._peak, self._peak_before) + (ceil(ahead) if ahead >= 1.0 else 0)
        return max(at_once, self._burst, self._burst_before)

    def _roll(self, now_s: float) -> None:
        recent = now_s - self._start_s < 2 * self._window_s
        self._count_before = self._count if recent else 0
        self._peak_before = self._peak if recent else 0
        self._burst_before = self._burst if recent else 0
        self._birth_s_max_before = self._birth_s_max if recent else 0.0
        self._birth_s_max = 0.0
        self._count = self._peak = self._burst = 0
        self._start_s = now_s
