"""The source `schedule`: hands over what is due, once, and sleeps until the next is.

    sleep until the next due time, a minute at most (the wall clock may jump)
       |-- the clock was put back     what is due is found anew
       `-- due: parcel and next plan in one transaction; a missed occurrence is made up for once

Durations are monotonic, due times the wall clock's. A clock that was set forward hands over each
schedule once; what the function gets is AWS's, from here.

Source: EventBridge Scheduler User Guide, "Adding context attributes".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf

import msgspec

from mayfly.engine.alarm import Alarm
from mayfly.model.errors import InvalidParameter, MayflyError
from mayfly.model.function import ACCOUNT_ID, REGION
from mayfly.model.parcel import Parcel
from mayfly.ports import Clock, Ids
from mayfly.stores.schedules.schedule import Plan, Schedule, plan_after, plan_anew
from mayfly.stores.schedules.store import Planned, ScheduleStore
from mayfly.telemetry import LogEvent, event_log

LOOK_S_MAX = 60.0
# A clock that was put back less than this is waited for.
PUT_BACK_MS = 120_000
_RETRY_S = 5.0
# So many are planned without a pause: the event loop has others to serve.
_PAGE = 32
_CHANCE_LENGTH = 8
_EXECUTION_LENGTH = 16


class ScheduleSource:
    """Runs the schedules of one store.

    Args:
        function_exists: Whether there is a function of this name now.
    """

    def __init__(
        self, store: ScheduleStore, clock: Clock, ids: Ids, function_exists: Callable[[str], bool]
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._function_exists = function_exists
        self._alarm = Alarm(clock)
        store.when_changed(self._alarm.ring)

    async def run(self) -> None:
        """Hand over what is due, until cancelled."""
        while True:
            try:
                wait_s = await self.turn()
            except MayflyError as error:
                event_log(LogEvent.SCHEDULE_FAILED, level=logging.ERROR, error=error.message)
                wait_s = _RETRY_S
            self._alarm.set(self._clock.monotonic_s() + wait_s)
            await self._alarm.wait()

    async def turn(self) -> float:
        """Do all that can be done now; how many seconds may pass until the next look."""
        await self._follow_clock()
        while due := self._store.due_nowait(self._now_ms(), _PAGE):
            if not await self._each(due, self._hand_over):
                return _RETRY_S
        next_ms = self._store.next_due_ms_nowait()
        if next_ms is None:
            return inf
        return min(LOOK_S_MAX, max(0.0, (next_ms - self._clock.now_ms()) / 1000))

    async def _follow_clock(self) -> None:
        """Find anew what is due where that was found by a clock that has been put back since."""
        while True:
            now_ms = self._now_ms()
            found = self._store.found_after_nowait(now_ms + PUT_BACK_MS, _PAGE)
            if not found:
                return
            event_log(LogEvent.CLOCK_PUT_BACK, level=logging.WARNING, schedules=len(found))
            if not await self._each(found, self._find_anew):
                return

    async def _each(
        self, found: Sequence[Planned], act: Callable[[Planned], Awaitable[object]]
    ) -> bool:
        """Do it with all, in transactions of their own that share an fsync; whether all went."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._told(seen, act)) for seen in found]
        return all(task.result() for task in tasks)

    async def _told(self, seen: Planned, act: Callable[[Planned], Awaitable[object]]) -> bool:
        """Whether it was done; a failure is this schedule's alone."""
        try:
            await act(seen)
        except MayflyError as error:
            event_log(
                LogEvent.SCHEDULE_FAILED,
                level=logging.ERROR,
                schedule=seen.schedule.arn,
                error=error.message,
            )
            return False
        return True

    async def _find_anew(self, seen: Planned) -> None:
        now_ms = self._now_ms()
        after = self._planned(seen, plan_anew, now_ms)
        await self._store.fire(seen, after, now_ms)

    async def _hand_over(self, seen: Planned) -> None:
        now_ms = self._now_ms()
        after = self._planned(seen, plan_after, now_ms)
        delete = seen.schedule.delete_after and after.occurrence_ms is None
        await self._store.fire(seen, after, now_ms, self._parcels(seen), delete=delete)

    def _planned(
        self, seen: Planned, find: Callable[[Schedule, Plan, int, str], Plan], now_ms: int
    ) -> Plan:
        try:
            return find(seen.schedule, seen.plan, now_ms, self._ids.token(_CHANCE_LENGTH))
        except InvalidParameter as error:
            # Its time zone was taken out of the database of time zones.
            arn = seen.schedule.arn
            event_log(
                LogEvent.SCHEDULE_STOPPED, level=logging.ERROR, schedule=arn, error=error.message
            )
            return Plan(now_ms, last_ms=seen.plan.occurrence_ms)

    def _parcels(self, seen: Planned) -> Sequence[Parcel]:
        """The event for the target; and for the dead-letter queue, where the target is gone.

        A function that is gone and has no such queue gets its event still: it fails visibly in the
        backlog, and can be replayed.
        """
        assert seen.plan.occurrence_ms is not None
        schedule, target = seen.schedule, seen.schedule.target
        when = _time_text(seen.plan.occurrence_ms)
        execution_id, event_id = self._ids.token(_EXECUTION_LENGTH), self._ids.uuid()
        if target.input is None:
            body = _notification(schedule, event_id, when)
        else:
            body = _filled_in(target.input, schedule, when, execution_id).encode()
        event = Parcel(
            parcel_id=event_id,
            target_arn=target.arn,
            body=body,
            source=f"schedule:{schedule.group}/{schedule.name}",
            group_id=target.group_id,
        )
        if not target.dead_letter_arn:
            return [event]
        dead_letter = replace(
            event,
            parcel_id=self._ids.uuid(),
            target_arn=target.dead_letter_arn,
            group_id="",
            attributes=_dead_letter_attributes(schedule, when, execution_id),
        )
        gone = event.service == "lambda" and not self._function_exists(target.arn.split(":")[6])
        return [dead_letter, event] if gone else [event, dead_letter]

    def _now_ms(self) -> int:
        return int(self._clock.now_ms())


def _notification(schedule: Schedule, event_id: str, when: str) -> bytes:
    """What a target gets whose schedule has no Input."""
    return msgspec.json.encode(
        {
            "version": "0",
            "id": event_id,
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": ACCOUNT_ID,
            "time": when,
            "region": REGION,
            "resources": [schedule.arn],
            "detail": "{}",
        }
    )


def _filled_in(text: str, schedule: Schedule, when: str, execution_id: str) -> str:
    """The input with its context attributes replaced, once: retries carry the same."""
    if "<aws.scheduler." not in text:
        return text
    values = {
        "schedule-arn": schedule.arn,
        "scheduled-time": when,
        "execution-id": execution_id,
        "attempt-number": "1",
    }
    for name, value in values.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def _dead_letter_attributes(schedule: Schedule, when: str, execution_id: str) -> Mapping[str, str]:
    """What a dead letter says of itself; see "Configuring a schedule's dead-letter queue"."""
    arn = schedule.target.arn
    return {
        "ERROR_CODE": "ResourceNotFoundException",
        "ERROR_MESSAGE": f"the target {arn} does not exist",
        "EXECUTION_ID": execution_id,
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": "0",
        "SCHEDULED_TIME": when,
        "SCHEDULE_ARN": schedule.arn,
        "TARGET_ARN": arn,
    }


def _time_text(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
