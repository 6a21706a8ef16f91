"""One run in a snapshot and an isolate of its own, and nothing left: `mayfly run`, `mayfly learn`.

Nothing is registered, parked or counted for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mayfly.engine.brood import Brood, Held
from mayfly.engine.lifecycle import LifeEvent, follow
from mayfly.engine.making import close_brood, make_brood
from mayfly.engine.node import Node
from mayfly.model.errors import IsolateLost, MayflyError, SnapshotFailed
from mayfly.model.function import Function
from mayfly.model.invocation import Answer, Invocation, Outcome
from mayfly.model.limits import LOG_TAIL_BYTES
from mayfly.ports import Trace


class ScriptRun:
    """One run. Owns its brood."""

    def __init__(
        self,
        node: Node,
        function: Function,
        on_output: Callable[[bytes], None],
        on_trace: Callable[[Trace], None] | None = None,
    ) -> None:
        self._node = node
        self._function = function
        self._on_output = on_output
        self._on_trace = on_trace
        self._tail = b""
        # Of the last run; 0 where it is not known.
        self.memory_mib_max = 0
        self._shows_import = False
        self._ready: asyncio.Future[Held] = asyncio.get_running_loop().create_future()

    async def run(self, invocation: Invocation, script: str | None) -> Outcome:
        """Make a snapshot, let its one isolate run once, close it. Cancelled: the same.

        Args:
            script: A file of the code tree; None: the handler, and what its import prints is shown.

        Raises:
            SealStepFailed: The kernel refused a step.
            SnapshotFailed: The snapshot could not be made, or died.
            IsolateLost: The isolate vanished before the script started.
        """
        clock = self._node.ports.clock
        self._node.make_room()
        self._shows_import = script is None
        brood = await make_brood(
            self._node, self, self._function, script=script, on_trace=self._on_trace
        )
        try:
            snapshot = brood.snapshot
            assert snapshot is not None
            answer, start_s = snapshot.facts.failure, clock.monotonic_s()
            if answer is None:
                brood.birth(1)
                held = await self._first_isolate()
                start_s = clock.monotonic_s()
                answer = await held.isolate.invoke(
                    invocation, timeout_s=self._function.settings.timeout_s
                )
            self.memory_mib_max = answer.memory_mib_max
            return self._outcome(answer, (clock.monotonic_s() - start_s) * 1000, brood.init_ms)
        finally:
            await close_brood(self._node, brood)

    def output(self, data: bytes) -> None:
        """Sink of the isolate."""
        self._tail = (self._tail + data[-LOG_TAIL_BYTES:])[-LOG_TAIL_BYTES:]
        self._on_output(data)

    def isolate_ready(self, held: Held) -> None:
        """The one birth arrived."""
        held.stage = follow(held.stage, LifeEvent.TAKEN)
        held.sink = self
        if self._ready.done():
            held.isolate.kill()
        else:
            self._ready.set_result(held)

    def isolate_gone(self, held: Held) -> None:
        """It has answered, or `invoke` says what happened."""

    def import_printed(self, data: bytes) -> None:
        """A script prints when it runs; what its start printed is not shown."""
        if self._shows_import and not data.startswith(b"INIT_START"):
            self.output(data)

    def brood_died(self, brood: Brood, reason: str) -> None:
        """An isolate that runs answers; one that is awaited will not come."""
        self._fail(SnapshotFailed(f"the snapshot {brood.snapshot_id} died: {reason}"))

    def idle_since_s(self) -> float | None:
        """In use until it is closed."""
        return None

    def dismiss(self) -> None:
        """Never asked for: it is in use."""

    async def _first_isolate(self) -> Held:
        async with asyncio.TaskGroup() as group:
            bound = group.create_task(self._bound_birth())
            try:
                await asyncio.wait([self._ready])
            finally:
                bound.cancel()
        return self._ready.result()

    async def _bound_birth(self) -> None:
        seconds = self._node.limits.birth_timeout_s
        await self._node.ports.clock.sleep(seconds)
        self._fail(IsolateLost(f"no isolate for the script within {seconds:g} s"))

    def _fail(self, error: MayflyError) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)

    def _outcome(self, answer: Answer, duration_ms: float, init_ms: float) -> Outcome:
        return Outcome(
            payload=answer.payload,
            error=answer.error,
            error_type=answer.error_type,
            version=self._function.version,
            log_tail=self._tail,
            duration_ms=duration_ms,
            init_ms=init_ms,
        )
