"""Asynchronous calls: on disk before they are acknowledged, delivered at least once.

`accept` returns when the backlog has the event. With a place free for it, it is kept leased already
and begins when it is durable: no write more. So do events that come by other doors (`_begin`). What
found no place waits: one worker leases what is due, of each function as many as `Shares` grants it.

    accept, other doors --place free--> durable, leased ----------------> deliver --> settle, retry,
                        `--none--> durable, waiting --due, place--> lease --^           fail

What became of an event decides, in
`verdict`, whether it is settled, put back or kept as failed; what its destination and its dead
letters are told (`destination`) travels in the transaction that ends it. A lease that a crash left
behind ends at the next start, so the event is delivered again.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from mayfly.engine.alarm import Alarm
from mayfly.engine.bounds import EngineLimits
from mayfly.engine.destination import farewell
from mayfly.engine.failed_events import FailedEvents
from mayfly.engine.settling import Settling
from mayfly.engine.shares import Shares
from mayfly.engine.verdict import Decision, Verdict, refusal, terms_of, verdict_on
from mayfly.model.errors import MayflyError, ShuttingDown
from mayfly.model.event import Condition, Event, EventSettings
from mayfly.model.function import LATEST, Function
from mayfly.model.invocation import Invocation, Outcome
from mayfly.ports import Backlog, Clock, Ids, Registry
from mayfly.telemetry import LogEvent, Metrics, event_log

_STORAGE_RETRY_S = 1.0
_LOOK_S_MAX = 60.0
_PAUSE_S_MAX = 10.0


@dataclass(frozen=True, slots=True)
class _Ending:
    """What an attempt came to, with what was known when it was judged."""

    decision: Decision
    function: Function | None
    settings: EventSettings | None
    result: Outcome | Exception | None


class Delivery:
    """The worker behind `accept`."""

    def __init__(
        self,
        *,
        backlog: Backlog,
        registry: Registry,
        clock: Clock,
        ids: Ids,
        limits: EngineLimits,
        metrics: Metrics,
        invoke: Callable[[Invocation], Awaitable[Outcome]],
    ) -> None:
        self._backlog = backlog
        self._registry = registry
        self._clock = clock
        self._ids = ids
        self._limits = limits
        self._metrics = metrics
        self._invoke = invoke
        self._alarm = Alarm(clock)
        self._running: set[str] = set()
        self._shares = Shares(
            limits.delivery_concurrency_max,
            pause_s_min=limits.delivery_retry_s_min,
            pause_s_max=min(_PAUSE_S_MAX, limits.delivery_retry_s_max),
        )
        self._failed = FailedEvents(backlog, clock, limits, metrics)
        self._settling = Settling(backlog)
        self._lease_ms = int(limits.delivery_lease_s * 1000)
        self._tasks: asyncio.TaskGroup | None = None
        self._open = True
        backlog.serve(self._begin, lease_ms=self._lease_ms)

    async def accept(self, event: Event) -> None:
        """Keep an event, then see to it.

        Raises:
            StorageFailed: It was not kept, and must not be acknowledged.
        """
        if self._tasks is None or not self._may_begin(event):
            await self._backlog.accept(event)
            self._alarm.ring()
            return
        # Its task also outlives a caller who goes away: what is durable and leased is delivered.
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._start(event)
        self._tasks.create_task(self._keep_and_deliver(event, kept))
        await kept

    def wake(self) -> None:
        """Something came into the backlog by another door than `accept`."""
        self._alarm.ring()

    async def run(self) -> None:
        """Deliver until cancelled. Events under way are then still leased, and delivered again."""
        await self._release()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._failed.run())
            tasks.create_task(self._settling.run())
            # Not earlier: `release` would have taken what was begun for a lease of an earlier life.
            self._tasks = tasks
            try:
                await self._deliver_all(tasks)
            finally:
                self._tasks = None
                self._backlog.offer(0)

    async def _deliver_all(self, tasks: asyncio.TaskGroup) -> None:
        self._offer()
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
        """Start what is due, as far as there are places; set the alarm for what is not."""
        while self._open:
            now_ms, now_s = int(self._clock.now_ms()), self._clock.monotonic_s()
            shares = self._shares.shares(
                self._backlog.ready_nowait(), self._reserved, now_ms=now_ms, now_s=now_s
            )
            if not shares:
                self._set_alarm(now_ms, now_s)
                return
            events = await self._backlog.lease(
                now_ms=now_ms, lease_ms=self._lease_ms, shares=shares
            )
            for event in events:
                # A lease that ran out while its call still runs is ours twice: once is enough.
                if event.event_id not in self._running:
                    self._start(event)
                    tasks.create_task(self._deliver(event))

    def _may_begin(self, event: Event) -> bool:
        """Whether it need not wait: it is due, none of its function waits, a place is free."""
        name, now_ms = event.function_name, int(self._clock.now_ms())
        return (
            event.due_ms <= now_ms
            and self._backlog.ready_nowait().get(name, now_ms + 1) > now_ms
            and self._has_room(name)
        )

    def _has_room(self, name: str) -> bool:
        now_s = self._clock.monotonic_s()
        return self._open and self._shares.has_room(name, self._reserved(name), now_s=now_s)

    async def _keep_and_deliver(self, event: Event, kept: asyncio.Future[None]) -> None:
        """Keep an event that has a place, tell who waits for that, deliver it."""
        leased = False
        try:
            until_ms = int(self._clock.now_ms()) + self._lease_ms
            leased = await self._backlog.accept(event, leased_until_ms=until_ms)
        except asyncio.CancelledError:
            _tell(kept, ShuttingDown("the platform stops; the event may have been kept"))
            raise
        except Exception as error:  # noqa: BLE001 the border of a task: who waits is told
            _tell(kept, error)
        else:
            _tell(kept)
        finally:
            if not leased:
                self._stop(event)
        if leased:
            await self._deliver_next(event)

    def _begin(self, event: Event) -> None:
        """Deliver an event that came by another door, leased; it had been offered a place.

        When that is gone, because more came than were offered or its function has its share, the
        event waits as any other.
        """
        if self._tasks is None:
            return
        if self._has_room(event.function_name):
            self._start(event)
            self._tasks.create_task(self._deliver_next(event))
        else:
            self._tasks.create_task(self._give_back(event))

    async def _deliver_next(self, event: Event) -> None:
        """Deliver, but first let whoever brought it have their answer: they wait, it does not."""
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._stop(event)
            raise
        await self._deliver(event)

    async def _give_back(self, event: Event) -> None:
        async def write() -> None:
            await self._backlog.retry(event, due_ms=event.due_ms, error="", attempted=False)

        await self._write_surely(event, write)
        self._alarm.ring()

    def _start(self, event: Event) -> None:
        self._running.add(event.event_id)
        self._shares.start(event.function_name)
        self._offer()

    def _stop(self, event: Event) -> None:
        self._running.discard(event.event_id)
        self._shares.stop(event.function_name)
        self._offer()
        self._alarm.ring()

    def _offer(self) -> None:
        self._backlog.offer(self._shares.free if self._open and self._tasks is not None else 0)

    def _reserved(self, name: str) -> int | None:
        function = self._registry.function_nowait(name)
        return None if function is None else function.settings.concurrency

    def _set_alarm(self, now_ms: int, now_s: float) -> None:
        ready = self._backlog.ready_nowait()
        self._shares.forget(ready)
        later_ms, pause_ends_s = self._shares.next_look(ready, now_ms=now_ms, now_s=now_s)
        if later_ms is not None:
            # Looked at again each minute, as the wall clock may jump.
            self._alarm.set(now_s + min((later_ms - now_ms) / 1000, _LOOK_S_MAX))
        if pause_ends_s is not None:
            self._alarm.set(pause_ends_s)

    async def _deliver(self, event: Event) -> None:
        try:
            ending = await self._attempt(event)
            if ending is not None:
                await self._write_surely(event, partial(self._apply, event, ending))
        finally:
            self._stop(event)

    async def _attempt(self, event: Event) -> _Ending | None:
        """Call the function, unless that is of no use; None when the platform stops."""
        name = event.function_name
        function = self._registry.function_nowait(name)
        settings = self._settings(event)
        terms = terms_of(settings, self._limits)
        refused = refusal(event, function, terms, now_ms=self._clock.now_ms())
        if refused is not None:
            return _Ending(refused, function, settings, None)
        assert function is not None, "what does not exist is refused"
        result: Outcome | Exception
        try:
            result = await self._invoke(_invocation(event, function))
        except ShuttingDown:
            # Left leased: the next start releases it. Nothing more is begun meanwhile.
            self._open = False
            return None
        except Exception as error:  # noqa: BLE001 the border of a task: the event must survive it
            result = error
        if isinstance(result, Outcome):
            self._shares.answered(name)
        else:
            self._shares.refused(name, self._clock.monotonic_s())
        # Changed meanwhile, perhaps: what is set now counts.
        settings = self._settings(event)
        decision = verdict_on(
            event,
            result,
            now_ms=self._clock.now_ms(),
            limits=self._limits,
            terms=terms_of(settings, self._limits),
        )
        return _Ending(decision, function, settings, result)

    def _settings(self, event: Event) -> EventSettings | None:
        qualifier = event.qualifier or LATEST
        return self._registry.event_settings_nowait(event.function_name, qualifier)

    async def _write_surely(self, event: Event, write: Callable[[], Awaitable[None]]) -> None:
        """Write down what became of an event, again and again while its lease lasts.

        After that the event is delivered again: it was called, and nobody knows.
        """
        end_s = self._clock.monotonic_s() + self._limits.delivery_lease_s
        while True:
            try:
                await write()
            except ShuttingDown:
                return
            except MayflyError as error:
                _report_storage(error, event)
                if self._clock.monotonic_s() >= end_s:
                    return
                await self._clock.sleep(_STORAGE_RETRY_S)
            else:
                return

    async def _apply(self, event: Event, ending: _Ending) -> None:
        decision = ending.decision
        if decision.verdict is Verdict.RETRY:
            _report(LogEvent.EVENT_RETRIED, event, decision)
            await self._backlog.retry(
                event,
                due_ms=decision.due_ms,
                error=decision.error,
                attempted=decision.attempted,
            )
            return
        ended = replace(event, attempts=event.attempts + decision.attempted)
        now_ms = self._clock.now_ms()
        left = farewell(
            ended,
            ending.function,
            ending.settings,
            decision,
            ending.result,
            now_ms=now_ms,
            ids=self._ids,
        )
        if decision.verdict is Verdict.SETTLE and not (left.unsendable or left.parcels):
            kept = False
            await self._settling.settle(event.event_id)
        elif decision.verdict is Verdict.SETTLE and not left.unsendable:
            kept = not await self._backlog.settle(
                event.event_id, parcels=left.parcels, now_ms=int(now_ms)
            )
        else:
            kept = True
            await self._backlog.fail(
                ended,
                error="\n".join(filter(None, (decision.error, left.unsendable))),
                condition=decision.condition or Condition.RETRIES_EXHAUSTED,
                now_ms=int(now_ms),
                parcels=left.parcels,
            )
        self._metrics.count_event(str(decision.condition))
        if kept:
            _report(LogEvent.EVENT_FAILED, ended, decision)
            await self._failed.one_more()


def _tell(kept: asyncio.Future[None], error: Exception | None = None) -> None:
    """Who waits may have gone away."""
    if kept.done():
        return
    if error is None:
        kept.set_result(None)
    else:
        kept.set_exception(error)


def _invocation(event: Event, function: Function) -> Invocation:
    try:
        context = base64.b64decode(event.client_context, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        context = ""
    qualified = event.qualifier not in ("", LATEST)
    return Invocation(
        request_id=event.event_id,
        function=function,
        payload=event.payload,
        invoked_arn=f"{function.arn}:{event.qualifier}" if qualified else function.arn,
        trace_id=event.trace_id,
        client_context=context,
    )


def _report(name: LogEvent, event: Event, decision: Decision) -> None:
    event_log(
        name,
        function=event.function_name,
        request=event.event_id,
        source=event.source,
        attempts=event.attempts,
        condition=decision.condition,
        error=decision.error,
    )


def _report_storage(error: MayflyError, event: Event | None = None) -> None:
    event_log(
        LogEvent.BACKLOG_UNREACHABLE,
        level=logging.ERROR,
        error=str(error),
        request=None if event is None else event.event_id,
    )
