"""One item by its key: put, get, update, delete, and what is refused in which words."""

from __future__ import annotations

import pytest

from tests.support.tables import Desk, item

KEY = item(id="a")


async def test_what_was_put_is_got(desk: Desk) -> None:
    await desk.table()
    kept = {**KEY, "list": {"L": [{"N": "1"}, {"BOOL": True}]}, "none": {"NULL": True}}
    assert await desk.ask("PutItem", TableName="ttt", Item=kept) == {}
    assert await desk.ask("GetItem", TableName="ttt", Key=KEY) == {"Item": kept}


async def test_an_item_that_is_not_there_is_an_empty_answer(desk: Desk) -> None:
    await desk.table()
    assert await desk.ask("GetItem", TableName="ttt", Key=KEY) == {}


async def test_a_number_of_38_digits_is_exact(desk: Desk) -> None:
    await desk.table()
    digits = "1234567890123456789012345678901234567.8"
    await desk.ask("PutItem", TableName="ttt", Item={**KEY, "n": {"N": digits}})
    await desk.ask(
        "UpdateItem",
        TableName="ttt",
        Key=KEY,
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "0.1"}},
    )
    told = await desk.ask("GetItem", TableName="ttt", Key=KEY)
    assert told["Item"]["n"] == {"N": "1234567890123456789012345678901234567.9"}


async def test_a_projection_shows_only_what_it_names(desk: Desk) -> None:
    await desk.table()
    await desk.put(id="a", n=1, x="y")
    told = await desk.ask("GetItem", TableName="ttt", Key=KEY, ProjectionExpression="n")
    assert told == {"Item": item(n=1)}


async def test_an_item_over_400_kb_is_refused(desk: Desk) -> None:
    await desk.table()
    error = await desk.refusal("PutItem", TableName="ttt", Item=item(id="a", x="y" * 409_600))
    assert error.code == "ValidationException"
    assert error.message == "Item size has exceeded the maximum allowed size"


async def test_an_update_that_makes_an_item_too_large_changes_nothing(desk: Desk) -> None:
    await desk.table()
    await desk.put(id="a", x="y" * 300_000)
    error = await desk.refusal(
        "UpdateItem",
        TableName="ttt",
        Key=KEY,
        UpdateExpression="SET z = x",
    )
    assert error.message == "Item size to update has exceeded the maximum allowed size"
    told = await desk.ask("GetItem", TableName="ttt", Key=KEY)
    assert "z" not in told["Item"]


async def test_the_old_item_is_returned_when_it_is_asked_for(desk: Desk) -> None:
    await desk.table()
    first = await desk.ask(
        "PutItem", TableName="ttt", Item=item(id="a", n=1), ReturnValues="ALL_OLD"
    )
    assert first == {}
    again = await desk.ask(
        "PutItem", TableName="ttt", Item=item(id="a", n=2), ReturnValues="ALL_OLD"
    )
    assert again == {"Attributes": item(id="a", n=1)}
    gone = await desk.ask("DeleteItem", TableName="ttt", Key=KEY, ReturnValues="ALL_OLD")
    assert gone == {"Attributes": item(id="a", n=2)}
    assert await desk.ask("DeleteItem", TableName="ttt", Key=KEY, ReturnValues="ALL_OLD") == {}


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("NONE", None),
        ("ALL_OLD", item(id="a", n=1, x="y")),
        ("ALL_NEW", item(id="a", n=2, x="y")),
        ("UPDATED_OLD", item(n=1)),
        ("UPDATED_NEW", item(n=2)),
    ],
)
async def test_an_update_shows_what_was_asked_for(
    desk: Desk, wanted: str, shown: dict[str, object] | None
) -> None:
    await desk.table()
    await desk.put(id="a", n=1, x="y")
    told = await desk.ask(
        "UpdateItem",
        TableName="ttt",
        Key=KEY,
        UpdateExpression="SET n = n + :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
        ReturnValues=wanted,
    )
    assert told == ({} if shown is None else {"Attributes": shown})


async def test_an_update_of_nothing_makes_an_item_of_its_key(desk: Desk) -> None:
    await desk.table()
    await desk.ask("UpdateItem", TableName="ttt", Key=KEY)
    assert await desk.ask("GetItem", TableName="ttt", Key=KEY) == {"Item": KEY}


