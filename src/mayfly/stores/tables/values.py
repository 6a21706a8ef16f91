"""Attribute values in DynamoDB's own JSON, checked and measured in one walk.

An item stays the dictionary that was parsed from the wire: {"id": {"S": "a"}, "n": {"N": "1.5"}}.
Nothing is wrapped or converted, so that putting and getting costs a walk and no more. After
`read_item` its numbers are in normal form and its binaries canonical base64, so equal scalars are
equal texts. Whoever holds an item never changes a value in place: values are shared.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Literal, NoReturn, TypedDict, cast

from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.numbers import normalise, size_of


class UnreadableValue(InvalidRequest):
    """JSON of the wrong type where a value should be."""

    code = "SerializationException"


Kind = Literal["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"]


class AttributeValue(TypedDict, total=False):
    """One value: exactly one of these. B and BS are base64 text, N and NS are decimal text."""

    S: str
    N: str
    B: str
    BOOL: bool
    NULL: bool
    M: dict[str, AttributeValue]
    L: list[AttributeValue]
    SS: list[str]
    NS: list[str]
    BS: list[str]


Item = dict[str, AttributeValue]

ITEM_BYTES_MAX = 409_600
# Levels, the innermost scalar's included: AWS takes 31 maps around a scalar and refuses 32.
NESTING_MAX = 32
_ATTRIBUTE_NAME_BYTES_MAX = 65_535
# A list or a map costs three bytes, and one for each element.
_CONTAINER_BYTES = 3
_ELEMENT_BYTES = 1

_INVALID = "One or more parameter values were invalid: "
_NO_KIND = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
_MANY_KINDS = (
    "Supplied AttributeValue has more than one datatypes set, "
    "must contain exactly one of the supported datatypes"
)
_TOO_DEEP = (
    "Nesting Levels have exceeded supported limits: "
    "Attributes in the item have nested levels beyond supported limit"
)


def read_item(document: object) -> tuple[Item, int]:
    """Check an item as parsed from JSON, bring its numbers into normal form, and measure it.

    Args:
        document: Changed in place (numbers only), and returned.

    Returns:
        The same dictionary, and its size in bytes as DynamoDB counts it.

    Raises:
        InvalidRequest: A value that DynamoDB refuses.
    """
    return cast(Item, document), _read_map(document, 0) - _CONTAINER_BYTES


def read_value(document: object) -> AttributeValue:
    """Check one value as parsed from JSON, and bring its numbers into normal form, in place.

    Raises:
        InvalidRequest: A value that DynamoDB refuses.
    """
    _read(document, 0)
    return cast(AttributeValue, document)


def item_size(item: Item) -> int:
    """Bytes of a checked item, names included.

    Source: Developer Guide, "DynamoDB item sizes and formats".
    """
    return sum(text_size(name) + value_size(value) for name, value in item.items())


def value_size(value: AttributeValue) -> int:
    """Bytes of a checked value."""
    for kind, payload in value.items():
        return _SIZES[kind](payload)
    return 0


def refuse_large(size: int, *, update: bool = False) -> None:
    """Refuse an item over 400 KB.

    Raises:
        InvalidRequest: It is.
    """
    if size > ITEM_BYTES_MAX:
        what = "Item size to update" if update else "Item size"
        raise InvalidRequest(f"{what} has exceeded the maximum allowed size")


def refuse_deep(value: AttributeValue, levels: int) -> None:
    """Refuse a checked value of more levels than these, its innermost scalar's included.

    Raises:
        InvalidRequest: It has more.
    """
    if levels < 1:
        raise InvalidRequest(_TOO_DEEP)
    for one in value["L"] if "L" in value else value.get("M", {}).values():
        refuse_deep(one, levels - 1)


def kind_of(value: AttributeValue) -> str:
    """The one kind of a checked value."""
    return next(iter(value))


def text_size(text: str) -> int:
    """Bytes of a text in UTF-8.

    Raises:
        UnreadableValue: Half of a surrogate pair has none.
    """
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise UnreadableValue("a String must be Unicode that UTF-8 can hold") from None


def equal(one: AttributeValue, other: AttributeValue) -> bool:
    """Whether two checked values are equal: the order of a set's members does not count."""
    if one == other:
        return True
    for kind, payload in one.items():
        if kind not in other or kind in _SCALARS:
            return False
        theirs = other[cast(Kind, kind)]
        if kind == "L":
            return _equal_lists(cast("list[AttributeValue]", payload), other["L"])
        if kind == "M":
            return _equal_maps(cast(Item, payload), other["M"])
        return set(cast("list[str]", payload)) == set(cast("list[str]", theirs))
    return False


