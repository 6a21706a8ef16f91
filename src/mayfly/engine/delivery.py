"""Asynchronous calls: on disk before they are acknowledged, delivered at least once.

`accept` returns when the backlog has the event. One worker leases what is due and runs it beside
others; what became of it decides, in `verdict_on`, whether it is settled, put back or kept as
failed. A lease that a crash left behind ends at the next start, so the event is delivered again.

    answered                        settled
    function error                  again after 60 s and 120 s, then failed
    throttled, platform error       again after 1 s, growing to 5 min, for 6 h, then failed
    function deleted or stopped     failed
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from mayfly.engine.alarm import Alarm
from mayfly.engine.bounds import EngineLimits
from mayfly.engine.retry import delivery_delay_s
from mayfly.model.errors import MayflyError, NotFound, ShuttingDown
from mayfly.model.event import Event
from mayfly.model.function import Function
from mayfly.model.invocation import Invocation, Outcome
from mayfly.model.limits import ASYNC_RETRIES_DEFAULT, ASYNC_RETRY_DELAYS_S, ERROR_BYTES_MAX
from mayfly.ports import Backlog, Clock, Registry
from mayfly.telemetry import LogEvent, event_log

_STORAGE_RETRY_S = 1.0
_LOOK_S_MAX = 60.0


class Verdict(StrEnum):
    """What to do with an event after an attempt."""

    SETTLE = "settle"
    RETRY = "retry"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and what goes with it.

    Args:
        due_ms: When to try again; of use with RETRY only.
        error: The failure's document or text.
        attempted: The function was called.
    """

    verdict: Verdict
    due_ms: int = 0
    error: str = ""
    attempted: bool = True


class Delivery:
    """The worker behind `accept`."""

    def __init__(
        self,
        *,
        backlog: Backlog,
        registry: Registry,
        clock: Clock,
        limits: EngineLimits,
        invoke: Callable[[Invocation], Awaitable[Outcome]],
    ) -> None:
        self._backlog = backlog
        self._registry = registry
        self._clock = clock
        self._limits = limits
        self._invoke = invoke
        self._alarm = Alarm(clock)
        self._running: set[str] = set()
        self._open = True
        # More may be due than there was room for: whoever finishes makes room.
        self._full = False

    async def accept(self, event: Event) -> None:
        """Keep an event, then see to it.

        Raises:
            StorageFailed: It was not kept, and must not be acknowledged.
        """
        await self._backlog.accept(event)
        self._alarm.ring()

    def wake(self) -> None:
        """Something came into the backlog by another door than `accept`."""
        self._alarm.ring()

    async def run(self) -> None:
        """Deliver until cancelled. Events under way are then still leased, and delivered again."""
        await self._release()
        async with asyncio.TaskGroup() as tasks:
            self._alarm.ring()
            while True:
                await self._alarm.wait()
                try:
                    await self._deliver_due(tasks)
                except MayflyError as error:
                    _report_storage(error)
                    self._alarm.set(self._clock.monotonic_s() + _STORAGE_RETRY_S)

    async def _release(self) -> None:
        while True:
            try:
                count = await self._backlog.release(now_ms=int(self._clock.now_ms()))
            except MayflyError as error:
                _report_storage(error)
                await self._clock.sleep(_STORAGE_RETRY_S)
            else:
                if count:
                    event_log(LogEvent.BACKLOG_RELEASED, count=count)
                return

    async def _deliver_due(self, tasks: asyncio.TaskGroup) -> None:
        """Start what is due, as far as there is room; set the alarm for what is not."""
        while self._open and (room := self._limits.delivery_concurrency_max - len(self._running)):
            events = await self._backlog.lease(
                now_ms=int(self._clock.now_ms()),
                lease_ms=int(self._limits.delivery_lease_s * 1000),
                count_max=room,
            )
            for event in events:
                # A lease that ran out while its call still runs is ours twice: once is enough.
                if event.event_id not in self._running:
                    self._running.add(event.event_id)
                    tasks.create_task(self._deliver(event))
            self._full = len(events) == room
            if not self._full:
                await self._set_alarm()
                return

    async def _set_alarm(self) -> None:
        due_ms = await self._backlog.next_due_ms()
        if due_ms is not None:
            self._wake_at(due_ms)

    def _wake_at(self, due_ms: int) -> None:
        # Looked at again each minute, as the wall clock may jump.
        wait_s = min(max(0.0, due_ms - self._clock.now_ms()) / 1000, _LOOK_S_MAX)
        self._alarm.set(self._clock.monotonic_s() + wait_s)

    async def _deliver(self, event: Event) -> None:
        try:
            decision = await self._attempt(event)
            if decision is not None:
                await self._apply(event, decision)
        except MayflyError as error:
            # The lease stays; it ends by itself, and the event is delivered again.
            _report_storage(error, event)
        finally:
            self._running.discard(event.event_id)
            if self._full:
                self._alarm.ring()

    async def _attempt(self, event: Event) -> Decision | None:
        function = self._registry.function_nowait(event.function_name)
        result: Outcome | Exception
        if function is None:
            result = NotFound(f"function {event.function_name} does not exist any more")
            return self._judge(event, result)
        try:
            result = await self._invoke(_invocation(event, function))
        except ShuttingDown:
            # Left leased: the next start releases it. Nothing more is begun meanwhile.
            self._open = False
            return None
        except Exception as error:  # noqa: BLE001 the border of a task: the event must survive it
            result = error
        return self._judge(event, result, stopped=function.settings.concurrency == 0)

    def _judge(
        self, event: Event, result: Outcome | Exception, *, stopped: bool = False
    ) -> Decision:
        now_ms = self._clock.now_ms()
        return verdict_on(event, result, now_ms=now_ms, limits=self._limits, stopped=stopped)

    async def _apply(self, event: Event, decision: Decision) -> None:
        match decision.verdict:
            case Verdict.SETTLE:
                await self._backlog.settle(event.event_id)
            case Verdict.RETRY:
                _report(LogEvent.EVENT_RETRIED, event, decision)
                await self._backlog.retry(
                    event,
                    due_ms=decision.due_ms,
                    error=decision.error,
                    attempted=decision.attempted,
                )
                self._wake_at(decision.due_ms)
            case Verdict.FAIL:
                _report(LogEvent.EVENT_FAILED, event, decision)
                await self._backlog.fail(event, error=decision.error)


