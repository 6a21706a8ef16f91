"""Where an item's rows lie: its own, and one in each index that it is in.

    item         (table_id, spread(hash key), range key)
    index_entry  (index_id, spread(hash key), range key, the item's own two)

A hash key is led by four bytes of its checksum, so that the order of a scan is not the order of
the keys, a scan's segment is a range of rows, and a stream's shards share the partitions evenly.
"""

from __future__ import annotations

import re
import zlib
from typing import NamedTuple

from mayfly.stores.tables.definition import Definition, Index, IndexKind
from mayfly.stores.tables.keys import ItemKey, index_key_of, key_of_item, key_of_request
from mayfly.stores.tables.values import Item

SPREAD_BYTES = 4
_SPREAD_VALUES = 1 << (8 * SPREAD_BYTES)
SHARDS = 4
# An item that ended longer ago is left alone: DynamoDB's guard against mistaken units.
EXPIRED_S_MAX = 5 * 365 * 86_400
_EXPIRY_BYTES = 8
_whole_seconds = re.compile(r"([0-9]{1,18})(?:\.[0-9]*)?").fullmatch


class Place(NamedTuple):
    """A row's key: the hash key spread, and the range key."""

    hash: bytes
    range: bytes


class Entry(NamedTuple):
    """An item's row in an index."""

    index_id: int
    hash: bytes
    range: bytes


def spread(hash_key: bytes) -> bytes:
    """A hash key as it stands in a row."""
    return zlib.crc32(hash_key).to_bytes(SPREAD_BYTES, "big") + hash_key


def place_of_item(definition: Definition, item: Item) -> Place:
    """The place of a whole, checked item. Raises InvalidRequest."""
    return placed(key_of_item(definition.key, item))


def place_of_request(definition: Definition, document: object) -> tuple[Item, Place]:
    """The key that a request names an item by, and its place. Raises InvalidRequest."""
    item, key = key_of_request(definition.key, document)
    return item, placed(key)


def placed(key: ItemKey) -> Place:
    """The place of an encoded key."""
    return Place(spread(key.hash), key.range)


def entries_of(definition: Definition, item: Item) -> frozenset[Entry]:
    """The rows of a checked item in the table's indexes.

    Raises:
        InvalidRequest: A key of an index is of the wrong type, empty or too long.
    """
    found = []
    for index in definition.indexes:
        entry = entry_of(definition, index, item)
        if entry is not None:
            found.append(entry)
    return frozenset(found)


def entry_of(definition: Definition, index: Index, item: Item) -> Entry | None:
    """An item's row in one index, None where it is not in it. Raises InvalidRequest."""
    if index.kind is IndexKind.EXPIRY:
        seconds = expiry_s(definition, item)
        return None if seconds is None else Entry(index.index_id, expiry_bytes(seconds), b"")
    key = index_key_of(index.key, item, index_name=index.name)
    return None if key is None else Entry(index.index_id, spread(key.hash), key.range)


def expiry_s(definition: Definition, item: Item) -> int | None:
    """The Unix second at which an item ends, None where it never does."""
    value = item.get(definition.expiry_attribute)
    text = None if value is None else value.get("N")
    matched = None if text is None else _whole_seconds(text)
    return None if matched is None else int(matched[1])


def expiry_bytes(seconds: int) -> bytes:
    """A second as the hidden index's key; in order of time, so not spread."""
    return seconds.to_bytes(_EXPIRY_BYTES, "big")


def shard_of(place: Place) -> int:
    """Which shard of a stream tells of this item."""
    return place.hash[0] * SHARDS >> 8


def segment_bounds(segment: int, segments: int) -> tuple[bytes, bytes | None]:
    """A scan's segment as a range of spread hash keys: from, and before (None: to the end)."""
    low = -(-segment * _SPREAD_VALUES // segments)
    high = -(-(segment + 1) * _SPREAD_VALUES // segments)
    before = None if high >= _SPREAD_VALUES else high.to_bytes(SPREAD_BYTES, "big")
    return low.to_bytes(SPREAD_BYTES, "big"), before
