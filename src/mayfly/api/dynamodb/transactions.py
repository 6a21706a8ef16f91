"""TransactWriteItems and TransactGetItems: all of up to a hundred actions at one moment, or none.

A ClientRequestToken is kept in the same transaction as what it was used for, for ten minutes: a
client that tries again after a lost answer changes nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import msgspec

from mayfly.api.dynamodb.answers import encode
from mayfly.api.dynamodb.capacity import consumed, read_units, wanted_capacity, write_units
from mayfly.api.dynamodb.items import (
    checked_item,
    delete_of,
    put_of,
    require_told,
    shown_on_failure,
    update_of,
)
from mayfly.api.dynamodb.members import (
    Members,
    refuse,
    refuse_absent,
    required_structure,
    structure,
    structures,
    table_name,
    text,
)
from mayfly.api.message import Principal
from mayfly.api.permits import require_grant
from mayfly.model.grant import GrantKind
from mayfly.stores.tables.errors import InvalidRequest, Reason, TransactionCanceled
from mayfly.stores.tables.expressions import read_clauses
from mayfly.stores.tables.layout import place_of_request
from mayfly.stores.tables.records import decode_item
from mayfly.stores.tables.store import TableStore
from mayfly.stores.tables.writes import Write, WriteKind

ACTIONS_MAX = 100
BYTES_MAX = 4 * 1024 * 1024
TOKEN_LENGTH_MAX = 36
_ACTIONS = ("ConditionCheck", "Put", "Delete", "Update")
# What a transaction costs more than a lone read or write.
_TWICE = 2


class Transactions:
    """The operations that are done whole or not at all."""

    def __init__(self, tables: TableStore) -> None:
        self._tables = tables
        self._catalog = tables.catalog

    async def write(self, members: Members, principal: Principal) -> bytes:
        """TransactWriteItems."""
        wanted = wanted_capacity(members)
        token = text(members, "ClientRequestToken") or ""
        if len(token) > TOKEN_LENGTH_MAX:
            constraint = f"Member must have length less than or equal to {TOKEN_LENGTH_MAX}"
            refuse("ClientRequestToken", token, constraint)
        actions = [_action(one) for one in _actions(members)]
        makers = [self._maker(kind, one, principal) for kind, one in actions]
        digest = hashlib.sha256(encode(members["TransactItems"])).digest()

        def prepare() -> Sequence[Write]:
            return _prepared(makers)

        effects = await self._tables.write_once(prepare, token=token, digest=digest)
        if wanted == "NONE":
            return b"{}"
        units: dict[str, float] = {}
        for number, (_, one) in enumerate(actions):
            name = table_name(one)
            size = effects[number].size if effects else 0
            units[name] = units.get(name, 0) + _TWICE * write_units(size)
        told = [consumed(name, cost, wanted) for name, cost in units.items()]
        return encode({"ConsumedCapacity": told})

    async def get(self, members: Members, principal: Principal) -> bytes:
        """TransactGetItems."""
        wanted = wanted_capacity(members)
        gets = [required_structure(one, "Get") for one in _actions(members)]
        for one in gets:
            require_grant(principal, GrantKind.TABLES, table_name(one), "read")
        clauses = [read_clauses("Get", one) for one in gets]
        pairs = []
        for one in gets:
            definition = self._catalog.find(table_name(one))
            required_structure(one, "Key")
            pairs.append((definition, place_of_request(definition, one["Key"])[1]))
        found = await self._tables.read_all(pairs)
        responses: list[dict[str, object]] = []
        for kept, clause in zip(found, clauses, strict=True):
            if kept is None:
                responses.append({})
            elif clause.projection is None:
                responses.append({"Item": msgspec.Raw(kept.document)})
            else:
                responses.append({"Item": clause.projection.of(decode_item(kept.document))})
        answer: dict[str, object] = {"Responses": responses}
        if wanted != "NONE":
            units: dict[str, float] = {}
            for (definition, _), kept in zip(pairs, found, strict=True):
                cost = _TWICE * read_units(kept.size if kept else 0, consistent=True)
                units[definition.name] = units.get(definition.name, 0) + cost
            told = [consumed(name, cost, wanted) for name, cost in units.items()]
            answer["ConsumedCapacity"] = told
        return encode(answer)

    def _maker(self, kind: str, members: Members, principal: Principal) -> Callable[[], Write]:
        """What prepares an action; its members are read, and its grant is asked for, now."""
        name = table_name(members)
        verb = "read" if kind == "ConditionCheck" else "write"
        require_grant(principal, GrantKind.TABLES, name, verb)
        shown = shown_on_failure(members)
        require_told(principal, name, told=shown)
        clauses = read_clauses(kind, members)
        item, size = checked_item(members) if kind == "Put" else ({}, 0)
        if kind != "Put":
            required_structure(members, "Key")

        def make() -> Write:
            definition = self._catalog.find(name)
            match kind:
                case "Put":
                    write = put_of(definition, item, size)
                case "Update":
                    write = update_of(definition, members["Key"], clauses)
                case "Delete":
                    write = delete_of(definition, members["Key"])
                case _:
                    found = place_of_request(definition, members["Key"])
                    write = Write(WriteKind.CHECK, definition, *found)
            write.condition = clauses.condition
            write.shows_failure = shown
            return write

        return make


def _actions(members: Members) -> list[Members]:
    actions = structures(members, "TransactItems")
    if actions is None:
        refuse_absent("TransactItems")
    if not actions:
        refuse("TransactItems", "[]", "Member must have length greater than or equal to 1")
    if len(actions) > ACTIONS_MAX:
        constraint = f"Member must have length less than or equal to {ACTIONS_MAX}"
        refuse("TransactItems", f"{len(actions)} actions", constraint)
    return actions


def _action(members: Members) -> tuple[str, Members]:
    """The one action of an entry, and its members."""
    given = [kind for kind in _ACTIONS if members.get(kind) is not None]
    if len(given) != 1:
        raise InvalidRequest("TransactItems can only contain one of Check, Put, Update or Delete")
    found = structure(members, given[0])
    assert found is not None
    return given[0], found


def _prepared(makers: Sequence[Callable[[], Write]]) -> Sequence[Write]:
    """The actions, each on an item of its own; together of a bounded size."""
    writes, reasons = [], []
    for make in makers:
        try:
            writes.append(make())
            reasons.append(Reason("None"))
        except InvalidRequest as error:
            reasons.append(Reason("ValidationError", error.message))
    if len(writes) != len(makers):
        raise TransactionCanceled(reasons)
    if len({(one.definition.table_id, one.place) for one in writes}) != len(writes):
        raise InvalidRequest("Transaction request cannot include multiple operations on one item")
    if sum(one.size for one in writes) > BYTES_MAX:
        raise InvalidRequest("Member must have aggregate size less than or equal to 4194304 bytes")
    return writes
