"""How long to wait before something is tried again. Pure."""

from __future__ import annotations

from zlib import crc32


def restart_delay_s(failures: int, *, min_s: float, max_s: float) -> float:
    """The pause after the `failures`th failure in a row: none after the first, then doubling."""
    if failures <= 1:
        return 0.0
    return float(min(min_s * 2.0 ** min(failures - 2, 30), max_s))


def delivery_delay_s(event_id: str, *, age_s: float, min_s: float, max_s: float) -> float:
    """The pause before an event that was throttled is tried again.

    As long as the event is old: that doubles its age each time, which is exponential back-off
    without a counter. Jitter of a quarter either way comes from the event's id, so that events
    that came together part.
    """
    share = crc32(event_id.encode()) % 1000 / 1000
    return min(max(age_s, min_s), max_s) * (0.75 + share / 2)
