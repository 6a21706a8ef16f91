"""CreateTable, DescribeTable, ListTables, UpdateTable and DeleteTable.

A table is there for use when CreateTable answers; the answer says CREATING, as clients expect that
they have to wait. An index that is added later is filled behind the answer.
"""

from __future__ import annotations

from datetime import UTC, datetime

from mayfly.api.dynamodb import declarations
from mayfly.api.dynamodb.answers import encode
from mayfly.api.dynamodb.changes import TableChange
from mayfly.api.dynamodb.descriptions import table_description
from mayfly.api.dynamodb.members import (
    Members,
    choice,
    flag,
    table_name,
    text,
    whole,
)
from mayfly.api.message import Principal
from mayfly.api.permits import require_grant, require_owner
from mayfly.api.refusals import NotImplementedYet
from mayfly.model.grant import GrantKind
from mayfly.ports import Clock, Ids
from mayfly.stores.tables import figures
from mayfly.stores.tables.catalog import Numbers
from mayfly.stores.tables.definition import Billing, Definition, Key, Stream, StreamView
from mayfly.stores.tables.store import TableStore

LIST_MAX = 100
_TABLE_CLASSES = ("STANDARD", "STANDARD_INFREQUENT_ACCESS")
_NOT_HERE = (
    *("ReplicaUpdates", "GlobalTableSourceArn", "GlobalTableWitnessUpdates", "VectorIndexes"),
    *("VectorIndexUpdates", "MultiRegionConsistency", "ResourcePolicy"),
)


class Tables:
    """The operations on whole tables."""

    def __init__(
        self, tables: TableStore, counter: figures.Counter, clock: Clock, ids: Ids
    ) -> None:
        self._tables = tables
        self._catalog = tables.catalog
        self._counter = counter
        self._clock = clock
        self._ids = ids

    async def create(self, members: Members, principal: Principal) -> bytes:
        """CreateTable."""
        require_owner(principal, "CreateTable")
        _refuse_what_is_not_here(members)
        name = table_name(members)
        types = declarations.attribute_types(members)
        key = declarations.key(members, types)
        billing = declarations.billing(members, Billing.PROVISIONED)
        indexes = declarations.indexes(members, types, table_key=key, billing=billing)
        declarations.refuse_unused(types, [key, *(one.key for one in indexes)])
        throughput = declarations.throughput(members, billing)
        _, view = declarations.stream_view(members)
        now_ms = int(self._clock.now_ms())
        on_demand = billing is Billing.PAY_PER_REQUEST
        uuid = self._ids.uuid()

        def make(numbers: Numbers) -> Definition:
            return Definition(
                table_id=numbers(),
                generation=1,
                name=name,
                uuid=uuid,
                created_ms=now_ms,
                attribute_types=types,
                key=key,
                indexes=tuple(one.made(numbers()) for one in indexes),
                billing=billing,
                throughput=throughput,
                on_demand_since_ms=now_ms if on_demand else 0,
                stream=None if view is None else self.new_stream(name, view, key, numbers),
                tags=declarations.tags(members),
                protected=flag(members, "DeletionProtectionEnabled"),
                table_class=choice(members, "TableClass", _TABLE_CLASSES) or "",
            )

        made = await self._catalog.create(name, make)
        told = table_description(made, figures.NONE, "CREATING")
        return encode({"TableDescription": told})

    async def describe(self, members: Members, principal: Principal) -> bytes:
        """DescribeTable: for all who may use the table."""
        name = table_name(members)
        if not principal.may(GrantKind.TABLES, name, "write"):
            require_grant(principal, GrantKind.TABLES, name, "read")
        definition = self._catalog.find(name)
        found = await self._counter.figures(definition)
        return encode({"Table": table_description(definition, found)})

    async def list(self, members: Members, principal: Principal) -> bytes:
        """ListTables."""
        require_owner(principal, "ListTables")
        limit = whole(members, "Limit", low=1, high=LIST_MAX) or LIST_MAX
        start = text(members, "ExclusiveStartTableName") or ""
        names = sorted(name for name in self._catalog.tables if name > start)
        answer: dict[str, object] = {"TableNames": names[:limit]}
        if len(names) > limit:
            answer["LastEvaluatedTableName"] = names[limit - 1]
        return encode(answer)

    async def update(self, members: Members, principal: Principal) -> bytes:
        """UpdateTable."""
        require_owner(principal, "UpdateTable")
        _refuse_what_is_not_here(members)
        name = table_name(members)
        change = TableChange(members, int(self._clock.now_ms()), self.new_stream)
        changed = await self._catalog.alter(name, change.apply)
        found = await self._counter.figures(changed)
        return encode({"TableDescription": table_description(changed, found, "UPDATING")})

    async def delete(self, members: Members, principal: Principal) -> bytes:
        """DeleteTable."""
        require_owner(principal, "DeleteTable")
        name = table_name(members)
        gone = await self._catalog.delete(name, int(self._clock.now_ms()))
        told = table_description(gone, figures.NONE, "DELETING")
        return encode({"TableDescription": told})

    def new_stream(self, name: str, view: StreamView, key: Key, numbers: Numbers) -> Stream:
        """A stream whose ARN no stream ever had. Runs on the writer thread."""
        created_ms = int(self._clock.now_ms())
        while True:
            stamp = datetime.fromtimestamp(created_ms / 1000, UTC)
            label = stamp.replace(tzinfo=None).isoformat(timespec="milliseconds")
            stream = Stream(numbers(), name, label, view, key, created_ms)
            if stream.arn not in self._catalog.streams:
                return stream
            created_ms += 1


def _refuse_what_is_not_here(members: Members) -> None:
    for member in _NOT_HERE:
        if members.get(member):
            raise NotImplementedYet(f"Mayfly does not implement {member} of tables yet")
