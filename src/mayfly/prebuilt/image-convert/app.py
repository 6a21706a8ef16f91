"""image-convert: another format, another size, from a bucket, an event or an HTTP request.

A bucket's notification:  what was put is converted as [function.env] says, into TARGET_BUCKET;
                          the same wrapped by a queue, with the failures told one by one
An object by name:        {"bucket": "photos", "key": "a.jpg", "width": 800}
                          -> {"pictures": [{"bucket", "key", "format", "width", "height", ...}]}
The image itself:         {"image": BASE64, "format": "webp", "width": 800}
                          -> {"image": BASE64, "format": "webp", "width": 800, "height": 450, ...}
Through its URL:          the image is the body, the wishes are the query: ?format=webp&width=800
                          -> the image
What cannot be used is answered with statusCode 400 and a sentence that says why; of a notification
it fails the event, which is tried again and then kept where `mayfly events` shows it.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import os
import time
from typing import Any

import wishes as words
from convert import FORMATS, Picture, Unusable, convert
from objects import KEY_DEFAULT, Put, Source, Target, convert_object, sources_of
from wishes import Wishes

Answer = dict[str, Any]

# An answer may have 6 MiB, and base64 makes four bytes of three.
ANSWER_BYTES_MAX = 4_600_000
USAGE = "send the image as the body: curl --data-binary @photo.jpg 'URL?format=webp&width=800'"
_WHERE = ("bucket", "key", "version", "target_bucket", "target_key")


def handler(event: Any, context: object) -> Answer:
    """Convert; see the module for the forms of the event."""
    del context
    if isinstance(event, dict) and event.get("Event") == "s3:TestEvent":
        return {"pictures": []}
    if isinstance(event, dict) and isinstance(event.get("Records"), list):
        if any(one.get("eventSource") == "aws:sqs" for one in event["Records"]):
            return _from_queue(event["Records"])
        return _from_notification(event)
    by_url = isinstance(event, dict) and "requestContext" in event
    try:
        if isinstance(event, dict) and "bucket" in event:
            return _from_object(event)
        return _from_image(event, by_url=by_url)
    except Unusable as error:
        return _refusal(str(error), by_url=by_url)


def _from_notification(event: Answer) -> Answer:
    """What could be converted is, also beside what could not; then the event fails."""
    target = Target(_target_bucket(None), os.environ.get("TARGET_KEY") or KEY_DEFAULT)
    wanted = words.parse(words.with_configured({}))
    made: list[Put] = []
    refused: list[str] = []
    for source in sources_of(event):
        try:
            made += convert_object(source, wanted, target)
        except Unusable as error:
            refused.append(f"{source}: {error}")
    if refused:
        raise Unusable("; ".join(refused))
    return {"pictures": [_put_description(one) for one in made]}


def _from_queue(records: list[Any]) -> Answer:
    failed = []
    for record in records:
        try:
            handler(json.loads(record["body"]), None)
        except Exception as error:  # noqa: BLE001  told by name, so that the others are not redone
            print(f"message {record['messageId']} failed: {type(error).__name__}: {error}")
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def _from_object(event: Wishes) -> Answer:
    if not isinstance(event.get("key"), str) or not isinstance(event["bucket"], str):
        raise Unusable('name the object: {"bucket": "photos", "key": "in/a.jpg"}')
    source = Source(event["bucket"], event["key"], event.get("version"))
    template = event.get("target_key") or os.environ.get("TARGET_KEY") or KEY_DEFAULT
    target = Target(_target_bucket(event.get("target_bucket")), str(template))
    asked = {key: value for key, value in event.items() if key not in _WHERE}
    made = convert_object(source, words.parse(words.with_configured(asked)), target)
    return {"pictures": [_put_description(one) for one in made]}


def _target_bucket(asked: object) -> str:
    bucket = asked or os.environ.get("TARGET_BUCKET")
    if not isinstance(bucket, str) or not bucket:
        raise Unusable("there is no target: set TARGET_BUCKET in [function.env] of mayfly.toml")
    return bucket


def _from_image(event: Any, *, by_url: bool) -> Answer:
    data, asked = _from_request(event) if by_url else _from_event(event)
    asked = {key: value for key, value in asked.items() if key != "image"}
    made = _convert_all(data, asked)
    several = words.is_several(asked)
    if by_url and not several:
        return _image_response(*made[0])
    shown = [_description(data, picture) for data, picture in made]
    answer = {"images": shown} if several else shown[0]
    return _json_response(200, answer) if by_url else answer


def _from_event(event: object) -> tuple[bytes, Wishes]:
    if not isinstance(event, dict) or "image" not in event:
        raise Unusable('the event must hold the image: {"image": BASE64, "format": "webp"}')
    return _decoded(event["image"]), event


def _from_request(event: Wishes) -> tuple[bytes, Wishes]:
    body = event.get("body") or ""
    query = dict(event.get("queryStringParameters") or {})
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    if not body:
        raise Unusable(f"the request has no body; {USAGE}")
    content = _decoded(body) if event.get("isBase64Encoded") else body.encode()
    if headers.get("content-type", "").startswith("application/json"):
        try:
            return _from_event(json.loads(content) | query)
        except (ValueError, TypeError):
            raise Unusable("the body is not the JSON object that its Content-Type says") from None
    if "formats" not in query:
        query.setdefault("format", _accepted(headers.get("accept", "")))
    return content, query


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Unusable("the image is not base64") from None


def _accepted(accept: str) -> str:
    """The format that an Accept header names first, or "" for the source's."""
    for part in accept.split(","):
        name = part.split(";")[0].strip().lower().removeprefix("image/")
        if name in FORMATS:
            return name
    return ""


