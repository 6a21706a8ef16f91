"""image-convert: another format, another size, from an event or from an HTTP request.

As an event:            {"image": BASE64, "format": "webp", "width": 800}
                        -> {"image": BASE64, "format": "webp", "width": 800, "height": 450, ...}
Through its URL:        the image is the body, the wishes are the query: ?format=webp&width=800
                        -> the image
What cannot be used is answered with statusCode 400 and a sentence that says why.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

from convert import FITS, FORMATS, SIDE_MAX, Picture, Unusable, Wish, convert

Wishes = dict[str, Any]
Answer = dict[str, Any]

# An answer may have 6 MiB, and base64 makes four bytes of three.
ANSWER_BYTES_MAX = 4_600_000
SIZES_MAX = 12
KEYS = {"image", "format", "width", "height", "fit", "quality", "strip", "sizes"}
ALIASES = {"jpg": "jpeg", "tif": "tiff"}
USAGE = "send the image as the body: curl --data-binary @photo.jpg 'URL?format=webp&width=800'"


def handler(event: Any, context: object) -> Answer:
    """Convert one image; see the module for the two forms of the event."""
    del context
    by_url = isinstance(event, dict) and "requestContext" in event
    try:
        data, wishes = _from_request(event) if by_url else _from_event(event)
        pictures = _convert_all(data, wishes)
    except Unusable as error:
        return _refusal(str(error), by_url=by_url)
    if by_url and "sizes" not in wishes:
        return _image_response(pictures[0])
    answer = _described(pictures, several="sizes" in wishes)
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
    if "sizes" in query:
        query["sizes"] = query["sizes"].split(",")
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


def _convert_all(data: bytes, wishes: Wishes) -> list[Picture]:
    started = time.perf_counter()
    pictures = [convert(data, wish) for wish in _wishes(wishes)]
    total = sum(len(one.data) for one in pictures)
    made = ", ".join(f"{one.format} {one.width}x{one.height}" for one in pictures)
    took = (time.perf_counter() - started) * 1000
    print(f"{len(data)} bytes in, {total} bytes out as {made}, {took:.0f} ms")
    if total > ANSWER_BYTES_MAX:
        raise Unusable(
            f"the result has {total} bytes, over the {ANSWER_BYTES_MAX} that an answer can carry; "
            "ask for a smaller width, a lower quality or another format"
        )
    return pictures


def _wishes(wishes: Wishes) -> list[Wish]:
    unknown = set(wishes) - KEYS
    if unknown:
        raise Unusable(f"there is no {_listed(unknown)}; there is {_listed(KEYS)}")
    common: Wishes = {
        "format": _format(wishes.get("format") or ""),
        "fit": _choice("fit", wishes.get("fit", "inside"), FITS),
        "quality": _number("quality", wishes.get("quality", 80), 100),
        "strip": _flag("strip", wishes.get("strip", True)),
    }
    if "sizes" not in wishes:
        return [Wish(width=_side(wishes, "width"), height=_side(wishes, "height"), **common)]
    sizes = wishes["sizes"]
    if not isinstance(sizes, list) or not 0 < len(sizes) <= SIZES_MAX:
        raise Unusable(f"sizes must be a list of 1 to {SIZES_MAX} widths")
    return [Wish(**_size(one), **common) for one in sizes]


def _size(size: object) -> Wishes:
    """One of `sizes`: a width, or {"width": ..., "height": ...}."""
    if isinstance(size, dict):
        return {"width": _side(size, "width"), "height": _side(size, "height")}
    return {"width": _number("sizes", size, SIDE_MAX)}


def _side(wishes: Wishes, key: str) -> int | None:
    return None if wishes.get(key) is None else _number(key, wishes[key], SIDE_MAX)


def _number(key: str, value: Any, most: int) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if isinstance(value, bool | float) or not 1 <= number <= most:
        raise Unusable(f"{key} must be a whole number from 1 to {most}, not {value!r}")
    return number


def _format(value: object) -> str:
    return _choice("format", ALIASES.get(str(value).lower(), value), FORMATS) if value else ""


def _choice(key: str, value: Any, choices: Sequence[str]) -> str:
    if str(value).lower() not in choices:
        raise Unusable(f"{key} must be one of {', '.join(choices)}, not {value!r}")
    return str(value).lower()


def _flag(key: str, value: object) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).lower() not in known:
        raise Unusable(f"{key} must be true or false, not {value!r}")
    return known[str(value).lower()]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _described(pictures: list[Picture], *, several: bool) -> Answer:
    shown = [_description(one) for one in pictures]
    return {"images": shown} if several else shown[0]


def _description(picture: Picture) -> Answer:
    return {
        "image": base64.b64encode(picture.data).decode(),
        "format": picture.format,
        "width": picture.width,
        "height": picture.height,
        "bytes": len(picture.data),
    }


def _image_response(picture: Picture) -> Answer:
    return {
        "statusCode": 200,
        "headers": {
            "content-type": f"image/{picture.format}",
            "x-image-width": str(picture.width),
            "x-image-height": str(picture.height),
        },
        "body": base64.b64encode(picture.data).decode(),
        "isBase64Encoded": True,
    }


def _json_response(status: int, document: Answer) -> Answer:
    headers = {"content-type": "application/json"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(document)}


def _refusal(message: str, *, by_url: bool) -> Answer:
    if by_url:
        return _json_response(400, {"error": message})
    return {"statusCode": 400, "error": message}
