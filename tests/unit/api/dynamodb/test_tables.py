"""Whole tables: making, describing, changing and removing them; time to live, tags; who may."""

from __future__ import annotations

import pytest

from mayfly.model.grant import Grant, GrantKind
from tests.support.tables import Desk, Document, Refused, item

INDEX = {
    "IndexName": "by-g",
    "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}
G_TYPE = [{"AttributeName": "g", "AttributeType": "S"}]
AT_G: Document = {
    "IndexName": "by-g",
    "KeyConditionExpression": "g = :g",
    "ExpressionAttributeValues": {":g": {"S": "g"}},
}
READ, WRITE = (Grant(GrantKind.TABLES, "ttt", verb) for verb in ("read", "write"))


async def _described(desk: Desk) -> Document:
    told: Document = (await desk.ask("DescribeTable", TableName="ttt"))["Table"]
    return told


async def _alter(desk: Desk, **members: object) -> None:
    await desk.ask("UpdateTable", TableName="ttt", **members)


async def test_a_table_is_there_for_use_at_once(desk: Desk) -> None:
    made = await desk.table(sorted_by="n", Types=G_TYPE, GlobalSecondaryIndexes=[INDEX])
    assert made["TableStatus"] == "CREATING"
    await desk.put(id="a", n=1, g="g")
    told = await _described(desk)
    assert told["TableStatus"] == "ACTIVE"
    assert told["ItemCount"] == 1
    assert told["TableSizeBytes"] == 8
    assert told["TableArn"] == "arn:aws:dynamodb:us-east-1:000000000000:table/ttt"
    assert told["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert [one["AttributeName"] for one in told["KeySchema"]] == ["id", "n"]
    (index,) = told["GlobalSecondaryIndexes"]
    assert (index["IndexStatus"], index["ItemCount"]) == ("ACTIVE", 1)


async def test_a_name_is_taken_once(desk: Desk) -> None:
    await desk.table()
    with pytest.raises(Refused, match="ResourceInUseException: Table already exists: ttt"):
        await desk.table()


async def test_tables_are_listed_in_pages(desk: Desk) -> None:
    for name in ("ccc", "aaa", "bbb"):
        await desk.table(name)
    first = await desk.ask("ListTables", Limit=2)
    assert first == {"TableNames": ["aaa", "bbb"], "LastEvaluatedTableName": "bbb"}
    rest = await desk.ask("ListTables", ExclusiveStartTableName="bbb")
    assert rest == {"TableNames": ["ccc"]}


async def test_a_deleted_table_is_gone_and_its_name_is_free(desk: Desk) -> None:
    await desk.table()
    await desk.put(id="a")
    told = await desk.ask("DeleteTable", TableName="ttt")
    assert told["TableDescription"]["TableStatus"] == "DELETING"
    assert (await desk.refusal("DescribeTable", TableName="ttt")).code == (
        "ResourceNotFoundException"
    )
    await desk.table()
    assert (await desk.ask("Scan", TableName="ttt"))["Count"] == 0
    await desk.keeper.keep()
    rows = desk.store.read_nowait(lambda c: c.execute("SELECT count(*) FROM item").fetchone())
    assert rows == (0,)


async def test_a_protected_table_is_kept(desk: Desk) -> None:
    await desk.table(DeletionProtectionEnabled=True)
    error = await desk.refusal("DeleteTable", TableName="ttt")
    assert "protected against deletion" in error.message
    await _alter(desk, DeletionProtectionEnabled=False)
    await desk.ask("DeleteTable", TableName="ttt")


@pytest.mark.parametrize("count", [3, 1_201])
async def test_an_index_that_is_added_is_filled_and_then_read(desk: Desk, count: int) -> None:
    await desk.table()
    for number in range(0, count, 25):
        batch = range(number, min(count, number + 25))
        writes = [{"PutRequest": {"Item": item(id=f"k{n}", g="g")}} for n in batch]
        await desk.ask("BatchWriteItem", RequestItems={"ttt": writes})
    await _alter(desk, AttributeDefinitions=G_TYPE, GlobalSecondaryIndexUpdates=[{"Create": INDEX}])
    assert (await _described(desk))["GlobalSecondaryIndexes"][0]["IndexStatus"] == "CREATING"
    error = await desk.refusal("Query", TableName="ttt", **AT_G)
    assert "backfilling" in error.message
    await desk.ask("DeleteItem", TableName="ttt", Key=item(id="k0"))
    await desk.put(id="new", g="g")
    await desk.keeper.keep()
    assert (await _described(desk))["GlobalSecondaryIndexes"][0]["IndexStatus"] == "ACTIVE"
    told = await desk.ask("Query", TableName="ttt", Select="COUNT", **AT_G)
    assert told["Count"] == count


async def test_an_item_that_a_new_index_cannot_take_stays_beside_it(desk: Desk) -> None:
    await desk.table()
    await desk.put(id="a", g=7)
    await _alter(desk, AttributeDefinitions=G_TYPE, GlobalSecondaryIndexUpdates=[{"Create": INDEX}])
    await desk.keeper.keep()
    assert (await desk.ask("Scan", TableName="ttt", IndexName="by-g"))["Count"] == 0
    error = await desk.refusal("PutItem", TableName="ttt", Item=item(id="b", g=7))
    assert "Type mismatch for Index Key g Expected: S Actual: N IndexName: by-g" in error.message
    await desk.ask("DeleteItem", TableName="ttt", Key=item(id="a"))


async def test_an_index_that_is_dropped_is_gone_with_its_rows(desk: Desk) -> None:
    await desk.table(Types=G_TYPE, GlobalSecondaryIndexes=[INDEX])
    await desk.put(id="a", g="g")
    await _alter(desk, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-g"}}])
    told = await _described(desk)
    assert "GlobalSecondaryIndexes" not in told
    assert [one["AttributeName"] for one in told["AttributeDefinitions"]] == ["id"]
    await desk.keeper.keep()
    count = "SELECT count(*) FROM index_entry"
    assert desk.store.read_nowait(lambda c: c.execute(count).fetchone()) == (0,)


async def test_billing_changes_both_ways(desk: Desk) -> None:
    await desk.table()
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
    await _alter(desk, BillingMode="PROVISIONED", ProvisionedThroughput=units)
    told = await _described(desk)
    assert told["ProvisionedThroughput"]["WriteCapacityUnits"] == 6
    assert "BillingModeSummary" not in told
    await _alter(desk, BillingMode="PAY_PER_REQUEST")
    assert (await _described(desk))["ProvisionedThroughput"]["ReadCapacityUnits"] == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"BillingMode": "PROVISIONED"}, "must both be specified when BillingMode is PROVISIONED"),
        ({"KeySchema": [{"AttributeName": "id", "KeyType": "RANGE"}]}, "not a HASH key type"),
        ({"Types": G_TYPE}, "does not exactly match number of attributes defined"),
        ({"GlobalSecondaryIndexes": [INDEX]}, "not defined in AttributeDefinitions"),
        ({"Types": G_TYPE, "GlobalSecondaryIndexes": [INDEX, INDEX]}, "Duplicate index name: by-g"),
        ({"Types": G_TYPE, "LocalSecondaryIndexes": [INDEX]}, "does not have a range key"),
        ({"StreamSpecification": {"StreamEnabled": True}}, "StreamViewType is required"),
        ({"BillingMode": "FREE"}, "Member must satisfy enum value set"),
    ],
)
async def test_a_wrong_declaration_is_refused(desk: Desk, changes: Document, words: str) -> None:
    with pytest.raises(Refused) as refused:
        await desk.table(**changes)
    assert refused.value.code == "ValidationException"
    assert words in refused.value.message
    assert (await desk.ask("ListTables"))["TableNames"] == []


