"""Query and Scan: order, bounds, pages, filters, projections and indexes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.tables import Desk, Document, item

GLOBAL = {
    "IndexName": "by-g",
    "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "KEYS_ONLY"},
}
G_TYPE = [{"AttributeName": "g", "AttributeType": "S"}]
AT_A: dict[str, Any] = {
    "KeyConditionExpression": "id = :a",
    "ExpressionAttributeValues": {":a": {"S": "a"}},
}
AT_G: dict[str, Any] = {
    "IndexName": "by-g",
    "KeyConditionExpression": "g = :g",
    "ExpressionAttributeValues": {":g": {"S": "g"}},
}


async def _numbers(desk: Desk, count: int = 10) -> None:
    await desk.table(sorted_by="n")
    for number in range(count):
        await desk.put(id="a", n=number - 3)
        await desk.put(id="b", n=number)


def _shown(told: Document) -> list[int]:
    return [int(one["n"]["N"]) for one in told["Items"]]


async def _pages(desk: Desk, operation: str, **members: object) -> list[Document]:
    pages = [await desk.ask(operation, TableName="ttt", **members)]
    while "LastEvaluatedKey" in pages[-1]:
        start = pages[-1]["LastEvaluatedKey"]
        pages.append(await desk.ask(operation, TableName="ttt", ExclusiveStartKey=start, **members))
        assert len(pages) < 200
    return pages


async def test_a_query_is_in_the_order_of_numbers(desk: Desk) -> None:
    await _numbers(desk)
    told = await desk.ask("Query", TableName="ttt", **AT_A)
    assert _shown(told) == list(range(-3, 7))
    assert (told["Count"], told["ScannedCount"]) == (10, 10)
    assert "LastEvaluatedKey" not in told
    told = await desk.ask("Query", TableName="ttt", ScanIndexForward=False, **AT_A)
    assert _shown(told) == list(range(6, -4, -1))


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("n = :x", [2]),
        ("n < :x", [-3, -2, -1, 0, 1]),
        ("n <= :x", [-3, -2, -1, 0, 1, 2]),
        ("n > :x", [3, 4, 5, 6]),
        ("n >= :x", [2, 3, 4, 5, 6]),
        ("n BETWEEN :x AND :y", [2, 3, 4]),
    ],
)
@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_a_condition_on_the_range_key_bounds_every_page(
    desk: Desk, condition: str, found: list[int], *, forward: bool, limit: int
) -> None:
    await _numbers(desk)
    values = {":a": {"S": "a"}, ":x": {"N": "2"}}
    if ":y" in condition:
        values[":y"] = {"N": "4"}
    pages = await _pages(
        desk,
        "Query",
        KeyConditionExpression=f"id = :a AND {condition}",
        ExpressionAttributeValues=values,
        ScanIndexForward=forward,
        Limit=limit,
    )
    assert [one for page in pages for one in _shown(page)] == (found if forward else found[::-1])


async def test_a_page_ends_at_a_megabyte(desk: Desk) -> None:
    await desk.table(sorted_by="n")
    for number in range(7):
        await desk.put(id="a", n=number, x="y" * 300_000)
    pages = await _pages(desk, "Query", **AT_A)
    assert [page["Count"] for page in pages] == [3, 3, 1]
    assert [one for page in pages for one in _shown(page)] == list(range(7))


async def test_a_filter_comes_after_the_limit(desk: Desk) -> None:
    await desk.table(sorted_by="n")
    for number in range(6):
        await desk.put(id="a", n=number, even=int(number % 2 == 0))
    told = await desk.ask(
        "Query",
        TableName="ttt",
        KeyConditionExpression="id = :a",
        FilterExpression="even = :one",
        ExpressionAttributeValues={":a": {"S": "a"}, ":one": {"N": "1"}},
        Limit=3,
    )
    assert _shown(told) == [0, 2]
    assert (told["Count"], told["ScannedCount"]) == (2, 3)
    assert told["LastEvaluatedKey"] == item(id="a", n=2)


async def test_a_count_shows_no_items(desk: Desk) -> None:
    await _numbers(desk)
    told = await desk.ask("Query", TableName="ttt", Select="COUNT", **AT_A)
    assert told == {"Count": 10, "ScannedCount": 10}


async def test_a_long_page_is_whole(desk: Desk) -> None:
    await desk.table(sorted_by="n")
    for number in range(120):
        await desk.put(id="a", n=number)
    told = await desk.ask("Query", TableName="ttt", **AT_A)
    assert _shown(told) == list(range(120))
    told = await desk.ask("Query", TableName="ttt", Limit=70, **AT_A)
    assert _shown(told) == list(range(70))
    assert told["LastEvaluatedKey"] == item(id="a", n=69)


async def test_a_scan_finds_each_item_once(desk: Desk) -> None:
    await _numbers(desk)
    for members in ({}, {"Limit": 3}, {"Limit": 1}):
        pages = await _pages(desk, "Scan", **members)
        found = [(one["id"]["S"], one["n"]["N"]) for page in pages for one in page["Items"]]
        assert len(found) == len(set(found)) == 20


@pytest.mark.parametrize("segments", [1, 3, 8])
async def test_the_segments_of_a_scan_share_the_items(desk: Desk, segments: int) -> None:
    await desk.table()
    for number in range(60):
        await desk.put(id=f"k{number}")
    found = []
    for segment in range(segments):
        pages = await _pages(desk, "Scan", TotalSegments=segments, Segment=segment, Limit=4)
        found += [one["id"]["S"] for page in pages for one in page["Items"]]
    assert sorted(found) == sorted(f"k{number}" for number in range(60))


@pytest.mark.parametrize("forward", [True, False])
async def test_pages_of_an_index_with_equal_keys_lose_and_repeat_nothing(
    desk: Desk, *, forward: bool
) -> None:
    await desk.table(sorted_by="n", Types=G_TYPE, GlobalSecondaryIndexes=[GLOBAL])
    for number in range(20):
        await desk.put(id=f"k{number % 3}", n=number, g="g", x="y")
    pages = await _pages(desk, "Query", Limit=3, ScanIndexForward=forward, **AT_G)
    found = [one for page in pages for one in _shown(page)]
    assert sorted(found) == list(range(20))
    assert set(pages[0]["LastEvaluatedKey"]) == {"id", "n", "g"}
    assert set(pages[0]["Items"][0]) == {"id", "n", "g"}
    scanned = await _pages(desk, "Scan", IndexName="by-g", Limit=7)
    assert sorted(one for page in scanned for one in _shown(page)) == list(range(20))


async def test_a_page_goes_on_after_an_item_that_is_gone(desk: Desk) -> None:
    await desk.table(sorted_by="n", Types=G_TYPE, GlobalSecondaryIndexes=[GLOBAL])
    for number in range(6):
        await desk.put(id="a", n=number, g="g")
    first = await desk.ask("Query", TableName="ttt", Limit=3, **AT_G)
    await desk.ask("DeleteItem", TableName="ttt", Key=item(id="a", n=2))
    rest = await desk.ask(
        "Query", TableName="ttt", ExclusiveStartKey=first["LastEvaluatedKey"], **AT_G
    )
    assert _shown(first) + _shown(rest) == list(range(6))


async def test_an_index_holds_only_items_that_have_its_key(desk: Desk) -> None:
    await desk.table(Types=G_TYPE, GlobalSecondaryIndexes=[GLOBAL])
    await desk.put(id="a", g="g")
    await desk.put(id="b")
    assert (await desk.ask("Query", TableName="ttt", **AT_G))["Count"] == 1
    await desk.ask("UpdateItem", TableName="ttt", Key=item(id="a"), UpdateExpression="REMOVE g")
    assert (await desk.ask("Query", TableName="ttt", **AT_G))["Count"] == 0


async def test_a_local_index_fetches_what_it_does_not_hold(desk: Desk) -> None:
    local = {
        "IndexName": "by-g",
        "KeySchema": [
            {"AttributeName": "id", "KeyType": "HASH"},
            {"AttributeName": "g", "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x"]},
    }
    await desk.table(sorted_by="n", Types=G_TYPE, LocalSecondaryIndexes=[local])
    await desk.put(id="a", n=1, g="h", x="x", y="y")
    await desk.put(id="a", n=2, g="g", x="x", y="y")
    asked: Document = {"TableName": "ttt", "IndexName": "by-g", **AT_A}
    told = await desk.ask("Query", ConsistentRead=True, **asked)
    assert told["Items"] == [item(id="a", n=2, g="g", x="x"), item(id="a", n=1, g="h", x="x")]
    told = await desk.ask("Query", Select="ALL_ATTRIBUTES", **asked)
    assert told["Items"][0] == item(id="a", n=2, g="g", x="x", y="y")
    told = await desk.ask("Query", ProjectionExpression="y", **asked)
    assert told["Items"] == [item(y="y"), item(y="y")]


@pytest.mark.parametrize(
    ("operation", "members", "words"),
    [
        ("Query", {}, "KeyConditionExpression parameter must be specified"),
        ("Query", {"Limit": 0, **AT_A}, "greater than or equal to 1"),
        ("Query", {**AT_A, "IndexName": "nosuch"}, "does not have the specified index: nosuch"),
        ("Query", {**AT_G, "ConsistentRead": True}, "Consistent reads are not supported on global"),
        ("Query", {**AT_G, "Select": "ALL_ATTRIBUTES"}, "its projection type is not ALL"),
        ("Query", {**AT_G, "ProjectionExpression": "y"}, "does not project [y]"),
        ("Query", {**AT_A, "ExclusiveStartKey": item(id="a")}, "starting key is invalid"),
        ("Query", {**AT_A, "ExclusiveStartKey": item(id="b", n=1)}, "outside query boundaries"),
        ("Scan", {"Segment": 1}, "The TotalSegments parameter is required"),
        ("Scan", {"TotalSegments": 1}, "The Segment parameter is required"),
        ("Scan", {"Segment": 2, "TotalSegments": 2}, "is not less than TotalSegments: 2"),
        ("Scan", {"Select": "ALL_PROJECTED_ATTRIBUTES"}, "only when Querying using an IndexName"),
        ("Scan", {"Select": "SPECIFIC_ATTRIBUTES"}, "Must specify the AttributesToGet or"),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    desk: Desk, operation: str, members: Document, words: str
) -> None:
    await desk.table(sorted_by="n", Types=G_TYPE, GlobalSecondaryIndexes=[GLOBAL])
    error = await desk.refusal(operation, TableName="ttt", **members)
    assert error.code == "ValidationException"
    assert words in error.message


async def test_a_query_cannot_filter_by_its_key(desk: Desk) -> None:
    await _numbers(desk, 1)
    error = await desk.refusal("Query", TableName="ttt", FilterExpression="id = :a", **AT_A)
    assert "Filter Expression can only contain non-primary key attributes" in error.message
