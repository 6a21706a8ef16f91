"""What CreateTable and UpdateTable declare, read into a definition's parts; every rule of a key.

Messages are DynamoDB's: people search for them, and migration tools compare them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mayfly.api.dynamodb.members import (
    Members,
    checked_name,
    choice,
    flag,
    refuse_absent,
    required_structure,
    required_text,
    structure,
    structures,
    text,
    texts,
    whole,
)
from mayfly.stores.tables.definition import (
    Billing,
    Index,
    IndexKind,
    Key,
    KeyAttribute,
    KeyType,
    ProjectionType,
    StreamView,
    Throughput,
)
from mayfly.stores.tables.errors import InvalidRequest

GLOBAL_INDEXES_MAX = 20
LOCAL_INDEXES_MAX = 5
INCLUDED_MAX = 20
_INVALID = "One or more parameter values were invalid: "
_UNITS_MAX = 1 << 53
_KEY_PARTS_MAX = 2

Types = Mapping[str, KeyType]


@dataclass(frozen=True, slots=True)
class DeclaredIndex:
    """An index that is asked for; it has no number yet."""

    name: str
    kind: IndexKind
    key: Key
    projection: ProjectionType
    included: tuple[str, ...]
    throughput: Throughput

    def made(self, index_id: int) -> Index:
        """The index under its number, of a table without items."""
        return Index(
            index_id,
            self.name,
            self.kind,
            self.key,
            self.projection,
            self.included,
            throughput=self.throughput,
        )


def attribute_types(members: Members) -> dict[str, KeyType]:
    """The member AttributeDefinitions. Raises InvalidRequest."""
    types: dict[str, KeyType] = {}
    for one in structures(members, "AttributeDefinitions") or []:
        name = required_text(one, "AttributeName")
        kind = choice(one, "AttributeType", [*KeyType])
        if kind is None:
            refuse_absent("AttributeDefinitions.1.member.AttributeType")
        if name in types:
            raise InvalidRequest(f"{_INVALID}Cannot have two attributes with the same name: {name}")
        types[name] = KeyType(kind)
    return types


def key(members: Members, types: Types) -> Key:
    """The member KeySchema. Raises InvalidRequest."""
    parts = structures(members, "KeySchema")
    if parts is None:
        refuse_absent("KeySchema")
    names = [required_text(one, "AttributeName") for one in parts]
    kinds = [choice(one, "KeyType", ("HASH", "RANGE")) for one in parts]
    if not kinds or kinds[0] != "HASH":
        raise InvalidRequest("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(kinds) > _KEY_PARTS_MAX:
        raise InvalidRequest(
            "1 validation error detected: Value at 'keySchema' failed to satisfy constraint: "
            "Member must have length less than or equal to 2"
        )
    if kinds[1:] not in ([], ["RANGE"]):
        raise InvalidRequest(
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"
        )
    if len(set(names)) != len(names):
        raise InvalidRequest(
            "Both the Hash Key and the Range Key element in the KeySchema have the same name"
        )
    missing = [one for one in names if one not in types]
    if missing:
        raise InvalidRequest(
            f"{_INVALID}Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(names)}], AttributeDefinitions: [{', '.join(types)}]"
        )
    attributes = [KeyAttribute(one, types[one]) for one in names]
    return Key(attributes[0], attributes[1] if len(attributes) > 1 else None)


def indexes(
    members: Members, types: Types, *, table_key: Key, billing: Billing
) -> list[DeclaredIndex]:
    """All secondary indexes of a new table. Raises InvalidRequest."""
    found = []
    for one in structures(members, "LocalSecondaryIndexes") or []:
        index = _index(one, IndexKind.LOCAL, types, Throughput())
        _check_local(index, table_key)
        found.append(index)
    if len(found) > LOCAL_INDEXES_MAX:
        raise InvalidRequest(
            f"{_INVALID}Number of LocalSecondaryIndexes exceeds per-table limit of "
            f"{LOCAL_INDEXES_MAX}"
        )
    globals_ = structures(members, "GlobalSecondaryIndexes") or []
    found += [global_index(one, types, billing) for one in globals_]
    if len(globals_) > GLOBAL_INDEXES_MAX:
        raise InvalidRequest(
            f"{_INVALID}GlobalSecondaryIndex count exceeds the per-table limit of "
            f"{GLOBAL_INDEXES_MAX}"
        )
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest(f"{_INVALID}Duplicate index name: {name}")
    return found


def global_index(members: Members, types: Types, billing: Billing) -> DeclaredIndex:
    """One global secondary index. Raises InvalidRequest."""
    return _index(members, IndexKind.GLOBAL, types, throughput(members, billing, needed=False))


def refuse_unused(types: Types, keys: Sequence[Key]) -> None:
    """Every declared attribute is of a key. Raises InvalidRequest."""
    used = {name for one in keys for name in one.names}
    if set(types) - used:
        raise InvalidRequest(
            f"{_INVALID}Number of attributes in KeySchema does not exactly match number of "
            "attributes defined in AttributeDefinitions"
        )


def throughput(members: Members, billing: Billing, *, needed: bool = True) -> Throughput:
    """The member ProvisionedThroughput. Raises InvalidRequest."""
    given = structure(members, "ProvisionedThroughput")
    if given is None:
        if billing is Billing.PROVISIONED and needed:
            raise InvalidRequest(
                f"{_INVALID}ReadCapacityUnits and WriteCapacityUnits must both be specified when "
                "BillingMode is PROVISIONED"
            )
        return Throughput()
    read = whole(given, "ReadCapacityUnits", low=0, high=_UNITS_MAX)
    write = whole(given, "WriteCapacityUnits", low=0, high=_UNITS_MAX)
    if billing is Billing.PAY_PER_REQUEST and (read or write):
        raise InvalidRequest(
            f"{_INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when "
            "BillingMode is PAY_PER_REQUEST"
        )
    if billing is Billing.PROVISIONED and not (read and write):
        raise InvalidRequest(
            "1 validation error detected: Value at 'provisionedThroughput' failed to satisfy "
            "constraint: Member must have value greater than or equal to 1"
        )
    return Throughput(read or 0, write or 0)


def stream_view(members: Members) -> tuple[bool, StreamView | None]:
    """The member StreamSpecification: whether it is there, and its view where it is on."""
    given = structure(members, "StreamSpecification")
    if given is None:
        return False, None
    view = choice(given, "StreamViewType", [*StreamView])
    if not flag(given, "StreamEnabled"):
        if view is not None:
            raise InvalidRequest(
                f"{_INVALID}StreamViewType cannot be specified when StreamEnabled is false"
            )
        return True, None
    if view is None:
        raise InvalidRequest(
            f"{_INVALID}StreamViewType is required when StreamEnabled is set to true"
        )
    return True, StreamView(view)


def _index(members: Members, kind: IndexKind, types: Types, units: Throughput) -> DeclaredIndex:
    name = checked_name(required_text(members, "IndexName"), "IndexName")
    projection = required_structure(members, "Projection")
    chosen = choice(projection, "ProjectionType", [*ProjectionType])
    if chosen is None:
        raise InvalidRequest(f"{_INVALID}Unknown ProjectionType: null")
    included = tuple(texts(projection, "NonKeyAttributes") or ())
    if included and chosen != ProjectionType.INCLUDE:
        raise InvalidRequest(
            f"{_INVALID}ProjectionType is {chosen}, but NonKeyAttributes is specified"
        )
    if chosen == ProjectionType.INCLUDE and not 1 <= len(included) <= INCLUDED_MAX:
        raise InvalidRequest(
            f"{_INVALID}ProjectionType is INCLUDE, but NonKeyAttributes is not specified"
            if not included
            else f"{_INVALID}NonKeyAttributes has more than {INCLUDED_MAX} names"
        )
    return DeclaredIndex(name, kind, key(members, types), ProjectionType(chosen), included, units)


def _check_local(index: DeclaredIndex, table_key: Key) -> None:
    if table_key.range is None:
        raise InvalidRequest(
            f"{_INVALID}Table KeySchema does not have a range key, which is required when "
            "specifying a LocalSecondaryIndex"
        )
    if index.key.hash.name != table_key.hash.name:
        raise InvalidRequest(
            f"{_INVALID}Index KeySchema does not have the same leading hash key as table "
            f"KeySchema for index: {index.name}. index hash key: {index.key.hash.name}, "
            f"table hash key: {table_key.hash.name}"
        )
    if index.key.range is None:
        raise InvalidRequest(
            f"{_INVALID}Index KeySchema does not have a range key for index: {index.name}"
        )


def billing(members: Members, default: Billing) -> Billing:
    """The member BillingMode. Raises InvalidRequest."""
    return Billing(choice(members, "BillingMode", [*Billing]) or default)


def tags(members: Members) -> dict[str, str]:
    """The member Tags. Raises InvalidRequest."""
    found = {}
    for one in structures(members, "Tags") or []:
        found[required_text(one, "Key")] = text(one, "Value") or ""
    return found
