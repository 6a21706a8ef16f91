"""The service "dynamodbstreams": ListStreams, DescribeStream, GetShardIterator and GetRecords.

A stream has a fixed number of shards from its first record to its last, so that a shard has no
parent and a reader that knows them all has all records.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from mayfly.api.dynamodb.answers import answered, encode, refused
from mayfly.api.dynamodb.descriptions import key_schema
from mayfly.api.dynamodb.endpoint import members_of, not_here
from mayfly.api.dynamodb.members import (
    Members,
    choice,
    refuse_absent,
    required_text,
    text,
    whole,
)
from mayfly.api.dynamodbstreams.iterators import ShardIterator, read_iterator
from mayfly.api.message import Principal, Request, Response
from mayfly.api.permits import require_grant, require_owner
from mayfly.model.errors import MayflyError
from mayfly.model.grant import GrantKind
from mayfly.ports import Clock
from mayfly.stores.tables import records
from mayfly.stores.tables.definition import ARN_PREFIX, Stream
from mayfly.stores.tables.errors import InvalidRequest, TableNotFound, TrimmedAway
from mayfly.stores.tables.store import TableStore

TARGET_PREFIX = "DynamoDBStreams_20120810."
RECORDS_MAX = 1_000
_PAGE_MAX = 100
_STARTS = ("TRIM_HORIZON", "LATEST", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")

Operation = Callable[[Members, Principal], Awaitable[bytes]]


class DynamoDbStreams:
    """The service "dynamodbstreams" on a table store (`dispatch.WholeService`)."""

    def __init__(self, tables: TableStore, *, clock: Clock) -> None:
        self._tables = tables
        self._catalog = tables.catalog
        self._clock = clock
        self._operations: dict[str, Operation] = {
            TARGET_PREFIX + "ListStreams": self._list,
            TARGET_PREFIX + "DescribeStream": self._describe,
            TARGET_PREFIX + "GetShardIterator": self._iterator,
            TARGET_PREFIX + "GetRecords": self._records,
        }

    async def answer(self, request: Request) -> Response:
        """Answer one request. Never raises a MayflyError."""
        target = request.headers.find("x-amz-target") or ""
        try:
            operation = self._operations.get(target)
            if operation is None:
                raise not_here("dynamodbstreams", target, TARGET_PREFIX)
            body = await operation(await members_of(request), request.principal)
        except MayflyError as error:
            return refused(error, request.request_id)
        return answered(body, request.request_id)

    async def _list(self, members: Members, principal: Principal) -> bytes:
        table = text(members, "TableName")
        if table is None:
            require_owner(principal, "ListStreams")
        else:
            table = table.removeprefix(ARN_PREFIX)
            require_grant(principal, GrantKind.TABLES, table, "read")
        limit = whole(members, "Limit", low=1, high=_PAGE_MAX) or _PAGE_MAX
        start = text(members, "ExclusiveStartStreamArn") or ""
        found = sorted(
            (one.arn, one)
            for one in self._catalog.streams.values()
            if one.arn > start and table in (None, one.table_name)
        )
        streams = [
            {"StreamArn": arn, "TableName": one.table_name, "StreamLabel": one.label}
            for arn, one in found[:limit]
        ]
        answer: dict[str, object] = {"Streams": streams}
        if len(found) > limit:
            answer["LastEvaluatedStreamArn"] = found[limit - 1][0]
        return encode(answer)

    async def _describe(self, members: Members, principal: Principal) -> bytes:
        stream = self._stream(members, principal)
        limit = whole(members, "Limit", low=1, high=_PAGE_MAX) or _PAGE_MAX
        start = text(members, "ExclusiveStartShardId") or ""
        ids = [one for one in records.shard_ids(stream) if one > start]
        description: dict[str, object] = {
            "StreamArn": stream.arn,
            "StreamLabel": stream.label,
            "StreamStatus": "DISABLED" if stream.ended_ms else "ENABLED",
            "StreamViewType": stream.view,
            "CreationRequestDateTime": stream.created_ms / 1000,
            "TableName": stream.table_name,
            "KeySchema": key_schema(stream.key),
            "Shards": [self._shard(stream, one) for one in ids[:limit]],
        }
        if len(ids) > limit:
            description["LastEvaluatedShardId"] = ids[limit - 1]
        return encode({"StreamDescription": description})

    def _shard(self, stream: Stream, shard_id: str) -> dict[str, object]:
        numbers = {"StartingSequenceNumber": records.sequence_text(1)}
        if stream.ended_ms:
            numbers["EndingSequenceNumber"] = records.sequence_text(self._tables.latest_sequence())
        return {"ShardId": shard_id, "SequenceNumberRange": numbers}

    async def _iterator(self, members: Members, principal: Principal) -> bytes:
        stream = self._stream(members, principal)
        shard_id = required_text(members, "ShardId")
        records.shard_number(stream, shard_id)
        start = choice(members, "ShardIteratorType", _STARTS)
        if start is None:
            refuse_absent("ShardIteratorType")
        given = text(members, "SequenceNumber")
        if start in _STARTS[:2] and given is not None:
            raise InvalidRequest(f"SequenceNumber cannot be specified with {start}")
        if start in _STARTS[2:] and given is None:
            raise InvalidRequest(f"SequenceNumber must be specified with {start}")
        after = self._after(start, given)
        made = ShardIterator(stream.arn, shard_id, after, int(self._clock.now_ms()))
        return encode({"ShardIterator": made.written()})

    def _after(self, start: str, given: str | None) -> int:
        """The sequence after which such an iterator reads."""
        if start == "TRIM_HORIZON":
            return 0
        if start == "LATEST":
            return self._tables.latest_sequence()
        sequence = records.sequence_of(given or "")
        if sequence < self._tables.oldest_sequence():
            raise TrimmedAway(
                "The operation attempted to read past the oldest stream record in a shard: "
                f"SequenceNumber {given} is trimmed away"
            )
        return sequence - 1 if start == "AT_SEQUENCE_NUMBER" else sequence

    async def _records(self, members: Members, principal: Principal) -> bytes:
        limit = whole(members, "Limit", low=1, high=RECORDS_MAX) or RECORDS_MAX
        now_ms = int(self._clock.now_ms())
        place = read_iterator(required_text(members, "ShardIterator"), now_ms)
        _require_reader(principal, place.stream_arn)
        stream = self._catalog.find_stream(place.stream_arn)
        ended = bool(stream.ended_ms)
        rows = self._tables.read_stream(place.stream_arn, place.shard_id, place.after, limit)
        documents = (records.record_document(row, place.stream_arn) for row in rows)
        shown = [msgspec.Raw(one) for one in documents]
        after = rows[-1].sequence if rows else place.after
        answer: dict[str, object] = {"Records": shown}
        if not (ended and not rows):
            following = ShardIterator(place.stream_arn, place.shard_id, after, now_ms)
            answer["NextShardIterator"] = following.written()
        return encode(answer)

    def _stream(self, members: Members, principal: Principal) -> Stream:
        arn = required_text(members, "StreamArn")
        _require_reader(principal, arn)
        return self._catalog.find_stream(arn)


def _require_reader(principal: Principal, stream_arn: str) -> None:
    """The stream's table must be granted. Raises AccessDenied, TableNotFound."""
    table, slash, _ = stream_arn.removeprefix(ARN_PREFIX).partition("/stream/")
    if not slash:
        require_owner(principal, "streams of no table")
        raise TableNotFound(f"Requested resource not found: Stream: {stream_arn[:300]} not found")
    require_grant(principal, GrantKind.TABLES, table, "read")
