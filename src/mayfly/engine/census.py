"""What lives on this node, and what functions did: the engine's answers to `ps` and `stats`.

Pictures of a moment, made when they are asked for; nothing is kept for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from mayfly.engine.brood import Brood, Held
from mayfly.engine.tenant import Tenant
from mayfly.ports import MemoryUse

_WEIGHED_MAX = 16


class ResidentKind(StrEnum):
    """What a resident is."""

    SNAPSHOT = "snapshot"
    ISOLATE = "isolate"


@dataclass(frozen=True, slots=True)
class Resident:
    """A snapshot or an isolate that is alive.

    Args:
        stage: "making", "ready" or "closing" of a snapshot; a `LifeStage` of an isolate.
        pid: As seen on the node, 0 where there is none.
        born_ms: When it was asked for, Unix milliseconds.
        private_kib: Memory that it shares with nobody, 0 where the driver does not say.
        proportional_kib: The same with shared parts by share.
    """

    kind: ResidentKind
    id: str
    function: str
    version: str
    stage: str
    pid: int
    born_ms: float
    private_kib: int
    proportional_kib: int


@dataclass(frozen=True, slots=True)
class FunctionStatistics:
    """One function since the platform started; p50 and p99 are of its newest 512 calls."""

    calls: int
    errors: int
    throttles: int
    cold_starts: int
    busy: int
    parked: int
    p50_ms: float
    p99_ms: float


@runtime_checkable
class Weighed(Protocol):
    """An isolate whose driver can tell its memory."""

    def memory(self) -> MemoryUse:
        """Of the isolate and what it started."""
        ...


def residents(brood: Brood) -> Iterator[Resident]:
    """A snapshot and its isolates."""
    snapshot = brood.snapshot
    memory = MemoryUse() if snapshot is None else snapshot.memory()
    function = brood.function
    yield Resident(
        kind=ResidentKind.SNAPSHOT,
        id=brood.snapshot_id,
        function=function.name,
        version=function.version,
        stage="making" if snapshot is None else "closing" if brood.closing else "ready",
        pid=0 if snapshot is None else snapshot.facts.pid,
        born_ms=brood.made_ms,
        private_kib=memory.private_kib,
        proportional_kib=memory.proportional_kib,
    )
    for held in list(brood.held.values()):
        yield _isolate(brood, held)


def isolates_private_kib(broods: Sequence[Brood]) -> int:
    """About how much memory all isolates hold for themselves.

    Reading one costs a fraction of a millisecond and there may be thousands: one of each brood is
    weighed, of `_WEIGHED_MAX` broods at most, and stands for its siblings.
    """
    weighed = counted = total = 0
    for brood in broods:
        total += len(brood.held)
        first = next(iter(brood.held.values()), None)
        if first is not None and counted < _WEIGHED_MAX and isinstance(first.isolate, Weighed):
            counted += 1
            weighed += first.isolate.memory().private_kib
    return weighed * total // counted if counted else 0


def statistics(tenant: Tenant) -> FunctionStatistics:
    """A function's numbers."""
    metrics = tenant.metrics
    p50_ms, p99_ms = metrics.quantiles_ms()
    broods = [pool.brood for pool in tenant.pools.values() if pool.brood is not None]
    return FunctionStatistics(
        calls=metrics.calls,
        errors=metrics.failed,
        throttles=metrics.throttles,
        cold_starts=metrics.cold_starts,
        busy=tenant.lane.busy,
        parked=sum(len(brood.parked) for brood in broods),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
    )


def _isolate(brood: Brood, held: Held) -> Resident:
    isolate = held.isolate
    memory = isolate.memory() if isinstance(isolate, Weighed) else MemoryUse()
    return Resident(
        kind=ResidentKind.ISOLATE,
        id=isolate.isolate_id,
        function=brood.function.name,
        version=brood.function.version,
        stage=held.stage,
        pid=isolate.pid,
        born_ms=isolate.born_ms,
        private_kib=memory.private_kib,
        proportional_kib=memory.proportional_kib,
    )
