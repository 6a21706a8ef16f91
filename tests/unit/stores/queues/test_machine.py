"""Any sequence of sends, receives, deletions, waits and restarts, against a small model."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.stores.queues.queue import Draft, Fate, Message, QueueSettings, Redrive
from mayfly.stores.queues.store import QueueStore
from mayfly.stores.queues.sweeping import sweep
from mayfly.testing.ids import SeededIds
from tests.unit.stores.queues.world import HandClock

T = TypeVar("T")
RECEIVES_MAX = 2
RETENTION_S = 600
GROUPS = st.sampled_from("ab")


@dataclass
class Kept:
    """What the model knows of a message."""

    body: str
    group: str
    sent_s: float
    visible_s: float
    receives: int = 0
    receipt: str = ""


class QueueMachine(RuleBasedStateMachine):
    """One queue with a dead-letter queue, and what must be in it."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(prefix="queues-"))
        self._clock, self._ids = HandClock(), SeededIds(0)
        self._runner = asyncio.Runner()
        self._model: list[Kept] = []
        self._dead: set[str] = set()
        self._receipts: list[str] = []
        self._sent = 0

    def _run(self, work: Coroutine[object, object, T]) -> T:
        return self._runner.run(work)

    @initialize(fifo=st.booleans())
    def make(self, fifo: bool) -> None:
        self._fifo = fifo
        self._name, dead = ("q.fifo", "dead.fifo") if fifo else ("q", "dead")
        self._run(self._open())
        self._run(self._queues.create(dead, QueueSettings(fifo=fifo)))
        made = QueueSettings(
            fifo=fifo, retention_s=RETENTION_S, redrive=Redrive(dead, RECEIVES_MAX)
        )
        self._run(self._queues.create(self._name, made))

    async def _open(self) -> None:
        self._store = await SqliteStore.open(self._folder / "mayfly.db")
        self._queues = await QueueStore.open(self._store, self._clock, self._ids)

    @rule(group=GROUPS, delay_s=st.sampled_from([None, 0, 40]))
    def send(self, group: str, delay_s: int | None) -> None:
        self._sent += 1
        body, now_s = str(self._sent), self._clock.monotonic_s()
        hidden_s = 0 if self._fifo else delay_s or 0
        draft = Draft(
            self._ids.uuid(),
            body,
            delay_s=None if self._fifo else delay_s,
            group_id=group,
            deduplication_id=body,
        )
        self._run(self._queues.send(self._name, [draft]))
        self._model.append(Kept(body, group, now_s, now_s + hidden_s))

    @precondition(lambda self: self._fifo and self._sent)
    @rule()
    def send_the_last_again(self) -> None:
        last = str(self._sent)
        draft = Draft(self._ids.uuid(), "other", group_id="a", deduplication_id=last)
        (sent,) = self._run(self._queues.send(self._name, [draft]))
        newest = next((one for one in self._model if one.body == last), None)
        if newest is not None and self._clock.monotonic_s() - newest.sent_s < 300:
            assert sent.duplicate
        elif not sent.duplicate:
            self._sent += 1
            now_s = self._clock.monotonic_s()
            self._model.append(Kept("other", "a", now_s, now_s))

    @rule(count=st.integers(1, 10), visibility_s=st.sampled_from([0, 10, 30]))
    def receive(self, count: int, visibility_s: int) -> None:
        self._expire()
        allowed = self._may_come()
        taken = self._run(
            self._queues.receive(self._name, count_max=count, visibility_s=visibility_s)
        )
        came = [self._take(one, visibility_s) for one in taken]
        assert all(one in allowed for one in came)
        spent = [one for one in allowed if one.receives >= RECEIVES_MAX and one not in came]
        if len(came) < count:
            # All that could come has come, and what was spent has been moved.
            self._dead.update(one.body for one in spent)
            self._model = [one for one in self._model if one not in spent]
        else:
            self._follow_the_dead()
        for group in {one.group for one in came} if self._fifo else ():
            order = [int(one.body) for one in came if one.group == group and one.body != "other"]
            assert order == sorted(order)

    def _take(self, message: Message, visibility_s: int) -> Kept:
        now_s = self._clock.monotonic_s()
        (kept,) = [
            one for one in self._model if one.body == message.body and one.visible_s <= now_s
        ][:1]
        assert kept.receives < RECEIVES_MAX
        kept.receives += 1
        assert message.receive_count == kept.receives
        kept.visible_s, kept.receipt = now_s + visibility_s, message.receipt
        self._receipts.append(message.receipt)
        return kept

    def _may_come(self) -> list[Kept]:
        now_s = self._clock.monotonic_s()
        locked = {one.group for one in self._model if one.receives and one.visible_s > now_s}
        visible = [one for one in self._model if one.visible_s <= now_s]
        return [one for one in visible if not self._fifo or one.group not in locked]

    def _expire(self) -> None:
        """What is older than the retention goes, unless it is in flight."""
        now_s = self._clock.monotonic_s()
        self._model = [one for one in self._model if now_s - one.sent_s < RETENTION_S]

    def _follow_the_dead(self) -> None:
        """A full receive moves as many spent messages as it met: see which."""
        rows = self._store.read_nowait(
            lambda connection: connection.execute(
                "SELECT body FROM message JOIN queue USING (box_id) WHERE queue.name = ?",
                (self._name,),
            ).fetchall()
        )
        there = [body for (body,) in rows]
        gone = [one for one in self._model if one.body not in there]
        assert all(one.receives >= RECEIVES_MAX for one in gone)
        self._dead.update(one.body for one in gone)
        self._model = [one for one in self._model if one not in gone]

    @precondition(lambda self: self._receipts)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        receipt = data.draw(st.sampled_from(self._receipts))
        (fate,) = self._run(self._queues.delete(self._name, [receipt]))
        kept = next((one for one in self._model if one.receipt == receipt), None)
        late = kept is not None and kept.visible_s <= self._clock.monotonic_s() and self._fifo
        if kept is None or late:
            assert fate in {Fate.GONE, Fate.STALE}
        elif fate is not Fate.GONE or self._clock.monotonic_s() - kept.sent_s < RETENTION_S:
            assert fate is Fate.DONE
            self._model.remove(kept)

    @precondition(lambda self: self._receipts)
    @rule(data=st.data(), seconds=st.sampled_from([0, 20]))
    def change_visibility(self, data: st.DataObject, seconds: int) -> None:
        receipt = data.draw(st.sampled_from(self._receipts))
        (fate,) = self._run(self._queues.change_visibility(self._name, [(receipt, seconds)]))
        now_s = self._clock.monotonic_s()
        kept = next((one for one in self._model if one.receipt == receipt), None)
        assert (fate is Fate.DONE) == (kept is not None and kept.visible_s > now_s)
        if kept is not None and fate is Fate.DONE:
            kept.visible_s = now_s + seconds

    @rule(seconds=st.sampled_from([1, 10, 30, 200]))
    def wait(self, seconds: int) -> None:
        self._clock.step(seconds)

    @rule()
    def sweep(self) -> None:
        self._run(sweep(self._store, self._queues.catalogue, self._clock))
        self._expire()

    @rule()
    def purge(self) -> None:
        self._run(self._queues.catalogue.purge(self._name))
        self._model.clear()

    @rule()
    def restart(self) -> None:
        self._run(self._store.close())
        self._run(self._open())

    @invariant()
    def counts_are_exact(self) -> None:
        if not hasattr(self, "_name"):
            return
        found = self._run(self._queues.counts(self._name))
        now_s = self._clock.monotonic_s()
        there = [one for one in self._model if now_s - one.sent_s < RETENTION_S]
        hidden = [one for one in there if one.visible_s > now_s]
        flying = [one for one in hidden if one.receives]
        assert found.visible == len(there) - len(hidden)
        assert found.in_flight == len(flying)
        assert found.delayed == len(hidden) - len(flying)

    def teardown(self) -> None:
        if hasattr(self, "_store"):
            self._run(self._store.close())
        self._runner.close()
        shutil.rmtree(self._folder)


QueueMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestQueue = QueueMachine.TestCase
