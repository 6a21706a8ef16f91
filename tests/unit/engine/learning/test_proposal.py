"""Bounds with a margin; doubled where a run was stopped at one; never lowered for a failed run."""

from __future__ import annotations

from mayfly.engine.learning.proposal import Rehearsed, propose_bounds
from mayfly.model.function import Settings
from mayfly.model.invocation import ErrorKind, Outcome


def run(ms: float, memory_mib: int, error_type: str = "") -> Rehearsed:
    error = ErrorKind.UNHANDLED if error_type else None
    return Rehearsed(Outcome(b"", error, error_type, "$LATEST", b"", ms), memory_mib)


def proposed(settings: Settings, *runs: Rehearsed) -> tuple[int, int]:
    bounds = propose_bounds(settings, runs)
    return bounds["memory"].proposed, bounds["timeout"].proposed


def settings(memory_mib: int = 512, timeout_s: int = 60) -> Settings:
    return Settings(handler="a.b", runtime="p", memory_mib=memory_mib, timeout_s=timeout_s)


def test_the_highest_of_the_runs_counts_with_a_margin() -> None:
    assert proposed(settings(), run(100, 30), run(4_200, 150)) == (256, 13)


def test_small_needs_get_the_least_that_there_is_and_no_timeout_below_the_default() -> None:
    assert proposed(settings(), run(1, 9)) == (128, 3)
    assert proposed(settings(timeout_s=2), run(1, 9)) == (128, 2)


def test_a_run_that_failed_lowers_nothing() -> None:
    assert proposed(settings(), run(1, 9), run(1, 9, "KeyError")) == (512, 60)


def test_who_was_stopped_at_a_bound_gets_the_double() -> None:
    assert proposed(settings(128, 3), run(5, 128, "Runtime.OutOfMemory")) == (256, 3)
    assert proposed(settings(128, 3), run(30_000, 9, "Sandbox.Timedout")) == (128, 60)


def test_memory_that_is_not_known_changes_nothing() -> None:
    assert proposed(settings(), run(1, 0)) == (512, 3)


def test_tmp_gets_a_margin_and_the_double_when_it_was_full() -> None:
    def tmp(seen_mib: float, now: int, error_type: str = "") -> int:
        seen = int(seen_mib * 1024 * 1024)
        had = Settings(handler="a.b", runtime="p", tmp_mib=now)
        return propose_bounds(had, [run(1, 9, error_type)], tmp_bytes=seen)["tmp"].proposed

    assert tmp(500, 2048) == 768
    assert tmp(3, 2048) == 512
    assert tmp(511, 512, "OSError") == 1024
    assert tmp(3, 2048, "KeyError") == 2048
    assert tmp(0, 2048) == 2048