def binary(text: str) -> bytes:
    """The bytes of a checked binary."""
    return binascii.a2b_base64(text)


_SCALARS = frozenset({"S", "N", "B", "BOOL", "NULL"})


def _equal_lists(one: list[AttributeValue], other: list[AttributeValue]) -> bool:
    return len(one) == len(other) and all(map(equal, one, other))


def _equal_maps(one: Item, other: Item) -> bool:
    return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)


def _read(document: object, depth: int) -> int:
    """Check one value; its size."""
    if type(document) is not dict:
        _refuse_json(document, "structure")
    if len(document) != 1:
        _drop_absent(document)
    for kind, payload in document.items():
        reader = _READERS.get(kind)
        if reader is None:
            raise InvalidRequest(_NO_KIND)
        return reader(payload, document, depth)
    raise AssertionError("a value with one member has one")


def _drop_absent(document: dict[str, object]) -> None:
    """JSON's null is an absent member to AWS."""
    for kind in [kind for kind, payload in document.items() if payload is None]:
        del document[kind]
    known = sum(kind in _READERS for kind in document)
    if known > 1:
        raise InvalidRequest(_MANY_KINDS)
    if known == 0:
        raise InvalidRequest(_NO_KIND)
    for kind in [kind for kind in document if kind not in _READERS]:
        del document[kind]


def _read_text(payload: object, _document: dict[str, object], _depth: int) -> int:
    if type(payload) is not str:
        _refuse_json(payload, "String")
    return text_size(payload)


def _read_number(payload: object, document: dict[str, object], _depth: int) -> int:
    if type(payload) is not str:
        _refuse_json(payload, "String")
    normal = normalise(payload)
    if normal is not payload:
        document["N"] = normal
    return size_of(normal)


def _read_binary(payload: object, _document: dict[str, object], _depth: int) -> int:
    if type(payload) is not str:
        _refuse_json(payload, "Blob")
    return _binary_size(payload)


def _read_flag(payload: object, _document: dict[str, object], _depth: int) -> int:
    if type(payload) is not bool:
        _refuse_json(payload, "Boolean")
    return 1


def _read_null(payload: object, document: dict[str, object], _depth: int) -> int:
    if type(payload) is not bool:
        _refuse_json(payload, "Boolean")
    if not payload:
        raise InvalidRequest(f"{_INVALID}Null attribute value types must have the value of true")
    return len(document)


def _read_map_value(payload: object, _document: dict[str, object], depth: int) -> int:
    return _read_map(payload, depth + 1)


def _read_map(payload: object, depth: int) -> int:
    if type(payload) is not dict:
        _refuse_json(payload, "Map")
    if depth >= NESTING_MAX:
        raise InvalidRequest(_TOO_DEEP)
    size = _CONTAINER_BYTES
    for name, value in payload.items():
        name_bytes = len(name) if name.isascii() else text_size(name)
        if name_bytes > _ATTRIBUTE_NAME_BYTES_MAX:
            raise InvalidRequest(f"{_INVALID}Attribute name is too large, must be less than 65536")
        size += name_bytes + _read(value, depth)
    return size + (len(payload) * _ELEMENT_BYTES if depth else 0)


def _read_list(payload: object, _document: dict[str, object], depth: int) -> int:
    if type(payload) is not list:
        _refuse_json(payload, "List")
    if depth + 1 >= NESTING_MAX:
        raise InvalidRequest(_TOO_DEEP)
    size = _CONTAINER_BYTES
    for value in payload:
        size += _read(value, depth + 1) + _ELEMENT_BYTES
    return size


