"""Lambda's operations on event source mappings: members, defaults, states and refusals."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mayfly.api.dispatch import Services
from mayfly.api.lambda_.mappings import MappingOperations
from mayfly.api.lambda_.operations import LambdaOperations
from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.sources.filters import compile_pattern
from mayfly.stores.mappings.store import MappingStore
from mayfly.stores.tables.catalog import Catalog
from tests.support.aws_call import Caller, Refused
from tests.support.lambda_api import LambdaApi

QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
FIFO = "arn:aws:sqs:us-east-1:000000000000:q.fifo"
STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/ttt/stream/2026-01-01T00:00:00.000"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:hello"


class SourcesDouble:
    """One queue of each kind, and one stream."""

    def visibility_s(self, queue: str) -> int | None:
        return 30 if queue in ("q", "q.fifo") else None

    def has_stream(self, stream_arn: str) -> bool:
        return stream_arn == STREAM


class Room:
    """A platform in memory with mappings on a database."""

    def __init__(self, api: LambdaApi, store: MappingStore) -> None:
        platform = api.platform
        self.api = api
        self.store = store
        operations = MappingOperations(
            store,
            registry=platform.registry,
            clock=platform.clock,
            ids=platform.ids,
            sources=SourcesDouble(),
            check_filter=compile_pattern,
        )
        self._caller = Caller(Services({"lambda": LambdaOperations(platform, operations)}))

    async def ask(self, operation: str, **members: object) -> dict[str, object]:
        return await self._caller.call("lambda", operation, **members)

    async def create(self, arn: str = QUEUE, **members: object) -> dict[str, object]:
        if arn == STREAM:
            members = {"StartingPosition": "LATEST", **members}
        wanted = {"FunctionName": "hello", "EventSourceArn": arn, **members}
        return await self.ask("CreateEventSourceMapping", **wanted)

    async def refusal(self, operation: str, **members: object) -> Refused:
        with pytest.raises(Refused) as caught:
            await self.ask(operation, **members)
        return caught.value


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Room]:
    database = await SqliteStore.open(folder / "mayfly.db")
    try:
        await Catalog.open(database)
        api = LambdaApi(folder)
        await api.make("hello")
        yield Room(api, await MappingStore.open(database, Outbox()))
    finally:
        await database.close()


async def test_a_queues_mapping_has_lambdas_defaults(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        made = await room.create()
        assert made["State"] == "Creating"
        assert made["StateTransitionReason"] == "USER_INITIATED"
        assert made["BatchSize"] == 10
        assert made["MaximumBatchingWindowInSeconds"] == 0
        assert made["EventSourceArn"] == QUEUE
        assert made["FunctionArn"] == FUNCTION
        assert made["FunctionResponseTypes"] == []
        assert str(made["EventSourceMappingArn"]).endswith(f"event-source-mapping:{made['UUID']}")
        absent = {"StartingPosition", "ParallelizationFactor", "ScalingConfig", "FilterCriteria"}
        assert not absent & made.keys()


async def test_a_streams_mapping_has_lambdas_defaults(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        made = await room.create(STREAM)
        expected = {
            "BatchSize": 100,
            "StartingPosition": "LATEST",
            "ParallelizationFactor": 1,
            "BisectBatchOnFunctionError": False,
            "MaximumRecordAgeInSeconds": -1,
            "MaximumRetryAttempts": -1,
            "TumblingWindowInSeconds": 0,
            "DestinationConfig": {"OnFailure": {}},
            "LastProcessingResult": "No records processed",
            "StateTransitionReason": "User action",
        }
        assert made.items() >= expected.items()


async def test_every_member_is_kept_changed_and_told(tmp_path: Path) -> None:
    wanted: dict[str, object] = {
        "BatchSize": 7,
        "MaximumBatchingWindowInSeconds": 9,
        "ParallelizationFactor": 3,
        "MaximumRecordAgeInSeconds": 60,
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": 2,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "FilterCriteria": {"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]},
        "DestinationConfig": {"OnFailure": {"Destination": QUEUE}},
    }
    async with opened(tmp_path) as room:
        made = await room.create(STREAM, **wanted)
        assert made.items() >= wanted.items()
        assert (
            await room.ask("GetEventSourceMapping", UUID=made["UUID"])
        ).items() >= wanted.items()
        changed = await room.ask(
            "UpdateEventSourceMapping",
            UUID=made["UUID"],
            MaximumRetryAttempts=0,
            BisectBatchOnFunctionError=False,
            FilterCriteria={},
            FunctionResponseTypes=[],
            DestinationConfig={"OnFailure": {}},
        )
        assert changed["MaximumRetryAttempts"] == 0
        assert changed["BisectBatchOnFunctionError"] is False
        assert "FilterCriteria" not in changed
        assert changed["FunctionResponseTypes"] == []
        assert changed["DestinationConfig"] == {"OnFailure": {}}
        assert changed["BatchSize"] == 7, "what is not given stays"


@pytest.mark.parametrize(
    ("arn", "members", "code", "words"),
    [
        (QUEUE, {"StartingPosition": "LATEST"}, "InvalidParameterValue", "not valid for SQS"),
        (QUEUE, {"BatchSize": 11}, "InvalidParameterValue", "Maximum batch window in seconds must"),
        (QUEUE, {"BatchSize": 10_001}, "InvalidParameterValue", "10000"),
        (QUEUE, {"MaximumRetryAttempts": 0}, "InvalidParameterValue", "Unsupported MaximumRetry"),
        (QUEUE, {"BisectBatchOnFunctionError": False}, "InvalidParameterValue", "Unsupported Bis"),
        (QUEUE, {"ScalingConfig": {"MaximumConcurrency": 1}}, "InvalidParameterValue", "2"),
        (FIFO, {"BatchSize": 11}, "InvalidParameterValue", "FIFO"),
        (FIFO, {"MaximumBatchingWindowInSeconds": 1}, "InvalidParameterValue", "FIFO"),
        (QUEUE + "x", {}, "InvalidParameterValue", "NonExistentQueue"),
        (STREAM + "x", {}, "InvalidParameterValue", "Stream not found"),
        (STREAM, {"StartingPosition": None}, "InvalidParameterValue", "startingPosition"),
        (STREAM, {"StartingPosition": "AT_TIMESTAMP"}, "InvalidParameterValue", "Unsupported sta"),
        (STREAM, {"MaximumRecordAgeInSeconds": 59}, "InvalidParameterValue", "between 60"),
        (STREAM, {"ParallelizationFactor": 11}, "InvalidParameterValue", "10"),
        (STREAM, {"ScalingConfig": {"MaximumConcurrency": 2}}, "InvalidParameterValue", "Unsupp"),
        (STREAM, {"TumblingWindowInSeconds": 5}, "NotImplemented", "TumblingWindowInSeconds"),
        (QUEUE, {"KMSKeyArn": "arn:aws:kms:us-east-1:1:k"}, "NotImplemented", "KMSKeyArn"),
        (QUEUE, {"Topics": ["topic"]}, "NotImplemented", "Kafka"),
        (
            STREAM,
            {
                "DestinationConfig": {
                    "OnFailure": {"Destination": "arn:aws:sns:us-east-1:000000000000:t"}
                }
            },
            "NotImplemented",
            "topics",
        ),
        (
            STREAM,
            {"DestinationConfig": {"OnFailure": {"Destination": FIFO}}},
            "InvalidParameterValue",
            "standard queue",
        ),
        (
            QUEUE,
            {"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}},
            "InvalidParameterValue",
            "Invalid filter pattern",
        ),
        (
            QUEUE,
            {"FilterCriteria": {"Filters": [{"Pattern": '{"a":[1]}'}] * 11}},
            "InvalidParameterValue",
            "at most 10",
        ),
        (
            "arn:aws:kinesis:us-east-1:000000000000:stream/s",
            {},
            "NotImplemented",
            "Kinesis",
        ),
        ("arn:aws:s3:::bucket", {}, "InvalidParameterValue", "Unrecognized event source"),
        (
            "arn:aws:dynamodb:us-east-1:000000000000:table/ttt",
            {},
            "InvalidParameterValue",
            "LatestStreamArn",
        ),
        (
            "arn:aws:sqs:eu-west-1:000000000000:q",
            {},
            "InvalidParameterValue",
            "Unrecognized event source",
        ),
    ],
)
async def test_what_cannot_be_is_refused_by_name(
    tmp_path: Path, arn: str, members: dict[str, object], code: str, words: str
) -> None:
    async with opened(tmp_path) as room:
        if arn.startswith(STREAM) and "StartingPosition" not in members:
            members = {"StartingPosition": "LATEST", **members}
        given = {key: value for key, value in members.items() if value is not None}
        refused = await room.refusal(
            "CreateEventSourceMapping", FunctionName="hello", EventSourceArn=arn, **given
        )
        told = f"{refused.code} {refused}"
        assert refused.code.startswith(code) or refused.code == "ValidationException", told
        assert words in told
        assert not room.store.all_nowait()


async def test_a_queue_must_hide_messages_as_long_as_a_call_may_take(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        await room.api.call("UpdateFunctionConfiguration", FunctionName="hello", Timeout=31)
        refused = await room.refusal(
            "CreateEventSourceMapping", FunctionName="hello", EventSourceArn=QUEUE
        )
        assert "Queue visibility timeout: 30 seconds is less than Function timeout: 31 seconds" in (
            str(refused)
        )


async def test_a_function_and_a_source_have_one_mapping(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        made = await room.create()
        refused = await room.refusal(
            "CreateEventSourceMapping", FunctionName=FUNCTION, EventSourceArn=QUEUE
        )
        assert refused.code == "ResourceConflictException"
        assert str(made["UUID"]) in str(refused)


async def test_a_function_that_is_missing_is_not_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        for name in ("nobody", "hello:1", FUNCTION.replace("hello", "nobody")):
            refused = await room.refusal(
                "CreateEventSourceMapping", FunctionName=name, EventSourceArn=QUEUE
            )
            assert refused.code == "ResourceNotFoundException"
            assert "Function not found" in str(refused)


@pytest.mark.parametrize(
    "name", ["hello", "hello:$LATEST", FUNCTION, "000000000000:function:hello"]
)
async def test_a_function_may_be_named_in_each_way(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path) as room:
        await room.create(FunctionName=name)
        assert room.store.all_nowait()[0].function_name == "hello"


async def test_listing_finds_by_function_and_by_source_in_pages(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        await room.api.make("other")
        made = [
            await room.create(),
            await room.create(STREAM),
            await room.create(FunctionName="other"),
        ]

        async def listed(**members: object) -> list[object]:
            answer = await room.ask("ListEventSourceMappings", **members)
            found = answer["EventSourceMappings"]
            assert isinstance(found, list)
            return [one["UUID"] for one in found]

        assert await listed(FunctionName="other") == [made[2]["UUID"]]
        assert await listed(EventSourceArn=STREAM) == [made[1]["UUID"]]
        assert await listed(FunctionName="nobody") == []
        assert len(await listed()) == 3
        first = await room.ask("ListEventSourceMappings", MaxItems=2)
        rest = await room.ask("ListEventSourceMappings", MaxItems=2, Marker=first["NextMarker"])
        assert "NextMarker" not in rest
        found: list[object] = []
        for page in (first, rest):
            on_page = page["EventSourceMappings"]
            assert isinstance(on_page, list)
            found += [one["UUID"] for one in on_page]
        assert set(found) == {one["UUID"] for one in made}


async def test_states_are_what_the_source_says(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        made = await room.create()
        mapping_id = str(made["UUID"])

        async def state() -> object:
            return (await room.ask("GetEventSourceMapping", UUID=mapping_id))["State"]

        assert await state() == "Creating"
        room.store.report(mapping_id, revision=1)
        assert await state() == "Enabled"
        changed = await room.ask("UpdateEventSourceMapping", UUID=mapping_id, BatchSize=5)
        assert changed["State"] == "Updating"
        assert await state() == "Updating"
        room.store.report(mapping_id, revision=2)
        changed = await room.ask("UpdateEventSourceMapping", UUID=mapping_id, Enabled=False)
        assert changed["State"] == "Disabling"
        assert await state() == "Disabling"
        room.store.report(mapping_id, revision=0)
        assert await state() == "Disabled"
        changed = await room.ask("UpdateEventSourceMapping", UUID=mapping_id, Enabled=True)
        assert changed["State"] == "Enabling"
        assert await state() == "Enabling"
        gone = await room.ask("DeleteEventSourceMapping", UUID=mapping_id)
        assert gone["State"] == "Deleting"
        for operation in ("Get", "Update", "Delete"):
            refused = await room.refusal(f"{operation}EventSourceMapping", UUID=mapping_id)
            assert refused.code == "ResourceNotFoundException"


async def test_an_update_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        made = await room.create()
        before = room.store.all_nowait()
        for members in ({"BatchSize": 11}, {"FunctionName": "nobody"}, {"MaximumRetryAttempts": 1}):
            await room.refusal("UpdateEventSourceMapping", UUID=made["UUID"], **members)
        assert room.store.all_nowait() == before


async def test_a_mapping_may_move_to_another_function(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        await room.api.make("other")
        made = await room.create()
        moved = await room.ask("UpdateEventSourceMapping", UUID=made["UUID"], FunctionName="other")
        assert moved["FunctionArn"] == FUNCTION.replace("hello", "other")


async def test_a_mapping_without_its_function_can_still_be_disabled(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        made = await room.create()
        await room.api.call("DeleteFunction", FunctionName="hello")
        told = await room.ask("UpdateEventSourceMapping", UUID=made["UUID"], Enabled=False)
        assert told["State"] == "Disabling"


async def test_tags_are_the_mappings_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        made = await room.create(Tags={"a": "1"})
        arn = made["EventSourceMappingArn"]
        await room.ask("TagResource", Resource=arn, Tags={"b": "2"})
        await room.ask("UntagResource", Resource=arn, TagKeys=["a", "c"])
        assert (await room.ask("ListTags", Resource=arn))["Tags"] == {"b": "2"}
        assert (await room.ask("ListTags", Resource=FUNCTION))["Tags"] == {}
        stranger = replace(room.store.all_nowait()[0], mapping_id=room.api.platform.ids.uuid()).arn
        assert (await room.refusal("ListTags", Resource=stranger)).code == (
            "ResourceNotFoundException"
        )
