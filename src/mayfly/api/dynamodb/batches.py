"""BatchGetItem and BatchWriteItem: many items of several tables at once, each for itself.

A batch of writes is one transaction here, which is more than is promised; what does not fit into
an answer of 16 MB is given back as unprocessed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from mayfly.api.dynamodb.answers import encode
from mayfly.api.dynamodb.capacity import consumed, read_units, wanted_capacity, write_units
from mayfly.api.dynamodb.items import checked_item, delete_of, put_of
from mayfly.api.dynamodb.members import (
    Members,
    checked_name,
    flag,
    refuse,
    refuse_type,
    required_structure,
    structure,
    structures,
)
from mayfly.api.message import Principal
from mayfly.api.permits import require_grant
from mayfly.model.grant import GrantKind
from mayfly.stores.tables.definition import ARN_PREFIX, Definition
from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions import Projection, read_clauses
from mayfly.stores.tables.layout import Place, place_of_request
from mayfly.stores.tables.records import decode_item
from mayfly.stores.tables.store import Kept, TableStore
from mayfly.stores.tables.values import Item
from mayfly.stores.tables.writes import Write

GETS_MAX = 100
WRITES_MAX = 25
ANSWER_BYTES_MAX = 16 * 1024 * 1024
# So many look-ups take less time than going to a thread.
_LOOP_GETS_MAX = 25
_LOOP_WRITES_MAX = 5


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One table of a BatchGetItem."""

    definition: Definition
    table: str
    keys: Sequence[object]
    places: Sequence[Place]
    projection: Projection | None
    consistent: bool
    members: Members


class Batches:
    """The operations on several items of several tables."""

    def __init__(self, tables: TableStore) -> None:
        self._tables = tables
        self._catalog = tables.catalog

    async def get(self, members: Members, principal: Principal) -> bytes:
        """BatchGetItem."""
        wanted = wanted_capacity(members)
        asked = [self._asked(*one, principal) for one in _tables(members)]
        count = sum(len(one.keys) for one in asked)
        if count > GETS_MAX:
            raise InvalidRequest("Too many items requested for the BatchGetItem call")
        pairs = [(one.definition, place) for one in asked for place in one.places]
        if count <= _LOOP_GETS_MAX:
            found = [self._tables.get_nowait(*pair) for pair in pairs]
        else:
            found = list(await self._tables.read_all(pairs))
        return _told(asked, found, wanted)

    async def write(self, members: Members, principal: Principal) -> bytes:
        """BatchWriteItem."""
        wanted = wanted_capacity(members)
        tables = list(_write_tables(members))
        count = sum(len(writes) for _, writes in tables)
        if count > WRITES_MAX:
            raise InvalidRequest(
                "1 validation error detected: Value at 'requestItems' failed to satisfy "
                "constraint: Map value must satisfy constraint: [Member must have length less "
                f"than or equal to {WRITES_MAX}, Member must have length greater than or equal "
                "to 1]"
            )

        def read() -> list[tuple[str, bool, Item, int]]:
            return [
                (name, *one)
                for name, writes in tables
                for one in _writes_of(name, writes, principal)
            ]

        # Items may be large: reading several of them would hold up other calls.
        requests = await asyncio.to_thread(read) if count > _LOOP_WRITES_MAX else read()

        def prepare() -> list[Write]:
            writes = []
            for name, put, document, size in requests:
                definition = self._catalog.find(name)
                write = (
                    put_of(definition, document, size) if put else delete_of(definition, document)
                )
                writes.append(write)
            if len({(one.definition.table_id, one.place) for one in writes}) != len(writes):
                raise InvalidRequest("Provided list of item keys contains duplicates")
            return writes

        effects = await self._tables.write_all(prepare)
        answer: dict[str, object] = {"UnprocessedItems": {}}
        if wanted != "NONE":
            units: dict[str, float] = {}
            for (name, *_), effect in zip(requests, effects, strict=True):
                units[name] = units.get(name, 0) + write_units(effect.size)
            answer["ConsumedCapacity"] = [consumed(name, u, wanted) for name, u in units.items()]
        return encode(answer)

    def _asked(self, name: str, table: str, members: Members, principal: Principal) -> _Wanted:
        require_grant(principal, GrantKind.TABLES, name, "read")
        keys = structures(members, "Keys")
        if not keys:
            refuse(
                f"RequestItems.{table}.member.Keys",
                "[]" if keys == [] else "null",
                "Member must have length greater than or equal to 1",
            )
        clauses = read_clauses("Keys", members)
        definition = self._catalog.find(name)
        places = [place_of_request(definition, key)[1] for key in keys]
        if len(set(places)) != len(places):
            raise InvalidRequest("Provided list of item keys contains duplicates")
        consistent = flag(members, "ConsistentRead")
        return _Wanted(definition, table, keys, places, clauses.projection, consistent, members)


