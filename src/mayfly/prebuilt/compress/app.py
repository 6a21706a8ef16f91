"""compress: an object or a whole prefix into one archive, and an archive back into objects.

By name:                  {"bucket": "logs", "key": "a.log", "format": "zstd"}
                          {"bucket": "logs", "prefix": "2024/", "format": "zip"}
                          {"bucket": "inbox", "key": "upload.zip", "action": "extract"}
                          -> {"bucket", "key", "objects", "bytes_in", "bytes_out"}
A bucket's notification:  each object that was put, as [function.env] says
What cannot be done is answered with statusCode 400 and a sentence that says why; of a notification
it fails the event, which is tried again and then kept where `mayfly events` shows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

from orders import Action, Gone, Order, Refused, order_of
from packing import pack
from store import find
from unpacking import unpack

Answer = dict[str, Any]


def handler(event: Any, context: object) -> Answer:
    """Pack or unpack; see the module for the forms of the event."""
    del context
    if isinstance(event, dict) and event.get("Event") == "s3:TestEvent":
        return {"done": []}
    if isinstance(event, dict) and isinstance(event.get("Records"), list):
        if any(one.get("eventSource") == "aws:sqs" for one in event["Records"]):
            return _from_queue(event["Records"])
        return _from_notification(event["Records"])
    try:
        return _carry_out(order_of(event))
    except Refused as error:
        return {"statusCode": 400, "error": str(error)}


def _carry_out(order: Order) -> Answer:
    done = pack(order) if order.action is Action.COMPRESS else unpack(order)
    print(json.dumps(done))
    return done


def _from_notification(records: list[Any]) -> Answer:
    """Each is done, also beside one that cannot be; then the event fails."""
    done: list[Answer] = []
    refused: list[str] = []
    for place in _created(records):
        try:
            if find(place["bucket"], place["key"], place.get("version")).own:
                print(f"{place['bucket']}/{place['key']} was made by this function; left alone")
                continue
            done.append(_carry_out(order_of(place)))
        except Gone as error:
            print(f"{error}; nothing to do")
        except Refused as error:
            refused.append(f"{place['bucket']}/{place['key']}: {error}")
    if refused:
        raise Refused("; ".join(refused))
    return {"done": done}


def _created(records: list[Any]) -> Iterator[Answer]:
    for record in records:
        if not str(record.get("eventName", "")).startswith("ObjectCreated"):
            continue
        told = record["s3"]
        # Keys come as in a query: a blank is "+" (S3, "Event message structure").
        place = {"bucket": told["bucket"]["name"], "key": unquote_plus(told["object"]["key"])}
        version = told["object"].get("versionId")
        yield place | ({"version": version} if version else {})


def _from_queue(records: list[Any]) -> Answer:
    """Messages that hold notifications, or orders by name."""
    failed = []
    for record in records:
        try:
            body = json.loads(record["body"])
            if "Records" in body:
                _from_notification(body["Records"])
            elif body.get("Event") != "s3:TestEvent":
                _carry_out(order_of(body))
        except Exception as error:  # noqa: BLE001  told by name, so that the others are not redone
            print(f"message {record['messageId']} failed: {type(error).__name__}: {error}")
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
