"""DynamoDB's two services on a database of the test's own, without a server: ask, and be answered.

async with open_desk(tmp_path) as desk:
    await desk.ask("PutItem", TableName="ttt", Item={"id": {"S": "a"}})
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from mayfly.api.dynamodb.endpoint import DynamoDb
from mayfly.api.dynamodbstreams.endpoint import DynamoDbStreams
from mayfly.api.message import Headers, Principal, Request
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.grant import Grant
from mayfly.ports import Sites, unwatched
from mayfly.stores.tables.figures import Counter
from mayfly.stores.tables.keeper import TableKeeper
from mayfly.stores.tables.store import TableStore
from mayfly.testing.clock import VirtualClock
from mayfly.testing.ids import SeededIds

Document = dict[str, Any]


class Refused(Exception):
    """An answer that is an error: its short code and its document."""

    def __init__(self, status: int, document: Document) -> None:
        self.status = status
        self.document = document
        self.code: str = document["__type"].rpartition("#")[2]
        self.message = document.get("message") or document.get("Message") or ""
        super().__init__(f"{self.code}: {self.message}")


@dataclass
class Desk:
    """Both services, the store below them and the clock that they go by."""

    store: SqliteStore
    tables: TableStore
    keeper: TableKeeper
    clock: VirtualClock
    services: Mapping[str, DynamoDb | DynamoDbStreams] = field(default_factory=dict)

    async def ask(self, operation: str, /, **members: object) -> Document:
        """Do an operation as the owner.

        Raises:
            Refused: The answer is an error.
        """
        return await self.ask_raw(operation, json.dumps(members).encode())

    async def ask_as(
        self, grants: tuple[Grant, ...], operation: str, /, **members: object
    ) -> Document:
        """Do an operation as a function with `grants`."""
        return await self.ask_raw(operation, json.dumps(members).encode(), grants)

    async def ask_raw(
        self, operation: str, body: bytes, grants: tuple[Grant, ...] | None = None
    ) -> Document:
        """The same with any body."""
        streams = operation in STREAMS
        service = self.services["dynamodbstreams" if streams else "dynamodb"]
        prefix = "DynamoDBStreams_20120810." if streams else "DynamoDB_20120810."
        name = "" if grants is None else "f"
        principal = Principal("k", "0" * 12, "arn", "dynamodb", "us-east-1", name, grants)
        target = (b"x-amz-target", (prefix + operation).encode())
        request = Request("POST", "/", "", Headers([target]), body, principal, "r1")
        answer = await service.answer(request)
        document: Document = json.loads(answer.body) if answer.body else {}
        if answer.status != 200:
            raise Refused(answer.status, document)
        return document

    async def refusal(self, operation: str, /, **members: object) -> Refused:
        """The error that an operation must be answered with."""
        try:
            told = await self.ask(operation, **members)
        except Refused as error:
            return error
        raise AssertionError(f"{operation} was not refused: {told}")

    async def table(self, name: str = "ttt", *, sorted_by: str = "", **members: object) -> Document:
        """Make a table with the hash key "id" (S), and perhaps a range key (N)."""
        schema = [{"AttributeName": "id", "KeyType": "HASH"}]
        types = [{"AttributeName": "id", "AttributeType": "S"}]
        if sorted_by:
            schema.append({"AttributeName": sorted_by, "KeyType": "RANGE"})
            types.append({"AttributeName": sorted_by, "AttributeType": "N"})
        types += cast("list[dict[str, str]]", members.pop("Types", []))
        asked: dict[str, object] = {"KeySchema": schema, "AttributeDefinitions": types, **members}
        asked.setdefault("BillingMode", "PAY_PER_REQUEST")
        told = await self.ask("CreateTable", TableName=name, **asked)
        description: Document = told["TableDescription"]
        return description

    async def put(self, table: str = "ttt", **values: str | int) -> None:
        """Put an item of texts and numbers."""
        await self.ask("PutItem", TableName=table, Item=item(**values))

    async def stream(self, table: str = "ttt") -> list[Document]:
        """All records of a table's newest stream, in order of their sequence."""
        told = await self.ask("DescribeTable", TableName=table)
        arn = told["Table"]["LatestStreamArn"]
        found: list[Document] = []
        for shard in self.tables.shards(arn):
            made = await self.ask(
                "GetShardIterator", StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
            )
            read = await self.ask("GetRecords", ShardIterator=made["ShardIterator"])
            found += read["Records"]
        return sorted(found, key=lambda one: str(one["dynamodb"]["SequenceNumber"]))


STREAMS = frozenset({"ListStreams", "DescribeStream", "GetShardIterator", "GetRecords"})


def item(**values: str | int) -> Document:
    """An item of texts and numbers, in DynamoDB's JSON."""
    return {
        name: {"S": value} if isinstance(value, str) else {"N": str(value)}
        for name, value in values.items()
    }


@contextlib.asynccontextmanager
async def open_desk(
    folder: Path, *, sites: Sites = unwatched, clock: VirtualClock | None = None
) -> AsyncIterator[Desk]:
    """Open, or open again, what lies in a folder."""
    clock = clock or VirtualClock()
    store = await SqliteStore.open(folder / "mayfly.db", sites=sites)
    try:
        tables = await TableStore.open(store, clock)
        services: dict[str, DynamoDb | DynamoDbStreams] = {
            "dynamodb": DynamoDb(
                tables, Counter(store, clock), clock=clock, ids=SeededIds(), host="localhost:1"
            ),
            "dynamodbstreams": DynamoDbStreams(tables, clock=clock),
        }
        yield Desk(store, tables, TableKeeper(store, tables, clock), clock, services)
    finally:
        await store.close()