def _members(payload: object, element: str, empty: str) -> list[str]:
    """The members of a set, which is not empty and holds texts."""
    if type(payload) is not list:
        _refuse_json(payload, "List")
    if not payload:
        raise InvalidRequest(f"{_INVALID}{empty}")
    for one in payload:
        if type(one) is not str:
            _refuse_json(one, element)
    return payload


def _read_texts(payload: object, _document: dict[str, object], _depth: int) -> int:
    members = _members(payload, "String", "An string set  may not be empty")
    if len(set(members)) != len(members):
        shown = ", ".join(members)
        raise InvalidRequest(f"{_INVALID}Input collection [{shown}] contains duplicates.")
    return sum(map(text_size, members))


def _read_numbers(payload: object, document: dict[str, object], _depth: int) -> int:
    empty = "An number set  may not be empty"
    members = [normalise(one) for one in _members(payload, "String", empty)]
    if len(set(members)) != len(members):
        raise InvalidRequest(f"{_INVALID}Input collection contains duplicates.")
    document["NS"] = members
    return sum(map(size_of, members))


def _read_binaries(payload: object, _document: dict[str, object], _depth: int) -> int:
    members = _members(payload, "Blob", "Binary sets should not be empty")
    size = sum(map(_binary_size, members))
    if len(set(members)) != len(members):
        shown = ", ".join(members)
        raise InvalidRequest(f"{_INVALID}Input collection [{shown}]of type BS contains duplicates.")
    return size


def _binary_size(text: str) -> int:
    """Bytes of a base64 text, which is refused when it is not the canonical one."""
    try:
        raw = binascii.a2b_base64(text, strict_mode=True) if text else b""
    except (binascii.Error, ValueError):
        raw = None
    # The last group may carry bits that no byte holds: two texts for the same bytes.
    if raw is None or (
        text and binascii.b2a_base64(raw[-(len(raw) % 3 or 3) :])[:-1] != _last(text)
    ):
        raise UnreadableValue(f"'{text}' can not be converted to a Blob: it is no canonical Base64")
    return len(raw)


def _last(text: str) -> bytes:
    return text[-4:].encode()


def _refuse_json(document: object, wanted: str) -> NoReturn:
    """Say what JSON was found where another type belongs."""
    if isinstance(document, dict):
        raise UnreadableValue("Start of structure or map found where not expected.")
    if isinstance(document, list):
        raise UnreadableValue("Start of list found where not expected")
    if wanted in {"List", "Map"}:
        raise UnreadableValue(f"Expected {wanted.lower()} or null")
    if wanted == "structure":
        raise UnreadableValue("Expected null" if document is not None else _NO_KIND)
    found = {bool: "TRUE_VALUE", int: "NUMBER_VALUE", float: "DECIMAL_VALUE", str: "STRING_VALUE"}
    if document is False:
        raise UnreadableValue(f"FALSE_VALUE cannot be converted to {wanted}")
    what = found.get(type(document), "NULL_VALUE")
    raise UnreadableValue(f"{what} cannot be converted to {wanted}")


_READERS: dict[str, Callable[[object, dict[str, object], int], int]] = {
    "S": _read_text,
    "N": _read_number,
    "B": _read_binary,
    "BOOL": _read_flag,
    "NULL": _read_null,
    "M": _read_map_value,
    "L": _read_list,
    "SS": _read_texts,
    "NS": _read_numbers,
    "BS": _read_binaries,
}


def _map_size(payload: Item) -> int:
    return item_size(payload) + _CONTAINER_BYTES + len(payload) * _ELEMENT_BYTES


def _list_size(payload: list[AttributeValue]) -> int:
    return sum(map(value_size, payload)) + _CONTAINER_BYTES + len(payload) * _ELEMENT_BYTES


def _checked_binary_size(text: str) -> int:
    return len(text) // 4 * 3 - text.count("=")


_SIZES: dict[str, Callable[..., int]] = {
    "S": text_size,
    "N": size_of,
    "B": _checked_binary_size,
    "BOOL": lambda _: 1,
    "NULL": lambda _: 1,
    "M": _map_size,
    "L": _list_size,
    "SS": lambda members: sum(map(text_size, members)),
    "NS": lambda members: sum(map(size_of, members)),
    "BS": lambda members: sum(map(_checked_binary_size, members)),
}
