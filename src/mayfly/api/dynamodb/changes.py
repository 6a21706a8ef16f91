"""What UpdateTable asks for, as a change from one definition to the next.

It is applied to the definition that the transaction finds, so it refuses there what does not fit;
nothing of it is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from mayfly.api.dynamodb import declarations
from mayfly.api.dynamodb.members import (
    Members,
    choice,
    flag,
    required_text,
    structure,
    structures,
)
from mayfly.stores.tables.catalog import Numbers
from mayfly.stores.tables.definition import (
    Billing,
    Definition,
    Index,
    IndexKind,
    IndexStatus,
    Key,
    KeyType,
    Stream,
    StreamView,
)
from mayfly.stores.tables.errors import InvalidRequest, LimitExceeded, TableInUse, TableNotFound

NewStream = Callable[[str, StreamView, Key, Numbers], Stream]

_CHANGES = (
    *("ProvisionedThroughput", "BillingMode", "StreamSpecification", "TableClass"),
    *("GlobalSecondaryIndexUpdates", "SSESpecification", "DeletionProtectionEnabled"),
    *("OnDemandThroughput", "WarmThroughput"),
)
_INDEX_ACTIONS = ("Create", "Update", "Delete")
_TABLE_CLASSES = ("STANDARD", "STANDARD_INFREQUENT_ACCESS")


class TableChange:
    """One UpdateTable.

    Args:
        now_ms: When it was asked for.
        new_stream: Makes a stream.

    Raises:
        InvalidRequest: Nothing is asked for.
    """

    def __init__(self, members: Members, now_ms: int, new_stream: NewStream) -> None:
        if all(members.get(one) is None for one in _CHANGES):
            raise InvalidRequest(
                "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, "
                "GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required"
            )
        self._members = members
        self._now_ms = now_ms
        self._new_stream = new_stream
        self._declared = declarations.attribute_types(members)

    def apply(self, before: Definition, numbers: Numbers) -> Definition:
        """The next definition. Raises MayflyError."""
        members = self._members
        billing = declarations.billing(members, before.billing)
        units = before.throughput if billing is Billing.PROVISIONED else type(before.throughput)()
        switched = billing is not before.billing
        if members.get("ProvisionedThroughput") is not None or switched:
            units = declarations.throughput(members, billing)
        since_ms = before.on_demand_since_ms
        if switched and billing is Billing.PAY_PER_REQUEST:
            since_ms = self._now_ms
        types = {**before.attribute_types, **self._declared}
        indexes = self._indexes(before, types, billing, numbers)
        keys = [before.key, *(one.key for one in indexes)]
        used = {name for one in keys for name in one.names}
        return before.changed(
            billing=billing,
            throughput=units,
            on_demand_since_ms=since_ms,
            indexes=indexes,
            attribute_types={name: kind for name, kind in types.items() if name in used},
            stream=self._stream(before, numbers),
            protected=flag(members, "DeletionProtectionEnabled", default=before.protected),
            table_class=choice(members, "TableClass", _TABLE_CLASSES) or before.table_class,
        )

    def _stream(self, before: Definition, numbers: Numbers) -> Stream | None:
        asked, view = declarations.stream_view(self._members)
        live = before.live_stream
        if not asked:
            return before.stream
        if view is None:
            if live is None:
                raise InvalidRequest(
                    f"Table does not have a stream to disable: TableName: {before.name}"
                )
            return msgspec.structs.replace(live, ended_ms=self._now_ms)
        if live is not None:
            raise InvalidRequest(f"Table already has an enabled stream: TableName: {before.name}")
        return self._new_stream(before.name, view, before.key, numbers)

    def _indexes(
        self,
        before: Definition,
        types: dict[str, KeyType],
        billing: Billing,
        numbers: Numbers,
    ) -> tuple[Index, ...]:
        indexes = before.indexes
        updates = structures(self._members, "GlobalSecondaryIndexUpdates") or []
        _refuse_several(updates)
        for update in updates:
            action, members = _action(update)
            name = required_text(members, "IndexName")
            present = before.index(name)
            if action == "Create":
                if present is not None:
                    raise InvalidRequest(
                        f"Attempting to create an index which already exists: {name}"
                    )
                _refuse_while_filling(indexes)
                _refuse_too_many(indexes)
                made = declarations.global_index(members, types, billing).made(numbers())
                made = msgspec.structs.replace(made, status=IndexStatus.CREATING)
                indexes = (*indexes, made)
                continue
            if present is None or present.kind is not IndexKind.GLOBAL:
                raise TableNotFound(
                    f"Requested resource not found: Table: {before.name} Index: {name} not found"
                )
            if action == "Delete":
                indexes = tuple(one for one in indexes if one.index_id != present.index_id)
            else:
                units = declarations.throughput(members, billing)
                changed = msgspec.structs.replace(present, throughput=units)
                indexes = tuple(
                    changed if one.index_id == present.index_id else one for one in indexes
                )
        return indexes


def _action(update: Members) -> tuple[str, Members]:
    given = [one for one in _INDEX_ACTIONS if update.get(one) is not None]
    if len(given) != 1:
        raise InvalidRequest(
            "One or more parameter values were invalid: Only one of Create, Update or Delete can "
            "be specified in each element of GlobalSecondaryIndexUpdates"
        )
    found = structure(update, given[0])
    assert found is not None
    return given[0], found


def _refuse_several(updates: Sequence[Members]) -> None:
    making = [one for one in updates if one.get("Update") is None]
    if len(making) > 1:
        raise LimitExceeded(
            "Subscriber limit exceeded: Only 1 online index can be created or deleted "
            "simultaneously per table"
        )


def _refuse_while_filling(indexes: Sequence[Index]) -> None:
    filling = [one for one in indexes if one.status is IndexStatus.CREATING]
    if any(one.kind is IndexKind.GLOBAL for one in filling):
        raise TableInUse(
            f"Attempt to change a resource which is still in use: index {filling[0].name} is "
            "being created"
        )


def _refuse_too_many(indexes: Sequence[Index]) -> None:
    count = sum(one.kind is IndexKind.GLOBAL for one in indexes)
    if count >= declarations.GLOBAL_INDEXES_MAX:
        raise LimitExceeded(
            "One or more parameter values were invalid: GlobalSecondaryIndex count exceeds the "
            f"per-table limit of {declarations.GLOBAL_INDEXES_MAX}"
        )
