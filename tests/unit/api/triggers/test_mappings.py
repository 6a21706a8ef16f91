"""Triggers on tables and queues: which of Lambda's operations they ask, and when they ask none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from mayfly.api.message import Request
from mayfly.api.refusals import ValidationFailed
from mayfly.api.triggers.asking import Asking
from mayfly.api.triggers.mappings import MappingRoom
from mayfly.api.wire.params import Params
from mayfly.model.errors import NotFound
from mayfly.model.trigger import QueueTrigger, Starting, TableTrigger, Trigger
from mayfly.testing.ids import SeededIds

QUEUE = "arn:aws:sqs:us-east-1:000000000000:mail"
STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"
TABLE = TableTrigger(
    "orders",
    batch=50,
    starting=Starting.OLDEST,
    filters=('{"eventName":["INSERT"]}',),
    on_failure="queue:mail",
)


@dataclass
class Lambda:
    """Keeps mappings as Lambda's operations do."""

    mappings: dict[str, dict[str, object]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def implements(self, operation_name: str) -> bool:
        return operation_name.endswith(("EventSourceMapping", "EventSourceMappings"))

    async def handle(
        self, operation_name: str, params: Params, request: Request
    ) -> Mapping[str, object]:
        assert request.principal.grants is None
        self.asked.append(operation_name.removesuffix("EventSourceMapping"))
        place = params.text("UUID")
        match operation_name:
            case "CreateEventSourceMapping":
                place = f"00000000-0000-0000-0000-{len(self.mappings):012}"
                self.mappings[place] = {"UUID": place, **params}
            case "UpdateEventSourceMapping":
                self.mappings[place] |= params
            case "DeleteEventSourceMapping":
                if place not in self.mappings:
                    raise NotFound(place)
                del self.mappings[place]
            case _:
                arn = params.text("EventSourceArn")
                found = [one for one in self.mappings.values() if one["EventSourceArn"] == arn]
                return {"EventSourceMappings": found}
        return self.mappings.get(place, {})


@dataclass(frozen=True)
class Sources:
    """A queue, and a table whose stream may be off."""

    streaming: bool = True

    def has_table(self, name: str) -> bool:
        return name == "orders"

    def stream_arn(self, table: str) -> str | None:
        return STREAM if table == "orders" and self.streaming else None

    def has_queue(self, name: str) -> bool:
        return name == "mail"

    def has_bucket(self, name: str) -> bool:
        return name == "kept"


@pytest.fixture
def service() -> Lambda:
    return Lambda()


@pytest.fixture
def room(service: Lambda) -> MappingRoom:
    return MappingRoom(Asking("lambda", service, SeededIds()), Sources())


async def test_a_queue_gets_a_mapping_once(room: MappingRoom, service: Lambda) -> None:
    trigger = QueueTrigger("mail", batch=20, window_s=3, concurrency=4, partial=True)
    assert await room.converge("f", [trigger], [])
    (made,) = service.mappings.values()
    assert made["EventSourceArn"] == QUEUE
    assert made["FunctionName"] == "f"
    assert (made["BatchSize"], made["MaximumBatchingWindowInSeconds"]) == (20, 3)
    assert made["ScalingConfig"] == {"MaximumConcurrency": 4}
    assert made["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert not await room.converge("f", [trigger], [])
    assert [one for one in service.asked if one != "ListEventSourceMappings"] == ["Create"]


async def test_a_change_updates_the_mapping_and_what_is_taken_out_is_reset(
    room: MappingRoom, service: Lambda
) -> None:
    await room.converge("f", [TABLE], [])
    (made,) = service.mappings.values()
    assert made["StartingPosition"] == "TRIM_HORIZON"
    assert made["FilterCriteria"] == {"Filters": [{"Pattern": '{"eventName":["INSERT"]}'}]}
    assert made["DestinationConfig"] == {"OnFailure": {"Destination": QUEUE}}
    bare = replace(TABLE, filters=(), on_failure="", partial=False, starting=Starting.LATEST)
    assert await room.converge("f", [bare], [])
    (made,) = service.mappings.values()
    assert made["FilterCriteria"] == {"Filters": []}
    assert made["DestinationConfig"] == {"OnFailure": {}}
    assert made["FunctionResponseTypes"] == []
    assert not await room.converge("f", [replace(bare, starting=Starting.OLDEST)], [])


async def test_what_left_the_manifest_is_deleted_even_if_it_is_gone(
    room: MappingRoom, service: Lambda
) -> None:
    await room.converge("f", [TABLE], [])
    gone = room.plan("f", [TABLE])
    assert [one.made_id for one in gone] == [STREAM]
    assert await room.converge("f", [], gone)
    assert service.mappings == {}
    assert not await room.converge("f", [], gone)


async def test_what_the_model_forbids_is_refused_as_outside(room: MappingRoom) -> None:
    with pytest.raises(ValidationFailed, match="batchSize"):
        await room.converge("f", [replace(TABLE, batch=20_000)], [])


def test_what_is_missing_is_told(service: Lambda) -> None:
    room = MappingRoom(Asking("lambda", service, SeededIds()), Sources(streaming=False))
    triggers: list[Trigger] = [
        TableTrigger("orders", on_failure="bucket:none"),
        TableTrigger("none", on_failure="queue:none"),
        QueueTrigger("nowhere"),
    ]
    told = "\n".join(room.problems("f", triggers))
    for why in (
        'the table "orders" has no stream; give it one: `aws dynamodb update-table',
        'there is no bucket "none"',
        'there is no table "none"',
        'there is no queue "none"',
        'there is no queue "nowhere"; make it first: `aws sqs create-queue --queue-name nowhere`',
    ):
        assert why in told
