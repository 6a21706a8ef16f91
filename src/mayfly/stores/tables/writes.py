"""One item's write, inside a transaction: condition, item, index entries, stream record.

    prepared on the event loop        Write: place, new document, new entries, condition, update
    done on the writer thread         generation? -> old item -> condition -> rows -> Effect

What needs the old item (a condition, an update, indexes, a stream, an answer) reads it first; a
write that needs none of it is one statement. A write that was prepared for an older definition of
its table raises `Outdated`, and is prepared anew.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from mayfly.model.errors import PlatformError
from mayfly.stores.tables.definition import Definition
from mayfly.stores.tables.errors import ConditionFailed, InvalidRequest
from mayfly.stores.tables.layout import Entry, Place, entries_of
from mayfly.stores.tables.records import Change, add_record, decode_item, encode_item
from mayfly.stores.tables.values import ITEM_BYTES_MAX, Item, item_size

_UPDATED_TOO_LARGE = "Item size to update has exceeded the maximum allowed size"


class Condition(Protocol):
    """What must hold of the item as it is."""

    def holds(self, item: Item, /) -> bool:
        """Whether it does; an item that is not there is an empty one."""
        ...


class Update(Protocol):
    """What makes a new item of an old one."""

    def apply(self, old: Item | None, key: Item) -> Item:
        """The new item; shares values with the old one. Raises InvalidRequest."""
        ...


class WriteKind(StrEnum):
    """What a write does to its item."""

    PUT = "put"
    UPDATE = "update"
    DELETE = "delete"
    CHECK = "check"


class Outdated(PlatformError):
    """The table changed between a write's preparation and its turn. Never leaves the store."""

    retryable = True


@dataclass(slots=True)
class Write:
    """One item's write, prepared.

    Args:
        key: The key's attributes.
        document: For PUT: the new item as JSON; `item`, `size` and `entries` belong to it.
        needs_old: The answer shows the old item.
        shows_failure: When the condition fails, the answer shows the item as it is.
        by_expiry: The time to live removes it: the stream says so.
    """

    kind: WriteKind
    definition: Definition
    key: Item
    place: Place
    condition: Condition | None = None
    update: Update | None = None
    item: Item | None = None
    document: bytes = b""
    size: int = 0
    entries: frozenset[Entry] = frozenset()
    needs_old: bool = False
    shows_failure: bool = False
    by_expiry: bool = False


class Effect(NamedTuple):
    """What a write did.

    Args:
        old: The item before, None where there was none or nobody needed it.
        new: The item after, for an update.
        size: The larger of the item's sizes, in bytes, for the capacity that it took.
        recorded: The stream has a record of it.
    """

    old: Item | None
    old_document: bytes | None
    new: Item | None
    size: int
    recorded: bool


class _Old(NamedTuple):
    item_id: int
    size: int
    document: bytes


_GENERATION = "SELECT generation FROM table_definition WHERE table_id = ?"
_OLD = (
    "SELECT item_id, size, document FROM item WHERE table_id = ? AND hash_key = ? AND range_key = ?"
)
_UPSERT = (
    "INSERT INTO item (table_id, hash_key, range_key, size, document) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (table_id, hash_key, range_key) "
    "DO UPDATE SET size = excluded.size, document = excluded.document"
)
_INSERT = "INSERT INTO item (table_id, hash_key, range_key, size, document) VALUES (?, ?, ?, ?, ?)"
_REPLACE = "UPDATE item SET size = ?, document = ? WHERE item_id = ?"
_DELETE = "DELETE FROM item WHERE item_id = ?"
ADD_ENTRY = (
    "INSERT OR REPLACE INTO index_entry "
    "(index_id, hash_key, range_key, item_hash, item_range, item_id) VALUES (?, ?, ?, ?, ?, ?)"
)
_DROP_ENTRY = (
    "DELETE FROM index_entry WHERE index_id = ? AND hash_key = ? AND range_key = ? "
    "AND item_hash = ? AND item_range = ?"
)


def require_current(connection: sqlite3.Connection, definition: Definition) -> None:
    """Refuse what was prepared for another generation of the table. Raises Outdated."""
    row = connection.execute(_GENERATION, (definition.table_id,)).fetchone()
    if row is None or row[0] != definition.generation:
        raise Outdated(f"table {definition.name} changed meanwhile")


