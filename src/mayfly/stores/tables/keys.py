"""Keys as bytes whose order is DynamoDB's order, and the checks that a key must pass.

An encoded key is compared by memcmp and never decoded: an item holds its key anyway. Texts are
UTF-8, binaries raw bytes, numbers as `numbers.sort_bytes` has them. One attribute has one type,
so types need no mark.
"""

from __future__ import annotations

from typing import NamedTuple, cast

from mayfly.stores.tables.definition import Key, KeyAttribute
from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.numbers import sort_bytes
from mayfly.stores.tables.values import AttributeValue, Item, binary, kind_of, read_value

HASH_BYTES_MAX = 2048
RANGE_BYTES_MAX = 1024
# Above every encoded range key: none is longer than RANGE_BYTES_MAX.
TOP = b"\xff" * (RANGE_BYTES_MAX + 1)

_NO_MATCH = "The provided key element does not match the schema"
_INVALID = "One or more parameter values were invalid: "
_NOT_VALID = "One or more parameter values are not valid. "
_EMPTY_INDEX_KEY = "A value specified for a secondary index key is not supported. "
# AWS's message lacks the space.
_HASH_TOO_LONG = f"Size of hashkey has exceeded the maximum size limit of{HASH_BYTES_MAX} bytes"
_RANGE_TOO_LONG = (
    f"Aggregated size of all range keys has exceeded the size limit of {RANGE_BYTES_MAX} bytes"
)
_KINDS_IN_WORDS = {"S": "string", "B": "binary"}


class ItemKey(NamedTuple):
    """An item's place in a table or an index; `range` is empty where the key has none."""

    hash: bytes
    range: bytes


def encode(value: AttributeValue) -> bytes:
    """A checked value of a key's type as bytes, in DynamoDB's order within its type."""
    text = value.get("S")
    if text is not None:
        return text.encode()
    number = value.get("N")
    if number is not None:
        return sort_bytes(number)
    return binary(value["B"])


def key_of_request(key: Key, document: object) -> tuple[Item, ItemKey]:
    """The key that a request names an item by: exactly the key's attributes, each of its type.

    Args:
        key: The table's key.
        document: As parsed from JSON; its numbers are brought into normal form in place.

    Raises:
        InvalidRequest: It does not match, is empty or too long.
    """
    if type(document) is not dict:
        raise InvalidRequest(_NO_MATCH)
    for value in document.values():
        read_value(value)
    item = cast(Item, document)
    parts = key.names
    if len(item) != len(parts):
        raise InvalidRequest(_NO_MATCH)
    for part in (key.hash, key.range):
        if part is not None and part.type not in item.get(part.name, ()):
            raise InvalidRequest(_NO_MATCH)
    return item, _encoded(key, item)


def key_of_item(key: Key, item: Item) -> ItemKey:
    """The key of a whole, checked item.

    Raises:
        InvalidRequest: A key's attribute is missing, of another type, empty or too long.
    """
    for part in (key.hash, key.range):
        if part is None:
            continue
        value = item.get(part.name)
        if value is None:
            raise InvalidRequest(f"{_INVALID}Missing the key {part.name} in the item")
        if part.type not in value:
            raise InvalidRequest(
                f"{_INVALID}Type mismatch for key {part.name} expected: {part.type} "
                f"actual: {kind_of(value)}"
            )
    return _encoded(key, item)


def index_key_of(key: Key, item: Item, *, index_name: str) -> ItemKey | None:
    """The place of a checked item in an index, None where it is not in it.

    Raises:
        InvalidRequest: An attribute of the index's key is of another type, empty or too long.
    """
    sparse = False
    for part in (key.hash, key.range):
        if part is None:
            continue
        value = item.get(part.name)
        if value is None:
            sparse = True
        elif part.type not in value:
            raise InvalidRequest(
                f"{_INVALID}Type mismatch for Index Key {part.name} Expected: {part.type} "
                f"Actual: {kind_of(value)} IndexName: {index_name}"
            )
        elif "" in value.values():
            raise InvalidRequest(
                f"{_NOT_VALID}{_EMPTY_INDEX_KEY}{_empty(part)} "
                f"IndexName: {index_name}, IndexKey: {part.name}"
            )
    if sparse:
        return None
    return _encoded(key, item)


def key_item(key: Key, item: Item) -> Item:
    """Only the key's attributes of an item."""
    return {name: item[name] for name in key.names}


def refuse_unfit(part: KeyAttribute, encoded: bytes, *, hashed: bool) -> None:
    """Refuse a key's encoded value that is empty or too long.

    Raises:
        InvalidRequest: It is.
    """
    if not encoded:
        raise InvalidRequest(f"{_NOT_VALID}{_empty(part)} Key: {part.name}")
    if len(encoded) > (HASH_BYTES_MAX if hashed else RANGE_BYTES_MAX):
        raise InvalidRequest(_INVALID + (_HASH_TOO_LONG if hashed else _RANGE_TOO_LONG))


def _encoded(key: Key, item: Item) -> ItemKey:
    hash_bytes = encode(item[key.hash.name])
    refuse_unfit(key.hash, hash_bytes, hashed=True)
    if key.range is None:
        return ItemKey(hash_bytes, b"")
    range_bytes = encode(item[key.range.name])
    refuse_unfit(key.range, range_bytes, hashed=False)
    return ItemKey(hash_bytes, range_bytes)


def _empty(part: KeyAttribute) -> str:
    what = _KINDS_IN_WORDS[part.type]
    return f"The AttributeValue for a key attribute cannot contain an empty {what} value."
