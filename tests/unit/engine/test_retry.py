from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mayfly.engine.retry import delivery_delay_s, restart_delay_s


def test_the_first_failure_is_tried_again_at_once() -> None:
    assert restart_delay_s(1, min_s=0.1, max_s=5) == 0


def test_pauses_double_up_to_their_bound() -> None:
    pauses = [restart_delay_s(failures, min_s=0.1, max_s=5) for failures in range(2, 10)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5]


@given(st.integers(0, 10_000))
def test_a_pause_never_exceeds_its_bound(failures: int) -> None:
    assert 0 <= restart_delay_s(failures, min_s=0.1, max_s=5) <= 5


@given(st.uuids(), st.floats(0, 100_000))
def test_a_throttled_event_waits_between_one_second_and_five_minutes_with_jitter(
    event_id: object, age_s: float
) -> None:
    delay_s = delivery_delay_s(str(event_id), age_s=age_s, min_s=1, max_s=300)
    assert 0.75 <= delay_s <= 375


def test_events_that_came_together_are_tried_apart() -> None:
    delays = {delivery_delay_s(str(n), age_s=60, min_s=1, max_s=300) for n in range(50)}
    assert len(delays) > 25
