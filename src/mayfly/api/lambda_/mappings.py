"""Event source mappings: made, read, listed, changed, removed; with the states that Lambda tells.

    Creating -> Enabled <-> Updating      Disabling -> Disabled      Deleting -> (gone)

A state is what the running source says of itself: "Enabled" when it reads as the mapping now is,
"Disabling" while batches that were begun are ending.

Source: Lambda API Reference, EventSourceMappingConfiguration.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from mayfly.api.lambda_.mapping_settings import (
    CheckFilter,
    changed_mapping,
    default_batch_size,
    source_arn,
    starting_position,
)
from mayfly.api.lambda_.names import Reference, find_function, parse_reference
from mayfly.api.lambda_.settings import check_tags
from mayfly.api.wire.params import Params
from mayfly.model.errors import InvalidParameter, NotFound
from mayfly.model.function import LATEST, Function
from mayfly.model.mapping import SourceKind, SourceMapping, StartingPosition
from mayfly.ports import Clock, Ids, Registry
from mayfly.stores.mappings.store import MappingStore

_PAGE_DEFAULT = 100
_ARN_KIND = ":event-source-mapping:"


class Sources(Protocol):
    """What there is to read from."""

    def visibility_s(self, queue: str) -> int | None:
        """How long the queue hides what was received, or None: there is no such queue."""
        ...

    def has_stream(self, stream_arn: str) -> bool:
        """Whether the stream is there."""
        ...


class MappingOperations:
    """The operations on event source mappings.

    Args:
        check_filter: Refuses what is no pattern.
    """

    def __init__(
        self,
        store: MappingStore,
        *,
        registry: Registry,
        clock: Clock,
        ids: Ids,
        sources: Sources,
        check_filter: CheckFilter,
    ) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._ids = ids
        self._sources = sources
        self._check_filter = check_filter

    async def create(self, params: Params) -> dict[str, object]:
        """CreateEventSourceMapping.

        Raises:
            NotFound: There is no such function.
            Conflict: The function has a mapping of this source.
            InvalidParameter: A value that cannot be with this source.
        """
        arn = source_arn(params)
        reference, function = self._function(params)
        plain = SourceMapping(
            mapping_id=self._ids.uuid(),
            function_name=reference.name,
            qualifier=reference.qualifier or LATEST,
            source_arn=arn,
            batch_size=0,
            modified_ms=int(self._clock.now_ms()),
        )
        plain = replace(plain, batch_size=default_batch_size(plain.kind))
        starting = starting_position(params, plain.kind)
        mapping = changed_mapping(replace(plain, starting=starting), params, self._check_filter)
        self._require_source(mapping, function)
        newest = mapping.kind is SourceKind.STREAM and starting is StartingPosition.LATEST
        return self._told(await self._store.create(mapping, newest=newest), state="Creating")

    async def get(self, params: Params) -> dict[str, object]:
        """GetEventSourceMapping."""
        return self._told(self._store.find_nowait(params.text("UUID")))

    async def list(self, params: Params) -> dict[str, object]:
        """ListEventSourceMappings; a page's marker is the id of its last one."""
        written, arn = params.text("FunctionName"), params.text("EventSourceArn")
        reference = parse_reference(written) if written else Reference("")
        marker, count = params.text("Marker"), params.number("MaxItems", _PAGE_DEFAULT)
        found = [
            one
            for one in self._store.all_nowait()
            if one.mapping_id > marker
            and (not written or one.function_name == reference.name)
            and (not reference.qualifier or one.qualifier == reference.qualifier)
            and (not arn or one.source_arn == arn)
        ]
        page = found[:count]
        return {
            "EventSourceMappings": [self._told(one) for one in page],
            "NextMarker": page[-1].mapping_id if len(found) > count else None,
        }

    async def update(self, params: Params) -> dict[str, object]:
        """UpdateEventSourceMapping: what is given is changed, the rest stays.

        Raises:
            NotFound: There is no such mapping or function.
            Conflict: The function that is given has a mapping of this source.
        """
        mapping_id, now_ms = params.text("UUID"), int(self._clock.now_ms())
        before = self._store.find_nowait(mapping_id)
        reference, function = self._function(params, before)

        def change(current: SourceMapping) -> SourceMapping:
            moved = replace(
                current,
                function_name=reference.name,
                qualifier=reference.qualifier or LATEST,
                modified_ms=now_ms,
            )
            return changed_mapping(moved, params, self._check_filter)

        # Refused here, with all that it reads in memory, before the transaction does it again.
        wanted = change(before)
        if function is not None:
            self._require_source(wanted, function)
        after = await self._store.change(mapping_id, change)
        return self._told(after, state=_transition(before, after))

    async def delete(self, params: Params) -> dict[str, object]:
        """DeleteEventSourceMapping. Batches that were begun are left to end."""
        mapping_id = params.text("UUID")
        told = self._told(self._store.find_nowait(mapping_id), state="Deleting")
        await self._store.delete(mapping_id)
        return told

    async def tag(self, params: Params) -> dict[str, object]:
        """TagResource of a mapping."""
        given = params.text_map("Tags")

        def add(mapping: SourceMapping) -> SourceMapping:
            tags = {**mapping.tags, **given}
            check_tags(tags)
            return replace(mapping, tags=tags)

        await self._store.change(_mapping_id(params), add)
        return {}

    async def untag(self, params: Params) -> dict[str, object]:
        """UntagResource of a mapping; a key that is not there is no error."""
        doomed = set(params.texts("TagKeys"))

        def remove(mapping: SourceMapping) -> SourceMapping:
            kept = {key: value for key, value in mapping.tags.items() if key not in doomed}
            return replace(mapping, tags=kept)

        await self._store.change(_mapping_id(params), remove)
        return {}

    async def list_tags(self, params: Params) -> dict[str, object]:
        """ListTags of a mapping."""
        return {"Tags": dict(self._store.find_nowait(_mapping_id(params)).tags)}

    def _function(
        self, params: Params, before: SourceMapping | None = None
    ) -> tuple[Reference, Function | None]:
        """Whom it feeds; a mapping that is there may stay with a function that is not."""
        written = params.text("FunctionName")
        if not written and before is not None:
            reference = Reference(before.function_name, before.qualifier)
            return reference, self._registry.function_nowait(before.function_name)
        reference = parse_reference(written)
        return reference, find_function(self._registry, reference)

    def _require_source(self, mapping: SourceMapping, function: Function | None) -> None:
        if mapping.kind is SourceKind.STREAM:
            if not self._sources.has_stream(mapping.source_arn):
                raise InvalidParameter(f"Stream not found: {mapping.source_arn}")
            return
        visibility_s = self._sources.visibility_s(mapping.source_name)
        if visibility_s is None:
            raise InvalidParameter(
                "Error occurred while ReceiveMessage. SQS Error Code: "
                "AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue "
                "does not exist."
            )
        timeout_s = 0 if function is None else function.settings.timeout_s
        if visibility_s < timeout_s:
            raise InvalidParameter(
                f"Queue visibility timeout: {visibility_s} seconds is less than Function timeout: "
                f"{timeout_s} seconds"
            )

    def _told(self, mapping: SourceMapping, *, state: str = "") -> dict[str, object]:
        """The shape EventSourceMappingConfiguration."""
        standing = self._store.standing_nowait(mapping.mapping_id)
        told: dict[str, object] = {
            "UUID": mapping.mapping_id,
            "EventSourceMappingArn": mapping.arn,
            "EventSourceArn": mapping.source_arn,
            "FunctionArn": mapping.function_arn,
            "BatchSize": mapping.batch_size,
            "MaximumBatchingWindowInSeconds": mapping.window_s,
            "FunctionResponseTypes": (
                ["ReportBatchItemFailures"] if mapping.partial_failures else []
            ),
            "LastModified": datetime.fromtimestamp(mapping.modified_ms / 1000, UTC),
            "LastProcessingResult": standing.result,
            "State": state or _state(mapping, standing.revision),
        }
        if mapping.filters:
            told["FilterCriteria"] = {"Filters": [{"Pattern": one} for one in mapping.filters]}
        of_source = _of_queue if mapping.kind is SourceKind.QUEUE else _of_stream
        return told | of_source(mapping)


