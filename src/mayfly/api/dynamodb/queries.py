"""Query and Scan: pages of a table or of an index, in order, filtered and projected.

What is shown of an item: an index's own choice of attributes first, then the filter, then the
projection. Where none of the three is asked for, items pass as they are kept, unparsed.
"""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.api.dynamodb.answers import encode
from mayfly.api.dynamodb.capacity import consumed, read_units, wanted_capacity
from mayfly.api.dynamodb.members import (
    Members,
    choice,
    flag,
    structure,
    table_name,
    text,
    whole,
)
from mayfly.api.message import Principal
from mayfly.api.permits import require_grant
from mayfly.model.grant import GrantKind
from mayfly.stores.tables.definition import (
    Definition,
    Index,
    IndexKind,
    IndexStatus,
    Key,
    ProjectionType,
)
from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions import Clauses, read_clauses
from mayfly.stores.tables.keys import ItemKey, index_key_of, key_of_request
from mayfly.stores.tables.layout import placed, segment_bounds, spread
from mayfly.stores.tables.pages import Position, Shape, Span, Walk
from mayfly.stores.tables.records import decode_item
from mayfly.stores.tables.store import TableStore
from mayfly.stores.tables.values import Item, read_item

_SELECTS = (
    "SPECIFIC_ATTRIBUTES",
    "COUNT",
    "ALL_ATTRIBUTES",
    "ALL_PROJECTED_ATTRIBUTES",
)
_SEGMENTS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class _Asked:
    """What both operations ask for."""

    definition: Definition
    index: Index | None
    clauses: Clauses
    limit: int | None
    counts_only: bool
    shape: Shape | None
    start: Position | None
    wanted: str
    consistent: bool

    @property
    def key(self) -> Key:
        """The key by which rows are in order."""
        return self.definition.key if self.index is None else self.index.key


class Queries:
    """The operations on many items."""

    def __init__(self, tables: TableStore) -> None:
        self._tables = tables

    async def query(self, members: Members, principal: Principal) -> bytes:
        """Query."""
        asked = self._read("Query", members, principal)
        condition = asked.clauses.key
        if condition is None:
            raise InvalidRequest(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified "
                "in the request."
            )
        keys = condition.resolve(asked.key)
        _refuse_filtered_keys(asked)
        hash_key = spread(keys.hash)
        if asked.start is not None:
            inside = asked.start[0] == hash_key
            if not inside:
                raise InvalidRequest(
                    "The provided starting key is outside query boundaries based on provided "
                    "conditions"
                )
        span = Span(
            asked.definition.table_id,
            None if asked.index is None else asked.index.index_id,
            hash=hash_key,
            low=keys.low,
            high=keys.high,
            forward=flag(members, "ScanIndexForward", default=True),
            after=asked.start,
        )
        return await self._answer(asked, span)

    async def scan(self, members: Members, principal: Principal) -> bytes:
        """Scan."""
        segments = whole(members, "TotalSegments", low=1, high=_SEGMENTS_MAX)
        segment = whole(members, "Segment", low=0, high=_SEGMENTS_MAX - 1)
        asked = self._read("Scan", members, principal)
        low, high = _segment(segment, segments)
        if asked.start is not None and segments is not None:
            inside = low <= asked.start[0] and (high is None or asked.start[0] < high)
            if not inside:
                raise InvalidRequest(
                    "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use "
                    "ExclusiveStartKey with correct Segment. "
                    f"TotalSegments: {segments} Segment: {segment}"
                )
        span = Span(
            asked.definition.table_id,
            None if asked.index is None else asked.index.index_id,
            low=low,
            high=high,
            after=asked.start,
        )
        return await self._answer(asked, span)

    def _read(self, operation: str, members: Members, principal: Principal) -> _Asked:
        name = table_name(members)
        require_grant(principal, GrantKind.TABLES, name, "read")
        limit = whole(members, "Limit", low=1)
        select = choice(members, "Select", _SELECTS)
        wanted = wanted_capacity(members)
        clauses = read_clauses(operation, members)
        definition = self._tables.catalog.find(name)
        index = _index(definition, text(members, "IndexName"))
        consistent = flag(members, "ConsistentRead")
        if consistent and index is not None and index.kind is IndexKind.GLOBAL:
            raise InvalidRequest("Consistent reads are not supported on global secondary indexes")
        _check_select(select, clauses, index)
        return _Asked(
            definition,
            index,
            clauses,
            limit,
            select == "COUNT",
            _shape(definition, index, clauses, select),
            _start(definition, index, members),
            wanted,
            consistent,
        )

    async def _answer(self, asked: _Asked, span: Span) -> bytes:
        walk = Walk(span, rows_max=asked.limit, shape=asked.shape, counts_only=asked.counts_only)
        await self._tables.page(walk)
        parts = []
        if not asked.counts_only:
            parts.append(b'"Items":[' + b",".join(walk.documents) + b"]")
        parts.append(b'"Count":%d,"ScannedCount":%d' % (walk.shown, walk.scanned))
        if walk.full:
            last = encode(_last_key(asked, decode_item(walk.last_document)))
            parts.append(b'"LastEvaluatedKey":' + last)
        if asked.wanted != "NONE":
            units = read_units(walk.bytes_read, consistent=asked.consistent)
            name, index = asked.definition.name, asked.index
            told = encode(consumed(name, units, asked.wanted, index=index))
            parts.append(b'"ConsumedCapacity":' + told)
        return b"{" + b",".join(parts) + b"}"