def _tables(members: Members) -> Iterator[tuple[str, str, Members]]:
    """Each table's name, what the request calls it, and what is asked of it."""
    requested = required_structure(members, "RequestItems")
    if not requested:
        refuse("RequestItems", "{}", "Member must have length greater than or equal to 1")
    for table in requested:
        name = checked_name(table.removeprefix(ARN_PREFIX), "TableName")
        yield name, table, structure(requested, table) or {}


def _write_tables(members: Members) -> Iterator[tuple[str, Sequence[Members]]]:
    requested = required_structure(members, "RequestItems")
    if not requested:
        refuse("RequestItems", "{}", "Member must have length greater than or equal to 1")
    for table in requested:
        name = checked_name(table.removeprefix(ARN_PREFIX), "TableName")
        writes = structures(requested, table)
        if not writes:
            raise InvalidRequest(
                "1 validation error detected: Value at 'requestItems' failed to satisfy "
                "constraint: Map value must satisfy constraint: [Member must have length greater "
                "than or equal to 1]"
            )
        yield name, writes


def _writes_of(
    name: str, writes: Sequence[Members], principal: Principal
) -> Iterator[tuple[bool, Item, int]]:
    """Whether it is a put, the item or the key, and the item's size."""
    require_grant(principal, GrantKind.TABLES, name, "write")
    for one in writes:
        put, delete = structure(one, "PutRequest"), structure(one, "DeleteRequest")
        if (put is None) == (delete is None):
            raise InvalidRequest(
                "Supplied AttributeValue has more than one datatypes set, must contain exactly "
                "one of the supported datatypes"
                if put
                else "A write of a batch has either a PutRequest or a DeleteRequest"
            )
        if put is not None:
            item, size = checked_item(put)
            yield True, item, size
        elif delete is not None:
            key = required_structure(delete, "Key")
            if not isinstance(key, dict):
                refuse_type(key, "Structure")
            yield False, key, 0


def _told(asked: Sequence[_Wanted], found: Sequence[Kept | None], wanted: str) -> bytes:
    responses: dict[str, list[object]] = {}
    left: dict[str, dict[str, object]] = {}
    units: dict[str, float] = {}
    read_bytes, rest = 0, iter(found)
    for one in asked:
        shown = responses.setdefault(one.table, [])
        for key in one.keys:
            kept = next(rest)
            size = 0 if kept is None else kept.size
            if read_bytes + size > ANSWER_BYTES_MAX:
                left.setdefault(one.table, {**one.members, "Keys": []})
                unprocessed = left[one.table]["Keys"]
                assert isinstance(unprocessed, list)
                unprocessed.append(key)
                continue
            read_bytes += size
            cost = read_units(size, consistent=one.consistent)
            units[one.definition.name] = units.get(one.definition.name, 0) + cost
            if kept is not None:
                shown.append(_shown(kept, one.projection))
    answer: dict[str, object] = {"Responses": responses, "UnprocessedKeys": left}
    if wanted != "NONE":
        answer["ConsumedCapacity"] = [consumed(name, u, wanted) for name, u in units.items()]
    return encode(answer)


def _shown(kept: Kept, projection: Projection | None) -> object:
    if projection is None:
        return msgspec.Raw(kept.document)
    return projection.of(decode_item(kept.document))
