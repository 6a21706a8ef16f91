"""Triggers of the type "schedule": schedules in the group "mayfly", by Scheduler's own operations.

The group is the manifests': a schedule that people make goes into another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from mayfly.api.triggers.asking import Asking, same
from mayfly.api.triggers.room import function_arn, shown
from mayfly.model.errors import CallerError, NotFound
from mayfly.model.function import ACCOUNT_ID
from mayfly.model.trigger import ScheduleTrigger, Trigger, TriggerKind
from mayfly.stores.schedules.timing import parse_timing
from mayfly.stores.triggers.store import Made

GROUP = "mayfly"
_ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/mayfly"
_NAME_LENGTH_MAX = 64
_DIGEST_LENGTH = 8


class ScheduleRoom:
    """Works by the operations of the service "scheduler"."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def plan(self, function_name: str, triggers: Sequence[Trigger]) -> Sequence[Made]:
        """One schedule for each (port `Room`)."""
        return [
            Made(TriggerKind.SCHEDULE, _name(function_name, number), shown(trigger))
            for number, trigger in enumerate(triggers)
        ]

    def problems(self, function_name: str, triggers: Sequence[Trigger]) -> Sequence[str]:
        """Expressions and zones that are none (port `Room`)."""
        del function_name
        found = []
        for trigger in triggers:
            assert isinstance(trigger, ScheduleTrigger)
            try:
                parse_timing(trigger.expression, trigger.timezone)
            except CallerError as error:
                found.append(f'schedule "{trigger.expression}": {error.message}')
        return found

    async def converge(
        self, function_name: str, triggers: Sequence[Trigger], gone: Sequence[Made]
    ) -> bool:
        """Make, change and remove schedules (port `Room`)."""
        changed = False
        for one in gone:
            changed |= await self._drop(one.made_id)
        if triggers:
            await self._have_group()
        for number, trigger in enumerate(triggers):
            assert isinstance(trigger, ScheduleTrigger)
            changed |= await self._put(function_name, _name(function_name, number), trigger)
        return changed

    async def _put(self, function_name: str, name: str, trigger: ScheduleTrigger) -> bool:
        place = {"GroupName": GROUP, "Name": name}
        target = {"Arn": function_arn(function_name), "RoleArn": _ROLE}
        if trigger.input is not None:
            target["Input"] = trigger.input
        wanted: dict[str, object] = {
            "ScheduleExpression": trigger.expression,
            "ScheduleExpressionTimezone": trigger.timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
        }
        try:
            found = await self._asking.ask("GetSchedule", place)
        except NotFound:
            members = {**place, **wanted, "Target": target}
            await self._asking.ask("CreateSchedule", members)
            return True
        present = found["Target"]
        assert isinstance(present, dict)
        if same(found, wanted) and same(present, {"Input": None, **target}):
            return False
        state = found.get("State", "ENABLED")
        await self._asking.ask(
            "UpdateSchedule", {**place, **wanted, "Target": target, "State": state}
        )
        return True

    async def _drop(self, name: str) -> bool:
        try:
            await self._asking.ask("DeleteSchedule", {"GroupName": GROUP, "Name": name})
        except NotFound:
            return False
        return True

    async def _have_group(self) -> None:
        try:
            await self._asking.ask("GetScheduleGroup", {"Name": GROUP})
        except NotFound:
            await self._asking.ask("CreateScheduleGroup", {"Name": GROUP})


def _name(function_name: str, number: int) -> str:
    """FUNCTION.N; of a name that leaves no room for that, its beginning and its digest."""
    whole = f"{function_name}.{number}"
    if len(whole) <= _NAME_LENGTH_MAX:
        return whole
    digest = hashlib.sha256(function_name.encode()).hexdigest()[:_DIGEST_LENGTH]
    end = f".{digest}.{number}"
    return function_name[: _NAME_LENGTH_MAX - len(end)] + end
