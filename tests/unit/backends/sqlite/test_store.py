"""One writer, shared commits: a failure is its owner's alone, and each refusal says what to do."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from mayfly.backends.sqlite.failures import Site
from mayfly.backends.sqlite.registry import SqliteRegistry
from mayfly.backends.sqlite.schema import STEPS
from mayfly.backends.sqlite.store import QUEUE_MAX, SqliteStore
from mayfly.model.errors import Conflict, ShuttingDown, StorageFailed
from mayfly.testing.faults import Faults

T = TypeVar("T")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mayfly.db"


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def store(path: Path, faults: Faults) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path, sites=faults)
    await store.transact("TEST:COMMIT", lambda c: c.execute("CREATE TABLE t (n INTEGER)"))
    yield store
    await store.close()


def insert(number: int) -> Callable[[sqlite3.Connection], int]:
    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO t VALUES (?)", (number,))
        return number

    return work


async def numbers(store: SqliteStore) -> list[int]:
    def read(connection: sqlite3.Connection) -> list[int]:
        return [row[0] for row in connection.execute("SELECT n FROM t ORDER BY rowid")]

    return await store.transact("TEST:READ", read)


class Gate:
    """Holds the writer thread, so that what comes meanwhile shares one commit."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._open = threading.Event()
        self._held = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def _wait(self, _: sqlite3.Connection) -> None:
        self._loop.call_soon_threadsafe(self._held.set)
        assert self._open.wait(10)

    async def together(self, writes: Sequence[Awaitable[T]]) -> list[T | BaseException]:
        """Start the writes while the writer is held, let it go, and give their outcomes."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._store.transact("TEST:COMMIT", self._wait))
            await self._held.wait()
            asked = asyncio.gather(*writes, return_exceptions=True)
            # One turn of the loop: every write is in the queue.
            await asyncio.sleep(0)
            self._open.set()
            return await asked


async def test_writes_that_wait_together_share_one_commit(
    store: SqliteStore, faults: Faults
) -> None:
    before = faults.visits["TEST:COMMIT"]
    await Gate(store).together([store.transact("TEST:COMMIT", insert(n)) for n in range(50)])
    assert faults.visits["TEST:COMMIT"] - before == 2
    assert await numbers(store) == list(range(50))


async def test_a_write_that_fails_does_not_fail_its_neighbours(store: SqliteStore) -> None:
    def broken(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO t VALUES (666)")
        raise Conflict("taken")

    first, second, third = await Gate(store).together(
        [
            store.transact("TEST:COMMIT", insert(1)),
            store.transact("TEST:COMMIT", broken),
            store.transact("TEST:COMMIT", insert(3)),
        ]
    )
    assert (first, third) == (1, 3)
    assert isinstance(second, Conflict)
    assert await numbers(store) == [1, 3]


async def test_a_wrong_statement_is_the_storages_failure_at_its_site(store: SqliteStore) -> None:
    with pytest.raises(StorageFailed, match=r"TEST:COMMIT.*no such table"):
        await store.transact("TEST:COMMIT", lambda c: c.execute("INSERT INTO nowhere VALUES (1)"))


async def test_when_a_shared_commit_fails_once_every_write_is_tried_again_alone(
    store: SqliteStore, faults: Faults
) -> None:
    gate = Gate(store)

    async def failing_once() -> int:
        faults.fail("OTHER:COMMIT", times=1)
        return await store.transact("OTHER:COMMIT", insert(2))

    outcomes = await gate.together([store.transact("TEST:COMMIT", insert(1)), failing_once()])
    assert outcomes == [1, 2]
    assert await numbers(store) == [1, 2]


async def test_a_site_that_keeps_failing_fails_only_the_writes_of_that_site(
    store: SqliteStore, faults: Faults
) -> None:
    faults.fail("OTHER:COMMIT", number=errno.ENOSPC)
    first, second, third = await Gate(store).together(
        [
            store.transact("TEST:COMMIT", insert(1)),
            store.transact("OTHER:COMMIT", insert(2)),
            store.transact("TEST:COMMIT", insert(3)),
        ]
    )
    assert (first, third) == (1, 3)
    assert isinstance(second, StorageFailed)
    assert (second.site, second.errno) == ("OTHER:COMMIT", errno.ENOSPC)
    assert await numbers(store) == [1, 3]


async def test_a_full_disk_fails_the_write_and_keeps_what_was_there(
    store: SqliteStore, path: Path
) -> None:
    await store.transact("TEST:COMMIT", insert(1))

    def shrink(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    def large(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE large (b BLOB)")
        connection.execute("INSERT INTO large VALUES (zeroblob(10000000))")

    await store.transact("TEST:COMMIT", shrink)
    with pytest.raises(StorageFailed, match=r"ENOSPC.*SQLITE_FULL.*free some space") as failed:
        await store.transact("TEST:COMMIT", large)
    assert failed.value.errno == errno.ENOSPC
    assert str(path) in str(failed.value)
    assert await numbers(store) == [1]


async def test_what_was_applied_follows_the_order_of_commits(store: SqliteStore) -> None:
    applied: list[int] = []
    await Gate(store).together(
        [store.transact("TEST:COMMIT", insert(n), applied.append) for n in range(20)]
    )
    assert applied == list(range(20))


async def test_a_write_whose_caller_went_away_is_still_applied(store: SqliteStore) -> None:
    applied: list[int] = []
    gate = Gate(store)

    async def cancelled() -> None:
        async with asyncio.timeout(0):
            await store.transact("TEST:COMMIT", insert(7), applied.append)

    (outcome,) = await gate.together([cancelled()])
    assert isinstance(outcome, TimeoutError)
    assert await numbers(store) == [7]
    assert applied == [7]


async def test_more_writes_than_the_queue_holds_all_get_through(store: SqliteStore) -> None:
    count = QUEUE_MAX + 100
    await Gate(store).together([store.transact("TEST:COMMIT", insert(n)) for n in range(count)])
    assert len(await numbers(store)) == count


async def test_what_was_asked_for_before_the_close_is_done(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.transact("TEST:COMMIT", lambda c: c.execute("CREATE TABLE t (n INTEGER)"))
    async with asyncio.TaskGroup() as tasks:
        writes = [tasks.create_task(store.transact("T", insert(n))) for n in range(9)]
        await asyncio.sleep(0)
        await store.close()
    assert [write.result() for write in writes] == list(range(9))


async def test_a_closed_store_refuses_and_can_be_closed_again(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.close()
    await store.close()
    with pytest.raises(ShuttingDown):
        await store.transact("TEST:COMMIT", insert(1))


async def test_a_file_that_is_no_database_is_refused_by_name(path: Path) -> None:
    path.write_bytes(b"this is a shopping list, not a database\n" * 100)  # noqa: ASYNC240  alone
    with pytest.raises(StorageFailed, match=r"STORE:OPEN.*mayfly\.db.*not a database"):
        await SqliteStore.open(path)


async def test_another_programs_database_is_refused_untouched(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE shopping (item TEXT)")
        other.commit()
    with pytest.raises(StorageFailed, match="another program's database"):
        await SqliteStore.open(path)
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)


async def test_a_newer_mayflys_file_is_refused_with_what_to_do(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {len(STEPS) + 6}")
    with pytest.raises(StorageFailed, match=r"newer mayfly.*run that mayfly"):
        await SqliteStore.open(path)


async def test_a_damaged_page_is_a_clear_refusal(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3_996)
    with pytest.raises(StorageFailed, match=r"malformed.*put back a copy"):
        await SqliteStore.open(path)


async def test_a_missing_folder_is_a_clear_refusal(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match=r"EACCES.*is its folder there"):
        await SqliteStore.open(tmp_path / "nowhere" / "mayfly.db")


async def test_a_row_that_cannot_be_read_is_named(store: SqliteStore) -> None:
    statement = "INSERT INTO function VALUES ('broken', 'r1', X'7b7d')"
    await store.transact("TEST:COMMIT", lambda c: c.execute(statement))
    with pytest.raises(StorageFailed, match=r"REGISTRY:LOAD.*function broken"):
        await SqliteRegistry.open(store)


@pytest.mark.parametrize("site", [Site.OPEN, Site.MIGRATE])
async def test_an_open_that_failed_can_be_tried_again(path: Path, site: Site) -> None:
    faults = Faults()
    faults.fail(site, times=1)
    with pytest.raises(StorageFailed, match=site):
        await SqliteStore.open(path, sites=faults)
    store = await SqliteStore.open(path, sites=faults)
    await SqliteRegistry.open(store)
    await store.close()
