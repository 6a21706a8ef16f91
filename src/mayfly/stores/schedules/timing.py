"""When a schedule is due: expressions read, and made moments of in their time zone. Pure.

    rate(5 minutes)            anchor, anchor + 5 min, ...      hours and days are 60 min and 24 h
    cron(0 8 ? * MON-FRI *)    08:00 on the wall, in the zone
    at(2030-01-31T09:00:00)    once

Where clocks go forward, a cron time that does not exist is left out; where they go back, one that
exists twice counts once, the first time. Moments are Unix milliseconds.

Source: EventBridge Scheduler User Guide, "Schedule types", "Daylight savings time".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from mayfly.model.errors import InvalidParameter
from mayfly.stores.schedules.cron import YEAR_MAX, Cron

_RATE = re.compile(r"rate\(([1-9]\d{0,7}) (minute|hour|day)s?\)", re.ASCII)
_CRON = re.compile(r"cron\((\S.*\S)\)", re.ASCII)
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)", re.ASCII)
_UNIT_MS = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
_REMEMBERED = 1_024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = (YEAR_MAX - 1970) * 366 * 86_400_000


class Timing(Protocol):
    """An expression in its time zone."""

    @property
    def once(self) -> bool:
        """Whether it comes true at one moment only."""
        ...

    def next_ms(self, after_ms: int, anchor_ms: int) -> int | None:
        """The first moment after `after_ms`, or None when there is no more.

        Args:
            anchor_ms: Where a rate begins.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Rate:
    interval_ms: int
    once: bool = False

    def next_ms(self, after_ms: int, anchor_ms: int) -> int | None:
        if after_ms < anchor_ms:
            return anchor_ms
        count = (after_ms - anchor_ms) // self.interval_ms + 1
        found = anchor_ms + count * self.interval_ms
        return found if found <= _LAST_MS else None


@dataclass(frozen=True, slots=True)
class _Recurring:
    cron: Cron
    zone: tzinfo
    once: bool = False

    def next_ms(self, after_ms: int, anchor_ms: int) -> int | None:
        del anchor_ms
        if not 0 <= after_ms <= _LAST_MS:
            return None
        local: datetime | None = _moment(after_ms).astimezone(self.zone).replace(tzinfo=None)
        while local is not None:
            local = self.cron.next_after(local)
            found = None if local is None else _existing_ms(local, self.zone)
            # The second 02:30 of an autumn night lies after `after_ms` on the wall only.
            if found is not None and found > after_ms:
                return found
        return None


@dataclass(frozen=True, slots=True)
class _Once:
    at_ms: int
    once: bool = True

    def next_ms(self, after_ms: int, anchor_ms: int) -> int | None:
        del anchor_ms
        return self.at_ms if self.at_ms > after_ms else None


@lru_cache(_REMEMBERED)
def parse_timing(expression: str, zone_name: str) -> Timing:
    """Read an expression.

    Args:
        zone_name: An IANA name, "UTC" or "Europe/Berlin".

    Raises:
        InvalidParameter: The expression or the zone is none, in AWS's words.
    """
    zone = _zone(zone_name)
    if found := _RATE.fullmatch(expression):
        interval_ms = int(found[1]) * _UNIT_MS[found[2]]
        if interval_ms <= _LAST_MS:
            return _Rate(interval_ms)
    elif found := _AT.fullmatch(expression):
        try:
            local = datetime.fromisoformat(found[1])
        except ValueError:
            raise _invalid(expression) from None
        return _Once(_ms(local.replace(tzinfo=zone)))
    elif found := _CRON.fullmatch(expression):
        try:
            return _Recurring(Cron(found[1]), zone)
        except ValueError as error:
            raise _invalid(expression) from error
    raise _invalid(expression)


def _invalid(expression: str) -> InvalidParameter:
    return InvalidParameter(f"Invalid Schedule Expression {expression}.")


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidParameter(
            f"Provided ScheduleExpressionTimezone {name} is not valid: "
            "it must be a name of the IANA time zone database, such as Europe/Berlin."
        ) from None


def _moment(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _existing_ms(local: datetime, zone: tzinfo) -> int | None:
    """When a wall clock shows this (the first time, where twice), or None where it never does."""
    moment = local.replace(tzinfo=zone, fold=0)
    if moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        return None
    return _ms(moment)