def _index(definition: Definition, name: str | None) -> Index | None:
    if name is None:
        return None
    index = definition.index(name)
    if index is None:
        raise InvalidRequest(f"The table does not have the specified index: {name}")
    if index.status is not IndexStatus.ACTIVE:
        raise InvalidRequest(f"Cannot read from backfilling global secondary index: {name}")
    return index


def _check_select(select: str | None, clauses: Clauses, index: Index | None) -> None:
    if clauses.projection is not None and select not in (None, "SPECIFIC_ATTRIBUTES"):
        raise InvalidRequest(
            f"Cannot specify the ProjectionExpression when choosing to get {select}"
            if select != "COUNT"
            else "Cannot specify the ProjectionExpression when choosing to get only the Count"
        )
    if clauses.projection is None and select == "SPECIFIC_ATTRIBUTES":
        raise InvalidRequest(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get "
            "SPECIFIC_ATTRIBUTES"
        )
    if select == "ALL_PROJECTED_ATTRIBUTES" and index is None:
        raise InvalidRequest(
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"
        )
    if index is None or index.kind is not IndexKind.GLOBAL:
        return
    if select == "ALL_ATTRIBUTES" and index.projection is not ProjectionType.ALL:
        raise InvalidRequest(
            "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not "
            f"supported for global secondary index {index.name} because its projection type is "
            "not ALL"
        )


def _shape(
    definition: Definition, index: Index | None, clauses: Clauses, select: str | None
) -> Shape | None:
    """What is shown of an item; None where it is all of it."""
    held = clauses.filter
    projection = clauses.projection
    visible = _visible(definition, index, clauses, select)
    if held is None and projection is None and visible is None:
        return None

    def shape(item: Item) -> Item | None:
        if visible is not None:
            item = {name: value for name, value in item.items() if name in visible}
        if held is not None and not held.holds(item):
            return None
        return item if projection is None else projection.of(item)

    return shape


def _visible(
    definition: Definition, index: Index | None, clauses: Clauses, select: str | None
) -> frozenset[str] | None:
    """The attributes that an index shows, or None: all of them."""
    if index is None or index.projection is ProjectionType.ALL:
        return None
    shown = frozenset({*definition.key.names, *index.key.names, *index.included})
    asked = frozenset() if clauses.projection is None else clauses.projection.attributes
    if index.kind is IndexKind.LOCAL:
        # A local index fetches from the table what it does not hold.
        return None if select == "ALL_ATTRIBUTES" or asked - shown else shown
    if missing := asked - shown:
        raise InvalidRequest(
            "One or more parameter values were invalid: Global secondary index "
            f"{index.name} does not project [{', '.join(sorted(missing))}]"
        )
    return shown


def _refuse_filtered_keys(asked: _Asked) -> None:
    """A query's filter is about what is not the key."""
    held = asked.clauses.filter
    if held is None:
        return
    for name in asked.key.names:
        if name in held.attributes:
            raise InvalidRequest(
                "Filter Expression can only contain non-primary key attributes: "
                f"Primary key attribute: {name}"
            )


def _segment(segment: int | None, segments: int | None) -> tuple[bytes, bytes | None]:
    if segment is None and segments is None:
        return b"", None
    if segments is None:
        raise InvalidRequest(
            "The TotalSegments parameter is required but was not present in the request when "
            "Segment parameter is present"
        )
    if segment is None:
        raise InvalidRequest(
            "The Segment parameter is required but was not present in the request when "
            "parameter TotalSegments is present"
        )
    if segment >= segments:
        raise InvalidRequest(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {segments}"
        )
    return segment_bounds(segment, segments)


def _start(definition: Definition, index: Index | None, members: Members) -> Position | None:
    """The row that ExclusiveStartKey names, by its keys alone: it may be gone."""
    given = structure(members, "ExclusiveStartKey")
    if given is None:
        return None
    item, _ = read_item(given)
    names = set(definition.key.names) | set(index.key.names if index else ())
    if set(item) != names:
        raise InvalidRequest("The provided starting key is invalid")
    try:
        own = {name: item[name] for name in definition.key.names}
        place = placed(key_of_request(definition.key, own)[1])
        if index is None:
            return place
        key = index_key_of(index.key, item, index_name=index.name)
    except InvalidRequest as error:
        raise InvalidRequest(f"The provided starting key is invalid: {error}") from error
    assert isinstance(key, ItemKey)
    return (*placed(key), *place)


def _last_key(asked: _Asked, item: Item) -> Item:
    """The keys of the last row that was read, its index's first."""
    names = dict.fromkeys((*asked.key.names, *asked.definition.key.names))
    return {name: item[name] for name in names}
