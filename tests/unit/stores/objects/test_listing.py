"""A listing reads what it shows, and jumps over the rest."""

from __future__ import annotations

import sqlite3

import pytest

from mayfly.stores.objects.listing import page_of_objects, page_of_uploads, page_of_versions
from mayfly.stores.objects.record import Query
from mayfly.stores.objects.refusals import NoSuchBucket
from mayfly.stores.objects.schema import STEPS
from tests.support.object_store import Objects

_ROW = (
    "INSERT INTO object_version (seq, bucket_id, is_latest, is_marker, key, version_id, size, "
    "etag, modified_ms, parts_owner, parts_count, file_id, facts) "
    "VALUES (?, 1, 1, ?, ?, 'null', 0, '', 0, 0, 0, '', x'')"
)


def filled(keys: list[str], *, is_marker: bool = False) -> sqlite3.Connection:
    """Rows of one bucket."""
    connection = sqlite3.connect(":memory:")
    for step in STEPS:
        for statement in step:
            connection.execute(statement)
    rows = [(number, is_marker, key.encode()) for number, key in enumerate(keys, 1)]
    connection.executemany(_ROW, rows)
    return connection


def steps_of(connection: sqlite3.Connection, query: Query) -> int:
    """How many hundreds of SQLite's own steps a page takes."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(step, 100)
    page_of_objects(connection, 1, query)
    connection.set_progress_handler(None, 0)
    return count


def test_a_delimiter_jumps_over_what_is_behind_a_common_prefix() -> None:
    few = filled([f"{folder}/{n:06}" for folder in "abc" for n in range(10)])
    many = filled([f"{folder}/{n:06}" for folder in "abc" for n in range(20_000)])
    query = Query("b", delimiter="/")
    assert page_of_objects(many, 1, query).prefixes == ["a/", "b/", "c/"]
    assert steps_of(many, query) <= steps_of(few, query) + 1


def test_a_page_reads_no_more_than_it_shows() -> None:
    many = filled([f"{n:06}" for n in range(20_000)])
    assert steps_of(many, Query("b", after="010000", count_max=10)) < 10


def test_a_prefix_ends_the_walk() -> None:
    many = filled([f"{folder}/{n:06}" for folder in "ab" for n in range(10_000)])
    many.execute("DELETE FROM object_version WHERE key >= x'612F303030303035' AND key < x'62'")
    assert len(page_of_objects(many, 1, Query("b", prefix="a/")).objects) == 5
    assert steps_of(many, Query("b", prefix="a/")) < 10


def test_markers_are_not_walked_over() -> None:
    gone = filled([f"{n:06}" for n in range(20_000)], is_marker=True)
    assert steps_of(gone, Query("b")) < 10


@pytest.mark.parametrize("count_max", [0, -1])
async def test_a_page_of_nothing_is_the_last(objects: Objects, count_max: int) -> None:
    await objects.put("k", b"")
    page = await objects.store.list_objects(Query("b", count_max=count_max))
    assert (page.objects, page.prefixes, page.next_after) == ([], [], "")


async def test_a_full_page_that_ends_the_keys_is_the_last(objects: Objects) -> None:
    for key in "ab":
        await objects.put(key, b"")
    page = await objects.store.list_objects(Query("b", count_max=2))
    assert ([one.key for one in page.objects], page.next_after) == (["a", "b"], "")


async def test_after_a_key_inside_a_common_prefix_the_prefix_comes_again(objects: Objects) -> None:
    for key in ("a/1", "a/2", "b"):
        await objects.put(key, b"")
    page = await objects.store.list_objects(Query("b", delimiter="/", after="a/1"))
    assert page.prefixes == ["a/"]
    page = await objects.store.list_objects(Query("b", delimiter="/", after="a/"))
    assert (page.prefixes, [one.key for one in page.objects]) == ([], ["b"])


def test_no_page_sorts_what_an_index_has_in_order() -> None:
    connection = filled([])
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    query = Query("b", after="a", after_id="0" * 32)
    for page in (page_of_objects, page_of_versions, page_of_uploads):
        page(connection, 1, query)
    connection.set_trace_callback(None)
    plans = [
        str(row[3])
        for statement in statements
        for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]
    assert plans
    assert not [plan for plan in plans if not plan.startswith("SEARCH")]


async def test_a_bucket_that_is_not_there_has_no_pages(objects: Objects) -> None:
    with pytest.raises(NoSuchBucket):
        await objects.store.list_objects(Query("gone"))
