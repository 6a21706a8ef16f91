from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mayfly.engine.demand import Demand


def test_a_rare_caller_needs_one() -> None:
    demand = Demand(window_s=10, now_s=0)
    demand.arrive(now_s=1, running=1)
    assert demand.target(1) == 1


def test_the_target_is_the_most_that_ran_at_once_lately() -> None:
    demand = Demand(window_s=10, now_s=0)
    for running in (1, 5, 2):
        demand.arrive(now_s=1, running=running)
    assert demand.target(2) == 5


def test_demand_is_forgotten_two_windows_later() -> None:
    demand = Demand(window_s=10, now_s=0)
    demand.arrive(now_s=1, running=7)
    assert demand.target(12) == 7
    assert demand.target(25) == 0


def test_a_long_silence_is_forgotten_at_once() -> None:
    demand = Demand(window_s=10, now_s=0)
    demand.arrive(now_s=1, running=7)
    assert demand.target(1_000) == 0


def _a_thousand_in_a_second(birth_s: float) -> Demand:
    demand = Demand(window_s=10, now_s=0)
    for _ in range(200):
        demand.learn_birth(birth_s)
    for step in range(1_000):
        demand.arrive(now_s=step / 1_000, running=1)
    return demand


def test_many_arrivals_ask_for_as_many_as_come_while_one_is_born() -> None:
    assert 290 <= _a_thousand_in_a_second(0.300).target(1.0) <= 310


def test_one_birth_that_was_held_up_asks_for_as_many_as_come_meanwhile() -> None:
    demand = Demand(window_s=10, now_s=0)
    demand.learn_birth(0.5)
    for _ in range(100):
        demand.learn_birth(0.001)
    for step in range(1_900):
        demand.arrive(now_s=step / 100, running=1)
    assert 45 <= demand.target(19.0) <= 55
    demand.arrive(now_s=20.0, running=1)
    assert demand.target(20.0) <= 12, "it is forgotten two windows later"


def test_many_arrivals_ask_for_a_tenth_of_a_second_of_them() -> None:
    assert 90 <= _a_thousand_in_a_second(0.001).target(1.0) <= 110


def test_a_burst_is_expected_again_and_then_forgotten() -> None:
    demand = Demand(window_s=10, now_s=0)
    for step in range(40):
        demand.arrive(now_s=step / 1_000, running=1)
    assert demand.target(1) == 40
    assert demand.target(11) == 40
    assert demand.target(25) == 0


@given(
    st.lists(st.tuples(st.floats(0, 50), st.integers(1, 1_000))),
    st.floats(0, 200),
)
def test_the_target_is_at_least_the_current_use(
    arrivals: list[tuple[float, int]], later_s: float
) -> None:
    demand = Demand(window_s=10, now_s=0)
    now_s = 0.0
    for gap_s, running in arrivals:
        now_s += gap_s
        demand.arrive(now_s=now_s, running=running)
        assert demand.target(now_s) >= running
    assert demand.target(now_s + later_s) >= 0