def verdict_on(
    event: Event,
    result: Outcome | Exception,
    *,
    now_ms: float,
    limits: EngineLimits,
    stopped: bool = False,
) -> Decision:
    """What an attempt's result means for its event. Pure.

    Args:
        event: As it was leased: `attempts` does not count this one.
        result: What the call came to.
        now_ms: Unix milliseconds.
        limits: The bounds of retrying.
        stopped: The function's reserved concurrency is 0 (Lambda: ZeroReservedConcurrency).
    """
    age_s = max(0.0, now_ms - event.accepted_ms) / 1000
    if isinstance(result, Outcome):
        if result.error is None:
            return Decision(Verdict.SETTLE)
        error = result.payload[:ERROR_BYTES_MAX].decode(errors="replace")
        if event.attempts >= ASYNC_RETRIES_DEFAULT or age_s >= limits.delivery_age_s_max:
            return Decision(Verdict.FAIL, error=error)
        delay_s: float = ASYNC_RETRY_DELAYS_S[event.attempts]
        return Decision(Verdict.RETRY, int(now_ms + delay_s * 1000), error)
    error = f"{getattr(result, 'code', type(result).__name__)}: {result}"[:ERROR_BYTES_MAX]
    if stopped or isinstance(result, NotFound) or age_s >= limits.delivery_age_s_max:
        return Decision(Verdict.FAIL, error=error, attempted=False)
    delay_s = delivery_delay_s(
        event.event_id,
        age_s=age_s,
        min_s=limits.delivery_retry_s_min,
        max_s=limits.delivery_retry_s_max,
    )
    return Decision(Verdict.RETRY, int(now_ms + delay_s * 1000), error, attempted=False)


def _invocation(event: Event, function: Function) -> Invocation:
    try:
        context = base64.b64decode(event.client_context, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        context = ""
    return Invocation(
        request_id=event.event_id,
        function=function,
        payload=event.payload,
        invoked_arn=function.arn,
        client_context=context,
    )


def _report(name: LogEvent, event: Event, decision: Decision) -> None:
    event_log(
        name,
        function=event.function_name,
        request=event.event_id,
        attempts=event.attempts,
        error=decision.error,
    )


def _report_storage(error: MayflyError, event: Event | None = None) -> None:
    event_log(
        LogEvent.BACKLOG_UNREACHABLE,
        level=logging.ERROR,
        error=str(error),
        request=None if event is None else event.event_id,
    )
