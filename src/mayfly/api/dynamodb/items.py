"""PutItem, GetItem, UpdateItem and DeleteItem: one item by its key.

A get is the shortest way: a look-up on the event loop, and the kept JSON spliced into the answer.
"""

from __future__ import annotations

from typing import cast

import msgspec

from mayfly.api.dynamodb.answers import encode
from mayfly.api.dynamodb.capacity import consumed, read_units, wanted_capacity, write_units
from mayfly.api.dynamodb.members import (
    Members,
    choice,
    flag,
    refuse_absent,
    required_structure,
    table_name,
)
from mayfly.api.message import Principal
from mayfly.api.permits import require_grant
from mayfly.model.grant import GrantKind
from mayfly.stores.tables.definition import Definition
from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions import Clauses, ReturnValues, Update, read_clauses
from mayfly.stores.tables.keys import key_item
from mayfly.stores.tables.layout import entries_of, place_of_item, place_of_request
from mayfly.stores.tables.records import decode_item
from mayfly.stores.tables.store import TableStore
from mayfly.stores.tables.values import Item, read_item, refuse_large
from mayfly.stores.tables.writes import Effect, Write, WriteKind

_RETURN_VALUES = ("ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW")
_ON_FAILURE = ("ALL_OLD", "NONE")


class Items:
    """The operations on one item."""

    def __init__(self, tables: TableStore) -> None:
        self._tables = tables
        self._catalog = tables.catalog

    async def get(self, members: Members, principal: Principal) -> bytes:
        """GetItem."""
        name = table_name(members)
        require_grant(principal, GrantKind.TABLES, name, "read")
        clauses = read_clauses("GetItem", members)
        wanted = wanted_capacity(members)
        definition = self._catalog.find(name)
        if "Key" not in members:
            refuse_absent("Key")
        _, place = place_of_request(definition, members["Key"])
        kept = self._tables.get_nowait(definition, place)
        document = None if kept is None else kept.document
        if document is not None and clauses.projection is not None:
            document = encode(clauses.projection.of(decode_item(document)))
        if wanted == "NONE":
            return b"{}" if document is None else b'{"Item":' + document + b"}"
        units = read_units(kept.size if kept else 0, consistent=flag(members, "ConsistentRead"))
        answer: dict[str, object] = {"ConsumedCapacity": consumed(name, units, wanted)}
        if document is not None:
            answer["Item"] = msgspec.Raw(document)
        return encode(answer)

    async def put(self, members: Members, principal: Principal) -> bytes:
        """PutItem."""
        name = table_name(members)
        require_grant(principal, GrantKind.TABLES, name, "write")
        returned = _old_or_none(members)
        shows_failure = shown_on_failure(members)
        require_told(principal, name, told=returned or shows_failure)
        clauses = read_clauses("PutItem", members)
        wanted = wanted_capacity(members)
        item, size = checked_item(members)

        def prepare() -> Write:
            write = put_of(self._catalog.find(name), item, size)
            write.condition = clauses.condition
            write.needs_old = returned
            write.shows_failure = shows_failure
            return write

        effect = await self._tables.write(prepare)
        return _told(name, effect, effect.old if returned else None, wanted)

    async def delete(self, members: Members, principal: Principal) -> bytes:
        """DeleteItem."""
        name = table_name(members)
        require_grant(principal, GrantKind.TABLES, name, "write")
        returned = _old_or_none(members)
        shows_failure = shown_on_failure(members)
        require_told(principal, name, told=returned or shows_failure)
        clauses = read_clauses("DeleteItem", members)
        wanted = wanted_capacity(members)
        required_structure(members, "Key")

        def prepare() -> Write:
            write = delete_of(self._catalog.find(name), members["Key"])
            write.condition = clauses.condition
            write.shows_failure = shows_failure
            return write

        effect = await self._tables.write(prepare)
        return _told(name, effect, effect.old if returned else None, wanted)

    async def update(self, members: Members, principal: Principal) -> bytes:
        """UpdateItem."""
        name = table_name(members)
        require_grant(principal, GrantKind.TABLES, name, "write")
        returned = cast(ReturnValues, choice(members, "ReturnValues", _RETURN_VALUES) or "NONE")
        shows_failure = shown_on_failure(members)
        require_told(principal, name, told=returned != "NONE" or shows_failure)
        clauses = read_clauses("UpdateItem", members)
        wanted = wanted_capacity(members)
        required_structure(members, "Key")

        def prepare() -> Write:
            write = update_of(self._catalog.find(name), members["Key"], clauses)
            write.shows_failure = shows_failure
            return write

        effect = await self._tables.write(prepare)
        update, new = clauses.update, effect.new
        assert update is not None
        assert new is not None
        return _told(name, effect, update.returned(returned, effect.old, new), wanted)


def checked_item(members: Members) -> tuple[Item, int]:
    """The member Item, checked, and its size. Raises InvalidRequest."""
    required_structure(members, "Item")
    item, size = read_item(members["Item"])
    refuse_large(size)
    return item, size


def put_of(definition: Definition, item: Item, size: int) -> Write:
    """A put of a checked item. Raises InvalidRequest."""
    place = place_of_item(definition, item)
    return Write(
        WriteKind.PUT,
        definition,
        key_item(definition.key, item),
        place,
        item=item,
        document=encode(item),
        size=size,
        entries=entries_of(definition, item) if definition.indexes else frozenset(),
    )


def delete_of(definition: Definition, key: object) -> Write:
    """A delete of the item that a request names. Raises InvalidRequest."""
    return Write(WriteKind.DELETE, definition, *place_of_request(definition, key))


def update_of(definition: Definition, key: object, clauses: Clauses) -> Write:
    """An update of the item that a request names. Raises InvalidRequest."""
    item, place = place_of_request(definition, key)
    update = clauses.update
    assert isinstance(update, Update)
    update.refuse_keys(definition.key.names)
    return Write(
        WriteKind.UPDATE, definition, item, place, condition=clauses.condition, update=update
    )


def shown_on_failure(members: Members) -> bool:
    """Whether the item is to be returned when a condition fails. Raises InvalidRequest."""
    chosen = choice(members, "ReturnValuesOnConditionCheckFailure", _ON_FAILURE)
    return chosen == "ALL_OLD"


def require_told(principal: Principal, name: str, *, told: bool) -> None:
    """Ask for the grant to read as well where a write would tell what an item holds.

    Raises:
        AccessDenied: A function may write and not read.
    """
    if told:
        require_grant(principal, GrantKind.TABLES, name, "read")


def _old_or_none(members: Members) -> bool:
    """Whether the old item is to be returned; the other choices are an update's."""
    chosen = choice(members, "ReturnValues", _RETURN_VALUES) or "NONE"
    if chosen not in _ON_FAILURE:
        raise InvalidRequest("Return values set to invalid value")
    return chosen == "ALL_OLD"


def _told(name: str, effect: Effect, attributes: Item | None, wanted: str) -> bytes:
    if attributes is None and wanted == "NONE":
        return b"{}"
    answer: dict[str, object] = {}
    if attributes is not None:
        answer["Attributes"] = attributes
    if wanted != "NONE":
        answer["ConsumedCapacity"] = consumed(name, write_units(effect.size), wanted)
    return encode(answer)
