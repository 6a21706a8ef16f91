"""One mapping of a queue: receives, gathers, calls, deletes; asleep while the queue is empty.

    arrival -> receive -> filter -> gather -> call --answered-------> delete
                             `-> delete          |--failed----------> left until visible again
                                                 `--no room---------> shown again after a pause

One task receives; each batch is a task of its own, as many at once as `Pace` allows. Poison
messages are the redrive policy's, as each receive counts.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from mayfly.engine.alarm import Alarm
from mayfly.model.errors import MayflyError, ShuttingDown, StorageFailed
from mayfly.model.invocation import Outcome
from mayfly.model.mapping import SourceMapping
from mayfly.sources.filters import compile_body_filters
from mayfly.sources.mapping.answers import failures_of
from mayfly.sources.mapping.basket import Basket, Gathered
from mayfly.sources.mapping.documents import event_of, message_record, written
from mayfly.sources.mapping.means import CALL_WAIT_S, LOOK_S, STORAGE_RETRY_S, Means, Teller
from mayfly.sources.mapping.pace import CONCURRENCY_MAX, Pace
from mayfly.stores.queues.queue import Message, NoSuchQueue
from mayfly.telemetry import LogEvent

# So many are received in one transaction at most.
_RECEIVE_MAX = 1_000


class QueueWorker:
    """Reads one queue for one function. `run` once; `stop` lets it end."""

    def __init__(self, mapping: SourceMapping, means: Means) -> None:
        self._mapping = mapping
        self._means = means
        self._clock = means.clock
        self._teller = Teller(mapping, means)
        self._passes = compile_body_filters(mapping.filters)
        self._pace = Pace(mapping.concurrency_max or CONCURRENCY_MAX)
        self._alarm = Alarm(means.clock)
        self._running = 0
        self._more = True
        self._stopping = False
        self._left_over: Sequence[Gathered] = ()
        self._heard_id = 0
        self._stop_listening = _nothing

    def stop(self) -> None:
        """Begin nothing more; batches that were begun end. Returns at once."""
        self._stopping = True
        self._alarm.ring()

    def wake(self) -> None:
        """The function may have changed: look again."""
        self._alarm.ring()

    async def run(self) -> None:
        """Work until `stop`, and until what was begun has ended."""
        try:
            async with asyncio.TaskGroup() as batches:
                while not self._stopping:
                    look_s = await self._turn(batches)
                    if look_s is not None:
                        self._alarm.set(look_s)
                    await self._alarm.wait()
            await self._show(self._left_over, 0)
        finally:
            self._stop_listening()

    async def _turn(self, batches: asyncio.TaskGroup) -> float | None:
        """Begin what can be begun; when to look again by the clock, or None."""
        now_s = self._clock.monotonic_s()
        if not self._can_work():
            return now_s + LOOK_S
        while not self._stopping and (self._more or self._left_over):
            now_s = self._clock.monotonic_s()
            if not self._pace.free(self._running, now_s):
                # A batch that ends rings; a pause ends by the clock.
                return self._pace.until_s if now_s < self._pace.until_s else None
            try:
                batch = await self._gather()
            except MayflyError as error:
                self._teller.problem(error.message)
                self._more = True
                return self._clock.monotonic_s() + STORAGE_RETRY_S
            if batch:
                self._running += 1
                batches.create_task(self._deliver(batch))
        return None

    def _can_work(self) -> bool:
        """Whether queue and function are there; listens to the queue as it is now."""
        queue = self._means.queues.catalogue.find(self._mapping.source_name)
        if queue is None:
            self._teller.problem("The specified queue does not exist")
            return False
        if queue.queue_id != self._heard_id:
            self._stop_listening()
            self._stop_listening = self._means.queues.when_arrived(queue.name, self._arrived)
            self._heard_id, self._more = queue.queue_id, True
        if self._means.function(self._mapping) is None:
            self._teller.no_function()
            return False
        return True

    def _arrived(self) -> None:
        self._more = True
        self._alarm.ring()

    async def _gather(self) -> Sequence[Gathered]:
        """Messages for one batch; none when there are none. Raises MayflyError."""
        basket = Basket(self._mapping.batch_size)
        now_s = self._clock.monotonic_s()
        end_s = now_s + self._mapping.window_s
        # What was held too long comes again by itself.
        self._left_over = basket.fill(one for one in self._left_over if one.until_s > now_s)
        try:
            while basket.room and not self._left_over:
                if self._more:
                    self._more = False
                    self._left_over = basket.fill(await self._receive(basket))
                elif not basket.gathered or self._stopping or self._clock.monotonic_s() >= end_s:
                    break
                else:
                    self._alarm.set(end_s)
                    await self._alarm.wait()
        except MayflyError:
            self._left_over = [*basket.gathered, *self._left_over]
            raise
        return basket.gathered

    async def _receive(self, basket: Basket) -> Sequence[Gathered]:
        name = self._mapping.source_name
        messages = await self._means.queues.receive(
            name, count_max=min(basket.room, _RECEIVE_MAX), bytes_max=basket.bytes_left
        )
        if not messages:
            return ()
        until_s = self._clock.monotonic_s() + self._spare_s()
        wanted, unwanted = [], []
        for one in messages:
            record = message_record(one, self._mapping)
            if self._passes(record, one.body):
                wanted.append(Gathered(one, written(record), until_s))
            else:
                unwanted.append(one.receipt)
        if unwanted:
            self._teller.numbers.filtered += len(unwanted)
            await self._means.queues.delete(name, unwanted)
        return wanted

    def _spare_s(self) -> float:
        """How long after its receive a message may wait for the call to begin."""
        queue = self._means.queues.catalogue.queue(self._mapping.source_name)
        function = self._means.function(self._mapping)
        timeout_s = 0 if function is None else function.settings.timeout_s
        return float(max(queue.settings.visibility_s - timeout_s, 0))

    async def _deliver(self, batch: Sequence[Gathered]) -> None:
        """Call the function with a batch, and do with its messages as it answers."""
        try:
            outcome = await self._call(batch)
            if outcome is not None:
                await self._settle(batch, outcome)
        except MayflyError as error:
            # The queue is gone or the platform stops: what is not deleted comes again.
            self._teller.says(LogEvent.MAPPING_FAILED, error=error.message)
        finally:
            self._running -= 1
            self._alarm.ring()

    async def _call(self, batch: Sequence[Gathered]) -> Outcome | None:
        """What the function answered; None when it was not called, and they are shown again."""
        function = self._means.function(self._mapping)
        if function is None:
            await self._show(batch, 0)
            return None
        payload = event_of(one.record for one in batch)
        invocation = self._means.invocation(self._mapping, function, payload)
        try:
            return await self._means.invoke(invocation, wait_s=CALL_WAIT_S)
        except ShuttingDown:
            self.stop()
            await self._show(batch, 0)
        except MayflyError as error:
            pause_s = self._pace.refused(self._clock.monotonic_s(), self._means.chance())
            self._teller.numbers.refused += 1
            self._teller.problem(error.message)
            await self._show(batch, math.ceil(pause_s))
        return None

    async def _settle(self, batch: Sequence[Gathered], outcome: Outcome) -> None:
        names = [one.message.message_id for one in batch]
        failed = failures_of(outcome, names, partial=self._mapping.partial_failures)
        if len(failed) == len(batch):
            self._pace.failed()
        else:
            self._pace.answered()
            await self._delete(
                [one.message for one in batch if one.message.message_id not in failed]
            )
        self._teller.done(len(batch), failed=len(failed))

    async def _delete(self, messages: Sequence[Message]) -> None:
        """Delete what was done; again and again while the messages are hidden."""
        name = self._mapping.source_name
        receipts = [one.receipt for one in messages]
        queue = self._means.queues.catalogue.queue(name)
        end_s = self._clock.monotonic_s() + queue.settings.visibility_s
        while True:
            try:
                await self._means.queues.delete(name, receipts)
            except StorageFailed as error:
                self._teller.problem(error.message)
                if self._stopping or self._clock.monotonic_s() >= end_s:
                    return
                await self._clock.sleep(STORAGE_RETRY_S)
            else:
                return

    async def _show(self, batch: Sequence[Gathered], seconds: int) -> None:
        """Give messages back, to be received again after so long."""
        if not batch:
            return
        changes = [(one.message.receipt, seconds) for one in batch]
        try:
            await self._means.queues.change_visibility(self._mapping.source_name, changes)
        except (StorageFailed, NoSuchQueue, ShuttingDown) as error:
            # They come again when their visibility ends.
            self._teller.says(LogEvent.MAPPING_FAILED, error=error.message)


def _nothing() -> None:
    """Nobody listens yet."""
