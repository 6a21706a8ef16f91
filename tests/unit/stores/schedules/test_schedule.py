"""Plans: when a schedule is due first, next, and after the clock was put back."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mayfly.stores.schedules.schedule import (
    Plan,
    Schedule,
    Target,
    ever_due,
    first_plan,
    plan_after,
    plan_anew,
)

NOW = 1_750_000_000_000
MINUTE, HOUR = 60_000, 3_600_000
TARGET = Target(
    "arn:aws:lambda:us-east-1:000000000000:function:f", "arn:aws:iam::000000000000:role/r"
)


def schedule(expression: str, **members: object) -> Schedule:
    plain = Schedule(
        group="default",
        name="s",
        expression=expression,
        zone="UTC",
        target=TARGET,
        created_ms=NOW,
        modified_ms=NOW,
        anchor_ms=NOW,
        revision_id="1",
    )
    return replace(plain, **members)  # type: ignore[arg-type]  # by name


def test_a_rate_without_a_start_is_due_at_once_and_then_keeps_its_pace() -> None:
    rate = schedule("rate(5 minutes)")
    first = first_plan(rate, NOW, "0")
    assert first.due_ms == NOW
    assert plan_after(rate, first, NOW + 3, "0").due_ms == NOW + 5 * MINUTE


def test_missed_occurrences_are_made_up_for_by_one() -> None:
    rate = schedule("rate(1 minute)")
    first = first_plan(rate, NOW, "0")
    late = plan_after(rate, first, NOW + 10 * HOUR + 1, "0")
    assert late.due_ms == NOW + 10 * HOUR + MINUTE


def test_nothing_is_due_before_the_start_or_after_the_end() -> None:
    dated = schedule(
        "rate(1 hour)", start_ms=NOW + HOUR, anchor_ms=NOW + HOUR, end_ms=NOW + 2 * HOUR
    )
    first = first_plan(dated, NOW, "0")
    assert first.due_ms == NOW + HOUR
    second = plan_after(dated, first, NOW + HOUR, "0")
    assert second.due_ms == NOW + 2 * HOUR
    assert plan_after(dated, second, NOW + 2 * HOUR, "0").due_ms is None


def test_a_cron_begins_with_the_first_match_on_or_after_its_start() -> None:
    start_ms = 1_750_032_000_000  # 2025-06-16T00:00Z
    daily = schedule("cron(0 0 * * ? *)", start_ms=start_ms, anchor_ms=start_ms)
    assert first_plan(daily, NOW, "0").due_ms == start_ms


def test_what_is_disabled_is_never_due() -> None:
    assert first_plan(schedule("rate(1 minute)", enabled=False), NOW, "0").due_ms is None


def test_a_moment_of_the_minute_that_has_begun_is_due_and_an_older_one_is_over() -> None:
    once = schedule("at(2025-06-15T15:06:00)")  # 40 s before NOW
    assert first_plan(once, NOW, "0").due_ms == NOW - 40_000
    assert first_plan(once, NOW + 30_000, "0").due_ms is None
    assert ever_due(once, NOW + HOUR)


def test_what_happened_once_does_not_happen_again_when_the_clock_is_put_back() -> None:
    once = schedule("at(2025-06-15T16:00:00)")
    first = first_plan(once, NOW, "0")
    over = plan_after(once, first, NOW + HOUR, "0")
    assert over.due_ms is None
    assert plan_anew(once, over, NOW, "0").due_ms is None


def test_a_clock_that_was_a_year_ahead_leaves_no_gap() -> None:
    rate, year = schedule("rate(1 hour)"), 365 * 24 * HOUR
    first = first_plan(rate, NOW, "0")
    ahead = plan_after(rate, first, NOW + year, "0")
    anew = plan_anew(rate, ahead, NOW + 5 * MINUTE, "0")
    assert anew.due_ms == NOW + HOUR


@given(chance=st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=8, max_size=8))
def test_a_flexible_window_is_a_moment_within_it(chance: str) -> None:
    flexible = schedule("rate(1 hour)", window_min=15)
    plan = first_plan(flexible, NOW, chance)
    assert plan.due_ms is not None
    assert NOW <= plan.due_ms < NOW + 15 * MINUTE
    assert plan.occurrence_ms == NOW


@given(
    chances=st.lists(
        st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=8, max_size=8),
        min_size=5,
        max_size=5,
    )
)
def test_a_window_longer_than_the_pace_leaves_no_occurrence_out(chances: list[str]) -> None:
    flexible = schedule("rate(1 minute)", window_min=15)
    plan = first_plan(flexible, NOW, chances[0])
    for number, chance in enumerate(chances, 1):
        assert plan.due_ms is not None
        plan = plan_after(flexible, plan, plan.due_ms, chance)
        assert plan.occurrence_ms == NOW + number * MINUTE


def test_an_expression_that_never_comes_true_again_is_known() -> None:
    assert not ever_due(schedule("cron(0 0 30 2 ? *)"), NOW)
    assert not ever_due(schedule("cron(0 0 * * ? 2020)"), NOW)
    assert not ever_due(schedule("cron(0 0 * * ? *)", end_ms=NOW + 1), NOW)
    assert ever_due(schedule("cron(0 0 * * ? 2199)"), NOW)


def test_a_plan_of_nothing_keeps_what_was_last() -> None:
    plan = plan_anew(schedule("rate(1 hour)", enabled=False), Plan(NOW, last_ms=7), NOW, "0")
    assert plan == Plan(NOW, last_ms=7)
