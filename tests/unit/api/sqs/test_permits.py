"""Each operation asks whether its caller may, before it does or reveals anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from mayfly.api.message import Headers, Principal, Request, Response
from mayfly.api.sqs.endpoint import SqsService
from mayfly.api.wire.model import service_model
from mayfly.model.grant import Grant, GrantKind
from mayfly.testing.ids import SeededIds
from tests.unit.stores.queues.world import open_world

SEND = {"SendMessage", "SendMessageBatch"}
RECEIVE = {
    *("ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"),
    *("ChangeMessageVisibility", "ChangeMessageVisibilityBatch"),
}
EITHER = {"GetQueueUrl", "GetQueueAttributes"}
OPERATIONS = sorted(service_model("sqs").operations)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[SqsService]:
    async with open_world(tmp_path) as world:
        await world.make("mine")
        await world.make("other")
        yield SqsService(world.queues, SeededIds(1), "http://here")


def asker(*grants: Grant) -> Principal:
    arn = "arn:aws:sts::000000000000:assumed-role/f/f"
    return Principal("AKID", "0" * 12, arn, "sqs", "us-east-1", "f", grants)


async def ask(
    service: SqsService, operation: str, who: Principal, queue: str, **members: object
) -> Response:
    url = f"http://here/000000000000/{queue}"
    arn = f"arn:aws:sqs:us-east-1:000000000000:{queue}"
    named = {"QueueUrl": url, "QueueName": queue, "SourceArn": arn, **members}
    headers = Headers([(b"x-amz-target", f"AmazonSQS.{operation}".encode())])
    body = msgspec.json.encode(named)
    return await service.answer(Request("POST", "/", "", headers, body, who, "id"))


@pytest.mark.parametrize("queue", ["mine", "none"])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_without_a_grant_nothing_is_done_or_revealed(
    service: SqsService, operation: str, queue: str
) -> None:
    elsewhere = [Grant(GrantKind.QUEUES, "other", verb) for verb in ("send", "receive")]
    for who in (asker(), asker(*elsewhere)):
        answer = await ask(service, operation, who, queue)
        assert answer.status == 403
        assert b"AccessDenied" in answer.body


@pytest.mark.parametrize("verb", ["send", "receive"])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_grant_allows_its_operations_and_no_other(
    service: SqsService, operation: str, verb: str
) -> None:
    answer = await ask(service, operation, asker(Grant(GrantKind.QUEUES, "mine", verb)), "mine")
    allowed = operation in EITHER | (SEND if verb == "send" else RECEIVE)
    assert (answer.status != 403) == allowed