def names_mapping(params: Params) -> bool:
    """Whether the member Resource is a mapping's ARN."""
    return _ARN_KIND in params.text("Resource")


def _mapping_id(params: Params) -> str:
    resource = params.text("Resource")
    mapping_id = resource.rpartition(_ARN_KIND)[2]
    if resource != SourceMapping(mapping_id, "", "", 0, 0).arn:
        raise NotFound(f"The resource you requested does not exist: {resource[:200]}")
    return mapping_id


def _of_queue(mapping: SourceMapping) -> dict[str, object]:
    bound = mapping.concurrency_max
    scaling = {} if bound is None else {"ScalingConfig": {"MaximumConcurrency": bound}}
    return {"StateTransitionReason": "USER_INITIATED", **scaling}


def _of_stream(mapping: SourceMapping) -> dict[str, object]:
    target = mapping.on_failure_arn
    return {
        "StateTransitionReason": "User action",
        "StartingPosition": mapping.starting.value,
        "ParallelizationFactor": mapping.parallel,
        "BisectBatchOnFunctionError": mapping.bisect,
        "MaximumRecordAgeInSeconds": mapping.age_s_max,
        "MaximumRetryAttempts": mapping.retries_max,
        "TumblingWindowInSeconds": 0,
        "DestinationConfig": {"OnFailure": {"Destination": target} if target else {}},
    }


def _state(mapping: SourceMapping, running: int) -> str:
    """By what runs: the revision that the source reads for, or 0."""
    if not mapping.enabled:
        return "Disabling" if running else "Disabled"
    if running == mapping.revision:
        return "Enabled"
    return "Updating" if running else "Creating" if mapping.revision == 1 else "Enabling"


def _transition(before: SourceMapping, after: SourceMapping) -> str:
    if before.enabled is after.enabled:
        return "Updating"
    return "Enabling" if after.enabled else "Disabling"
