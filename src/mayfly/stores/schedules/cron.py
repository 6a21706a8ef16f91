"""AWS's cron expressions: six fields, read once, then asked for the next time. Pure.

    minutes  hours  day-of-month   month    day-of-week    year
    0-59     0-23   1-31 ? L LW W  1-12 JAN  1-7 SUN ? L #  1970-2199     and , - * / everywhere

Times here are those on a wall clock, without a zone; `timing` makes moments of them. A search goes
from year to month to day, and looks at no minute that cannot match, so that a date that never
comes costs 230 years of 12 months and no more.

Source: EventBridge Scheduler User Guide, "Schedule types", "Cron-based schedules".
"""

from __future__ import annotations

import re
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

YEAR_MIN, YEAR_MAX = 1970, 2199
_MONTH_NAMES = (
    *("JAN", "FEB", "MAR", "APR", "MAY", "JUN"),
    *("JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_DAYS = {name: number for number, name in enumerate(_DAY_NAMES, 1)}
_SATURDAY = 7
_WEEKDAY = re.compile(r"([1-9]|[12]\d|3[01])W")
_LAST_OF = re.compile(r"([1-7]|[A-Z]{3})L")
_NTH = re.compile(r"([1-7]|[A-Z]{3})#([1-5])")
_NUMBER = re.compile(r"\d{1,4}", re.ASCII)

# Which days of a year's month, in any order.
_DayRule = Callable[[int, int], Iterator[int]]


@dataclass(frozen=True, slots=True)
class _Field:
    """What one field may hold."""

    name: str
    lowest: int
    highest: int
    names: dict[str, int]
    wraps: bool = True


_MINUTE = _Field("minutes", 0, 59, {})
_HOUR = _Field("hours", 0, 23, {})
_DAY_OF_MONTH = _Field("day-of-month", 1, 31, {})
_MONTH = _Field("month", 1, 12, _MONTHS)
_DAY_OF_WEEK = _Field("day-of-week", 1, 7, _DAYS)
_YEAR = _Field("year", YEAR_MIN, YEAR_MAX, {}, wraps=False)


class Cron:
    """One expression.

    Args:
        written: The six fields, without "cron(" and ")".

    Raises:
        ValueError: It is none; the message names the field.
    """

    def __init__(self, written: str) -> None:
        fields = written.upper().split()
        if len(fields) != 6:
            raise ValueError(f"six fields are needed, got {len(fields)}")
        minutes, hours, days, months, weekdays, years = fields
        self._minutes = _values(_MINUTE, minutes)
        self._hours = _values(_HOUR, hours)
        self._months = _values(_MONTH, months)
        self._years = _values(_YEAR, years)
        if (days == "?") == (weekdays == "?"):
            raise ValueError('exactly one of day-of-month and day-of-week must be "?"')
        self._rules = _weekday_rules(weekdays) if days == "?" else _day_rules(days)

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time that matches after `moment`, or None when there is no more.

        Args:
            moment: A wall clock's time, without a zone.
        """
        start = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for year in _from(self._years, start.year):
            for month in self._months:
                if (year, month) < (start.year, start.month):
                    continue
                for day in self._days(year, month):
                    if datetime(year, month, day).date() < start.date():  # noqa: DTZ001
                        continue
                    found = self._first_of_day(datetime(year, month, day), start)  # noqa: DTZ001
                    if found is not None:
                        return found
        return None

    def _first_of_day(self, midnight: datetime, start: datetime) -> datetime | None:
        if midnight > start:
            return midnight.replace(hour=self._hours[0], minute=self._minutes[0])
        for hour in _from(self._hours, start.hour):
            minutes = self._minutes
            if hour == start.hour:
                minutes = list(_from(minutes, start.minute))
            if minutes:
                return midnight.replace(hour=hour, minute=minutes[0])
        return None

    def _days(self, year: int, month: int) -> list[int]:
        return sorted({day for rule in self._rules for day in rule(year, month)})


def _from(values: Sequence[int], lowest: int) -> Iterator[int]:
    """Those of ordered values that are not below `lowest`."""
    return iter(values[bisect_left(values, lowest) :])


# Plain fields


def _values(field: _Field, written: str) -> list[int]:
    """All values of a field that has numbers, names, ranges and steps."""
    found: set[int] = set()
    for part in written.split(","):
        found.update(_range(field, part))
    return sorted(found)


def _range(field: _Field, part: str) -> Iterator[int]:
    """The values of "5", "5-9", "*", "5/10", "5-20/5" or "*/5"."""
    span, slash, step_text = part.partition("/")
    step = 1
    if slash:
        step = _number(field, step_text, 1, max(field.highest, 1))
    first_text, dash, last_text = span.partition("-")
    if span == "*":
        first, last = field.lowest, field.highest
    elif dash:
        first, last = _one(field, first_text), _one(field, last_text)
    else:
        first = _one(field, first_text)
        last = field.highest if slash else first
    if first > last:
        if not field.wraps:
            raise ValueError(f'{field.name} "{part}" goes backwards')
        size = field.highest - field.lowest + 1
        around = range(first, last + size + 1, step)
        return ((value - field.lowest) % size + field.lowest for value in around)
    return iter(range(first, last + 1, step))


def _one(field: _Field, text: str) -> int:
    if text in field.names:
        return field.names[text]
    return _number(field, text, field.lowest, field.highest)


def _number(field: _Field, text: str, lowest: int, highest: int) -> int:
    if not _NUMBER.fullmatch(text) or not lowest <= int(text) <= highest:
        raise ValueError(f'{field.name} holds "{text[:40]}", which is no {lowest} to {highest}')
    return int(text)


# Days


def _day_rules(written: str) -> list[_DayRule]:
    rules: list[_DayRule] = []
    for part in written.split(","):
        if part == "L":
            rules.append(_last_day)
        elif part in ("LW", "WL"):
            rules.append(_last_workday)
        elif found := _WEEKDAY.fullmatch(part):
            rules.append(_nearest_workday(int(found[1])))
        else:
            rules.append(_plain_days(frozenset(_range(_DAY_OF_MONTH, part))))
    return rules


def _weekday_rules(written: str) -> list[_DayRule]:
    rules: list[_DayRule] = []
    parts = written.split(",")
    for part in parts:
        if part == "L":
            rules.append(_days_of_week(frozenset({_SATURDAY})))
        elif found := _LAST_OF.fullmatch(part):
            rules.append(_last_of(_one(_DAY_OF_WEEK, found[1])))
        elif found := _NTH.fullmatch(part):
            if len(parts) > 1:
                raise ValueError('day-of-week takes one expression with "#", and no other')
            rules.append(_nth(_one(_DAY_OF_WEEK, found[1]), int(found[2])))
        else:
            rules.append(_days_of_week(frozenset(_range(_DAY_OF_WEEK, part))))
    return rules


def _last_day(year: int, month: int) -> Iterator[int]:
    yield monthrange(year, month)[1]


def _last_workday(year: int, month: int) -> Iterator[int]:
    last = monthrange(year, month)[1]
    yield from _nearest_workday(last)(year, month)


def _plain_days(days: frozenset[int]) -> _DayRule:
    def rule(year: int, month: int) -> Iterator[int]:
        last = monthrange(year, month)[1]
        return (day for day in days if day <= last)

    return rule


def _nearest_workday(wanted: int) -> _DayRule:
    """The Monday to Friday nearest to a day, within its month; none in a month without it."""

    def rule(year: int, month: int) -> Iterator[int]:
        last = monthrange(year, month)[1]
        if wanted > last:
            return
        weekday = _weekday(year, month, wanted)
        if weekday == _SATURDAY:
            yield wanted - 1 if wanted > 1 else wanted + 2
        elif weekday == 1:
            yield wanted + 1 if wanted < last else wanted - 2
        else:
            yield wanted

    return rule


def _days_of_week(weekdays: frozenset[int]) -> _DayRule:
    def rule(year: int, month: int) -> Iterator[int]:
        first, last = _weekday(year, month, 1), monthrange(year, month)[1]
        return (day for day in range(1, last + 1) if (first + day - 2) % 7 + 1 in weekdays)

    return rule


def _last_of(weekday: int) -> _DayRule:
    def rule(year: int, month: int) -> Iterator[int]:
        last = monthrange(year, month)[1]
        yield last - (_weekday(year, month, last) - weekday) % 7

    return rule


def _nth(weekday: int, count: int) -> _DayRule:
    """The count-th such day of a month, where it has one."""

    def rule(year: int, month: int) -> Iterator[int]:
        day = 1 + (weekday - _weekday(year, month, 1)) % 7 + 7 * (count - 1)
        if day <= monthrange(year, month)[1]:
            yield day

    return rule


def _weekday(year: int, month: int, day: int) -> int:
    """AWS's number of a day: Sunday is 1."""
    return datetime(year, month, day).isoweekday() % 7 + 1  # noqa: DTZ001