def _convert_all(data: bytes, asked: Wishes) -> list[tuple[bytes, Picture]]:
    started = time.perf_counter()
    made = []
    for wish in words.parse(asked):
        target = io.BytesIO()
        picture = convert(io.BytesIO(data), wish, target)
        made.append((target.getvalue(), picture))
    total = sum(len(one) for one, _ in made)
    shown = ", ".join(f"{one.format} {one.width}x{one.height}" for _, one in made)
    took = (time.perf_counter() - started) * 1000
    print(f"{len(data)} bytes in, {total} bytes out as {shown}, {took:.0f} ms")
    if total > ANSWER_BYTES_MAX:
        raise Unusable(
            f"the result has {total} bytes, over the {ANSWER_BYTES_MAX} that an answer can carry; "
            "ask for a smaller width, a lower quality or another format"
        )
    return made


def _description(data: bytes, picture: Picture) -> Answer:
    return {"image": base64.b64encode(data).decode(), **_measures(picture), "bytes": len(data)}


def _put_description(put: Put) -> Answer:
    measures = _measures(put.picture) if put.picture else {}
    return (
        {"bucket": put.bucket, "key": put.key, "made": put.made}
        | measures
        | {"bytes": put.size_bytes}
    )


def _measures(picture: Picture) -> Answer:
    measures = {"format": picture.format, "width": picture.width, "height": picture.height}
    return measures | ({"frames": picture.frames} if picture.frames > 1 else {})


def _image_response(data: bytes, picture: Picture) -> Answer:
    return {
        "statusCode": 200,
        "headers": {
            "content-type": f"image/{picture.format}",
            "x-image-width": str(picture.width),
            "x-image-height": str(picture.height),
        },
        "body": base64.b64encode(data).decode(),
        "isBase64Encoded": True,
    }


def _json_response(status: int, document: Answer) -> Answer:
    headers = {"content-type": "application/json"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(document)}


def _refusal(message: str, *, by_url: bool) -> Answer:
    if by_url:
        return _json_response(400, {"error": message})
    return {"statusCode": 400, "error": message}
