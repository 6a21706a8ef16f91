"""Any writes in any order: tables, indexes, pages and streams agree with a dictionary."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tables import Desk, Document, item, open_desk

HASHES, RANGES, GROUPS = st.sampled_from("abc"), st.integers(-2, 2), st.sampled_from("xyz")
KEYS = st.tuples(HASHES, RANGES)
PUTS = st.tuples(st.just("put"), KEYS, st.none() | GROUPS, st.integers(0, 9))
UPDATES = st.tuples(st.just("update"), KEYS, st.none() | GROUPS, st.integers(0, 9))
DELETES = st.tuples(st.just("delete"), KEYS, st.none(), st.just(0))
WRITES = st.lists(PUTS | UPDATES | DELETES, max_size=25)

TABLE: Document = {
    "Types": [
        {"AttributeName": "g", "AttributeType": "S"},
        {"AttributeName": "v", "AttributeType": "N"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-g",
            "KeySchema": [
                {"AttributeName": "g", "KeyType": "HASH"},
                {"AttributeName": "v", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "by-v",
            "KeySchema": [
                {"AttributeName": "id", "KeyType": "HASH"},
                {"AttributeName": "v", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}
Write = tuple[str, tuple[str, int], str | None, int]
Model = dict[tuple[str, int], Document]


async def _apply(desk: Desk, model: Model, write: Write) -> None:
    verb, key, group, value = write
    named: Document = item(id=key[0], n=key[1])
    if verb == "put":
        whole = {**named, **({"g": {"S": group}} if group else {}), "v": {"N": str(value)}}
        await desk.ask("PutItem", TableName="ttt", Item=whole)
        model[key] = whole
    elif verb == "delete":
        await desk.ask("DeleteItem", TableName="ttt", Key=named)
        model.pop(key, None)
    else:
        group_action = "SET v = :v, g = :g" if group else "SET v = :v REMOVE g"
        values = {":v": {"N": str(value)}, **({":g": {"S": group}} if group else {})}
        await desk.ask(
            "UpdateItem",
            TableName="ttt",
            Key=named,
            UpdateExpression=group_action,
            ExpressionAttributeValues=values,
        )
        model[key] = {**named, **({"g": {"S": group}} if group else {}), "v": {"N": str(value)}}


async def _paged(desk: Desk, operation: str, limit: int, **members: object) -> list[Document]:
    found: list[Document] = []
    start: Document = {}
    while True:
        told = await desk.ask(operation, TableName="ttt", Limit=limit, **members, **start)
        found += told["Items"]
        if "LastEvaluatedKey" not in told:
            return found
        start = {"ExclusiveStartKey": told["LastEvaluatedKey"]}


def _canonical(items: list[Document]) -> list[str]:
    return sorted(str(sorted(one.items())) for one in items)


async def _check(desk: Desk, model: Model, limit: int) -> None:
    everything = list(model.values())
    assert _canonical(await _paged(desk, "Scan", limit)) == _canonical(everything)
    for key in "abc":
        mine = [one for (owner, _), one in model.items() if owner == key]
        asked: Document = {
            "KeyConditionExpression": "id = :k",
            "ExpressionAttributeValues": {":k": {"S": key}},
        }
        told = await _paged(desk, "Query", limit, **asked)
        assert told == sorted(mine, key=lambda one: int(one["n"]["N"]))
        told = await _paged(desk, "Query", limit, IndexName="by-v", ScanIndexForward=False, **asked)
        values = [int(one["v"]["N"]) for one in told]
        assert values == sorted(values, reverse=True)
        assert _canonical(told) == _canonical(mine)
    for group in "xyz":
        told = await _paged(
            desk,
            "Query",
            limit,
            IndexName="by-g",
            KeyConditionExpression="g = :g AND v >= :low",
            ExpressionAttributeValues={":g": {"S": group}, ":low": {"N": "3"}},
        )
        mine = [one for one in everything if one.get("g") == {"S": group}]
        assert _canonical(told) == _canonical([one for one in mine if int(one["v"]["N"]) >= 3])


async def _replayed(desk: Desk) -> Model:
    """The table as its stream tells it; each old image is what the record before left."""
    replayed: Model = {}
    for one in await desk.stream():
        change = one["dynamodb"]
        key = (change["Keys"]["id"]["S"], int(change["Keys"]["n"]["N"]))
        assert replayed.get(key) == change.get("OldImage")
        if one["eventName"] == "REMOVE":
            del replayed[key]
        else:
            replayed[key] = change["NewImage"]
    return replayed


@settings(max_examples=25)
@given(WRITES, st.integers(1, 4))
def test_tables_indexes_pages_and_streams_agree_with_a_dictionary(
    writes: list[Write], limit: int
) -> None:
    async def main(folder: Path) -> None:
        model: Model = {}
        async with open_desk(folder) as desk:
            await desk.table(sorted_by="n", **TABLE)
            for write in writes:
                await _apply(desk, model, write)
            await _check(desk, model, limit)
            assert await _replayed(desk) == model
        async with open_desk(folder) as desk:
            await _check(desk, model, limit)

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(Path(name)))
