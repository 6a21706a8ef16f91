"""What is told of an event that ended: its record to a destination, its payload as a dead letter.

Documents, names of objects and attributes are Lambda's ("Capturing records of Lambda asynchronous
invocations", Developer Guide). Pure: the parcels travel in the transaction that ends the event.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from mayfly.engine.verdict import Decision
from mayfly.model.event import Condition, Event, EventSettings
from mayfly.model.function import LATEST, Function
from mayfly.model.invocation import Outcome
from mayfly.model.limits import ASYNC_PAYLOAD_BYTES_MAX
from mayfly.model.parcel import Parcel
from mayfly.ports import Ids

# Attributes of dead letters: the first kilobyte of the error's text.
_ERROR_MESSAGE_LENGTH_MAX = 1_024
_BOUNDED_SERVICES = frozenset({"lambda", "sqs"})


@dataclass(frozen=True, slots=True)
class Farewell:
    """What follows from an event's end.

    Args:
        parcels: For its destination and its dead letters.
        unsendable: Why a record cannot be sent at all, or "".
    """

    parcels: Sequence[Parcel] = ()
    unsendable: str = ""


def farewell(
    event: Event,
    function: Function | None,
    settings: EventSettings | None,
    decision: Decision,
    result: Outcome | Exception | None,
    *,
    now_ms: float,
    ids: Ids,
) -> Farewell:
    """What an event that ended leaves behind, by its function's settings.

    Args:
        event: As it is kept: `attempts` counts every call.
        result: What the last call came to; None when it was given up without one.
    """
    condition = decision.condition
    assert condition is not None, "the event has not ended"
    success = condition is Condition.SUCCESS
    parcels: list[Parcel] = []
    unsendable = ""
    target = "" if settings is None else settings.on_success if success else settings.on_failure
    if target and function is not None:
        body = record(event, function, condition, result, now_ms=now_ms)
        unsendable = _over_bound(target, body)
        if not unsendable:
            parcels.append(
                Parcel(
                    parcel_id=ids.uuid(),
                    target_arn=target,
                    body=body,
                    source=f"destination:{event.function_name}",
                    name=_object_name(event, now_ms, ids),
                )
            )
    if function is not None and function.settings.dead_letter_arn and not success:
        parcels.append(_dead_letter(event, function, decision, ids))
    return Farewell(parcels, unsendable)


def record(
    event: Event,
    function: Function,
    condition: Condition,
    result: Outcome | Exception | None,
    *,
    now_ms: float,
) -> bytes:
    """The invocation record, version 1.0."""
    document: dict[str, object] = {
        "version": "1.0",
        "timestamp": _timestamp(now_ms),
        "requestContext": {
            "requestId": event.event_id,
            "functionArn": f"{function.arn}:{event.qualifier or LATEST}",
            "condition": condition.value,
            "approximateInvokeCount": event.attempts,
        },
        "requestPayload": msgspec.Raw(event.payload or b"{}"),
    }
    if isinstance(result, Outcome):
        context: dict[str, object] = {"statusCode": 200, "executedVersion": result.version}
        if result.error is not None:
            context["functionError"] = result.error.value
        document["responseContext"] = context
        document["responsePayload"] = msgspec.Raw(result.payload or b"null")
    elif event.attempts and _is_json(event.error):
        # It grew too old between two tries: the last answer is what there is to tell.
        document["responseContext"] = {
            "statusCode": 200,
            "executedVersion": function.version,
            "functionError": "Unhandled",
        }
        document["responsePayload"] = msgspec.Raw(event.error.encode())
    return msgspec.json.encode(document)


def _dead_letter(event: Event, function: Function, decision: Decision, ids: Ids) -> Parcel:
    """The bare event; what went wrong stands in attributes."""
    return Parcel(
        parcel_id=ids.uuid(),
        target_arn=function.settings.dead_letter_arn,
        body=event.payload,
        source=f"dead-letter:{event.function_name}",
        attributes={
            "RequestID": event.event_id,
            "ErrorCode": "200" if event.attempts else "429",
            "ErrorMessage": _error_message(decision.error)[:_ERROR_MESSAGE_LENGTH_MAX],
        },
    )


def _error_message(error: str) -> str:
    """What a function's error document says, or the text as it is."""
    try:
        document = json.loads(error)
    except (ValueError, RecursionError):
        return error or "unknown"
    told = document.get("errorMessage") if isinstance(document, dict) else None
    return told if isinstance(told, str) and told else error


def _over_bound(target: str, body: bytes) -> str:
    service = target.split(":", 3)[2]
    if service not in _BOUNDED_SERVICES or len(body) <= ASYNC_PAYLOAD_BYTES_MAX:
        return ""
    return (
        f"the record of {len(body)} bytes could not be delivered: {target} takes at most "
        f"{ASYNC_PAYLOAD_BYTES_MAX}; a bucket takes more"
    )


def _object_name(event: Event, now_ms: float, ids: Ids) -> str:
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return (
        f"aws/lambda/async/{event.function_name}/{moment:%Y/%m/%d}/"
        f"{moment:%Y-%m-%dT%H.%M.%S}-{ids.uuid()}"
    )


def _timestamp(now_ms: float) -> str:
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
