"""How many batches of a queue run at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mayfly.sources.mapping.pace import START, Pace, backoff_s


def test_it_grows_by_answers_up_to_its_bound() -> None:
    pace = Pace(8)
    assert pace.free(0, 0.0) == START
    for _ in range(10):
        pace.answered()
    assert pace.free(3, 0.0) == 5


def test_a_refusal_halves_it_and_pauses_longer_each_time() -> None:
    pace, now_s, pauses = Pace(50), 100.0, []
    for _ in range(12):
        pause_s = pace.refused(now_s, 0.5)
        assert pace.refused(now_s, 0.5) <= pause_s, "several at one moment count once"
        assert pace.free(0, now_s) == 0
        pauses.append(pause_s)
        now_s += pause_s
        assert pace.free(0, now_s) >= 1
    assert pauses == sorted(pauses)
    assert pauses[0] < 1
    assert pauses[-1] <= 30
    assert pace.limit == 1
    pace.answered()
    assert pace.refused(now_s, 0.5) < 1, "an answer begins anew"


def test_failures_slow_it_down_to_one() -> None:
    pace = Pace(50)
    for _ in range(20):
        pace.failed()
    assert pace.free(0, 0.0) == 1


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_a_pause_is_bounded_both_ways(failures: int, chance: float) -> None:
    assert 0.075 <= backoff_s(failures, chance=chance, min_s=0.1, max_s=30.0) <= 30.0
