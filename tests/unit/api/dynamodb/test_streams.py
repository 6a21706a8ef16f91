"""Streams: what each view shows, order, shards, iterators, and what becomes of old records."""

from __future__ import annotations

import pytest

from mayfly.api.dynamodbstreams.iterators import LIFETIME_MS
from mayfly.model.grant import Grant, GrantKind
from mayfly.stores.tables.records import RETENTION_MS, record_document
from tests.support.tables import Desk, Document, Refused, item

BOTH = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


async def _arn(desk: Desk) -> str:
    told = await desk.ask("DescribeTable", TableName="ttt")
    arn: str = told["Table"]["LatestStreamArn"]
    return arn


async def _iterator(desk: Desk, arn: str, shard: str, kind: str, **members: object) -> str:
    told = await desk.ask(
        "GetShardIterator", StreamArn=arn, ShardId=shard, ShardIteratorType=kind, **members
    )
    iterator: str = told["ShardIterator"]
    return iterator


async def _shard_with_records(desk: Desk) -> tuple[str, str, list[Document]]:
    """A stream of ten records of one item: its ARN, its shard and the records."""
    await desk.table(StreamSpecification=BOTH)
    for number in range(10):
        await desk.put(id="a", n=number)
    arn, records = await _arn(desk), await desk.stream()
    for shard in desk.tables.shards(arn):
        if desk.tables.read_stream(arn, shard, 0, 1):
            return arn, shard, records
    raise AssertionError("no shard has records")


@pytest.mark.parametrize(
    ("view", "new", "old"),
    [
        ("KEYS_ONLY", False, False),
        ("NEW_IMAGE", True, False),
        ("OLD_IMAGE", False, True),
        ("NEW_AND_OLD_IMAGES", True, True),
    ],
)
async def test_each_view_shows_what_its_name_says(
    desk: Desk, view: str, *, new: bool, old: bool
) -> None:
    await desk.table(StreamSpecification={"StreamEnabled": True, "StreamViewType": view})
    await desk.put(id="a", n=1)
    await desk.put(id="a", n=2)
    await desk.ask("DeleteItem", TableName="ttt", Key=item(id="a"))
    records = await desk.stream()
    assert [one["eventName"] for one in records] == ["INSERT", "MODIFY", "REMOVE"]
    for one in records:
        assert one["dynamodb"]["Keys"] == item(id="a")
        assert one["dynamodb"]["StreamViewType"] == view
        assert one["dynamodb"]["SizeBytes"] > 0
        assert "userIdentity" not in one
    first, second = item(id="a", n=1), item(id="a", n=2)
    images = [(one["dynamodb"].get("NewImage"), one["dynamodb"].get("OldImage")) for one in records]
    wanted = [(first, None), (second, first), (None, second)]
    assert images == [(a if new else None, b if old else None) for a, b in wanted]
    assert len({one["eventID"] for one in records}) == 3


async def test_a_write_that_changes_nothing_is_not_told_of(desk: Desk) -> None:
    await desk.table(StreamSpecification=BOTH)
    for _ in range(2):
        await desk.put(id="a", n=1)
    await desk.ask("UpdateItem", TableName="ttt", Key=item(id="a"))
    await desk.ask("DeleteItem", TableName="ttt", Key=item(id="never"))
    assert len(await desk.stream()) == 1


async def test_a_write_that_is_refused_is_not_told_of(desk: Desk) -> None:
    await desk.table(StreamSpecification=BOTH)
    put = {"TableName": "ttt", "Item": item(id="a")}
    check = {
        "TableName": "ttt",
        "Key": item(id="b"),
        "ConditionExpression": "attribute_exists(id)",
    }
    await desk.refusal(
        "TransactWriteItems", TransactItems=[{"Put": put}, {"ConditionCheck": check}]
    )
    assert await desk.stream() == []


async def test_the_records_of_an_item_are_in_one_shard_in_order(desk: Desk) -> None:
    await desk.table(StreamSpecification=BOTH)
    for number in range(10):
        for key in range(12):
            await desk.put(id=f"k{key}", n=number)
    arn = await _arn(desk)
    seen: set[str] = set()
    for shard in desk.tables.shards(arn):
        iterator = await _iterator(desk, arn, shard, "TRIM_HORIZON")
        records = (await desk.ask("GetRecords", ShardIterator=iterator))["Records"]
        keys = {one["dynamodb"]["Keys"]["id"]["S"] for one in records}
        assert not keys & seen
        seen |= keys
        for key in keys:
            numbers = [
                int(one["dynamodb"]["NewImage"]["n"]["N"])
                for one in records
                if one["dynamodb"]["Keys"]["id"]["S"] == key
            ]
            assert numbers == list(range(10))
    assert len(seen) == 12


async def test_iterators_begin_where_they_say(desk: Desk) -> None:
    arn, shard, records = await _shard_with_records(desk)
    fifth = records[4]["dynamodb"]["SequenceNumber"]
    for kind, count in (("AT_SEQUENCE_NUMBER", 6), ("AFTER_SEQUENCE_NUMBER", 5)):
        iterator = await _iterator(desk, arn, shard, kind, SequenceNumber=fifth)
        told = await desk.ask("GetRecords", ShardIterator=iterator)
        assert told["Records"] == records[-count:]
    latest = await _iterator(desk, arn, shard, "LATEST")
    told = await desk.ask("GetRecords", ShardIterator=latest)
    assert told["Records"] == []
    await desk.put(id="a", n=99)
    told = await desk.ask("GetRecords", ShardIterator=told["NextShardIterator"])
    assert [one["dynamodb"]["NewImage"]["n"]["N"] for one in told["Records"]] == ["99"]


