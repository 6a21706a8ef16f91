"""The engine: everything between "here is a call" and "here is its outcome".

It wires the rooms of this folder and owns every task in them. In reading order: `lifecycle` and
`admission` decide; `turns` lets calls wait; `brood` holds one snapshot's isolates, `pool` one
version's demand for them, `tenant` a function's versions; `invoker` is the path of a call;
`delivery` that of an asynchronous one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from mayfly.engine.admission import Admission
from mayfly.engine.bounds import EngineLimits
from mayfly.engine.brood import Brood
from mayfly.engine.census import (
    FunctionStatistics,
    Resident,
    isolates_private_kib,
    residents,
    statistics,
)
from mayfly.engine.delivery import Delivery
from mayfly.engine.invoker import Invoker
from mayfly.engine.learning.proposal import Rehearsed
from mayfly.engine.making import close_brood
from mayfly.engine.node import Node, Ports
from mayfly.engine.script import ScriptRun
from mayfly.engine.tenant import Tenants
from mayfly.engine.turns import Turns
from mayfly.model.event import Event
from mayfly.model.function import Function
from mayfly.model.invocation import Answer, Invocation, Life, Outcome
from mayfly.ports import (
    Backlog,
    Clock,
    CodeStore,
    Driver,
    Grants,
    Ids,
    LifeStage,
    LogStore,
    Registry,
    Snapshot,
    Trace,
)
from mayfly.telemetry import LogEvent, Metrics, event_log

_KIB = 1024
_TEND_S_MIN = 0.5
_DRAIN_LOOK_S = 0.02


class Engine:
    """Runs functions on this node."""

    def __init__(  # noqa: PLR0913 each port is one argument, and there are as many as ports
        self,
        *,
        driver: Driver,
        registry: Registry,
        code: CodeStore,
        backlog: Backlog,
        logs: LogStore,
        clock: Clock,
        ids: Ids,
        limits: EngineLimits,
        grants: Grants,
        metrics: Metrics,
    ) -> None:
        ports = Ports(driver, code, logs, clock, ids, grants, metrics)
        admission = Admission(limits)
        self._node = Node(ports, limits)
        self._backlog = backlog
        self._admission = admission
        self._turns = Turns(admission, clock)
        self._tenants = Tenants(self._node, registry, self._turns)
        self._invoker = Invoker(self._node, self._tenants, admission, self._turns)
        self._delivery = Delivery(
            backlog=backlog,
            registry=registry,
            clock=clock,
            ids=ids,
            limits=limits,
            metrics=metrics,
            invoke=self._deliver,
        )
        self._started = asyncio.Event()
        self._on_change: list[Callable[[str], None]] = []

    async def run(self) -> None:
        """Own every task of the engine until cancelled; then nothing of it is alive any more.

        Calls that wait are refused with ShuttingDown. Calls that run are killed with their
        isolates: `drain` first where they should finish.
        """
        event_log(LogEvent.ENGINE_STARTED)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._node.tasks = tasks
                tasks.create_task(self._turns.run())
                tasks.create_task(self._tend())
                tasks.create_task(self._delivery.run())
                await self._until_cancelled()
        finally:
            await self._end()
            event_log(LogEvent.ENGINE_STOPPED)

    async def started(self) -> None:
        """Return when `run` takes calls."""
        await self._started.wait()

    async def drain(self, seconds: float) -> bool:
        """Let no new call in, and wait for those that run; False when some still do."""
        self._node.accepting = False
        self._turns.refuse_all()
        bound_s = self._node.ports.clock.monotonic_s() + seconds
        while self._admission.busy:
            if self._node.ports.clock.monotonic_s() >= bound_s:
                return False
            await self._node.ports.clock.sleep(_DRAIN_LOOK_S)
        return True

    async def invoke(self, invocation: Invocation, *, wait_s: float | None = None) -> Outcome:
        """Run one call. Cancelled: its isolate is killed.

        Args:
            wait_s: How long it may wait for its turn; None: as long as a synchronous call.

        Raises:
            TooManyRequests: Over a bound, and its turn did not come in time.
            ShuttingDown: The engine does not run, or stops.
            SealStepFailed: The snapshot could not be made: the kernel refused a step.
            SnapshotFailed: The snapshot could not be made.
            IsolateLost: Each isolate that it was given vanished before reading it.
        """
        bound_s = self._node.limits.wait_s_max if wait_s is None else wait_s
        return await self._invoker.invoke(invocation, wait_s=bound_s)

    async def accept(self, event: Event) -> None:
        """Keep an asynchronous call: durable when this returns, then delivered at least once.

        Raises:
            StorageFailed: It was not kept, and must not be acknowledged.
        """
        await self._delivery.accept(event)

    def events_arrived(self) -> None:
        """Something came into the backlog by another door than `accept`. Returns at once."""
        self._delivery.wake()

    def function_changed(self, name: str) -> None:
        """A function was created, updated or deleted: the next call uses what is current now."""
        self._tenants.function_changed(name)
        for tell in self._on_change:
            tell(name)

    def when_function_changed(self, tell: Callable[[str], None]) -> None:
        """Call `tell` with the name of each function that is created, updated or deleted."""
        self._on_change.append(tell)

    def renew(self, name: str) -> None:
        """Something that the function was granted has changed (a secret): new calls get it."""
        self._tenants.renew(name)

    async def prepare(self, function: Function) -> Answer | None:
        """Make the snapshot ahead of the first call. A failed import is that call's answer.

        Returns:
            The error document of a failed import, or None.

        Raises:
            TooManyRequests: The node has no room for another snapshot.
            ShuttingDown: The engine does not run, or stops.
            SealStepFailed, SnapshotFailed: The snapshot could not be made, by our fault.
        """
        return await self._tenants.prepared_pool(function).prepare()

    async def run_script(
        self,
        function: Function,
        invocation: Invocation,
        script: str,
        on_output: Callable[[bytes], None],
    ) -> Outcome:
        """Run a file of the function's code tree once, as `__main__`, and leave nothing.

        Raises:
            TooManyRequests: The node is full.
            ShuttingDown: The engine does not run, or stops.
            SealStepFailed: The kernel refused a step.
            SnapshotFailed: The snapshot could not be made.
        """
        return await self._run_alone(ScriptRun(self._node, function, on_output), invocation, script)

    async def rehearse(
        self,
        function: Function,
        invocation: Invocation,
        on_output: Callable[[bytes], None],
        on_trace: Callable[[Trace], None],
    ) -> Rehearsed:
        """Call the handler once in a snapshot of its own, whatever is registered; leave nothing.

        Args:
            on_trace: Told what its processes do.

        Raises:
            As `run_script`.
        """
        alone = ScriptRun(self._node, function, on_output, on_trace)
        outcome = await self._run_alone(alone, invocation, None)
        return Rehearsed(outcome, alone.memory_mib_max)

    def census(self) -> Sequence[Resident]:
        """Snapshots and isolates that are alive. Reads their memory: not for a hot path."""
        return [one for brood in list(self._node.broods.values()) for one in residents(brood)]

    def code_in_use(self) -> frozenset[str]:
        """Digests of archives and dependencies that anything alive may still read."""
        used: set[str] = set()
        for brood in self._node.broods.values():
            used |= brood.function.code.digests
        return frozenset(used)

    def lives(self, count: int) -> Sequence[Life]:
        """The newest finished calls, newest first; at most `lives_max` are remembered."""
        newest = islice(reversed(self._invoker.lives), max(0, count))
        return [call.life(call.vitals) for call in newest if call.vitals is not None]

    def statistics(self) -> Mapping[str, FunctionStatistics]:
        """Each function's numbers, by name; functions that were never called are left out."""
        return {name: statistics(tenant) for name, tenant in self._tenants.tenants().items()}

    async def measure(self) -> None:
        """Bring the gauges of `Metrics` up to date; before `/metrics` is rendered.

        Raises:
            StorageFailed: The backlog could not be counted; the other gauges are set.
        """
        metrics = self._node.ports.metrics
        broods = list(self._node.broods.values())
        stages = [held.stage for brood in broods for held in brood.held.values()]
        parked = sum(1 for stage in stages if stage is LifeStage.PARKED)
        metrics.isolates = {"parked": parked, "busy": len(stages) - parked}
        snapshots = [brood.snapshot for brood in broods if brood.snapshot is not None]
        metrics.snapshots = len(snapshots)
        # Read from the kernel, process by process: on a thread, that calls go on meanwhile.
        metrics.memory_bytes = await asyncio.to_thread(_weigh, broods, snapshots)
        metrics.backlog_events = dict(await self._backlog.counts())

    async def _run_alone(
        self, alone: ScriptRun, invocation: Invocation, script: str | None
    ) -> Outcome:
        self._node.require_accepting()
        lane = self._tenants.script_lane
        memory_mib = invocation.function.settings.memory_mib
        if not self._admission.enter(lane, memory_mib):
            await self._turns.wait(lane, memory_mib, wait_s=self._node.limits.wait_s_max)
        try:
            return await alone.run(invocation, script)
        finally:
            self._turns.leave(lane, memory_mib)

    async def _until_cancelled(self) -> None:
        self._node.accepting = True
        self._started.set()
        try:
            await asyncio.Event().wait()
        finally:
            # Before the tasks are cancelled: they must not start others.
            self._node.accepting = False
            self._node.stopping = True

    async def _end(self) -> None:
        node = self._node
        node.accepting = False
        node.stopping = True
        self._turns.refuse_all()
        self._tenants.stop()
        async with asyncio.TaskGroup() as closing:
            for brood in list(node.broods.values()):
                closing.create_task(close_brood(node, brood))

    async def _deliver(self, invocation: Invocation) -> Outcome:
        wait_s = self._node.limits.delivery_wait_s_max
        return await self._invoker.invoke(invocation, wait_s=wait_s)

    async def _tend(self) -> None:
        """Look after pools when one of them asked for it; asleep while nothing lives."""
        node = self._node
        while True:
            await node.alarm.wait()
            now_s = node.ports.clock.monotonic_s()
            node.alarm.set(max(self._tenants.tend(now_s), now_s + _TEND_S_MIN))


def _weigh(broods: Sequence[Brood], snapshots: Sequence[Snapshot]) -> dict[str, int]:
    private_kib = sum(snapshot.memory().private_kib for snapshot in snapshots)
    return {"snapshots": private_kib * _KIB, "isolates": isolates_private_kib(broods) * _KIB}
