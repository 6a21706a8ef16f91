"""Where the REST protocols put members: path, query, headers, status code, and the body.

request    uri, querystring, header, headers (a prefix)      the rest, or `payload`, in the body
response   statusCode, header, headers (a prefix)            the rest, or `payload`, in the body
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import cast

from mayfly.api.message import Headers
from mayfly.api.refusals import MalformedRequest
from mayfly.api.wire.form import Pairs
from mayfly.api.wire.json_body import decode_json, encode_json
from mayfly.api.wire.model import Member, Shape
from mayfly.api.wire.params import Params
from mayfly.api.wire.scalars import read_text, write_text

HeaderList = list[tuple[bytes, bytes]]
# An element of a header list: a quoted one with its backslashes, or anything up to a comma.
_QUOTED_OR_BARE = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^,]*))\s*(?:,|$)')


def read_bindings(
    shape: Shape, *, labels: Mapping[str, str], query: Pairs, headers: Headers
) -> Params:
    """The members that are in the path, the query and the headers."""
    params = Params()
    claimed = {one.wire_name for one in shape.members.values() if one.location == "querystring"}
    for name, member in shape.members.items():
        value: object = None
        match member.location:
            case "uri":
                label = labels.get(member.wire_name)
                value = None if label is None else read_text(member, label)
            case "querystring":
                value = _read_query(member, query, claimed)
            case "header":
                text = headers.find(member.wire_name.lower())
                value = None if text is None else _read_header(member, text)
            case "headers":
                value = _read_prefixed(member, headers)
            case _:
                pass
        if value is not None:
            params[name] = value
    return params


def _read_query(member: Member, query: Pairs, claimed: set[str]) -> object:
    shape = member.shape
    if shape.kind == "map":
        rest: dict[str, object] = {}
        for key, text in query:
            if key in claimed:
                continue
            if shape.value.shape.kind == "list":
                cast("list[object]", rest.setdefault(key, [])).append(text)
            else:
                rest[key] = text
        return rest or None
    texts = [text for key, text in query if key == member.wire_name]
    if not texts:
        return None
    if shape.kind == "list":
        return [read_text(shape.member, one) for one in texts]
    return read_text(member, texts[0])


def _read_header(member: Member, text: str) -> object:
    shape = member.shape
    if member.json_value:
        try:
            return decode_json(base64.b64decode(text, validate=True))
        except ValueError as error:
            raise MalformedRequest(f"header {member.wire_name} is no JSON in base64") from error
    if shape.kind == "list":
        return [read_text(shape.member, one, times="rfc822") for one in _split(shape.member, text)]
    return read_text(member, text, times="rfc822")


def _split(member: Member, text: str) -> list[str]:
    """The elements of a list; an rfc822 time has a comma of its own."""
    if member.shape.kind == "timestamp" and member.timestamp_format.lower() in ("", "rfc822"):
        parts = text.split(",")
        pairs = zip(parts[::2], parts[1::2], strict=False)
        return [f"{day},{rest}".strip() for day, rest in pairs]
    elements = []
    position = 0
    while position < len(text):
        found = _QUOTED_OR_BARE.match(text, position)
        if found is None:
            raise MalformedRequest(f"header list cannot be read: {text[:40]}")
        quoted, bare = found.group(1), found.group(2)
        elements.append(bare.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        position = found.end()
    return elements


def _read_prefixed(member: Member, headers: Headers) -> dict[str, str] | None:
    prefix = member.wire_name.lower() if member.location_name else ""
    found = {
        name[len(prefix) :]: value for name, value in headers.items() if name.startswith(prefix)
    }
    return found or None


def write_bindings(shape: Shape, value: Mapping[str, object], headers: HeaderList) -> int:
    """Add the members that go into headers; the status code that a member holds, or 0."""
    status = 0
    for name, member in shape.members.items():
        held = value.get(name)
        if held is None or not member.location:
            continue
        match member.location:
            case "statusCode":
                status = cast("int", held)
            case "header":
                headers.append((_bytes(member.wire_name.lower()), _bytes(_header(member, held))))
            case "headers":
                prefix = member.wire_name.lower() if member.location_name else ""
                for key, text in cast("Mapping[str, str]", held).items():
                    headers.append((_bytes(f"{prefix}{key}".lower()), _bytes(text)))
            case _:
                raise AssertionError(f"{member.location} in a response")
    return status


def _header(member: Member, value: object) -> str:
    if member.json_value:
        return base64.b64encode(encode_json(value)).decode("ascii")
    if member.shape.kind == "list":
        inner = member.shape.member
        items = cast("Sequence[object]", value)
        return ",".join(write_text(inner, one, times="rfc822") for one in items)
    return write_text(member, value, times="rfc822")


def _bytes(text: str) -> bytes:
    """A header's bytes. A line break would begin another header, so it becomes a space."""
    raw = text.encode("latin-1", "replace")
    return raw.replace(b"\r", b" ").replace(b"\n", b" ").replace(b"\0", b" ")
