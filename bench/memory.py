"""(e) What waiting costs: memory of parked isolates and snapshots; the idle platform, and its CPU.

Private and proportional memory are read from /proc/PID/smaps_rollup; the kernel's part (page
tables, kernel stacks, slabs) is what the machine's free memory shrinks by beyond that, and, where
a memory cgroup can be read, what it charges.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench.daemon import Daemon, daemon
from bench.series import Effort, Measured, run_alone, timed

COUNTS = (100, 1_000, 4_000)
IDLE_S = 10.0
PARKED_WAIT_S = 120.0


def measure(effort: Effort) -> list[Measured]:
    """All rows; what does not come up is reported as missing."""
    try:
        with daemon() as platform:
            rows = [_idle(platform, "nothing deployed")]
            platform.deploy("minimal")
            with platform.client("minimal") as client:
                client.call()
            rows.append(_idle(platform, "one function parked"))
        return [*rows, *(_parked(count, effort) for count in COUNTS)]
    except RuntimeError as failed:
        return [Measured("e", "memory", missing=str(failed).splitlines()[-1])]


def _idle(platform: Daemon, state: str) -> Measured:
    """The platform with nothing to do: mayflyd and its launchers, and all that they hold."""
    start = _cpu_ticks(platform.pid)
    time.sleep(IDLE_S)
    used = _cpu_ticks(platform.pid) - start
    pids = tree(platform.pid)
    own = [platform.pid, *_children(platform.pid)]
    figures = {
        "own_processes": float(len(own)),
        "own_resident_kib": float(sum(_rollup(pid).get("Rss", 0) for pid in own)),
        "own_proportional_kib": float(sum(_rollup(pid).get("Pss", 0) for pid in own)),
        "all_proportional_kib": float(sum(_rollup(pid).get("Pss", 0) for pid in pids)),
        "all_processes": float(len(pids)),
        "cpu_percent": used / 100 / IDLE_S * 100,
    }
    return Measured("e", f"the platform idle, {state}", figures=figures)


def _parked(count: int, effort: Effort) -> Measured:
    """A platform that parks `count` isolates of a minimal function: what each costs, and a call."""
    settings = {"MAYFLY_PARKED_MIN": str(count), "MAYFLY_PARKED_MAX": str(count)}
    with daemon(settings=settings) as platform:
        before_kib = available_kib()
        start = time.monotonic()
        platform.deploy("minimal")
        with platform.client("minimal") as client:
            client.call()
        # The call took one, and a pool does not ask for a single birth.
        while platform.parked() < count * 0.98 and time.monotonic() - start < PARKED_WAIT_S:
            time.sleep(0.2)
        took_s = time.monotonic() - start
        machine_kib = before_kib - available_kib()
        residents = platform.residents()
        with platform.client("minimal") as client:
            samples = timed(client.call, effort, warm_up=5)
    found = [one for one in residents if one["kind"] == "isolate"]
    snapshot = next(one for one in residents if one["kind"] == "snapshot")
    each = max(1, len(found))
    figures = {
        "parked": float(len(found)),
        "made_in_s": took_s,
        "isolate_private_kib": sum(float(one["private_kib"]) for one in found) / each,
        "isolate_proportional_kib": sum(float(one["proportional_kib"]) for one in found) / each,
        "isolate_machine_kib": machine_kib / each,
        "snapshot_private_kib": float(snapshot["private_kib"]),
        "snapshot_proportional_kib": float(snapshot["proportional_kib"]),
    }
    return Measured("e", f"a call with {len(found)} isolates parked", samples, figures=figures)


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    return [pid, *(one for child in _children(pid) for one in tree(child))]


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _rollup(pid: int) -> dict[str, int]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def _cpu_ticks(pid: int) -> int:
    """User and system time of a process and all below it, in 1/100 s."""
    total = 0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # It has died since it was listed.
        total += int(fields[11]) + int(fields[12])
    return total


def available_kib() -> int:
    """What the machine could still give."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1])
    sys.exit("/proc/meminfo has no MemAvailable")


if __name__ == "__main__":
    run_alone(measure)