def apply(connection: sqlite3.Connection, write: Write, now_ms: int) -> Effect:
    """Do one write in the caller's transaction; on the writer thread, perhaps twice.

    Raises:
        ConditionFailed: Nothing was written.
        InvalidRequest: The update cannot be done, or makes an item that is refused.
        Outdated: Prepare it anew.
    """
    definition = write.definition
    require_current(connection, definition)
    if not _looks_back(write):
        row = (definition.table_id, *write.place, write.size, write.document)
        connection.execute(_UPSERT, row)
        return Effect(None, None, None, write.size, recorded=False)
    found = connection.execute(_OLD, (definition.table_id, *write.place)).fetchone()
    old = None if found is None else _Old(*found)
    old_item = None if old is None else decode_item(old.document)
    if write.condition is not None and not write.condition.holds(old_item or {}):
        shown = old is not None and write.shows_failure
        raise ConditionFailed(msgspec.Raw(old.document) if shown and old is not None else None)
    match write.kind:
        case WriteKind.CHECK:
            return Effect(old_item, None, None, old.size if old else 0, recorded=False)
        case WriteKind.DELETE:
            return _delete(connection, write, old, old_item, now_ms)
        case WriteKind.PUT:
            return _put(connection, write, old, old_item, now_ms)
        case WriteKind.UPDATE:
            _update(write, old_item)
            return _put(connection, write, old, old_item, now_ms)


def _looks_back(write: Write) -> bool:
    """Whether the old item must be read."""
    return (
        write.kind is not WriteKind.PUT
        or write.condition is not None
        or write.needs_old
        or bool(write.definition.indexes)
        or write.definition.live_stream is not None
    )


def _update(write: Write, old_item: Item | None) -> None:
    """Make the new item of the old one."""
    assert write.update is not None
    item = write.update.apply(old_item, write.key)
    size = item_size(item)
    if size > ITEM_BYTES_MAX:
        raise InvalidRequest(_UPDATED_TOO_LARGE)
    write.item, write.size, write.document = item, size, encode_item(item)
    write.entries = entries_of(write.definition, item)


def _put(
    connection: sqlite3.Connection,
    write: Write,
    old: _Old | None,
    old_item: Item | None,
    now_ms: int,
) -> Effect:
    definition, place = write.definition, write.place
    if old is None:
        row = (definition.table_id, *place, write.size, write.document)
        item_id = connection.execute(_INSERT, row).lastrowid
        assert item_id is not None
    else:
        item_id = old.item_id
        connection.execute(_REPLACE, (write.size, write.document, item_id))
    if definition.indexes:
        gone = frozenset() if old_item is None else _known_entries(definition, old_item)
        _move_entries(connection, place, item_id, gone - write.entries, write.entries - gone)
    # A write that changes nothing is not told of, as in DynamoDB.
    recorded = definition.live_stream is not None and old_item != write.item
    if recorded:
        _record(connection, write, old, now_ms)
    size = max(write.size, old.size if old else 0)
    return Effect(old_item, old.document if old else None, write.item, size, recorded)


def _delete(
    connection: sqlite3.Connection,
    write: Write,
    old: _Old | None,
    old_item: Item | None,
    now_ms: int,
) -> Effect:
    if old is None or old_item is None:
        return Effect(None, None, None, 0, recorded=False)
    definition = write.definition
    connection.execute(_DELETE, (old.item_id,))
    if definition.indexes:
        gone = _known_entries(definition, old_item)
        _move_entries(connection, write.place, old.item_id, gone, frozenset())
    recorded = definition.live_stream is not None
    if recorded:
        _record(connection, write, old, now_ms)
    return Effect(old_item, old.document, None, old.size, recorded)


def _known_entries(definition: Definition, item: Item) -> frozenset[Entry]:
    """The entries of an item that is kept: one that an index cannot take is not in it."""
    try:
        return entries_of(definition, item)
    except InvalidRequest:
        return one_by_one(definition, item)


def one_by_one(definition: Definition, item: Item) -> frozenset[Entry]:
    """The entries of an item that was there before an index that cannot take it."""
    found: set[Entry] = set()
    for index in definition.indexes:
        alone = msgspec.structs.replace(definition, indexes=(index,))
        try:
            found |= entries_of(alone, item)
        except InvalidRequest:
            continue
    return frozenset(found)


def _move_entries(
    connection: sqlite3.Connection,
    place: Place,
    item_id: int,
    gone: frozenset[Entry],
    come: frozenset[Entry],
) -> None:
    for entry in gone:
        connection.execute(_DROP_ENTRY, (*entry, *place))
    for entry in come:
        connection.execute(ADD_ENTRY, (*entry, *place, item_id))


def _record(connection: sqlite3.Connection, write: Write, old: _Old | None, now_ms: int) -> None:
    deleted = write.kind is WriteKind.DELETE
    change = Change(
        key=write.key,
        place=write.place,
        old=None if old is None else old.document,
        new=None if deleted else write.document,
        size=(old.size if old else 0) + (0 if deleted else write.size),
        by_expiry=write.by_expiry,
    )
    stream = write.definition.live_stream
    assert stream is not None
    add_record(connection, stream, change, now_ms)
