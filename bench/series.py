"""A measured series and the words to report it in; what a benchmark file gives back.

Times are whole microseconds, taken outside of what is measured. `p50` and `p99` are of all calls
after the warm-up; nothing is trimmed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

EVENT = b'{"message":"mayfly","numbers":[1,2,3,4,5,6,7,8]}'
PACE_S = 0.010
HANDLER = "def handler(event, context):\n    return event\n"


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Args:
        seconds: For each series; a series of slow calls ends after it.
        calls: At most so many calls a series.
        clients: How many at once where throughput is measured.
    """

    seconds: float = 6.0
    calls: int = 3_000
    clients: int = 16


@dataclass(frozen=True)
class Measured:
    """One row of the table.

    Args:
        letter: As in the issue: "a" to "k".
        what: What was measured, for people.
        samples_us: Each call's time.
        per_second: Sustained calls a second with `Effort.clients` clients, where measured.
        missing: Why there is no number, or "".
        figures: Other numbers, by name, units last ("private_kib").
    """

    letter: str
    what: str
    samples_us: list[int] = field(default_factory=list)
    per_second: float | None = None
    missing: str = ""
    figures: dict[str, float] = field(default_factory=dict)

    def quantile_us(self, share: float) -> float:
        """The sample that `share` of all samples do not exceed."""
        ordered = sorted(self.samples_us)
        return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])

    @property
    def p50_us(self) -> float | None:
        """The median, or None without samples."""
        return self.quantile_us(0.50) if self.samples_us else None

    @property
    def p99_us(self) -> float | None:
        """The 99th percentile, or None without samples."""
        return self.quantile_us(0.99) if self.samples_us else None

    def summary(self) -> dict[str, Any]:
        """The row as JSON-able values, samples included."""
        return asdict(self) | {"p50_us": self.p50_us, "p99_us": self.p99_us}


def timed(call: Callable[[], object], effort: Effort, *, warm_up: int = 20) -> list[int]:
    """Call again and again; microseconds of each call after the warm-up."""
    for _ in range(warm_up):
        call()
    samples: list[int] = []
    end = time.perf_counter() + effort.seconds
    while len(samples) < effort.calls and (time.perf_counter() < end or len(samples) < 10):
        start = time.perf_counter_ns()
        call()
        samples.append((time.perf_counter_ns() - start) // 1_000)
    return samples


def paced(call: Callable[[], object], seconds: float) -> list[int]:
    """Call every `PACE_S`; microseconds of each call."""
    samples: list[int] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter_ns()
        call()
        took_ns = time.perf_counter_ns() - start
        samples.append(took_ns // 1_000)
        time.sleep(max(0.0, PACE_S - took_ns / 1e9))
    return samples


def show(rows: Sequence[Measured]) -> None:
    """Print rows as a plain table."""
    print(f"{'':3} {'':58} {'p50':>10} {'p99':>10} {'calls/s':>9}")
    for row in rows:
        if row.missing:
            print(f"({row.letter}) {row.what:58} missing: {row.missing}")
            continue
        speed = f"{row.per_second:,.0f}" if row.per_second else ""
        print(f"({row.letter}) {row.what:58} {ms(row.p50_us):>10} {ms(row.p99_us):>10} {speed:>9}")
        for name, value in row.figures.items():
            print(f"{'':6} {name} = {value:,.6g}")


def ms(value_us: float | None) -> str:
    """Microseconds as milliseconds for people; "" for None."""
    if value_us is None:
        return ""
    return f"{value_us / 1000:.3f} ms" if value_us < 10_000 else f"{value_us / 1000:.1f} ms"


def run_alone(measure: Callable[[Effort], list[Measured]]) -> None:
    """What each file does when it is run by itself."""
    rows = measure(Effort())
    show(rows)
    for row in rows:
        text = json.dumps({key: val for key, val in row.summary().items() if key != "samples_us"})
        print(text)
