"""The documents of AWS's: a queue's messages and a stream's records as events, and what failed.

A batch's document is spliced of its records', each written once: so its size is known while it is
gathered, and stays within what a call may carry.

Source: Lambda Developer Guide, "Using Lambda with Amazon SQS", "Using Lambda with DynamoDB", and
"Retain discarded records for a DynamoDB event source".
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from mayfly.model.function import REGION
from mayfly.model.invocation import Outcome
from mayfly.model.limits import SYNC_PAYLOAD_BYTES_MAX
from mayfly.model.mapping import Lane, SourceMapping
from mayfly.model.parcel import Parcel
from mayfly.ports import Ids
from mayfly.sources.mapping.steps import Batch
from mayfly.stores.queues.digests import attributes_md5, body_md5
from mayfly.stores.queues.queue import Attribute, Message
from mayfly.stores.tables.records import sequence_text

_HEAD, _TAIL = b'{"Records":[', b"]}"
# What the records of one batch may have together, each with its comma.
RECORDS_BYTES_MAX = SYNC_PAYLOAD_BYTES_MAX - len(_HEAD) - len(_TAIL)
RETRIES_EXHAUSTED = "RetryAttemptsExhausted"
AGE_EXCEEDED = "RecordAgeExceeded"

_encode = msgspec.json.Encoder().encode


class Call(NamedTuple):
    """A call of the function, as a failure's document tells of it."""

    request_id: str
    outcome: Outcome


def event_of(records: Iterable[bytes]) -> bytes:
    """The event of a batch."""
    return b"".join((_HEAD, b",".join(records), _TAIL))


def message_record(message: Message, mapping: SourceMapping) -> dict[str, object]:
    """A message as a function gets it, but for its body, which stands under "body"."""
    fifo = mapping.source_arn.endswith(".fifo")
    system = {
        "ApproximateReceiveCount": str(message.receive_count),
        "AWSTraceHeader": message.trace_header,
        "SentTimestamp": str(message.sent_ms),
        "SequenceNumber": f"{message.sequence:020d}" if fifo else "",
        "MessageGroupId": message.group_id,
        "SenderId": message.sender,
        "MessageDeduplicationId": message.deduplication_id,
        "ApproximateFirstReceiveTimestamp": str(message.first_received_ms),
        "DeadLetterQueueSourceArn": message.dead_letter_source,
    }
    record: dict[str, object] = {
        "messageId": message.message_id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": {name: text for name, text in system.items() if text},
        "messageAttributes": {name: _value(one) for name, one in message.attributes.items()},
        "md5OfBody": body_md5(message.body),
        "eventSource": "aws:sqs",
        "eventSourceARN": mapping.source_arn,
        "awsRegion": REGION,
    }
    if message.attributes:
        record["md5OfMessageAttributes"] = attributes_md5(message.attributes)
    return record


def written(record: Mapping[str, object]) -> bytes:
    """A record as JSON."""
    return _encode(record)


def failure_parcel(
    mapping: SourceMapping,
    lane: Lane,
    batch: Batch,
    condition: str,
    call: Call | None,
    *,
    now_ms: float,
    ids: Ids,
) -> Parcel:
    """What the on-failure destination is told of records that were given up.

    A queue gets where they lie, a bucket the event itself as well.

    Args:
        condition: Why they were given up.
        call: The last call with them, or None.
    """
    target = mapping.on_failure_arn
    document = _failure(mapping, lane, batch, condition, call, now_ms=now_ms, ids=ids)
    if target.startswith("arn:aws:s3:"):
        document["payload"] = event_of(one.document for one in batch.records).decode()
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return Parcel(
        parcel_id=ids.uuid(),
        target_arn=target,
        body=_encode(document),
        source=f"mapping:{mapping.mapping_id}",
        name=(
            f"aws/lambda/{mapping.mapping_id}/{lane.shard_id}/{moment:%Y/%m/%d}/"
            f"{moment:%Y-%m-%dT%H.%M.%S}-{ids.uuid()}"
        ),
    )


def _failure(
    mapping: SourceMapping,
    lane: Lane,
    batch: Batch,
    condition: str,
    call: Call | None,
    *,
    now_ms: float,
    ids: Ids,
) -> dict[str, object]:
    first, last = batch.records[0], batch.records[-1]
    document: dict[str, object] = {
        "requestContext": {
            "requestId": ids.uuid() if call is None else call.request_id,
            "functionArn": mapping.function_arn,
            "condition": condition,
            "approximateInvokeCount": batch.calls,
        }
    }
    if call is not None:
        context: dict[str, object] = {
            "statusCode": 200,
            "executedVersion": call.outcome.version,
        }
        if call.outcome.error is not None:
            context["functionError"] = call.outcome.error.value
        document["responseContext"] = context
    document["version"] = "1.0"
    document["timestamp"] = _millisecond(now_ms)
    document["DDBStreamBatchInfo"] = {
        "shardId": lane.shard_id,
        "startSequenceNumber": sequence_text(first.sequence),
        "endSequenceNumber": sequence_text(last.sequence),
        "approximateArrivalOfFirstRecord": _second(first.created_ms),
        "approximateArrivalOfLastRecord": _second(last.created_ms),
        "batchSize": len(batch.records),
        "streamArn": mapping.source_arn,
    }
    return document


def _value(one: Attribute) -> dict[str, object]:
    value: dict[str, object] = {
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": one.data_type,
    }
    if one.binary is None:
        value["stringValue"] = one.text
    else:
        value["binaryValue"] = base64.b64encode(one.binary).decode("ascii")
    return value


def _second(moment_ms: float) -> str:
    return f"{datetime.fromtimestamp(moment_ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}Z"


def _millisecond(moment_ms: float) -> str:
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