async def test_items_end_when_their_time_is_over(desk: Desk) -> None:
    stream = {"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"}
    await desk.table(StreamSpecification=stream)
    now_s = int(desk.clock.now_ms() / 1000)
    await desk.put(id="before", ends=now_s - 1)
    enabled = {"Enabled": True, "AttributeName": "ends"}
    await desk.ask("UpdateTimeToLive", TableName="ttt", TimeToLiveSpecification=enabled)
    told = await desk.ask("DescribeTimeToLive", TableName="ttt")
    assert told["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLING"
    await desk.keeper.keep()
    told = await desk.ask("DescribeTimeToLive", TableName="ttt")
    assert told["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": "ends",
    }
    await desk.put(id="later", ends=now_s + 100)
    await desk.put(id="never")
    await desk.put(id="text", ends="soon")
    await desk.put(id="ages-ago", ends=now_s - 6 * 365 * 86_400)
    await desk.keeper.keep()
    left = {one["id"]["S"] for one in (await desk.ask("Scan", TableName="ttt"))["Items"]}
    assert left == {"later", "never", "text", "ages-ago"}
    desk.clock.step(101)
    await desk.keeper.keep()
    left = {one["id"]["S"] for one in (await desk.ask("Scan", TableName="ttt"))["Items"]}
    assert left == {"never", "text", "ages-ago"}
    removed = [one for one in await desk.stream() if one["eventName"] == "REMOVE"]
    assert [one["dynamodb"]["Keys"]["id"]["S"] for one in removed] == ["before", "later"]
    service = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    assert [one["userIdentity"] for one in removed] == [service] * 2
    off = {"Enabled": False, "AttributeName": "ends"}
    await desk.ask("UpdateTimeToLive", TableName="ttt", TimeToLiveSpecification=off)
    error = await desk.refusal("UpdateTimeToLive", TableName="ttt", TimeToLiveSpecification=off)
    assert error.message == "TimeToLive is already disabled"


async def test_tags_are_kept(desk: Desk) -> None:
    arn = (await desk.table(Tags=[{"Key": "a", "Value": "1"}]))["TableArn"]
    await desk.ask("TagResource", ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    await desk.ask("UntagResource", ResourceArn=arn, TagKeys=["a"])
    told = await desk.ask("ListTagsOfResource", ResourceArn=arn)
    assert told == {"Tags": [{"Key": "b", "Value": "2"}]}


async def test_limits_and_endpoints_are_told(desk: Desk) -> None:
    assert (await desk.ask("DescribeLimits"))["TableMaxReadCapacityUnits"] == 40_000
    assert (await desk.ask("DescribeEndpoints"))["Endpoints"][0]["Address"] == "localhost:1"


@pytest.mark.parametrize(
    "operation", ["ExecuteStatement", "CreateBackup", "CreateGlobalTable", "ImportTable"]
)
async def test_what_is_not_there_is_refused_by_name(desk: Desk, operation: str) -> None:
    error = await desk.refusal(operation)
    assert (error.code, error.status) == ("NotImplemented", 501)
    assert f"dynamodb:{operation}" in error.message


async def test_an_operation_that_nobody_has_is_unknown(desk: Desk) -> None:
    assert (await desk.refusal("MakeCoffee")).code == "UnknownOperationException"


READS = ("GetItem", "Query", "Scan", "DescribeTable", "BatchGetItem", "TransactGetItems")
WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")
OWNERS = (
    *("CreateTable", "DeleteTable", "UpdateTable", "ListTables", "UpdateTimeToLive"),
    *("TagResource", "UntagResource", "ListTagsOfResource", "DescribeLimits", "ListStreams"),
)
MEMBERS: dict[str, Document] = {
    "BatchGetItem": {"RequestItems": {"ttt": {"Keys": [item(id="a")]}}},
    "BatchWriteItem": {"RequestItems": {"ttt": [{"PutRequest": {"Item": item(id="a")}}]}},
    "TransactGetItems": {"TransactItems": [{"Get": {"TableName": "ttt", "Key": item(id="a")}}]},
    "TransactWriteItems": {"TransactItems": [{"Put": {"TableName": "ttt", "Item": item(id="a")}}]},
    "ListStreams": {},
    "Query": {
        "TableName": "ttt",
        "KeyConditionExpression": "id = :a",
        "ExpressionAttributeValues": {":a": {"S": "a"}},
    },
}


@pytest.mark.parametrize("operation", [*READS, *WRITES, *OWNERS])
async def test_a_function_may_do_what_it_was_granted_and_nothing_else(
    desk: Desk, operation: str
) -> None:
    await desk.table()
    default: Document = {"TableName": "ttt", "Key": item(id="a"), "Item": item(id="a")}
    members = MEMBERS.get(operation, default)
    for grants, allowed in (
        ((), False),
        ((Grant(GrantKind.TABLES, "other", "read"),), False),
        ((READ,), operation in READS),
        ((WRITE,), operation in (*WRITES, "DescribeTable")),
        ((READ, WRITE), operation in (*READS, *WRITES)),
    ):
        if allowed:
            await desk.ask_as(grants, operation, **members)
            continue
        with pytest.raises(Refused) as refused:
            await desk.ask_as(grants, operation, **members)
        assert (refused.value.code, refused.value.status) == ("AccessDeniedException", 403)


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("PutItem", {"Item": {"id": {"S": "a"}}, "ReturnValues": "ALL_OLD"}),
        ("DeleteItem", {"Key": {"id": {"S": "a"}}, "ReturnValues": "ALL_OLD"}),
        (
            "DeleteItem",
            {"Key": {"id": {"S": "a"}}, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"},
        ),
        ("UpdateItem", {"Key": {"id": {"S": "a"}}, "ReturnValues": "UPDATED_NEW"}),
    ],
)
async def test_a_write_that_tells_what_an_item_holds_is_a_read_too(
    desk: Desk, operation: str, members: dict[str, object]
) -> None:
    await desk.table()
    named = {"TableName": "ttt", **members}
    if operation == "UpdateItem":
        named |= {
            "UpdateExpression": "SET n = :n",
            "ExpressionAttributeValues": {":n": {"N": "1"}},
        }
    with pytest.raises(Refused, match="ttt:read") as refused:
        await desk.ask_as((WRITE,), operation, **named)
    assert refused.value.code == "AccessDeniedException"
    await desk.ask_as((READ, WRITE), operation, **named)
