"""A request's members, read one by one from its JSON, in the words in which DynamoDB refuses them.

The generic, model-driven reader is too slow for what is called a thousand times a second; an
operation takes the few members that it knows, and each is checked as it is taken.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NoReturn, cast

import msgspec

from mayfly.api.refusals import MalformedRequest
from mayfly.stores.tables.definition import ARN_PREFIX
from mayfly.stores.tables.errors import InvalidRequest

Members = Mapping[str, object]

_decode = msgspec.json.Decoder().decode
_NAME_LENGTH_MIN, _NAME_LENGTH_MAX = 3, 255
_is_name = re.compile(r"[a-zA-Z0-9_.-]{3,255}").fullmatch
_has_name_letters = re.compile(r"[a-zA-Z0-9_.-]*").fullmatch


def read_members(body: bytes) -> Members:
    """The members of a request.

    Raises:
        MalformedRequest: The body is not a JSON object.
    """
    if not body:
        return {}
    try:
        members = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequest(f"the body is no JSON: {error}") from error
    if not isinstance(members, dict):
        raise MalformedRequest("Start of structure expected: the body is no JSON object")
    return members


def table_name(members: Members, member: str = "TableName") -> str:
    """The table that a request names, plainly or by its ARN. Raises InvalidRequest."""
    name = members.get(member)
    if isinstance(name, str) and _is_name(name):
        return name
    found = text(members, member)
    if found is None:
        refuse_absent(member)
    name = found.removeprefix(ARN_PREFIX)
    return checked_name(name, member)


def checked_name(name: str, member: str) -> str:
    """A table's or an index's name. Raises InvalidRequest."""
    if len(name) < _NAME_LENGTH_MIN:
        refuse(member, name, f"Member must have length greater than or equal to {_NAME_LENGTH_MIN}")
    if len(name) > _NAME_LENGTH_MAX:
        refuse(member, name, f"Member must have length less than or equal to {_NAME_LENGTH_MAX}")
    if not _has_name_letters(name):
        pattern = "[a-zA-Z0-9_.-]+"
        refuse(member, name, f"Member must satisfy regular expression pattern: {pattern}")
    return name


def text(members: Members, member: str) -> str | None:
    """A text, or None. Raises MalformedRequest."""
    value = members.get(member)
    if value is not None and not isinstance(value, str):
        refuse_type(value, "String")
    return value


def required_text(members: Members, member: str) -> str:
    """A text that must be there. Raises InvalidRequest."""
    value = text(members, member)
    if value is None:
        refuse_absent(member)
    return value


def flag(members: Members, member: str, *, default: bool = False) -> bool:
    """A boolean. Raises MalformedRequest."""
    value = members.get(member)
    if value is None:
        return default
    if not isinstance(value, bool):
        refuse_type(value, "Boolean")
    return value


def whole(members: Members, member: str, *, low: int, high: int | None = None) -> int | None:
    """A whole number within bounds, or None. Raises InvalidRequest."""
    value = members.get(member)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        refuse_type(value, "Integer")
    if value < low:
        refuse(member, str(value), f"Member must have value greater than or equal to {low}")
    if high is not None and value > high:
        refuse(member, str(value), f"Member must have value less than or equal to {high}")
    return value


def choice(
    members: Members, member: str, choices: Collection[str], default: str | None = None
) -> str | None:
    """One of some words. Raises InvalidRequest."""
    value = text(members, member)
    if value is None:
        return default
    if value not in choices:
        words = ", ".join(choices)
        refuse(member, value, f"Member must satisfy enum value set: [{words}]")
    return value


def structure(members: Members, member: str) -> Members | None:
    """A structure or a map, or None. Raises MalformedRequest."""
    value = members.get(member)
    if value is not None and not isinstance(value, dict):
        refuse_type(value, "Structure")
    return value


def required_structure(members: Members, member: str) -> Members:
    """A structure or a map that must be there. Raises InvalidRequest."""
    value = structure(members, member)
    if value is None:
        refuse_absent(member)
    return value


def structures(members: Members, member: str) -> list[Members] | None:
    """A list of structures, or None. Raises MalformedRequest."""
    value = members.get(member)
    if value is None:
        return None
    if not isinstance(value, list):
        refuse_type(value, "List")
    for one in value:
        if not isinstance(one, dict):
            refuse_type(one, "Structure")
    return cast("list[Members]", value)


def texts(members: Members, member: str) -> list[str] | None:
    """A list of texts, or None. Raises MalformedRequest."""
    value = members.get(member)
    if value is None:
        return None
    if not isinstance(value, list):
        refuse_type(value, "List")
    for one in value:
        if not isinstance(one, str):
            refuse_type(one, "String")
    return value


def refuse(member: str, value: str, constraint: str) -> NoReturn:
    """Refuse a value that breaks a constraint of the model. Raises InvalidRequest."""
    raise InvalidRequest(
        f"1 validation error detected: Value '{value[:1024]}' at '{_path(member)}' failed to "
        f"satisfy constraint: {constraint}"
    )


def refuse_absent(member: str) -> NoReturn:
    """Refuse a request without a member that it needs. Raises InvalidRequest."""
    raise InvalidRequest(
        f"1 validation error detected: Value null at '{_path(member)}' failed to satisfy "
        "constraint: Member must not be null"
    )


def refuse_type(value: object, wanted: str) -> NoReturn:
    """Refuse a JSON value of another type. Raises MalformedRequest."""
    if isinstance(value, dict):
        raise MalformedRequest("Start of structure or map found where not expected.")
    if isinstance(value, list):
        raise MalformedRequest("Unrecognized collection type class java.util.ArrayList")
    if wanted in {"List", "Structure"}:
        raise MalformedRequest(f"Unexpected value type in payload: expected {wanted.lower()}")
    kinds = {bool: "TRUE_VALUE", int: "NUMBER_VALUE", float: "DECIMAL_VALUE", str: "STRING_VALUE"}
    found = "FALSE_VALUE" if value is False else kinds.get(type(value), "NULL_VALUE")
    raise MalformedRequest(f"{found} cannot be converted to {wanted}")


def _path(member: str) -> str:
    """A member as AWS's messages name it: each part begins with a small letter."""
    return ".".join(part[:1].lower() + part[1:] for part in member.split("."))
