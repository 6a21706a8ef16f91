"""EventBridge Scheduler's operations, by name, on the store of schedules.

All of them are the owner's: no grant reaches schedules. A request that comes again with its
ClientToken is done once and answered the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from mayfly.api.message import Request
from mayfly.api.permits import require_owner
from mayfly.api.refusals import ValidationFailed
from mayfly.api.scheduler.forms import (
    group_form,
    read_token,
    schedule_form,
    summary_form,
    write_token,
)
from mayfly.api.scheduler.reading import read_schedule, token_request
from mayfly.api.scheduler.refusals import SchedulerConflict, in_aws_words
from mayfly.api.wire.params import Params
from mayfly.model import limits
from mayfly.ports import Clock, Ids
from mayfly.stores.schedules.schedule import DEFAULT_GROUP, Group, Plan, Schedule, first_plan
from mayfly.stores.schedules.store import Planned, ScheduleStore, not_found
from mayfly.stores.schedules.tokens import Token

Answer = Mapping[str, object]
_PAGE_DEFAULT = 100
_TRIES_MAX = 5
_CHANCE_LENGTH = 8


class SchedulerOperations:
    """The service "scheduler"."""

    def __init__(self, store: ScheduleStore, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._performers: dict[str, Callable[[Params], Awaitable[Answer]]] = {
            "CreateSchedule": self._create,
            "GetSchedule": self._get,
            "UpdateSchedule": self._update,
            "DeleteSchedule": self._delete,
            "ListSchedules": self._list,
            "CreateScheduleGroup": self._create_group,
            "GetScheduleGroup": self._get_group,
            "DeleteScheduleGroup": self._delete_group,
            "ListScheduleGroups": self._list_groups,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": self._tags,
        }

    def implements(self, operation_name: str) -> bool:
        """Whether `handle` does this operation."""
        return operation_name in self._performers

    async def handle(self, operation_name: str, params: Params, request: Request) -> Answer:
        """Do an operation that is implemented.

        Raises:
            MayflyError: It was refused or failed; nothing was half done.
        """
        require_owner(request.principal, f"scheduler:{operation_name}")
        with in_aws_words():
            return await self._performers[operation_name](params)

    # Schedules

    async def _create(self, params: Params) -> Answer:
        now_ms = self._now_ms()
        schedule = read_schedule(params, now_ms, self._ids.uuid())
        plan = first_plan(schedule, now_ms, self._ids.token(_CHANCE_LENGTH))
        token = self._token("CreateSchedule", params)
        return {"ScheduleArn": await self._store.create(schedule, plan, token)}

    async def _get(self, params: Params) -> Answer:
        return schedule_form(self._find(params).schedule)

    async def _update(self, params: Params) -> Answer:
        for _ in range(_TRIES_MAX):
            seen = self._find(params)
            now_ms = self._now_ms()
            schedule = read_schedule(params, now_ms, self._ids.uuid(), seen.schedule)
            plan = self._changed_plan(seen, schedule, now_ms)
            before_id = seen.schedule.revision_id
            if await self._store.replace(schedule, plan, expected_revision_id=before_id):
                return {"ScheduleArn": schedule.arn}
        raise SchedulerConflict(
            f"Schedule {params.text('Name')} was changed by others at the same time; try again."
        )

    def _changed_plan(self, seen: Planned, after: Schedule, now_ms: int) -> Plan:
        """A schedule whose times stay the same keeps what is due."""
        if _when(seen.schedule) == _when(after):
            return seen.plan
        return first_plan(after, now_ms, self._ids.token(_CHANCE_LENGTH))

    async def _delete(self, params: Params) -> Answer:
        group = params.text("GroupName") or DEFAULT_GROUP
        token = self._token("DeleteSchedule", params)
        await self._store.delete(group, params.text("Name"), token)
        return {}

    async def _list(self, params: Params) -> Answer:
        group = params.text("GroupName")
        if group:
            self._store.group_nowait(group)
        state = params.text("State")
        count_max = params.number("MaxResults", _PAGE_DEFAULT)
        after_group, after_name = read_token(params.text("NextToken"), 2)
        found = await self._store.page(
            group=group,
            prefix=params.text("NamePrefix"),
            enabled=state == "ENABLED" if state else None,
            after=(after_group, after_name),
            count_max=count_max + 1,
        )
        answer: dict[str, object] = {"Schedules": [summary_form(one) for one in found[:count_max]]}
        if len(found) > count_max:
            last = found[count_max - 1]
            answer["NextToken"] = write_token((last.group, last.name))
        return answer

    def _find(self, params: Params) -> Planned:
        group, name = params.text("GroupName") or DEFAULT_GROUP, params.text("Name")
        found = self._store.find_nowait(group, name)
        if found is None:
            self._store.group_nowait(group)
            raise not_found(name)
        return found

    # Groups

    async def _create_group(self, params: Params) -> Answer:
        now_ms = self._now_ms()
        tags = _check_tags(_read_tags(params))
        group = Group(params.text("Name"), now_ms, now_ms, tags)
        token = self._token("CreateScheduleGroup", params)
        return {"ScheduleGroupArn": await self._store.create_group(group, token)}

    async def _get_group(self, params: Params) -> Answer:
        return group_form(self._store.group_nowait(params.text("Name")))

    async def _delete_group(self, params: Params) -> Answer:
        name = params.text("Name")
        if name == DEFAULT_GROUP:
            raise ValidationFailed("Deleting default schedule group is not allowed.")
        await self._store.delete_group(name, self._token("DeleteScheduleGroup", params))
        return {}

    async def _list_groups(self, params: Params) -> Answer:
        count_max = params.number("MaxResults", _PAGE_DEFAULT)
        (after,) = read_token(params.text("NextToken"), 1)
        found = self._store.groups_nowait(
            prefix=params.text("NamePrefix"), after=after, count_max=count_max + 1
        )
        answer: dict[str, object] = {
            "ScheduleGroups": [group_form(one) for one in found[:count_max]]
        }
        if len(found) > count_max:
            answer["NextToken"] = write_token((found[count_max - 1].name,))
        return answer

    # Tags, which only groups have

    async def _tag(self, params: Params) -> Answer:
        added = _read_tags(params)
        await self._change_tags(params, lambda tags: _check_tags({**tags, **added}))
        return {}

    async def _untag(self, params: Params) -> Answer:
        gone = set(params.texts("TagKeys"))
        await self._change_tags(
            params, lambda tags: {key: value for key, value in tags.items() if key not in gone}
        )
        return {}

    async def _tags(self, params: Params) -> Answer:
        group = self._store.group_nowait(_group_name(params))
        return {"Tags": [{"Key": key, "Value": value} for key, value in group.tags.items()]}

    async def _change_tags(
        self, params: Params, change: Callable[[Mapping[str, str]], Mapping[str, str]]
    ) -> None:
        now_ms = self._now_ms()
        await self._store.change_group(
            _group_name(params),
            lambda group: replace(group, tags=change(group.tags), modified_ms=now_ms),
        )

    def _now_ms(self) -> int:
        return int(self._clock.now_ms())

    def _token(self, operation_name: str, params: Params) -> Token:
        value = params.text("ClientToken")
        return Token(value, token_request(operation_name, params), self._now_ms())


def _when(schedule: Schedule) -> tuple[object, ...]:
    """All of a schedule that says when it is due."""
    return (
        *(schedule.expression, schedule.zone, schedule.anchor_ms),
        *(schedule.start_ms, schedule.end_ms, schedule.window_min, schedule.enabled),
    )


def _group_name(params: Params) -> str:
    """The group that a tag operation's ARN names; the model has checked its form."""
    return params.text("ResourceArn").rpartition("/")[2]


def _read_tags(params: Params) -> dict[str, str]:
    given = params.get("Tags", [])
    assert isinstance(given, list)
    return {one.text("Key"): one.text("Value") for one in given}


def _check_tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    if len(tags) > limits.TAGS_MAX:
        raise ValidationFailed(
            f"A schedule group has at most {limits.TAGS_MAX} tags; it would have {len(tags)}."
        )
    return tags
