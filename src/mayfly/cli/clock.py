"""The command line's one door onto real time; everything else here takes its values.

Also how times and durations are written: as SigV4 wants them, as a person reads or types them.
Never used by the daemon, which has a clock of its own.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def now_ms() -> float:
    """Wall-clock time, Unix milliseconds."""
    return time.time() * 1000  # noqa: TID251  the door


def monotonic_s() -> float:
    """Seconds from an unspecified start, for waiting and measuring."""
    return time.monotonic()  # noqa: TID251  the door


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)  # noqa: TID251  the door


def amazon_date(when_ms: float) -> str:
    """A time as SigV4 writes it: 20260131T235959Z."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(when_ms / 1000))


def local_time(when_ms: float) -> str:
    """A time of day for a person, in the machine's zone, with milliseconds."""
    moment = _local(when_ms)
    return moment.strftime("%H:%M:%S.") + f"{moment.microsecond // 1000:03}"


def local_date(when_ms: float) -> str:
    """A day and time for a person, in the machine's zone."""
    return _local(when_ms).strftime("%Y-%m-%d %H:%M:%S")


def parse_duration_s(text: str) -> float:
    """Seconds of "250ms", "90", "30s", "5m", "2h" or "1d".

    Raises:
        ValueError: The text is no such duration.
    """
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text[len(number) :] or "s"
    if unit not in _UNITS_S or not number:
        raise ValueError(f'"{text}" is no duration: write 250ms, 30s, 5m, 2h or 1d')
    try:
        seconds = float(number) * _UNITS_S[unit]
    except ValueError:
        raise ValueError(f'"{text}" is no duration: write 250ms, 30s, 5m, 2h or 1d') from None
    if not 0 <= seconds < float("inf"):
        raise ValueError(f'"{text}" is no duration: it must be finite and not negative')
    return seconds


def _local(when_ms: float) -> datetime:
    return datetime.fromtimestamp(when_ms / 1000, tz=UTC).astimezone()
