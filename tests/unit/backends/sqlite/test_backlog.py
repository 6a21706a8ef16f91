"""The backlog on disk against the one in memory, through any history; and what survives."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mayfly.backends.sqlite.backlog import SqliteBacklog
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.event import Condition, Event, EventFilter, EventState
from mayfly.ports import Backlog
from mayfly.testing.memory import MemoryBacklog

T = TypeVar("T")
FILTERS = st.builds(
    EventFilter,
    function_name=st.sampled_from(["", "f", "g"]),
    states=st.frozensets(st.sampled_from(EventState), max_size=2),
    since_ms=st.sampled_from([0, 1_200]),
)


class BacklogMachine(RuleBasedStateMachine):
    """Whatever happens, restarts included, both give the same answers."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "mayfly.db"
        self.memory = MemoryBacklog()
        self.now_ms = 1_000
        self.accepted = 0
        self.leased: list[Event] = []
        self.start()

    def start(self) -> None:
        async def opened() -> tuple[SqliteStore, SqliteBacklog]:
            store = await SqliteStore.open(self.path)
            return store, await SqliteBacklog.open(store)

        self.store, self.backlog = self.runner.run(opened())

    def both(self, act: Callable[[Backlog], Awaitable[T]]) -> T:
        """Do the same to both; they must agree."""

        async def run() -> T:
            real, double = await act(self.backlog), await act(self.memory)
            assert real == double
            return real

        return self.runner.run(run())

    def some_leased(self, data: st.DataObject) -> Event | None:
        return data.draw(st.sampled_from(self.leased)) if self.leased else None

    @rule(delay_ms=st.integers(0, 500), name=st.sampled_from("fg"))
    def accept(self, delay_ms: int, name: str) -> None:
        self.accepted += 1
        due = self.now_ms + delay_ms
        event = Event(f"e{self.accepted}", name, "$LATEST", b"{}", self.now_ms, due)
        self.both(lambda backlog: backlog.accept(event))

    @rule(lease_ms=st.integers(1, 300), f=st.integers(0, 4), g=st.integers(0, 2))
    def lease(self, lease_ms: int, f: int, g: int) -> None:
        async def act(backlog: Backlog) -> list[Event]:
            shares = {"f": f, "g": g}
            found = await backlog.lease(now_ms=self.now_ms, lease_ms=lease_ms, shares=shares)
            return list(found)

        self.leased += self.both(act)

    @rule(milliseconds=st.integers(1, 400))
    def time_passes(self, milliseconds: int) -> None:
        self.now_ms += milliseconds

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        if event := self.some_leased(data):
            self.both(lambda backlog: backlog.settle(event.event_id))

    @rule(data=st.data(), delay_ms=st.integers(0, 500))
    def retry(self, data: st.DataObject, delay_ms: int) -> None:
        if event := self.some_leased(data):
            due = self.now_ms + delay_ms
            self.both(lambda backlog: backlog.retry(event, due_ms=due, error="again"))

    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        if event := self.some_leased(data):
            self.both(
                lambda backlog: backlog.fail(
                    event,
                    error="no more",
                    condition=Condition.RETRIES_EXHAUSTED,
                    now_ms=self.now_ms,
                )
            )

    @rule(wanted=FILTERS)
    def replay(self, wanted: EventFilter) -> None:
        self.both(lambda backlog: backlog.replay(wanted, now_ms=self.now_ms))

    @rule(wanted=FILTERS)
    def remove(self, wanted: EventFilter) -> None:
        self.both(lambda backlog: backlog.remove(wanted))

    @rule(failed_max=st.integers(0, 3), age_ms=st.integers(0, 900))
    def trim(self, failed_max: int, age_ms: int) -> None:
        before_ms = self.now_ms - age_ms
        self.both(lambda backlog: backlog.trim(failed_max=failed_max, before_ms=before_ms))

    @rule(wanted=FILTERS, count_max=st.integers(1, 5))
    def find(self, wanted: EventFilter, count_max: int) -> None:
        self.both(lambda backlog: backlog.find(wanted, count_max=count_max))

    @rule()
    def restart(self) -> None:
        self.runner.run(self.store.close())
        self.start()
        self.both(lambda backlog: backlog.release(now_ms=self.now_ms))

    @invariant()
    def counts_agree(self) -> None:
        self.both(lambda backlog: backlog.counts())
        assert dict(self.backlog.ready_nowait()) == dict(self.memory.ready_nowait())

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()


TestBacklogMachine = BacklogMachine.TestCase
TestBacklogMachine.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


async def test_a_lease_from_a_long_backlog_reads_the_index_and_sorts_nothing(
    tmp_path: Path,
) -> None:
    store = await SqliteStore.open(tmp_path / "mayfly.db")
    await SqliteBacklog.open(store)

    def plan(connection: sqlite3.Connection) -> str:
        rows = connection.execute(
            "EXPLAIN QUERY PLAN SELECT ready_ms, seq, payload FROM event "
            "WHERE function_name = 'f' AND state = 'waiting' AND ready_ms <= 5 "
            "ORDER BY ready_ms, seq LIMIT 3"
        )
        return " ".join(row[3] for row in rows)

    found = await store.transact("TEST:READ", plan)
    await store.close()
    assert "USING INDEX event_ready" in found
    assert "TEMP B-TREE" not in found
