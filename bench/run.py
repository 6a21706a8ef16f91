"""`make bench`: everything side by side in one run, as a table, as ratios, and as JSON.

    (a) (b) (c) (d)  bench.platform_calls      (f) bench.bare_fork    (i) bench.functions_framework
    engine alone     bench.engine_alone        (g) bench.new_python   (j) bench.ministack
    (e)              bench.memory              (h) bench.container         (k) bench.async_calls

Times on a shared machine wander; ratios within one run are what to read. `--quick` is a tenth of
the effort, to see that all of it runs.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path

from bench import (
    async_calls,
    bare_fork,
    container,
    engine_alone,
    functions_framework,
    memory,
    ministack,
    neighbours,
    new_python,
    platform_calls,
    put_to_call,
)
from bench.series import Effort, Measured, show

OUT = Path(__file__).parent / "out"
FULL = Effort()
QUICK = Effort(seconds=1.0, calls=300)
PARTS = (
    platform_calls.measure,
    async_calls.measure,
    engine_alone.measure,
    memory.measure,
    bare_fork.measure,
    new_python.measure,
    container.measure,
    functions_framework.measure,
    ministack.measure,
    put_to_call.measure,
    neighbours.measure,
)

# What is divided by what: (text with the goal, numerator, denominator), medians.
BACK, PACED = "back to back", "a call every 10 ms"
FRESH, WARM, FRAMEWORK = platform_calls.FRESH, platform_calls.WARM, functions_framework.WHAT
RATIOS = (
    (f"fresh / warm, {BACK} (goal: at most 2)", f"{FRESH}, {BACK}", f"{WARM}, {BACK}"),
    (f"fresh / warm, {PACED}", f"{FRESH}, {PACED}", f"{WARM}, {PACED}"),
    (f"fresh / {FRAMEWORK}, {BACK} (goal: at most 1)", f"{FRESH}, {BACK}", f"{FRAMEWORK}, {BACK}"),
    (f"fresh / {FRAMEWORK}, {PACED}", f"{FRESH}, {PACED}", f"{FRAMEWORK}, {PACED}"),
    ("python3 a call / fresh (goal: at least 30)", new_python.WHAT, f"{FRESH}, {PACED}"),
    ("crun a call / fresh (goal: at least 30)", container.WHAT, f"{FRESH}, {PACED}"),
    ("ministack warm / fresh (goal: at least 40)", ministack.WARM, f"{FRESH}, {PACED}"),
    ("fresh / a bare fork", f"{FRESH}, {BACK}", bare_fork.WHAT),
    (
        "put to entered / a call's round trip (goal: at most 3)",
        put_to_call.WHAT,
        put_to_call.ROUND_TRIP,
    ),
)


def main() -> None:
    """Measure, print, and write bench/out/."""
    effort = QUICK if "--quick" in sys.argv else FULL
    rows: list[Measured] = []
    for part in PARTS:
        rows += part(effort)
        print(f"measured {rows[-1].what}", file=sys.stderr)
    rows.sort(key=lambda row: row.letter)
    show(rows)
    print()
    for line in ratios(rows):
        print(line)
    print(f"\n{write(rows)}")


def ratios(rows: list[Measured]) -> list[str]:
    """The comparisons of medians, each as a line; those without both numbers say so."""
    medians = {row.what: row.p50_us for row in rows}
    lines = []
    for text, upper, lower in RATIOS:
        above, below = medians.get(upper), medians.get(lower)
        found = f"{above / below:.2f}" if above and below else "not measured"
        lines.append(f"{text:66} {found:>12}")
    return lines


def write(rows: list[Measured]) -> Path:
    """All samples and what they were measured on, as one JSON file; its path."""
    OUT.mkdir(exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    machine = {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
    }
    path = OUT / f"{stamp}.json"
    path.write_text(json.dumps({"machine": machine, "rows": [row.summary() for row in rows]}))
    (OUT / "latest.json").write_text(path.read_text())
    return path


if __name__ == "__main__":
    main()
