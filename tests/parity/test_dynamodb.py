"""boto3, unmodified: tables, items, pages, batches, transactions and streams on a real daemon."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

from tests.support.life import new_life
from tests.support.platform import Platform

# boto3 makes its classes as it goes: nobody can name them.
Table = Any

SCHEMA = {
    "KeySchema": [
        {"AttributeName": "id", "KeyType": "HASH"},
        {"AttributeName": "n", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "n", "AttributeType": "N"},
        {"AttributeName": "g", "AttributeType": "B"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}


@pytest.fixture
def table(platform: Platform) -> Iterator[Table]:
    """A table as boto3's resource has it."""
    resource = platform.session.resource("dynamodb", endpoint_url=platform.endpoint)
    made = resource.create_table(TableName=platform.new_name("table"), **SCHEMA)
    made.wait_until_exists()
    yield made
    made.delete()
    made.wait_until_not_exists()


def test_every_type_comes_back_as_it_was_put(table: Table) -> None:
    item = {
        "id": "ключ/😀",
        "n": Decimal("-1.5E-100"),
        "g": b"\x00\xff",
        "exact": Decimal(12345678901234567890123456789012345678),
        "set": {Decimal(1), Decimal("2.5")},
        "texts": {"a", "b"},
        "binaries": {b"a", b"\x00"},
        "list": [1, "x", None, True, {"deep": [Decimal("0.1")]}],
        "empty": "",
        "empty list": [],
        "empty map": {},
    }
    table.put_item(Item=item)
    read = table.get_item(Key={"id": item["id"], "n": item["n"]}, ConsistentRead=True)["Item"]
    for name, value in item.items():
        found = read[name]
        if name == "binaries":
            found = {bytes(one) for one in found}
        assert found == value, name
    (found,) = table.query(IndexName="by-g", KeyConditionExpression=Key("g").eq(b"\x00\xff"))[
        "Items"
    ]
    assert found["id"] == item["id"]


def test_conditions_updates_and_pages(table: Table) -> None:
    with table.batch_writer() as batch:
        for number in range(100):
            batch.put_item(Item={"id": "a", "n": number, "even": number % 2 == 0})
    table.update_item(
        Key={"id": "a", "n": 7},
        UpdateExpression="SET #c = if_not_exists(#c, :zero) + :one REMOVE even",
        ConditionExpression=Attr("even").eq(False),
        ExpressionAttributeNames={"#c": "count"},
        ExpressionAttributeValues={":zero": 0, ":one": 1},
    )
    with pytest.raises(table.meta.client.exceptions.ConditionalCheckFailedException):
        table.delete_item(Key={"id": "a", "n": 7}, ConditionExpression=Attr("even").exists())
    paginator = table.meta.client.get_paginator("query")
    pages = paginator.paginate(
        TableName=table.name,
        KeyConditionExpression=Key("id").eq("a") & Key("n").between(10, 50),
        FilterExpression=Attr("even").eq(True),
        PaginationConfig={"PageSize": 7},
    )
    assert [int(one["n"]) for page in pages for one in page["Items"]] == list(range(10, 51, 2))
    table.reload()
    assert table.item_count == 100


def test_the_older_parameters_still_work(table: Table) -> None:
    table.put_item(Item={"id": "a", "n": 1, "x": "y", "z": 1})
    read = table.get_item(Key={"id": "a", "n": 1}, AttributesToGet=["x"])
    assert read["Item"] == {"x": "y"}
    table.update_item(
        Key={"id": "a", "n": 1},
        AttributeUpdates={"z": {"Action": "ADD", "Value": 4}},
        Expected={"x": {"Value": "y"}},
    )
    told = table.query(
        KeyConditions={"id": {"ComparisonOperator": "EQ", "AttributeValueList": ["a"]}}
    )
    assert told["Items"][0]["z"] == 5


def test_a_waiter_and_an_index_that_is_added(table: Table) -> None:
    client = table.meta.client
    for number in range(50):
        table.put_item(Item={"id": "a", "n": number, "h": number % 5})
    table.update(
        AttributeDefinitions=[{"AttributeName": "h", "AttributeType": "N"}],
        GlobalSecondaryIndexUpdates=[
            {
                "Create": {
                    "IndexName": "by-h",
                    "KeySchema": [{"AttributeName": "h", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            }
        ],
    )
    for _ in range(1_000):
        told = client.describe_table(TableName=table.name)["Table"]["GlobalSecondaryIndexes"]
        if all(one["IndexStatus"] == "ACTIVE" for one in told):
            break
    found = table.query(IndexName="by-h", KeyConditionExpression=Key("h").eq(3))
    assert found["Count"] == 10
    assert set(found["Items"][0]) == {"id", "n", "h"}


def test_a_transaction_tells_its_reasons(table: Table) -> None:
    client = table.meta.client
    with pytest.raises(client.exceptions.TransactionCanceledException) as refused:
        client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": table.name, "Item": {"id": "a", "n": 1}}},
                {
                    "ConditionCheck": {
                        "TableName": table.name,
                        "Key": {"id": "b", "n": 1},
                        "ConditionExpression": "attribute_exists(id)",
                    }
                },
            ]
        )
    reasons = refused.value.response["CancellationReasons"]
    assert [one["Code"] for one in reasons] == ["None", "ConditionalCheckFailed"]
    assert table.scan()["Count"] == 0


def test_a_stream_tells_of_every_change(table: Table, platform: Platform) -> None:
    streams = platform.client("dynamodbstreams")
    for number in range(20):
        table.put_item(Item={"id": f"k{number % 4}", "n": 1, "value": number})
    arn = table.latest_stream_arn
    found = []
    described = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    for shard in described["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        found += streams.get_records(ShardIterator=iterator)["Records"]
    assert sorted(int(one["dynamodb"]["NewImage"]["value"]["N"]) for one in found) == list(
        range(20)
    )


def test_what_is_missing_is_refused_by_name(platform: Platform) -> None:
    client = platform.client("dynamodb")
    with pytest.raises(ClientError) as refused:
        client.execute_statement(Statement="SELECT * FROM t")
    assert refused.value.response["Error"]["Code"] == "NotImplemented"
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_table(TableName="nosuchtable")


def test_a_wrong_signature_is_refused(platform: Platform) -> None:
    client = platform.session.client(
        "dynamodb",
        endpoint_url=platform.endpoint,
        aws_access_key_id=platform.access_key_id,
        aws_secret_access_key="wrong",
    )
    with pytest.raises(ClientError) as refused:
        client.list_tables()
    assert refused.value.response["Error"]["Code"] == "InvalidSignatureException"


def test_tables_and_items_are_there_after_a_kill() -> None:
    with new_life(ordinary_user=False) as life:
        life.up()
        assert life.platform is not None
        client = life.platform.client("dynamodb")
        client.create_table(TableName="kept", **SCHEMA)
        item = {"id": {"S": "a"}, "n": {"N": "1"}, "g": {"B": b"g"}}
        client.put_item(TableName="kept", Item=item)
        before = client.describe_table(TableName="kept")["Table"]
        life.kill()
        life.up()
        client = life.platform.client("dynamodb")
        assert client.describe_table(TableName="kept")["Table"] == before
        assert client.scan(TableName="kept", IndexName="by-g")["Items"] == [item]
