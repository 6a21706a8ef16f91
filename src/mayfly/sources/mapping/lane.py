"""One lane of a stream: reads after its checkpoint, calls, and goes on only when all is settled.

    checkpoint -> read -> filter -> gather -> call -> step --settled--> checkpoint
                                               ^        |--left, after a pause
                                               `--------'

What is settled is durable before anything later is begun; what was given up is told of in the same
transaction. Records are passed by in memory (filtered, or another lane's) and read again after a
restart.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from zlib import crc32

import msgspec

from mayfly.engine.alarm import Alarm
from mayfly.model.errors import MayflyError, ShuttingDown, StorageFailed
from mayfly.model.mapping import Lane, SourceMapping
from mayfly.sources.filters import Matches
from mayfly.sources.mapping.answers import failures_of
from mayfly.sources.mapping.documents import (
    AGE_EXCEEDED,
    RECORDS_BYTES_MAX,
    RETRIES_EXHAUSTED,
    Call,
    event_of,
    failure_parcel,
)
from mayfly.sources.mapping.means import CALL_WAIT_S, LOOK_S, STORAGE_RETRY_S, Means, Teller
from mayfly.sources.mapping.pace import backoff_s
from mayfly.sources.mapping.steps import Batch, Record, Step, expired, first_failed, step_after
from mayfly.stores.tables.records import StreamRow, record_document, record_key, sequence_text
from mayfly.telemetry import LogEvent

RETRY_S_MIN, RETRY_S_MAX = 0.1, 30.0
_PAGE = 200
# A checkpoint follows what was passed by after so many records of any stream.
_SKIPPED_MAX = 1_000


class LaneReader:
    """Reads one lane. `run` once; `stop` lets it end after the call that it waits for.

    Args:
        after: The lane's checkpoint.
        passes: Which records the function wants, or None: all.
    """

    def __init__(
        self,
        mapping: SourceMapping,
        lane: Lane,
        after: int,
        means: Means,
        teller: Teller,
        passes: Matches | None,
    ) -> None:
        self._mapping = mapping
        self._lane = lane
        self._means = means
        self._clock = means.clock
        self._teller = teller
        self._passes = passes
        self._position = after
        self._settled = after
        self._saved = after
        self._news = Alarm(means.clock)
        self._rest = Alarm(means.clock)
        self._refusals = 0
        self._stopping = False

    def stop(self) -> None:
        """Begin nothing more. Returns at once."""
        self._stopping = True
        self._news.ring()
        self._rest.ring()

    def changed(self) -> None:
        """The table has changed."""
        self._news.ring()

    def wake(self) -> None:
        """The function may have changed: try again now."""
        self._rest.ring()

    async def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping:
            try:
                self._notice_trimmed()
                await self._work()
            except MayflyError as error:
                # Nothing after the checkpoint is settled: it is read again.
                self._position = self._settled
                self._teller.problem(error.message)
                missing = not isinstance(error, StorageFailed)
                await self._pause(LOOK_S if missing else STORAGE_RETRY_S)

    async def _work(self) -> None:
        while not self._stopping:
            records = await self._gather()
            if records:
                await self._deliver(Batch(tuple(records)))

    async def _gather(self) -> Sequence[Record]:
        """Records for one batch, after a wait for the first; none when it is to stop."""
        gathered: list[Record] = []
        end_s: float | None = None
        while not self._stopping:
            latest = self._means.tables.latest_sequence()
            rows = self._means.tables.read_stream(
                self._mapping.source_arn, self._lane.shard_id, self._position, self._page(gathered)
            )
            if self._take(rows, gathered):
                return gathered
            if rows:
                # Others have their turn between two pages.
                await asyncio.sleep(0)
                continue
            # All that was written before `latest` was read has been seen.
            self._position = max(self._position, latest)
            if gathered:
                now_s = self._clock.monotonic_s()
                end_s = now_s + self._mapping.window_s if end_s is None else end_s
                if now_s >= end_s:
                    return gathered
                self._news.set(end_s)
            else:
                await self._save_passed()
            await self._news.wait()
        return ()

    def _page(self, gathered: Sequence[Record]) -> int:
        selective = self._passes is not None or self._lane.count > 1
        return _PAGE if selective else min(_PAGE, self._mapping.batch_size - len(gathered))

    def _take(self, rows: Sequence[StreamRow], gathered: list[Record]) -> bool:
        """Add what the function wants of a page; whether the batch is full."""
        size = sum(len(one.document) + 1 for one in gathered)
        for row in rows:
            if len(gathered) >= self._mapping.batch_size:
                return True
            record = self._wanted(row)
            if record is not None:
                size += len(record.document) + 1
                if gathered and size > RECORDS_BYTES_MAX:
                    return True
                gathered.append(record)
            self._position = row.sequence
        return len(gathered) >= self._mapping.batch_size

    def _wanted(self, row: StreamRow) -> Record | None:
        lane = self._lane
        if lane.count > 1 and crc32(record_key(row)) % lane.count != lane.number:
            return None
        document = record_document(row, self._mapping.source_arn, for_function=True)
        if self._passes is not None and not self._passes(msgspec.json.decode(document)):
            self._teller.numbers.filtered += 1
            return None
        return Record(row.sequence, row.created_ms, document)

    async def _deliver(self, batch: Batch) -> None:
        """Call until every record of a batch is settled, or until it is to stop."""
        pending, call = deque([batch]), None
        while pending:
            if self._stopping:
                # What is left is read again, by whoever follows.
                return
            one = pending.popleft()
            condition = AGE_EXCEEDED
            step = expired(one, self._mapping, self._clock.now_ms())
            if step is None:
                called = await self._call(one)
                if called is None:
                    pending.appendleft(one)
                    continue
                (call, step), condition = called, RETRIES_EXHAUSTED
            await self._settle(step, condition, call)
            pending.extendleft(reversed(step.left))
            if step.pause:
                await self._back_off(step.left[0].failures)
        self._settled = self._position

    async def _call(self, batch: Batch) -> tuple[Call, Step] | None:
        """What a call came to; None when there was none, after a pause."""
        function = self._means.function(self._mapping)
        if function is None:
            self._teller.no_function()
            await self._pause(LOOK_S)
            return None
        payload = event_of(one.document for one in batch.records)
        invocation = self._means.invocation(self._mapping, function, payload)
        numbers = self._teller.numbers
        numbers.age_ms = max(0.0, self._clock.now_ms() - batch.records[-1].created_ms)
        try:
            outcome = await self._means.invoke(invocation, wait_s=CALL_WAIT_S)
        except ShuttingDown:
            self.stop()
            return None
        except MayflyError as error:
            self._refusals += 1
            numbers.refused += 1
            self._teller.problem(error.message)
            await self._back_off(self._refusals)
            return None
        self._refusals = 0
        sequences = {sequence_text(one.sequence): one.sequence for one in batch.records}
        named = failures_of(outcome, sequences, partial=self._mapping.partial_failures)
        failed = first_failed(batch.records, frozenset(sequences[one] for one in named))
        count = len(batch.records)
        self._teller.done(count, failed=0 if failed is None else count - failed)
        return Call(invocation.request_id, outcome), step_after(batch, failed, self._mapping)

    async def _settle(self, step: Step, condition: str, call: Call | None) -> None:
        """Make what is settled durable, with what is told of it. Raises MayflyError."""
        if step.settled is None:
            return
        now_ms, mapping, lost = self._clock.now_ms(), self._mapping, step.given_up
        parcels = []
        if lost is not None and mapping.on_failure_arn:
            parcels.append(
                failure_parcel(
                    *(mapping, self._lane, lost, condition, call if lost.calls else None),
                    now_ms=now_ms,
                    ids=self._means.ids,
                )
            )
        await self._means.store.advance(
            mapping.mapping_id, self._lane, step.settled, parcels=parcels, now_ms=int(now_ms)
        )
        self._settled = self._saved = step.settled
        if lost is not None:
            self._tell_lost(lost, condition)

    def _tell_lost(self, lost: Batch, condition: str) -> None:
        self._teller.numbers.given_up += len(lost.records)
        self._teller.says(
            LogEvent.BATCH_GIVEN_UP,
            level=logging.WARNING,
            shard=self._lane.shard_id,
            first=sequence_text(lost.records[0].sequence),
            last=sequence_text(lost.last),
            records=len(lost.records),
            calls=lost.calls,
            condition=condition,
        )
        if condition is AGE_EXCEEDED:
            self._notice_trimmed()

    async def _save_passed(self) -> None:
        """Let the checkpoint follow what was passed by, now and then."""
        self._settled = self._position
        if self._position - self._saved >= _SKIPPED_MAX:
            await self._means.store.advance(self._mapping.mapping_id, self._lane, self._position)
            self._saved = self._position

    def _notice_trimmed(self) -> None:
        """Say it when records may have gone before they were read, after a day."""
        tables = self._means.tables
        oldest = tables.oldest_sequence() or tables.latest_sequence() + 1
        if self._position > self._mapping.start_sequence and oldest > self._position + 1:
            self._teller.says(
                LogEvent.RECORDS_TRIMMED,
                level=logging.WARNING,
                shard=self._lane.shard_id,
                after=sequence_text(self._position),
                before=sequence_text(oldest),
            )

    async def _back_off(self, failures: int) -> None:
        chance = self._means.chance()
        await self._pause(backoff_s(failures, chance=chance, min_s=RETRY_S_MIN, max_s=RETRY_S_MAX))

    async def _pause(self, seconds: float) -> None:
        """Rest, unless it is to stop or something has changed."""
        if not self._stopping:
            self._rest.set(self._clock.monotonic_s() + seconds)
            await self._rest.wait()
