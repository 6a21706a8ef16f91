"""Expressions in time zones: clocks that go forward and back, rates, moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.model.errors import InvalidParameter
from mayfly.stores.schedules.timing import Timing, parse_timing

ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"),
    *("Asia/Kathmandu", "America/St_Johns", "Pacific/Apia"),
)


def ms(text: str, zone: str = "UTC") -> int:
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return round(local.timestamp() * 1000)


def following(timing: Timing, after: str, count: int) -> list[str]:
    found, moment_ms = [], ms(after)
    for _ in range(count):
        next_ms = timing.next_ms(moment_ms, 0)
        assert next_ms is not None
        moment_ms = next_ms
        found.append(datetime.fromtimestamp(moment_ms / 1000, UTC).strftime("%m-%d %H:%M"))
    return found


def test_a_time_that_does_not_exist_in_spring_is_left_out() -> None:
    daily = parse_timing("cron(30 2 * * ? *)", "Europe/Berlin")
    assert following(daily, "2026-03-28T00:00", 3) == ["03-28 01:30", "03-30 00:30", "03-31 00:30"]


def test_a_time_that_exists_twice_in_autumn_counts_once() -> None:
    daily = parse_timing("cron(30 2 * * ? *)", "Europe/Berlin")
    assert following(daily, "2026-10-24T12:00", 2) == ["10-25 00:30", "10-26 01:30"]


def test_every_hour_of_a_short_day_and_of_a_long_one() -> None:
    hourly = parse_timing("cron(0 * * * ? *)", "Europe/Berlin")
    assert following(hourly, "2026-03-28T23:30", 3) == ["03-29 00:00", "03-29 01:00", "03-29 02:00"]
    # The second 02:00 on the wall, at 01:00 UTC, is the same wall time again.
    assert following(hourly, "2026-10-24T23:30", 3) == ["10-25 00:00", "10-25 02:00", "10-25 03:00"]


def test_a_rate_keeps_its_pace_whatever_the_wall_shows() -> None:
    rate = parse_timing("rate(1 day)", "Europe/Berlin")
    anchor = ms("2026-03-28T02:30", "Europe/Berlin")
    assert rate.next_ms(anchor - 1, anchor) == anchor
    assert rate.next_ms(anchor, anchor) == anchor + 86_400_000


@pytest.mark.parametrize("expression", ["rate(1 minute)", "rate(1 minutes)", "rate(5 minute)"])
def test_a_unit_may_be_in_the_singular_and_in_the_plural(expression: str) -> None:
    assert parse_timing(expression, "UTC").next_ms(0, 0)


def test_a_moment_is_in_the_zone_that_is_named() -> None:
    once = parse_timing("at(2026-07-01T09:00:00)", "America/New_York")
    assert once.once
    assert once.next_ms(0, 0) == ms("2026-07-01T13:00")
    assert once.next_ms(ms("2026-07-01T13:00"), 0) is None


@pytest.mark.parametrize(
    "expression",
    [
        "cron(0 1 * * * *)",
        "cron(INVALID)",
        "cron()",
        "rate(10 seconds)",
        "rate(10 years)",
        "rate()",
        "rate(10)",
        "rate(10 minutess)",
        "rate(foo minutes)",
        "rate(-10 minutes)",
        "rate(0 minutes)",
        "rate(99999999 days)",
        "rate( 10 minutes )",
        " rate(10 minutes)",
        "at(2021-12-31T23:59:59Z)",
        "at(2021-12-31)",
        "at(2021-02-30T00:00:00)",
        "every day",
        "",
    ],
)
def test_what_aws_refuses_is_refused_in_its_words(expression: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        parse_timing(expression, "UTC")
    assert str(refused.value) == f"Invalid Schedule Expression {expression}."


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus", "Europe", "../../etc/passwd", "/etc/localtime", "x\0"]
)
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(InvalidParameter, match="ScheduleExpressionTimezone"):
        parse_timing("rate(1 minute)", zone)


@given(
    zone=st.sampled_from(ZONES),
    after=st.datetimes(datetime.fromisoformat("2024-01-01"), datetime.fromisoformat("2030-01-01")),
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
)
def test_a_daily_time_comes_on_every_day_that_has_it_and_once(
    zone: str, after: datetime, minute: int, hour: int
) -> None:
    place = ZoneInfo(zone)
    timing = parse_timing(f"cron({minute} {hour} * * ? *)", zone)
    moment_ms = round(after.replace(tzinfo=UTC).timestamp() * 1000)
    for _ in range(5):
        next_ms = timing.next_ms(moment_ms, 0)
        assert next_ms is not None
        assert next_ms > moment_ms
        local = datetime.fromtimestamp(next_ms / 1000, place)
        assert (local.hour, local.minute, local.fold) == (hour, minute, 0)
        # Nothing in between shows this time on the wall for the first time.
        for_days = range(1, (next_ms - moment_ms) // 86_400_000 + 1)
        for day in for_days:
            skipped = (local - timedelta(days=day)).replace(tzinfo=place, fold=0)
            exists = skipped.astimezone(UTC).astimezone(place).replace(fold=0) == skipped
            assert not exists or skipped.timestamp() * 1000 <= moment_ms
        moment_ms = next_ms
