"""SQS's endpoint: from a request in either protocol to its operation, and back.

    X-Amz-Target: AmazonSQS.*  --msgspec--> members --> operation --> document --> JSON
    Action=... in a form       --tables---> members --> operation --> document --> XML

It reads and writes by itself instead of by botocore's model, because messages come by thousands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from mayfly.api.message import Request, Response
from mayfly.api.refusals import MalformedRequest, UnknownOperation
from mayfly.api.sqs import requests
from mayfly.api.sqs.call import Call
from mayfly.api.sqs.messages import MessageOperations
from mayfly.api.sqs.moves import MoveOperations
from mayfly.api.sqs.query import read_query, write_query, write_query_error
from mayfly.api.sqs.queues import QueueOperations
from mayfly.api.sqs.refusals import json_type, query_code
from mayfly.model.errors import MayflyError
from mayfly.ports import Ids
from mayfly.stores.queues.store import QueueStore

_TARGET_PREFIX = "AmazonSQS."
_JSON = (b"content-type", b"application/x-amz-json-1.0")

M = TypeVar("M", bound=requests.Members)
Answer = Mapping[str, object] | None


class Operation(Protocol):
    """An operation, whatever its members are."""

    async def from_json(self, call: Call, body: bytes) -> Answer:
        """Do what a JSON body asks for."""
        ...

    async def from_document(self, call: Call, document: Mapping[str, object]) -> Answer:
        """Do what a form asks for: numbers and bytes are text there."""
        ...


@dataclass(frozen=True, slots=True)
class ReadOperation(Generic[M]):
    """An operation: how its members are read, and what does it."""

    members: type[M]
    decoder: msgspec.json.Decoder[M]
    do: Callable[[Call, M], Awaitable[Answer]]

    async def from_json(self, call: Call, body: bytes) -> Answer:
        """Raises MalformedRequest: it cannot be read."""
        try:
            members = self.decoder.decode(body or b"{}")
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise MalformedRequest(f"the body cannot be read: {error}") from error
        return await self.do(call, members)

    async def from_document(self, call: Call, document: Mapping[str, object]) -> Answer:
        """Raises MalformedRequest: it cannot be read."""
        try:
            members = msgspec.convert(document, self.members, strict=False)
        except msgspec.MsgspecError as error:
            raise MalformedRequest(f"the parameters cannot be read: {error}") from error
        return await self.do(call, members)


class SqsService:
    """The WholeService "sqs"."""

    def __init__(self, store: QueueStore, ids: Ids, endpoint: str) -> None:
        self._endpoint = endpoint
        self.operations = _operations(store, ids)

    async def answer(self, request: Request) -> Response:
        """Answer a request whose signature is right."""
        target = request.headers.find("x-amz-target")
        if target is None:
            return await self._answer_query(request)
        name = target.removeprefix(_TARGET_PREFIX)
        try:
            operation, call = self._found(name, request)
            document = await operation.from_json(call, request.body)
        except MayflyError as error:
            return _json_error(error, request.request_id)
        id_header = (b"x-amzn-requestid", request.request_id.encode())
        return Response(200, [_JSON, id_header], msgspec.json.encode(document or {}))

    async def _answer_query(self, request: Request) -> Response:
        try:
            name, members = read_query(request)
            operation, call = self._found(name, request)
            document = await operation.from_document(call, members)
        except MayflyError as error:
            return write_query_error(error, request.request_id)
        return write_query(name, document, request.request_id)

    def _found(self, name: str, request: Request) -> tuple[Operation, Call]:
        operation = self.operations.get(name)
        if operation is None:
            asked = name[:80] or f"{request.method} {request.raw_path[:80]}"
            raise UnknownOperation(f"sqs has no operation {asked}")
        # The caller reaches us by this name: the URLs that it gets must lead back here.
        host = request.headers.find("host")
        endpoint = f"{request.scheme}://{host}" if host else self._endpoint
        return operation, Call(name, request.principal, endpoint, request.disconnected)


def _json_error(error: MayflyError, request_id: str) -> Response:
    kind = json_type(error)
    fault = "Sender" if error.fault == "client" else "Receiver"
    headers = [
        _JSON,
        (b"x-amzn-requestid", request_id.encode()),
        (b"x-amzn-query-error", f"{query_code(error)};{fault}".encode()),
    ]
    body = msgspec.json.encode({"__type": kind, "message": error.message})
    return Response(error.status, headers, body)


def _operations(store: QueueStore, ids: Ids) -> dict[str, Operation]:
    queues, messages = QueueOperations(store), MessageOperations(store, ids)
    moves = MoveOperations(store)
    found: dict[str, Operation] = {}

    def add(name: str, members: type[M], do: Callable[[Call, M], Awaitable[Answer]]) -> None:
        found[name] = ReadOperation(members, msgspec.json.Decoder(members), do)

    add("SendMessage", requests.SendMessage, messages.send)
    add("SendMessageBatch", requests.SendMessageBatch, messages.send_batch)
    add("ReceiveMessage", requests.ReceiveMessage, messages.receive)
    add("DeleteMessage", requests.DeleteMessage, messages.delete)
    add("DeleteMessageBatch", requests.DeleteMessageBatch, messages.delete_batch)
    add("ChangeMessageVisibility", requests.ChangeMessageVisibility, messages.change)
    add(
        "ChangeMessageVisibilityBatch", requests.ChangeMessageVisibilityBatch, messages.change_batch
    )
    add("CreateQueue", requests.CreateQueue, queues.create)
    add("GetQueueUrl", requests.GetQueueUrl, queues.get_url)
    add("ListQueues", requests.ListQueues, queues.list_queues)
    add("ListDeadLetterSourceQueues", requests.ListDeadLetterSourceQueues, queues.list_sources)
    add("DeleteQueue", requests.QueueMembers, queues.delete)
    add("PurgeQueue", requests.QueueMembers, queues.purge)
    add("GetQueueAttributes", requests.GetQueueAttributes, queues.get_attributes)
    add("SetQueueAttributes", requests.SetQueueAttributes, queues.set_attributes)
    add("TagQueue", requests.TagQueue, queues.tag)
    add("UntagQueue", requests.UntagQueue, queues.untag)
    add("ListQueueTags", requests.QueueMembers, queues.list_tags)
    add("AddPermission", requests.AddPermission, queues.add_permission)
    add("RemovePermission", requests.RemovePermission, queues.remove_permission)
    add("StartMessageMoveTask", requests.StartMessageMoveTask, moves.start)
    add("ListMessageMoveTasks", requests.ListMessageMoveTasks, moves.list_tasks)
    add("CancelMessageMoveTask", requests.CancelMessageMoveTask, moves.cancel)
    return found
