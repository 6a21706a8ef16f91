"""From measurements to bounds with a margin: memory, time, /tmp. Pure.

A run that was stopped at a bound says only that the bound is too small: the double is proposed. A
run that failed otherwise may have stopped halfway, so nothing is lowered for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from mayfly.model import limits
from mayfly.model.function import Settings
from mayfly.model.invocation import Outcome

MARGIN_MEMORY, MARGIN_TIME = 1.5, 3.0
_MEMORY_STEP_MIB = 64
_OUT_OF_MEMORY, _TIMED_OUT = "Runtime.OutOfMemory", "Sandbox.Timedout"
_MS_PER_S = 1_000
_FULL = 0.95


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What one run came to.

    Args:
        memory_mib_max: The highest that was seen, 0 where it is not known.
    """

    outcome: Outcome
    memory_mib_max: int


@dataclass(frozen=True, slots=True)
class Bound:
    """One setting: as it is, as it was seen, as it should be."""

    now: int
    seen: float
    proposed: int


def propose_bounds(
    settings: Settings, runs: Sequence[Rehearsed], *, tmp_bytes: int = 0
) -> dict[str, Bound]:
    """By the key of mayfly.toml: memory and tmp in MiB, timeout in seconds.

    Args:
        settings: As the runs had them, but for the timeout, which is the function's own.
        tmp_bytes: The most that /tmp held, 0 where it is not known.
    """
    well = all(one.outcome.error is None for one in runs)
    memory = max((one.memory_mib_max for one in runs), default=0)
    seconds = max((one.outcome.duration_ms for one in runs), default=0) / _MS_PER_S
    kinds = {one.outcome.error_type for one in runs}
    return {
        "memory": Bound(settings.memory_mib, memory, _memory(settings, memory, kinds, lower=well)),
        "timeout": Bound(
            settings.timeout_s,
            round(seconds, 3),
            _timeout(settings, seconds, kinds, lower=well),
        ),
        "tmp": _tmp(settings, tmp_bytes, lower=well),
    }


def _memory(settings: Settings, seen_mib: int, kinds: set[str], *, lower: bool) -> int:
    now = settings.memory_mib
    if _OUT_OF_MEMORY in kinds:
        return min(now * 2, limits.MEMORY_MIB_MAX)
    if not seen_mib:
        return now
    steps = ceil(seen_mib * MARGIN_MEMORY / _MEMORY_STEP_MIB)
    wanted = max(limits.MEMORY_MIB_MIN, min(steps * _MEMORY_STEP_MIB, limits.MEMORY_MIB_MAX))
    return wanted if lower else max(now, wanted)


def _tmp(settings: Settings, seen_bytes: int, *, lower: bool) -> Bound:
    now, seen_mib = settings.tmp_mib, seen_bytes / limits.MIB
    steps = ceil(seen_mib * MARGIN_MEMORY / _MEMORY_STEP_MIB)
    wanted = max(limits.TMP_MIB_MIN, min(steps * _MEMORY_STEP_MIB, limits.TMP_MIB_MAX))
    # Full, or nearly: what came after had no room.
    if seen_mib > now * _FULL:
        wanted = min(now * 2, limits.TMP_MIB_MAX)
    return Bound(now, round(seen_mib, 2), wanted if lower and seen_bytes else max(now, wanted))


def _timeout(settings: Settings, seen_s: float, kinds: set[str], *, lower: bool) -> int:
    now = settings.timeout_s
    if _TIMED_OUT in kinds:
        return min(max(now, ceil(seen_s)) * 2, limits.TIMEOUT_S_MAX)
    # What a sample took says little of a slow day: below Lambda's default nothing is lowered.
    least = min(now, limits.TIMEOUT_S_DEFAULT)
    wanted = max(least, min(ceil(seen_s * MARGIN_TIME), limits.TIMEOUT_S_MAX))
    return wanted if lower else max(now, wanted)
