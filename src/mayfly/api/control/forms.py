"""What the control API says of functions and nodes: the JSON forms that the command line reads.

Names and units are ours, not AWS's, and stay as they are: a form gains members and loses none.
Nothing here changes anything.
"""

from __future__ import annotations

import resource
from dataclasses import asdict

from mayfly.api.platform import Platform
from mayfly.engine.census import FunctionStatistics, Resident
from mayfly.model.function import Function, FunctionUrl

_NOTHING_COUNTED = FunctionStatistics(
    calls=0, errors=0, throttles=0, cold_starts=0, busy=0, parked=0, p50_ms=0.0, p99_ms=0.0
)


def function_url(endpoint: str, url: FunctionUrl) -> str:
    """The address of a function's URL, path style."""
    return f"{endpoint}/lambda-url/{url.url_id}/"


def inspect_form(platform: Platform, function: Function) -> dict[str, object]:
    """All that there is to say of a function."""
    settings, url = function.settings, platform.registry.url_nowait(function.name)
    counted = platform.engine.statistics().get(function.name, _NOTHING_COUNTED)
    return {
        "name": function.name,
        "arn": function.arn,
        "version": function.version,
        "description": settings.description,
        "runtime": settings.runtime,
        "handler": settings.handler,
        "memory_mib": settings.memory_mib,
        "timeout_s": settings.timeout_s,
        "tmp_mib": settings.tmp_mib,
        "reuse": settings.reuse.value,
        "isolate": settings.isolate.value,
        "concurrency": settings.concurrency,
        "environment": dict(settings.environment),
        "grants": [str(grant) for grant in settings.grants],
        "tags": dict(settings.tags),
        "code": {
            "digest": function.code.digest,
            "size_bytes": function.code.size_bytes,
            "dependencies": function.code.dependencies,
        },
        "url": function_url(platform.endpoint, url) if url else None,
        "url_auth": url.auth.value if url else None,
        "triggers": list(platform.triggers.shown_nowait(function.name)),
        "modified_ms": function.modified_ms,
        "revision_id": function.revision_id,
        "statistics": statistics_form(counted),
    }


def statistics_form(counted: FunctionStatistics) -> dict[str, object]:
    """One function's numbers."""
    return asdict(counted)


def resident_form(resident: Resident) -> dict[str, object]:
    """One snapshot or isolate."""
    return asdict(resident)


async def node_form(platform: Platform) -> dict[str, object]:
    """The node's numbers; `resident_kib` is the daemon's and what the metrics know of the rest."""
    await platform.engine.measure()
    metrics = platform.metrics
    return {
        "isolates_parked": metrics.isolates.get("parked", 0),
        "isolates_busy": metrics.isolates.get("busy", 0),
        "snapshots": metrics.snapshots,
        "resident_kib": _own_kib() + sum(metrics.memory_bytes.values()) // 1024,
        "cpu_seconds": _cpu_seconds(),
        "uptime_s": platform.clock.monotonic_s() - platform.started_s,
    }


def _own_kib() -> int:
    """Resident memory of the daemon's own process; see proc_pid_statm(5)."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  one read of a file that is no path
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def _cpu_seconds() -> float:
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)
