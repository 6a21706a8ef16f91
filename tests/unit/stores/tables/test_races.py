"""Writes while their table changes: none misses an index, none reaches a table of another life."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path

import pytest

from tests.support.tables import Desk, Document, Refused, item, open_desk

INDEX: Document = {
    "AttributeDefinitions": [{"AttributeName": "g", "AttributeType": "S"}],
    "GlobalSecondaryIndexUpdates": [
        {
            "Create": {
                "IndexName": "by-g",
                "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        }
    ],
}


async def _outcome(asked: Coroutine[object, object, object]) -> str:
    """The code of the error that came of it, or ""."""
    try:
        await asked
    except Refused as error:
        return error.code
    return ""


async def _count(desk: Desk, **members: object) -> int:
    count: int = (await desk.ask("Scan", TableName="ttt", Select="COUNT", **members))["Count"]
    return count


async def test_items_that_are_put_while_an_index_is_added_are_in_it(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.table()
        puts = [desk.put(id=f"k{number}", g="g") for number in range(200)]
        change = desk.ask("UpdateTable", TableName="ttt", **INDEX)
        await asyncio.gather(*puts[:100], change, *puts[100:], desk.keeper.keep())
        await desk.keeper.keep()
        assert await _count(desk) == await _count(desk, IndexName="by-g") == 200


async def test_an_index_that_was_being_filled_is_filled_after_a_restart(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.table()
        for number in range(5):
            await desk.put(id=f"k{number}", g="g")
        await desk.ask("UpdateTable", TableName="ttt", **INDEX)
    async with open_desk(tmp_path) as desk:
        await desk.keeper.keep()
        assert await _count(desk, IndexName="by-g") == 5


async def test_writes_while_a_table_is_made_anew_are_in_the_new_one_or_refused(
    tmp_path: Path,
) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.table()

        async def put(number: int) -> str:
            return await _outcome(desk.put(id=f"k{number}"))

        async def replace() -> None:
            await desk.ask("DeleteTable", TableName="ttt")
            await desk.table()

        told = await asyncio.gather(*(put(n) for n in range(50)), replace())
        last = await asyncio.gather(*(put(n) for n in range(50, 60)))
        await desk.keeper.keep()
        found = await _count(desk)
        assert set(last) == {""}
        assert set(told) <= {"", None, "ResourceNotFoundException"}
        assert 10 <= found <= 10 + told.count("")


async def test_writes_of_the_same_item_at_once_are_all_counted(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.table()
        add = {
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
        await asyncio.gather(
            *(desk.ask("UpdateItem", TableName="ttt", Key=item(id="a"), **add) for _ in range(100))
        )
        told = await desk.ask("GetItem", TableName="ttt", Key=item(id="a"))
        assert told["Item"] == item(id="a", n=100)


async def test_of_all_who_ask_for_the_same_condition_one_wins(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.table()

        claims = [
            desk.ask(
                "PutItem",
                TableName="ttt",
                Item=item(id="lock", n=number),
                ConditionExpression="attribute_not_exists(id)",
            )
            for number in range(30)
        ]
        outcomes = await asyncio.gather(*(_outcome(one) for one in claims))
        assert outcomes.count("") == 1
        assert outcomes.count("ConditionalCheckFailedException") == 29


@pytest.mark.parametrize("token", ["same", ""])
async def test_a_transaction_that_is_asked_twice_at_once_is_done_once_with_a_token(
    tmp_path: Path, token: str
) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.table()
        update = {
            "TableName": "ttt",
            "Key": item(id="a"),
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
        members: Document = {"TransactItems": [{"Update": update}]}
        if token:
            members["ClientRequestToken"] = token
        await asyncio.gather(*(desk.ask("TransactWriteItems", **members) for _ in range(10)))
        told = await desk.ask("GetItem", TableName="ttt", Key=item(id="a"))
        assert told["Item"] == item(id="a", n=1 if token else 10)
