"""Operations on message move tasks: a dead-letter queue is emptied, back to where it came from.

A task is named by a handle, as AWS does it: the task's id and its source, as base64 of JSON.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

import msgspec

from mayfly.api.sqs import requests
from mayfly.api.sqs.call import Call
from mayfly.api.sqs.refusals import MissingParameter, invalid_value, require_between
from mayfly.model.errors import CallerError
from mayfly.stores.queues.moving import PER_SECOND_DEFAULT, Move
from mayfly.stores.queues.queue import Queue, queue_arn, queue_name
from mayfly.stores.queues.store import QueueStore

Document = dict[str, object]
_RESULTS_MAX = 10


class NoSuchResource(CallerError):
    """An ARN of no queue, or of no dead-letter queue."""

    code = "ResourceNotFoundException"
    status = 404


class _Handle(msgspec.Struct, rename="camel"):
    """A task's handle, base64 of this as JSON."""

    task_id: str
    source_arn: str


class MoveOperations:
    """Operations on message move tasks."""

    def __init__(self, store: QueueStore) -> None:
        self._catalogue = store.catalogue
        self._moves = store.moves

    async def start(self, call: Call, wanted: requests.StartMessageMoveTask) -> Document:
        """StartMessageMoveTask."""
        source = self._source(call, wanted.source_arn)
        if not self._catalogue.sources_of(source.name):
            raise invalid_value(
                source.arn, "SourceArn", "Source queue must be configured as a Dead Letter Queue."
            )
        destination = self._destination(source, wanted.destination_arn)
        pace = wanted.max_number_of_messages_per_second
        if pace is not None:
            require_between(pace, "MaxNumberOfMessagesPerSecond", 1, PER_SECOND_DEFAULT)
        move = await self._moves.start(source.name, destination, pace or PER_SECOND_DEFAULT)
        return {"TaskHandle": _handle(move)}

    async def cancel(self, call: Call, wanted: requests.CancelMessageMoveTask) -> Document:
        """CancelMessageMoveTask."""
        call.is_owner("-")
        if not wanted.task_handle:
            raise MissingParameter("TaskHandle")
        try:
            handle = msgspec.json.decode(b64decode(wanted.task_handle), type=_Handle)
        except (ValueError, msgspec.MsgspecError, RecursionError) as error:
            raise invalid_value(wanted.task_handle, "TaskHandle", "Invalid format.") from error
        move = await self._moves.cancel(handle.task_id)
        return {"ApproximateNumberOfMessagesMoved": move.moved}

    async def list_tasks(self, call: Call, wanted: requests.ListMessageMoveTasks) -> Document:
        """ListMessageMoveTasks, the newest first."""
        source = self._source(call, wanted.source_arn)
        count_max = 1 if wanted.max_results is None else wanted.max_results
        require_between(count_max, "MaxResults", 1, _RESULTS_MAX)
        return {"Results": [_written(one) for one in self._moves.of(source.name, count_max)]}

    def _source(self, call: Call, arn: str | None) -> Queue:
        if not arn:
            call.is_owner("-")
            raise MissingParameter("SourceArn")
        call.is_owner(arn)
        return self._found(arn)

    def _found(self, arn: str) -> Queue:
        queue = self._catalogue.find(queue_name(arn)) if arn.startswith("arn:") else None
        if queue is None:
            raise NoSuchResource(
                "The resource that you specified for the SourceArn or DestinationArn parameter "
                "doesn't exist."
            )
        return queue

    def _destination(self, source: Queue, arn: str | None) -> str:
        if not arn:
            return ""
        target = self._found(arn)
        if target.name == source.name:
            raise invalid_value(arn, "DestinationArn", "It is the source.")
        if target.settings.fifo != source.settings.fifo:
            raise invalid_value(arn, "DestinationArn", "It must be of the same type of queue.")
        return target.name


def _handle(move: Move) -> str:
    return b64encode(msgspec.json.encode(_Handle(move.task_id, queue_arn(move.source)))).decode()


def _written(move: Move) -> Document:
    document: Document = {
        "Status": move.status,
        "SourceArn": queue_arn(move.source),
        "ApproximateNumberOfMessagesMoved": move.moved,
        "ApproximateNumberOfMessagesToMove": move.to_move,
        "StartedTimestamp": move.started_ms,
    }
    if move.status == "RUNNING":
        document["TaskHandle"] = _handle(move)
    if move.destination:
        document["DestinationArn"] = queue_arn(move.destination)
    if move.per_second != PER_SECOND_DEFAULT:
        document["MaxNumberOfMessagesPerSecond"] = move.per_second
    if move.failure:
        document["FailureReason"] = move.failure
    return document
