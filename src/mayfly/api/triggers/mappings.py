"""Triggers of the types "table" and "queue": event source mappings, by Lambda's own operations.

A source and a function have one mapping, so the source's ARN finds it again. A stream's ARN is new
with each stream: a table that got another one gets another mapping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from mayfly.api.triggers.asking import Asking, same
from mayfly.api.triggers.room import BUCKET_ARN, QUEUE_ARN, kind_of, shown
from mayfly.model.errors import NotFound
from mayfly.model.trigger import QueueTrigger, Starting, TableTrigger, Trigger
from mayfly.stores.triggers.store import Made

_STARTING = {Starting.LATEST: "LATEST", Starting.OLDEST: "TRIM_HORIZON"}
# What CreateEventSourceMapping takes and UpdateEventSourceMapping does not.
_AT_CREATION = ("EventSourceArn", "StartingPosition", "Enabled")
_MISSING = (
    "this version of mayfly has no event source mappings yet; take the trigger out, and read "
    "the queue or the stream by an SDK"
)

Members = dict[str, object]


class Sources(Protocol):
    """What there is to read from, and who can be told of failures."""

    def has_table(self, name: str) -> bool:
        """Whether there is a table of this name."""
        ...

    def stream_arn(self, table: str) -> str | None:
        """The ARN of the table's stream, or None while it has none."""
        ...

    def has_queue(self, name: str) -> bool:
        """Whether there is a queue of this name."""
        ...

    def has_bucket(self, name: str) -> bool:
        """Whether there is a bucket of this name."""
        ...


class MappingRoom:
    """Works by Lambda's operations.

    Args:
        asking: The service "lambda".
    """

    def __init__(self, asking: Asking, sources: Sources) -> None:
        self._asking = asking
        self._sources = sources

    def plan(self, function_name: str, triggers: Sequence[Trigger]) -> Sequence[Made]:
        """One mapping for each (port `Room`)."""
        del function_name
        return [Made(kind_of(one), self._source_arn(one), shown(one)) for one in triggers]

    def problems(self, function_name: str, triggers: Sequence[Trigger]) -> Sequence[str]:
        """Tables, streams and queues that are missing (port `Room`)."""
        del function_name
        if not self._asking.implements("CreateEventSourceMapping"):
            return [_MISSING] if triggers else []
        return [one for trigger in triggers for one in self._problems_of(trigger)]

    async def converge(
        self, function_name: str, triggers: Sequence[Trigger], gone: Sequence[Made]
    ) -> bool:
        """Make, change and remove mappings (port `Room`)."""
        changed = False
        for one in gone:
            changed |= await self._drop(function_name, one.made_id)
        for trigger in triggers:
            changed |= await self._put(function_name, trigger)
        return changed

    async def _put(self, function_name: str, trigger: Trigger) -> bool:
        wanted = self._members(trigger)
        found = await self._find(function_name, str(wanted["EventSourceArn"]))
        if found is None:
            members = {**wanted, "FunctionName": function_name}
            await self._asking.ask("CreateEventSourceMapping", members)
            return True
        settings = {key: value for key, value in wanted.items() if key not in _AT_CREATION}
        if same(found, settings):
            return False
        members = {"UUID": found["UUID"], "FunctionName": function_name, **settings}
        await self._asking.ask("UpdateEventSourceMapping", members)
        return True

    async def _drop(self, function_name: str, source_arn: str) -> bool:
        found = await self._find(function_name, source_arn)
        if found is None:
            return False
        try:
            await self._asking.ask("DeleteEventSourceMapping", {"UUID": found["UUID"]})
        except NotFound:
            return False
        return True

    async def _find(self, function_name: str, source_arn: str) -> Mapping[str, object] | None:
        if not self._asking.implements("ListEventSourceMappings"):
            return None
        members = {"FunctionName": function_name, "EventSourceArn": source_arn}
        try:
            answer = await self._asking.ask("ListEventSourceMappings", members)
        except NotFound:
            return None
        listed = answer.get("EventSourceMappings")
        found = listed if isinstance(listed, list | tuple) else ()
        return next((one for one in found if isinstance(one, Mapping)), None)

    def _source_arn(self, trigger: Trigger) -> str:
        if isinstance(trigger, QueueTrigger):
            return QUEUE_ARN + trigger.queue
        assert isinstance(trigger, TableTrigger)
        return self._sources.stream_arn(trigger.table) or ""

    def _members(self, trigger: Trigger) -> Members:
        members: Members = {"EventSourceArn": self._source_arn(trigger), "Enabled": True}
        if isinstance(trigger, QueueTrigger):
            bound = {"MaximumConcurrency": trigger.concurrency} if trigger.concurrency else {}
            members["ScalingConfig"] = bound
        else:
            assert isinstance(trigger, TableTrigger)
            told = _arn_of(trigger.on_failure)
            members |= {
                "StartingPosition": _STARTING[trigger.starting],
                "MaximumRetryAttempts": trigger.retries,
                "MaximumRecordAgeInSeconds": trigger.age_s_max,
                "BisectBatchOnFunctionError": trigger.bisect,
                "ParallelizationFactor": trigger.parallel,
                "DestinationConfig": {"OnFailure": {"Destination": told} if told else {}},
            }
        return members | {
            "BatchSize": trigger.batch,
            "MaximumBatchingWindowInSeconds": trigger.window_s,
            "FilterCriteria": {"Filters": [{"Pattern": one} for one in trigger.filters]},
            "FunctionResponseTypes": ["ReportBatchItemFailures"] if trigger.partial else [],
        }

    def _problems_of(self, trigger: Trigger) -> list[str]:
        if isinstance(trigger, QueueTrigger):
            return [] if self._sources.has_queue(trigger.queue) else [_no_queue(trigger.queue)]
        assert isinstance(trigger, TableTrigger)
        found = []
        if not self._sources.has_table(trigger.table):
            found.append(
                f'there is no table "{trigger.table}"; make it first, with a stream: '
                "`aws dynamodb create-table`"
            )
        elif self._sources.stream_arn(trigger.table) is None:
            found.append(
                f'the table "{trigger.table}" has no stream; give it one: `aws dynamodb '
                f"update-table --table-name {trigger.table} --stream-specification "
                "StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES`"
            )
        kind, _, name = trigger.on_failure.partition(":")
        if kind == "queue" and not self._sources.has_queue(name):
            found.append(_no_queue(name))
        if kind == "bucket" and not self._sources.has_bucket(name):
            found.append(f'there is no bucket "{name}"; make it first: `aws s3 mb s3://{name}`')
        return found


def _no_queue(name: str) -> str:
    return f'there is no queue "{name}"; make it first: `aws sqs create-queue --queue-name {name}`'


def _arn_of(written: str) -> str:
    kind, _, name = written.partition(":")
    return f"{QUEUE_ARN if kind == 'queue' else BUCKET_ARN}{name}" if name else ""