async def test_records_come_in_pages(desk: Desk) -> None:
    arn, shard, records = await _shard_with_records(desk)
    iterator = await _iterator(desk, arn, shard, "TRIM_HORIZON")
    found: list[Document] = []
    for _ in range(4):
        told = await desk.ask("GetRecords", ShardIterator=iterator, Limit=3)
        found += told["Records"]
        iterator = told["NextShardIterator"]
    assert found == records


async def test_large_records_come_in_pages_of_a_megabyte(desk: Desk) -> None:
    await desk.table(StreamSpecification=BOTH)
    for number in range(6):
        await desk.put(id="a", x="y" * 200_000, n=number)
    arn = await _arn(desk)
    pages = []
    for shard in desk.tables.shards(arn):
        iterator = await _iterator(desk, arn, shard, "TRIM_HORIZON")
        while (told := await desk.ask("GetRecords", ShardIterator=iterator))["Records"]:
            iterator = told["NextShardIterator"]
            pages.append(len(told["Records"]))
    assert pages == [3, 2, 1]


async def test_an_iterator_is_good_for_15_minutes(desk: Desk) -> None:
    arn, shard, _ = await _shard_with_records(desk)
    iterator = await _iterator(desk, arn, shard, "LATEST")
    desk.clock.step(LIFETIME_MS / 1000 + 1)
    error = await desk.refusal("GetRecords", ShardIterator=iterator)
    assert error.code == "ExpiredIteratorException"


@pytest.mark.parametrize("text", ["", "x", "AAAA", "k" * 3_000, "\u00e9"])
async def test_what_is_no_iterator_is_refused(desk: Desk, text: str) -> None:
    error = await desk.refusal("GetRecords", ShardIterator=text)
    assert error.code == "ValidationException"


async def test_a_disabled_stream_is_read_to_its_end(desk: Desk) -> None:
    arn, shard, records = await _shard_with_records(desk)
    await desk.ask("UpdateTable", TableName="ttt", StreamSpecification={"StreamEnabled": False})
    await desk.put(id="a", n=100)
    told = (await desk.ask("DescribeStream", StreamArn=arn))["StreamDescription"]
    assert told["StreamStatus"] == "DISABLED"
    assert all("EndingSequenceNumber" in one["SequenceNumberRange"] for one in told["Shards"])
    iterator = await _iterator(desk, arn, shard, "TRIM_HORIZON")
    read = await desk.ask("GetRecords", ShardIterator=iterator)
    assert read["Records"] == records
    read = await desk.ask("GetRecords", ShardIterator=read["NextShardIterator"])
    assert "NextShardIterator" not in read
    await desk.ask("UpdateTable", TableName="ttt", StreamSpecification=BOTH)
    assert await _arn(desk) != arn
    streams = (await desk.ask("ListStreams", TableName="ttt"))["Streams"]
    assert len(streams) == 2


async def test_records_older_than_a_day_go_and_ended_streams_with_them(desk: Desk) -> None:
    arn, shard, records = await _shard_with_records(desk)
    desk.clock.step(RETENTION_MS / 1000 + 1)
    await desk.put(id="a", n=50)
    await desk.keeper.keep()
    assert len(await desk.stream()) == 1
    with pytest.raises(Refused, match="TrimmedDataAccessException"):
        await _iterator(
            desk,
            arn,
            shard,
            "AFTER_SEQUENCE_NUMBER",
            SequenceNumber=records[0]["dynamodb"]["SequenceNumber"],
        )
    await desk.ask("DeleteTable", TableName="ttt")
    assert (await desk.ask("DescribeStream", StreamArn=arn))["StreamDescription"]
    desk.clock.step(RETENTION_MS / 1000 + 1)
    await desk.keeper.keep()
    error = await desk.refusal("DescribeStream", StreamArn=arn)
    assert error.code == "ResourceNotFoundException"


async def test_who_waits_for_a_table_is_woken_by_each_commit(desk: Desk) -> None:
    await desk.table(StreamSpecification=BOTH)
    woken: list[int] = []
    end = desk.tables.when_changed("ttt", lambda: woken.append(1))
    await desk.put(id="a", n=1)
    await desk.put(id="a", n=1)
    assert woken == [1]
    end()
    await desk.put(id="a", n=2)
    assert woken == [1]


async def test_a_function_reads_the_stream_of_a_table_that_it_was_granted(desk: Desk) -> None:
    arn, shard, records = await _shard_with_records(desk)
    iterator = await _iterator(desk, arn, shard, "TRIM_HORIZON")
    granted = (Grant(GrantKind.TABLES, "ttt", "read"),)
    told = await desk.ask_as(granted, "GetRecords", ShardIterator=iterator)
    assert told["Records"] == records
    for operation, members in (
        ("GetRecords", {"ShardIterator": iterator}),
        ("DescribeStream", {"StreamArn": arn}),
        ("DescribeStream", {"StreamArn": "arn:of:nothing"}),
        ("ListStreams", {"TableName": "ttt"}),
    ):
        with pytest.raises(Refused, match="AccessDeniedException"):
            await desk.ask_as((), operation, **members)


async def test_a_functions_event_names_the_stream(desk: Desk) -> None:
    arn, shard, records = await _shard_with_records(desk)
    (row,) = desk.tables.read_stream(arn, shard, 0, 1)
    document = record_document(row, arn, for_function=True)
    assert f'"eventSourceARN":"{arn}"'.encode() in document
    assert records[0]["eventID"].encode() in document
