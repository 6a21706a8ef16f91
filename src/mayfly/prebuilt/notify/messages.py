"""Events as messages: what happened, in words that templates can name.

A message's fields, by its source:

    bucket    bucket, key, size, etag, version, kind (created or removed)
    table     table, keys, new, old (plain values), kind (insert, modify, remove)
    queue     body (parsed where it is JSON), attributes
    schedule  detail, time
    event     the event itself

and for each: source, kind, summary, event (the record as it came).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import unquote_plus

Fields = Mapping[str, Any]

_SUMMARY_LENGTH_MAX = 120


@dataclass(frozen=True)
class Message:
    """One thing to tell.

    Args:
        item_id: As partial failures name it; "" where the whole event fails.
        event_id: The same each time that the event is delivered, or "".
    """

    source: str
    kind: str
    summary: str
    fields: Fields
    item_id: str = ""
    event_id: str = ""


def messages_of(event: Any) -> list[Message]:
    """Every message of an event; none for the test event of a bucket."""
    if not isinstance(event, dict):
        return [_plain(event)]
    if event.get("Event") == "s3:TestEvent":
        return []
    records = event.get("Records")
    if isinstance(records, list) and records:
        makers = [_MAKERS.get(str(_source(one))) for one in records]
        if all(makers):
            return [make(one) for make, one in zip(makers, records, strict=True) if make]
    if "detail-type" in event and "source" in event:
        return [_scheduled(event)]
    return [_plain(event)]


def _source(record: Any) -> object:
    return record.get("eventSource") if isinstance(record, dict) else None


def _message(source: str, kind: str, summary: str, record: Any, **fields: Any) -> Message:
    ids = {"item_id": fields.pop("item_id", ""), "event_id": fields.pop("event_id", "")}
    known = {"source": source, "kind": kind, "summary": summary, "event": record}
    return Message(source, kind, summary, fields | known, **ids)


def _of_bucket(record: dict[str, Any]) -> Message:
    told, entry = record["s3"], record["s3"]["object"]
    bucket, key = told["bucket"]["name"], unquote_plus(entry["key"])
    kind = "removed" if str(record["eventName"]).startswith("ObjectRemoved") else "created"
    return _message(
        "bucket",
        kind,
        f"{bucket}/{key} was {kind}",
        record,
        bucket=bucket,
        key=key,
        size=entry.get("size"),
        etag=entry.get("eTag"),
        version=entry.get("versionId"),
        event_id=f"{bucket}/{key}/{entry.get('sequencer', '')}",
    )


def _of_table(record: dict[str, Any]) -> Message:
    change = record["dynamodb"]
    kind = str(record["eventName"]).lower()
    arn = str(record.get("eventSourceARN", ""))
    table = arn.partition(":table/")[2].partition("/")[0]
    keys, new, old = (_item(change.get(part)) for part in ("Keys", "NewImage", "OldImage"))
    named = ", ".join(f"{name} {value}" for name, value in keys.items())
    done = {"insert": "added to", "modify": "changed in", "remove": "removed from"}.get(kind, kind)
    return _message(
        "table",
        kind,
        f"{named} was {done} {table}",
        record,
        table=table,
        keys=keys,
        new=new,
        old=old,
        item_id=change["SequenceNumber"],
        event_id=record.get("eventID", ""),
    )


def _of_queue(record: dict[str, Any]) -> Message:
    body = record["body"]
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = body
    attributes = {
        name: one.get("stringValue", one.get("binaryValue"))
        for name, one in (record.get("messageAttributes") or {}).items()
    }
    return _message(
        "queue",
        "message",
        str(body)[:_SUMMARY_LENGTH_MAX],
        record,
        body=parsed,
        attributes=attributes,
        item_id=record["messageId"],
        event_id=record["messageId"],
    )


def _scheduled(event: dict[str, Any]) -> Message:
    return _message(
        "schedule",
        str(event["detail-type"]),
        f"{event['detail-type']} from {event['source']}",
        event,
        detail=event.get("detail"),
        time=event.get("time"),
        event_id=str(event.get("id", "")),
    )


def _plain(event: Any) -> Message:
    """An event of one's own; its members can be named directly."""
    shown = json.dumps(event, ensure_ascii=False)
    members = event if isinstance(event, dict) else {}
    summary = str(members.get("summary") or shown[:_SUMMARY_LENGTH_MAX])
    known = {"source": "event", "kind": "event", "summary": summary, "event": event}
    return Message("event", "event", summary, {**members, **known})


_MAKERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "aws:s3": _of_bucket,
    "aws:dynamodb": _of_table,
    "aws:sqs": _of_queue,
}


def _item(image: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: _value(value) for name, value in (image or {}).items()}


def _value(typed: Mapping[str, Any]) -> Any:
    """A DynamoDB value as JSON has it: {"N": "3"} is 3. Sets are lists, binary stays base64."""
    ((kind, value),) = typed.items()
    match kind:
        case "N":
            return _number(value)
        case "NS":
            return [_number(one) for one in value]
        case "L":
            return [_value(one) for one in value]
        case "M":
            return _item(value)
        case _:
            return None if kind == "NULL" else value


def _number(text: str) -> int | float | str:
    """A number where JSON's readers keep every digit of it, else its text."""
    exact = Decimal(text)
    if exact == exact.to_integral_value() and abs(exact) < 2**53:
        return int(exact)
    return float(exact) if Decimal(repr(float(exact))) == exact else text
