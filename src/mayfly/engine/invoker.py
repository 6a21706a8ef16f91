"""The path of a call: its turn, an isolate, the answer. Written to be short at run time.

With a parked isolate at hand and nobody ahead, nothing is awaited but the answer, and refilling
the pool is left to the loop's next round, behind the answer.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace

from mayfly.engine.admission import Admission
from mayfly.engine.brood import Held
from mayfly.engine.call import Call
from mayfly.engine.node import Node
from mayfly.engine.pool import ImportFailure, Pool
from mayfly.engine.tenant import Tenant, Tenants
from mayfly.engine.turns import Turns
from mayfly.model.errors import (
    IsolateLost,
    MayflyError,
    PlatformError,
    ShuttingDown,
    TooManyRequests,
)
from mayfly.model.invocation import Answer, Invocation, Outcome
from mayfly.telemetry import LogEvent, event_log

# What an isolate that was killed answers with.
_KILLED = "Runtime.ExitError"


class Invoker:
    """Runs calls."""

    def __init__(self, node: Node, tenants: Tenants, admission: Admission, turns: Turns) -> None:
        self._node = node
        self._tenants = tenants
        self._admission = admission
        self._turns = turns
        self._clock = node.ports.clock
        self._logs = node.ports.logs
        self._death_s = node.limits.death_timeout_s
        # Finished calls, newest last.
        self.lives: deque[Call] = deque(maxlen=node.limits.lives_max)

    async def invoke(self, invocation: Invocation, *, wait_s: float) -> Outcome:
        """Run one call.

        Args:
            invocation: What to run.
            wait_s: How long it may wait for its turn.

        Raises:
            TooManyRequests: Its turn did not come.
            ShuttingDown: The engine stops.
            SealStepFailed: The snapshot could not be made.
            SnapshotFailed: The snapshot could not be made.
            IsolateLost: Each isolate that it was given vanished before reading it.
        """
        if not self._node.accepting:
            self._node.require_accepting()
        function = invocation.function
        tenant = self._tenants.tenant(function)
        pool = self._tenants.pool(tenant, function)
        lane = tenant.lane
        memory_mib = function.settings.memory_mib
        call = Call(invocation, self._logs, self._clock, self._node.log_quotas)
        pool.open_call(self._clock.monotonic_s())
        try:
            if not self._admission.enter(lane, memory_mib):
                await self._turns.wait(lane, memory_mib, wait_s=wait_s)
            try:
                return await self._run(tenant, pool, call, invocation)
            finally:
                self._turns.leave(lane, memory_mib)
        except MayflyError as error:
            _count(tenant, error)
            raise
        finally:
            pool.close_call(self._clock.monotonic_s())

    async def _run(self, tenant: Tenant, pool: Pool, call: Call, invocation: Invocation) -> Outcome:
        lost: IsolateLost | None = None
        for _ in range(self._node.limits.lost_tries_max):
            try:
                held = pool.take() or await pool.wait_isolate(call)
                if isinstance(held, ImportFailure):
                    return self._answer_failure(tenant, call, held)
                return await self._ask(tenant, pool, call, held, invocation)
            except IsolateLost as error:
                event_log(
                    LogEvent.ISOLATE_LOST, function=call.function.name, request=call.request_id
                )
                lost = error
        assert lost is not None
        raise lost

    async def _ask(
        self, tenant: Tenant, pool: Pool, call: Call, held: Held, invocation: Invocation
    ) -> Outcome:
        """Send the event to an isolate that is ours, and make the answer an Outcome."""
        clock = self._clock
        timeout_s = call.function.settings.timeout_s
        held.sink = call
        call.start(held.vitals, b"" if call.init_ms is None else held.brood.init_log)
        start_s = clock.monotonic_s()
        held.overdue_s = start_s + timeout_s + self._death_s
        try:
            answer = await held.isolate.invoke(invocation, timeout_s=timeout_s)
        except BaseException:
            held.isolate.kill()
            raise
        end_s = clock.monotonic_s()
        if answer.alive:
            pool.put_back(held)
        else:
            held.overdue_s = end_s + self._death_s
            if self._node.stopping and answer.error_type == _KILLED:
                raise ShuttingDown("the platform stopped while the call ran; call again")
        if pool.failures and answer.error is None:
            pool.forgive()
        return self._finish(tenant, call, answer, (end_s - start_s) * 1000)

    def _finish(self, tenant: Tenant, call: Call, answer: Answer, duration_ms: float) -> Outcome:
        log_tail = call.finish(answer, duration_ms=duration_ms)
        self.lives.append(call)
        metrics = tenant.metrics
        if answer.error is None:
            metrics.count_success(duration_ms)
        else:
            metrics.count_failure(duration_ms, answer.error_type)
        if call.init_ms is not None:
            metrics.cold_starts += 1
        return Outcome(
            answer.payload,
            answer.error,
            answer.error_type,
            call.function.version,
            log_tail,
            duration_ms,
            call.waited_ms,
        )

    def _answer_failure(self, tenant: Tenant, call: Call, failure: ImportFailure) -> Outcome:
        """A failed import is the function's error, and the call's answer."""
        call.start(None, failure.log)
        answer = _with_request_id(failure.answer, call.request_id)
        return self._finish(tenant, call, answer, 0.0 if call.init_ms is None else call.init_ms)


def _count(tenant: Tenant, error: MayflyError) -> None:
    if isinstance(error, TooManyRequests):
        tenant.metrics.throttles += 1
    elif isinstance(error, PlatformError) and not isinstance(error, ShuttingDown):
        tenant.metrics.count_platform_error(type(error).__name__)


def _with_request_id(answer: Answer, request_id: str) -> Answer:
    """The import knew of no request; Lambda's document names the one that it failed."""
    try:
        document = json.loads(answer.payload)
    except (ValueError, RecursionError):
        return answer
    if not isinstance(document, dict):
        return answer
    payload = json.dumps({**document, "requestId": request_id}, separators=(",", ":"))
    return replace(answer, payload=payload.encode())
