"""Batches and transactions: limits, all or nothing, tokens that are used once."""

from __future__ import annotations

import pytest

from mayfly.stores.tables.store import TOKEN_MS_MAX
from tests.support.tables import Desk, Document, item


def put(number: int, **values: str | int) -> Document:
    return {"PutRequest": {"Item": item(id=f"k{number}", **values)}}


def action(kind: str, key: str, **members: object) -> Document:
    name = "Item" if kind == "Put" else "Key"
    return {kind: {"TableName": "ttt", name: item(id=key), **members}}


async def test_a_batch_puts_and_deletes(desk: Desk) -> None:
    await desk.table()
    await desk.put(id="old")
    writes = [put(1), put(2), {"DeleteRequest": {"Key": item(id="old")}}]
    told = await desk.ask("BatchWriteItem", RequestItems={"ttt": writes})
    assert told == {"UnprocessedItems": {}}
    keys = [item(id=one) for one in ("k1", "old", "k2", "never")]
    told = await desk.ask("BatchGetItem", RequestItems={"ttt": {"Keys": keys}})
    assert told == {
        "Responses": {"ttt": [item(id="k1"), item(id="k2")]},
        "UnprocessedKeys": {},
    }


async def test_a_batch_reads_several_tables_and_projects(desk: Desk) -> None:
    await desk.table("one")
    await desk.table("two")
    await desk.put("one", id="a", x="y", z="z")
    await desk.put("two", id="a", n=1)
    told = await desk.ask(
        "BatchGetItem",
        RequestItems={
            "one": {"Keys": [item(id="a")], "ProjectionExpression": "x"},
            "two": {"Keys": [item(id="a")], "ConsistentRead": True},
        },
        ReturnConsumedCapacity="TOTAL",
    )
    assert told["Responses"] == {"one": [item(x="y")], "two": [item(id="a", n=1)]}
    units = {one["TableName"]: one["CapacityUnits"] for one in told["ConsumedCapacity"]}
    assert units == {"one": 0.5, "two": 1.0}


async def test_an_answer_over_16_mb_leaves_keys_unprocessed(desk: Desk) -> None:
    await desk.table()
    for number in range(50):
        await desk.put(id=f"k{number}", x="y" * 390_000)
    wanted = [item(id=f"k{number}") for number in range(50)]
    found: list[str] = []
    asked: Document = {"ttt": {"Keys": wanted}}
    rounds = 0
    while asked:
        told = await desk.ask("BatchGetItem", RequestItems=asked)
        found += [one["id"]["S"] for one in told["Responses"]["ttt"]]
        asked = told["UnprocessedKeys"]
        rounds += 1
    assert rounds == 2
    assert sorted(found) == sorted(one["id"]["S"] for one in wanted)


@pytest.mark.parametrize(
    ("operation", "requests", "words"),
    [
        ("BatchWriteItem", {"ttt": [put(n) for n in range(26)]}, "less than or equal to 25"),
        ("BatchWriteItem", {"ttt": [put(1), put(1)]}, "contains duplicates"),
        ("BatchWriteItem", {"ttt": []}, "greater than or equal to 1"),
        ("BatchWriteItem", {}, "greater than or equal to 1"),
        (
            "BatchGetItem",
            {"ttt": {"Keys": [item(id=f"k{n}") for n in range(101)]}},
            "Too many items requested",
        ),
        ("BatchGetItem", {"ttt": {"Keys": [item(id="a")] * 2}}, "contains duplicates"),
        ("BatchGetItem", {"ttt": {"Keys": []}}, "greater than or equal to 1"),
    ],
)
async def test_a_batch_over_its_bounds_is_refused(
    desk: Desk, operation: str, requests: Document, words: str
) -> None:
    await desk.table()
    error = await desk.refusal(operation, RequestItems=requests)
    assert error.code == "ValidationException"
    assert words in error.message


async def test_a_transaction_does_all_of_its_actions(desk: Desk) -> None:
    await desk.table()
    await desk.put(id="a", n=1)
    await desk.put(id="gone")
    await desk.put(id="there")
    await desk.ask(
        "TransactWriteItems",
        TransactItems=[
            action("Put", "new"),
            action(
                "Update",
                "a",
                UpdateExpression="SET n = n + :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            ),
            action("Delete", "gone"),
            action("ConditionCheck", "there", ConditionExpression="attribute_exists(id)"),
        ],
    )
    gets = [{"Get": {"TableName": "ttt", "Key": item(id=one)}} for one in ("new", "a", "gone")]
    told = await desk.ask("TransactGetItems", TransactItems=gets)
    assert told["Responses"] == [{"Item": item(id="new")}, {"Item": item(id="a", n=2)}, {}]


async def test_a_transaction_with_one_action_that_fails_does_nothing_and_says_why(
    desk: Desk,
) -> None:
    await desk.table()
    await desk.put(id="a", n=1)
    error = await desk.refusal(
        "TransactWriteItems",
        TransactItems=[
            action("Put", "new"),
            action(
                "Delete",
                "a",
                ConditionExpression="attribute_not_exists(id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            ),
            action(
                "Update",
                "b",
                UpdateExpression="SET n = n + :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            ),
        ],
    )
    assert error.code == "TransactionCanceledException"
    assert error.message.endswith("[None, ConditionalCheckFailed, ValidationError]")
    reasons = error.document["CancellationReasons"]
    assert reasons[0] == {"Code": "None"}
    assert reasons[1]["Item"] == item(id="a", n=1)
    assert reasons[1]["Message"] == "The conditional request failed"
    assert await desk.ask("GetItem", TableName="ttt", Key=item(id="new")) == {}


async def test_a_token_does_its_transaction_once(desk: Desk) -> None:
    await desk.table()
    asked: Document = {
        "ClientRequestToken": "token-1",
        "TransactItems": [
            action(
                "Update",
                "a",
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )
        ],
    }
    for _ in range(3):
        assert await desk.ask("TransactWriteItems", **asked) == {}
    told = await desk.ask("GetItem", TableName="ttt", Key=item(id="a"))
    assert told["Item"] == item(id="a", n=1)
    other = await desk.refusal(
        "TransactWriteItems",
        ClientRequestToken="token-1",
        TransactItems=[action("Put", "b")],
    )
    assert other.code == "IdempotentParameterMismatchException"
    desk.clock.step(TOKEN_MS_MAX / 1000 + 1)
    await desk.ask("TransactWriteItems", **asked)
    told = await desk.ask("GetItem", TableName="ttt", Key=item(id="a"))
    assert told["Item"] == item(id="a", n=2)


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        ([], "greater than or equal to 1"),
        ([action("Put", f"k{n}") for n in range(101)], "less than or equal to 100"),
        ([action("Put", "a"), action("Delete", "a")], "multiple operations on one item"),
        ([{}], "can only contain one of Check, Put, Update or Delete"),
        ([action("Put", "a") | action("Delete", "b")], "can only contain one of Check"),
    ],
)
async def test_a_transaction_over_its_bounds_is_refused(
    desk: Desk, actions: list[Document], words: str
) -> None:
    await desk.table()
    error = await desk.refusal("TransactWriteItems", TransactItems=actions)
    assert error.code == "ValidationException"
    assert words in error.message