@pytest.mark.parametrize("shows", ["ALL_OLD", "NONE"])
async def test_a_condition_that_fails_changes_nothing_and_shows_the_item_when_asked(
    desk: Desk, shows: str
) -> None:
    await desk.table()
    await desk.put(id="a", n=1)
    error = await desk.refusal(
        "PutItem",
        TableName="ttt",
        Item=item(id="a", n=2),
        ConditionExpression="attribute_not_exists(id)",
        ReturnValuesOnConditionCheckFailure=shows,
    )
    assert error.status == 400
    assert error.code == "ConditionalCheckFailedException"
    assert error.message == "The conditional request failed"
    assert error.document.get("Item") == (item(id="a", n=1) if shows == "ALL_OLD" else None)
    assert await desk.ask("GetItem", TableName="ttt", Key=KEY) == {"Item": item(id="a", n=1)}


async def test_the_key_cannot_be_updated(desk: Desk) -> None:
    await desk.table()
    error = await desk.refusal(
        "UpdateItem",
        TableName="ttt",
        Key=KEY,
        UpdateExpression="SET id = :x",
        ExpressionAttributeValues={":x": {"S": "b"}},
    )
    assert error.code == "ValidationException"
    assert "Cannot update attribute id. This attribute is part of the key" in error.message


@pytest.mark.parametrize(
    ("operation", "members", "code", "words"),
    [
        ("PutItem", {"Item": item(id="a")}, "ValidationException", "Value null at 'tableName'"),
        ("PutItem", {"TableName": "ttt"}, "ValidationException", "Value null at 'item'"),
        (
            "PutItem",
            {"TableName": "ttt", "Item": item(x="a")},
            "ValidationException",
            "Missing the",
        ),
        (
            "PutItem",
            {"TableName": "ttt", "Item": item(id=1)},
            "ValidationException",
            "Type mismatch",
        ),
        ("PutItem", {"TableName": 7, "Item": {}}, "SerializationException", "NUMBER_VALUE cannot"),
        ("PutItem", {"TableName": "no", "Item": item(id="a")}, "ValidationException", "at 'table"),
        (
            "GetItem",
            {"TableName": "ttt", "Key": item(x="a")},
            "ValidationException",
            "provided key",
        ),
        ("GetItem", {"TableName": "ttt"}, "ValidationException", "Value null at 'key'"),
        ("GetItem", {"TableName": "gone", "Key": KEY}, "ResourceNotFoundException", "not found"),
        (
            "PutItem",
            {"TableName": "ttt", "Item": item(id="a"), "ReturnValues": "ALL_NEW"},
            "ValidationException",
            "Return values set to invalid value",
        ),
        (
            "UpdateItem",
            {"TableName": "ttt", "Key": KEY, "ReturnValues": "SOME"},
            "ValidationException",
            "Member must satisfy enum value set",
        ),
    ],
)
async def test_bad_input_is_refused_in_dynamodbs_words(
    desk: Desk, operation: str, members: dict[str, object], code: str, words: str
) -> None:
    await desk.table("t" * 3)
    if members.get("TableName") == "t":
        members = {**members, "TableName": "ttt"}
    error = await desk.refusal(operation, **members)
    assert (error.code, error.status) == (code, 400)
    assert words in error.message


async def test_a_body_that_is_no_json_object_is_refused(desk: Desk) -> None:
    for body in (b"{", b"[1]", b"7", b'{"a":' * 5_000):
        with pytest.raises(Exception, match="SerializationException"):
            await desk.ask_raw("PutItem", body)


async def test_capacity_is_told_when_it_is_asked_for(desk: Desk) -> None:
    await desk.table()
    told = await desk.ask(
        "PutItem",
        TableName="ttt",
        Item=item(id="a", x="y" * 1_500),
        ReturnConsumedCapacity="TOTAL",
    )
    assert told == {"ConsumedCapacity": {"TableName": "ttt", "CapacityUnits": 2.0}}
    told = await desk.ask("GetItem", TableName="ttt", Key=KEY, ReturnConsumedCapacity="TOTAL")
    assert told["ConsumedCapacity"]["CapacityUnits"] == 0.5


async def test_a_table_may_be_named_by_its_arn(desk: Desk) -> None:
    made = await desk.table()
    await desk.ask("PutItem", TableName=made["TableArn"], Item=KEY)
    assert await desk.ask("GetItem", TableName="ttt", Key=KEY) == {"Item": KEY}
