"""One database file, one writer thread, and one fsync for all who wait at the same time.

    callers (event loop)            writer thread
    transact() --queue, bounded-->  takes all that wait: BEGIN
       |                              SAVEPOINT, first write,  RELEASE
       |                              SAVEPOINT, second write, ROLLBACK TO: its own failure
       |                            COMMIT                        one fsync (WAL, synchronous=FULL)
       `<--applied, then woken---

A write is a function of the connection. It may run twice: when the shared commit fails, each
write is tried once more alone, so that only the one at fault fails. So it touches the database
and nothing else; what must change in memory goes into `applied`, which runs on the event loop,
in order of commit, before the caller is woken and also when the caller has gone away.

Reads do not wait for writes (WAL): `read_nowait` is for what an index answers in microseconds, on
the event loop itself; `read` walks rows on a reader thread, in one moment of the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar

from mayfly.backends.sqlite.failures import Site, storage_failed
from mayfly.backends.sqlite.schema import migrate, migrate_component
from mayfly.model.errors import ShuttingDown, StorageFailed
from mayfly.ports import Sites, unwatched

QUEUE_MAX = 4_096
BATCH_MAX = 512
_BUSY_TIMEOUT_MS = 5_000
_WAL_BYTES_MAX = 64 * 1024 * 1024
_READERS = 2

T = TypeVar("T")


class SqliteStore:
    """An open database. Made by `open`; one event loop's; closed by `close`."""

    def __init__(self, path: Path, sites: Sites) -> None:
        self._path = path
        self._sites = sites
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._room = asyncio.Semaphore(QUEUE_MAX)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="mayfly-sqlite", daemon=True)
        self._reading: sqlite3.Connection | None = None
        self._to_read: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="mayfly-sqlite-read")
        self._reader = threading.local()

    @classmethod
    async def open(cls, path: Path, *, sites: Sites = unwatched) -> SqliteStore:
        """Open the file, or make it; bring it to the newest schema.

        Raises:
            StorageFailed: It cannot be read or written, is corrupt, or is a newer mayfly's.
        """
        store = cls(path, sites)
        store._thread.start()
        await store._opened
        return store

    async def transact(
        self,
        site: str,
        work: Callable[[sqlite3.Connection], T],
        applied: Callable[[T], None] | None = None,
    ) -> T:
        """Run `work` in a transaction; return its result when that is durable.

        Cancelled: the write may or may not be made; `applied` is told when it was.

        Args:
            site: Names the I/O in errors and for tests.
            work: Runs on the writer thread, perhaps twice. A MayflyError from it undoes what it
                did and is the caller's.
            applied: Gets the result on the event loop, after the commit.

        Raises:
            StorageFailed: Nothing was written.
            ShuttingDown: The store is closed.
        """
        await self._room.acquire()
        if self._closing:
            self._room.release()
            raise ShuttingDown(f"{self._path} is closed: the platform is stopping")
        write: _Write[T] = _Write(site, work, applied, self._loop.create_future())
        self._queue.put(write)
        return await write.future

    async def migrate(self, component: str, steps: Sequence[Sequence[str]]) -> None:
        """Bring one room's tables to their newest form; each step is a list of statements.

        A step is never edited once released: a change is a new step.

        Raises:
            StorageFailed: They cannot be made, or are a newer mayfly's.
        """

        def work(connection: sqlite3.Connection) -> None:
            migrate_component(connection, self._path, component, steps)

        await self.transact(Site.MIGRATE, work)

    def read_nowait(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Read on the event loop: a look-up by an index, a page of rows at most.

        Each statement sees what is durable at its own moment, earlier writes of the caller
        included. `work` must finish its cursors.

        Raises:
            StorageFailed: It cannot be read.
        """
        try:
            if self._reading is None:
                self._reading = self._connect_to_read()
            return work(self._reading)
        except (sqlite3.Error, OSError) as error:
            raise storage_failed(Site.READ, error, self._path) from error

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Read on a reader thread; all of `work` sees one moment of the database.

        Raises:
            StorageFailed: It cannot be read.
        """
        return await self._loop.run_in_executor(self._readers, self._read, work)

    async def close(self) -> None:
        """Finish what was asked for, then close the file. Harmless when it is closed."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()
        self._readers.shutdown()
        for connection in self._to_read:
            connection.close()

    # On a reader thread.

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection: sqlite3.Connection | None = getattr(self._reader, "connection", None)
            if connection is None:
                connection = self._reader.connection = self._connect_to_read()
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.rollback()
        except (sqlite3.Error, OSError) as error:
            raise storage_failed(Site.READ, error, self._path) from error

    def _connect_to_read(self) -> sqlite3.Connection:
        self._sites(Site.READ)
        # Closed by whoever closes the store, not by the thread that reads with it.
        connection = sqlite3.connect(
            self._path, isolation_level=None, cached_statements=256, check_same_thread=False
        )
        self._to_read.append(connection)
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA query_only = ON")
        return connection

    # Below: the writer thread.

    def _run(self) -> None:
        try:
            connection = self._connect()
        except Exception as error:  # noqa: BLE001  the thread's border: the opener is told
            self._tell(self._opened.set_exception, error)
            return
        self._tell(self._opened.set_result, None)
        while batch := self._take():
            self._commit(connection, batch)
            self._tell(self._deliver, batch)
        with contextlib.suppress(sqlite3.Error):
            connection.close()
        self._tell(self._ended.set_result, None)

    def _connect(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = None
        site = Site.OPEN
        try:
            self._sites(site)
            connection = sqlite3.connect(self._path, isolation_level=None, cached_statements=256)
            _configure(connection)
            connection.execute("BEGIN IMMEDIATE")
            migrate(connection, self._path)
            site = Site.MIGRATE
            self._sites(site)
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError, StorageFailed) as error:
            if connection is not None:
                connection.close()
            if isinstance(error, StorageFailed):
                raise
            raise storage_failed(site, error, self._path) from error
        return connection

    def _take(self) -> list[_Job]:
        """All who wait now, at least one; nobody when the store closes."""
        batch: list[_Job] = []
        job = self._queue.get()
        while job is not None:
            batch.append(job)
            if len(batch) == BATCH_MAX:
                return batch
            try:
                job = self._queue.get_nowait()
            except Empty:
                return batch
        if batch:
            # The end comes after these: meet it again.
            self._queue.put(None)
        return batch

    def _commit(self, connection: sqlite3.Connection, batch: Sequence[_Job]) -> None:
        try:
            self._transaction(connection, batch)
        except (sqlite3.Error, OSError) as error:
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()
            if len(batch) == 1:
                batch[0].fail(storage_failed(batch[0].site, error, self._path))
                return
            for job in batch:
                self._commit(connection, [job])

    def _transaction(self, connection: sqlite3.Connection, batch: Sequence[_Job]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        if len(batch) == 1:
            if not self._attempt_alone(connection, batch[0]):
                return
        else:
            for job in batch:
                self._attempt(connection, job)
        for site in dict.fromkeys(job.site for job in batch):
            self._sites(site)
        connection.execute("COMMIT")

    def _attempt_alone(self, connection: sqlite3.Connection, job: _Job) -> bool:
        """Do the only write of a transaction, whose failure undoes it; False then."""
        try:
            job.run(connection)
        except Exception as error:
            if not connection.in_transaction:
                raise
            connection.rollback()
            job.fail(self._told(job, error))
            return False
        return True

    def _attempt(self, connection: sqlite3.Connection, job: _Job) -> None:
        """Do one write; its failure is undone and is its own, unless all is lost by it."""
        connection.execute("SAVEPOINT job")
        try:
            job.run(connection)
        except Exception as error:
            # A full disk or an I/O error can end the whole transaction by itself.
            if not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO job")
            job.fail(self._told(job, error))
        connection.execute("RELEASE job")

    def _told(self, job: _Job, error: Exception) -> Exception:
        if isinstance(error, sqlite3.Error):
            return storage_failed(job.site, error, self._path)
        return error

    def _tell(self, call: Callable[[T], None], argument: T) -> None:
        # The loop may have ended without a `close`: nobody is left to be told.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_if_wanted, call, argument)

    def _deliver(self, batch: Sequence[_Job]) -> None:
        for job in batch:
            self._room.release()
            job.deliver()


def _if_wanted(call: Callable[[T], None], argument: T) -> None:
    """The opener or closer may have been cancelled meanwhile."""
    with contextlib.suppress(asyncio.InvalidStateError):
        call(argument)


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: in WAL mode NORMAL would not sync at commit (https://www.sqlite.org/pragma.html).
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES_MAX}")


class _Job(Protocol):
    """A write without its result's type."""

    @property
    def site(self) -> str: ...

    def run(self, connection: sqlite3.Connection) -> None: ...

    def fail(self, error: Exception) -> None: ...

    def deliver(self) -> None: ...


class _Write(Generic[T]):
    """One write on its way: run by the writer thread, delivered on the event loop."""

    __slots__ = ("_applied", "_outcome", "_work", "future", "site")

    def __init__(
        self,
        site: str,
        work: Callable[[sqlite3.Connection], T],
        applied: Callable[[T], None] | None,
        future: asyncio.Future[T],
    ) -> None:
        self.site = site
        self.future = future
        self._work = work
        self._applied = applied
        self._outcome: Callable[[], T]

    def run(self, connection: sqlite3.Connection) -> None:
        result = self._work(connection)
        self._outcome = lambda: result

    def fail(self, error: Exception) -> None:
        def refuse() -> T:
            raise error

        self._outcome = refuse

    def deliver(self) -> None:
        try:
            result = self._outcome()
            if self._applied is not None:
                self._applied(result)
        except Exception as error:  # noqa: BLE001  the write's border: its caller is told
            if not self.future.done():
                self.future.set_exception(error)
        else:
            if not self.future.done():
                self.future.set_result(result)
