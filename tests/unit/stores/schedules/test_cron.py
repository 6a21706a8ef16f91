"""Cron expressions against a brute force that looks at every minute, and AWS's examples."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.stores.schedules.cron import Cron

START = datetime.fromisoformat("2026-01-01")
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


def times(expression: str, start: datetime = START, count: int = 5) -> list[str]:
    cron, found, moment = Cron(expression), [], start
    for _ in range(count):
        following = cron.next_after(moment)
        if following is None:
            break
        moment = following
        found.append(f"{moment:%Y-%m-%d %H:%M %a}")
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 10 * * ? *", ["2026-01-01 10:00 Thu", "2026-01-02 10:00 Fri"]),
        ("15 12 * * ? *", ["2026-01-01 12:15 Thu", "2026-01-02 12:15 Fri"]),
        ("0 18 ? * MON-FRI *", ["2026-01-01 18:00 Thu", "2026-01-02 18:00 Fri"]),
        ("0 8 1 * ? *", ["2026-01-01 08:00 Thu", "2026-02-01 08:00 Sun"]),
        ("0/10 * ? * MON-FRI *", ["2026-01-01 00:10 Thu", "2026-01-01 00:20 Thu"]),
        ("0 9 ? * 2#1 *", ["2026-01-05 09:00 Mon", "2026-02-02 09:00 Mon"]),
        ("0 9 ? * TUE#5 *", ["2026-03-31 09:00 Tue", "2026-06-30 09:00 Tue"]),
        ("0 0 L * ? *", ["2026-01-31 00:00 Sat", "2026-02-28 00:00 Sat"]),
        ("0 0 LW * ? *", ["2026-01-30 00:00 Fri", "2026-02-27 00:00 Fri"]),
        ("0 0 3W * ? *", ["2026-01-02 00:00 Fri", "2026-02-03 00:00 Tue"]),
        ("0 0 1W 8,11 ? *", ["2026-08-03 00:00 Mon", "2026-11-02 00:00 Mon"]),
        ("0 0 31W 5 ? *", ["2026-05-29 00:00 Fri", "2027-05-31 00:00 Mon"]),
        ("0 0 ? * 6L *", ["2026-01-30 00:00 Fri", "2026-02-27 00:00 Fri"]),
        ("0 0 ? * L *", ["2026-01-03 00:00 Sat", "2026-01-10 00:00 Sat"]),
        ("0 22-1 * * ? *", ["2026-01-01 01:00 Thu", "2026-01-01 22:00 Thu"]),
        ("0 0 1 NOV-FEB ? *", ["2026-02-01 00:00 Sun", "2026-11-01 00:00 Sun"]),
        ("0 0 ? * fri-sun *", ["2026-01-02 00:00 Fri", "2026-01-03 00:00 Sat"]),
        ("0 0 29 2 ? *", ["2028-02-29 00:00 Tue", "2032-02-29 00:00 Sun"]),
        ("30 23 31 12 ? 2199", ["2199-12-31 23:30 Tue"]),
        ("0 0 ? 2 SUN#5 *", ["2032-02-29 00:00 Sun", "2060-02-29 00:00 Sun"]),
    ],
)
def test_the_documented_forms_mean_what_aws_says(expression: str, expected: list[str]) -> None:
    assert times(expression, count=2) == expected


@pytest.mark.parametrize("expression", ["0 0 31 2 ? *", "0 0 30 FEB ? *", "0 0 1 1 ? 1999"])
def test_a_date_that_never_comes_is_known_at_once(expression: str) -> None:
    assert Cron(expression).next_after(START) is None


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "INVALID",
        "0 1 * * * *",
        "0 1 ? * ? *",
        "7 20 * * NOT *",
        "0 dummy ? * MON-FRI *",
        "71 8 1 * ? *",
        "0 24 * * ? *",
        "0 0 0 * ? *",
        "0 0 32 * ? *",
        "0 0 * 13 ? *",
        "0 0 ? * 8 *",
        "0 0 ? * 0 *",
        "0 0 ? * 2#6 *",
        "0 0 ? * 2#1,3#1 *",
        "0 0 32W * ? *",
        "0 0 * * ? 1969",
        "0 0 * * ? 2030-2020",
        "0/0 0 * * ? *",
        "1,,2 0 * * ? *",
        "1- 0 * * ? *",
        "-1 0 * * ? *",
        "/5 0 * * ? *",
        "0 0 * * ?",
        "0 0 * * ? * *",
        "? 0 * * ? *",
        "0 0 ?,1 * ? *",
        "٣ 0 * * ? *",
    ],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Cron(expression)


def parts(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    ordered = st.tuples(number, number).map(sorted)
    step = st.integers(1, high)
    single = st.one_of(
        st.just("*"),
        number.map(str),
        ordered.map(lambda two: f"{two[0]}-{two[1]}"),
        st.tuples(ordered, step).map(lambda one: f"{one[0][0]}-{one[0][1]}/{one[1]}"),
        st.tuples(number, step).map(lambda two: f"{two[0]}/{two[1]}"),
        step.map(lambda one: f"*/{one}"),
    )
    return st.lists(single, min_size=1, max_size=3).map(",".join)


_DAYS_OF_MONTH = st.one_of(
    parts(1, 31),
    st.just("L"),
    st.just("LW"),
    st.integers(1, 31).map(lambda day: f"{day}W"),
)
_DAYS_OF_WEEK = st.one_of(
    parts(1, 7),
    st.just("L"),
    st.integers(1, 7).map(lambda day: f"{day}L"),
    st.tuples(st.integers(1, 7), st.integers(1, 5)).map(lambda two: f"{two[0]}#{two[1]}"),
)
_DAY_FIELDS = st.one_of(
    _DAYS_OF_MONTH.map(lambda days: (days, "?")), _DAYS_OF_WEEK.map(lambda days: ("?", days))
)


def numbers(field: str, low: int, high: int) -> set[int]:
    """What a plain field allows, by trying each number on each part."""

    def allowed(number: int, part: str) -> bool:
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            first, last = str(low), str(high)
        elif not dash:
            last = str(high) if step else first
        inside = int(first) <= number <= int(last)
        return inside and (number - int(first)) % int(step or "1") == 0

    return {n for n in range(low, high + 1) if any(allowed(n, one) for one in field.split(","))}


def workday_nearest(year: int, month: int, wanted: int) -> int | None:
    last = calendar.monthrange(year, month)[1]
    if wanted > last:
        return None
    workdays = [d for d in range(1, last + 1) if calendar.weekday(year, month, d) < 5]
    # Saturday prefers the day before, Sunday the day after: no two are equally near.
    return min(workdays, key=lambda day: abs(day - wanted))


def day_fits(moment: datetime, days: str, weekdays: str) -> bool:
    if days != "?":
        return moment.day in days_of_month(moment, days)
    weekday = moment.isoweekday() % 7 + 1
    last = calendar.monthrange(moment.year, moment.month)[1]
    if weekdays == "L":
        return weekday == 7
    if weekdays.endswith("L"):
        return weekday == int(weekdays[0]) and moment.day + 7 > last
    if "#" in weekdays:
        return weekday == int(weekdays[0]) and (moment.day - 1) // 7 + 1 == int(weekdays[2])
    return weekday in numbers(weekdays, 1, 7)


def days_of_month(moment: datetime, days: str) -> set[int | None]:
    last = calendar.monthrange(moment.year, moment.month)[1]
    if days == "L":
        return {last}
    if days == "LW":
        return {workday_nearest(moment.year, moment.month, last)}
    if days.endswith("W"):
        return {workday_nearest(moment.year, moment.month, int(days[:-1]))}
    return set(numbers(days, 1, 31))


def brute_force(
    fits_day: Callable[[datetime], bool], minutes: set[int], hours: set[int], after: datetime
) -> datetime | None:
    """The next match within 800 days, every minute of a day that fits looked at."""
    moment = after.replace(second=0, microsecond=0) + _MINUTE
    end = moment + timedelta(days=800)
    while moment < end:
        if not fits_day(moment):
            moment = moment.replace(hour=0, minute=0) + _DAY
        elif moment.hour in hours and moment.minute in minutes:
            return moment
        else:
            moment += _MINUTE
    return None


@given(
    minute=parts(0, 59),
    hour=parts(0, 23),
    day_fields=_DAY_FIELDS,
    month=parts(1, 12),
    after=st.datetimes(datetime.fromisoformat("2023-01-01"), datetime.fromisoformat("2029-01-01")),
)
def test_the_next_time_is_the_one_that_a_search_through_every_minute_finds(
    minute: str, hour: str, day_fields: tuple[str, str], month: str, after: datetime
) -> None:
    days, weekdays = day_fields
    months = numbers(month, 1, 12)

    def fits_day(moment: datetime) -> bool:
        return moment.month in months and day_fits(moment, days, weekdays)

    expected = brute_force(fits_day, numbers(minute, 0, 59), numbers(hour, 0, 23), after)
    found = Cron(f"{minute} {hour} {days} {month} {weekdays} *").next_after(after)
    if expected is None:
        assert found is None or found >= after + timedelta(days=799)
    else:
        assert found == expected


@given(st.text(alphabet="0123456789*?,-/LW# MONJA", max_size=40))
def test_any_text_is_an_expression_or_is_refused(text: str) -> None:
    try:
        cron = Cron(text)
    except ValueError:
        return
    found = cron.next_after(START)
    assert found is None or found > START
