"""Shapes in JSON, both ways: the body of the JSON protocols and of rest-json.

A null is as if the member were not sent. A value of another type is refused in the words that
AWS's own JSON reader has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from mayfly.api.refusals import MalformedRequest
from mayfly.api.wire.model import Member, Shape
from mayfly.api.wire.params import Params
from mayfly.api.wire.scalars import (
    fits,
    read_base64,
    read_float,
    read_time,
    time_style,
    write_base64,
    write_float,
    write_time,
)

JsonValue = object


def decode_json(body: bytes) -> JsonValue:
    """A JSON document as dicts, lists and scalars.

    Raises:
        ValueError: It is none; the text says where.
    """
    try:
        return cast("JsonValue", msgspec.json.decode(body))
    except msgspec.DecodeError as error:
        raise ValueError(str(error).removeprefix("JSON is malformed: ")) from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def encode_json(value: JsonValue) -> bytes:
    """Compact JSON."""
    return msgspec.json.encode(value)


def read_json_structure(shape: Shape, value: JsonValue) -> Params:
    """The members of a structure that are in the body."""
    if not isinstance(value, dict):
        raise MalformedRequest(_unexpected(value, "structure"))
    params = Params()
    for name, member in shape.members.items():
        if member.location:
            continue
        raw = value.get(member.location_name or name)
        if raw is not None:
            params[name] = read_json(member, raw)
    return params


def read_json(member: Member, value: JsonValue) -> object:
    """A member's value.

    Raises:
        MalformedRequest: It has another type than the model says.
    """
    shape = member.shape
    match shape.kind:
        case "structure":
            return value if shape.document else read_json_structure(shape, value)
        case "list":
            if not isinstance(value, list):
                raise MalformedRequest(_unexpected(value, "list"))
            return [None if one is None else read_json(shape.member, one) for one in value]
        case "map":
            if not isinstance(value, dict):
                raise MalformedRequest(_unexpected(value, "map"))
            inner = shape.value
            return {key: read_json(inner, one) for key, one in value.items() if one is not None}
        case _:
            return _read_scalar(member, value)


def write_json_structure(shape: Shape, value: Mapping[str, object]) -> dict[str, JsonValue]:
    """The members of a structure that go into the body."""
    written = {}
    for name, member in shape.members.items():
        held = value.get(name)
        if held is not None and not member.location:
            written[member.location_name or name] = write_json(member, held)
    return written


def write_json(member: Member, value: object) -> JsonValue:
    """A member's value as what `encode_json` takes."""
    shape = member.shape
    match shape.kind:
        case "structure":
            if shape.document:
                return value
            return write_json_structure(shape, cast("Mapping[str, object]", value))
        case "list":
            inner = shape.member
            items = cast("Sequence[object]", value)
            return [None if one is None else write_json(inner, one) for one in items]
        case "map":
            inner = shape.value
            pairs = cast("Mapping[str, object]", value).items()
            return {key: write_json(inner, one) for key, one in pairs if one is not None}
        case _:
            return _write_scalar(member, value)


def _write_scalar(member: Member, value: object) -> JsonValue:
    match member.shape.kind:
        case "blob":
            return write_base64(value)
        case "timestamp":
            return write_time(value, time_style(member, "unixtimestamp"))
        case "float" | "double":
            return write_float(value)
        case _:
            return value


def _read_scalar(member: Member, value: JsonValue) -> object:
    kind = member.shape.kind
    read: object
    match kind, value:
        case ("boolean", bool()) | ("string" | "character", str()):
            read = value
        case "integer" | "long", int() if not isinstance(value, bool) and fits(kind, value):
            read = value
        case "integer" | "long", float() if value.is_integer() and fits(kind, int(value)):
            read = int(value)
        case "float" | "double", int() | float() if not isinstance(value, bool):
            read = float(value)
        case "float" | "double", str():
            read = read_float(value)
        case "timestamp", int() | float() if not isinstance(value, bool):
            read = read_time(value, "unixtimestamp")
        case "timestamp", str():
            read = read_time(value, time_style(member, "iso8601"))
        case "blob", str():
            read = read_base64(value)
        case _:
            raise MalformedRequest(_unexpected(value, kind))
    return read


_TOKENS = {str: "STRING_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE"}


def _unexpected(value: JsonValue, kind: str) -> str:
    if isinstance(value, dict):
        return "Start of structure or map found where not expected."
    if isinstance(value, list):
        return "Start of list found where not expected"
    if isinstance(value, bool):
        token = "TRUE_VALUE" if value else "FALSE_VALUE"
    else:
        token = _TOKENS.get(type(value), "NULL_VALUE")
    if kind in ("structure", "list", "map"):
        return f"Unexpected token: {token} where a {kind} was expected"
    return f"{token} cannot be converted to {kind.capitalize()}"
