"""What every worker works with, handed in once; and how it tells of itself.

`Teller` is one mapping's voice: the standing that the API shows, the numbers, the log.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

from mayfly.model.function import Function
from mayfly.model.invocation import Invocation, Outcome
from mayfly.model.mapping import SourceMapping
from mayfly.ports import Clock, Ids, Registry
from mayfly.stores.mappings.store import MappingStore
from mayfly.stores.queues.store import QueueStore
from mayfly.stores.tables.store import TableStore
from mayfly.telemetry import LogEvent, Metrics, event_log

# A batch waits so long for its turn; its messages are hidden meanwhile.
CALL_WAIT_S = 1.0
# A source or a function that is missing is looked for again after so long.
LOOK_S = 10.0
# After a failure of storage.
STORAGE_RETRY_S = 1.0
CALL_FAILED = "PROBLEM: Function call failed"
_CHANCE_LENGTH = 8


class Invoke(Protocol):
    """The engine's."""

    def __call__(
        self, invocation: Invocation, *, wait_s: float | None = None
    ) -> Awaitable[Outcome]:
        """Run one call.

        Raises:
            MayflyError: It was not run.
        """
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """All that workers need."""

    store: MappingStore
    queues: QueueStore
    tables: TableStore
    registry: Registry
    invoke: Invoke
    clock: Clock
    ids: Ids
    metrics: Metrics

    def chance(self) -> float:
        """A number from 0 to 1."""
        return crc32(self.ids.token(_CHANCE_LENGTH).encode()) % 1000 / 1000

    def function(self, mapping: SourceMapping) -> Function | None:
        """Whom the mapping feeds, when that can be called."""
        found = self.registry.function_nowait(mapping.function_name)
        return None if found is None or found.settings.concurrency == 0 else found

    def invocation(self, mapping: SourceMapping, function: Function, payload: bytes) -> Invocation:
        """A call with a batch."""
        return Invocation(self.ids.uuid(), function, payload, mapping.function_arn)


class Teller:
    """Tells what becomes of one mapping's batches."""

    def __init__(self, mapping: SourceMapping, means: Means) -> None:
        self._mapping = mapping
        self._means = means
        self.numbers = means.metrics.mapping(mapping.mapping_id, mapping.function_name)

    def done(self, count: int, *, failed: int = 0) -> None:
        """A call ended; so many records were in it, and so many of them failed."""
        self.numbers.batches += 1
        self.numbers.records += count
        self.numbers.failed += failed
        self.stands(CALL_FAILED if failed == count else "OK")
        if failed:
            self.says(LogEvent.BATCH_FAILED, records=count, failed=failed)

    def stands(self, result: str) -> None:
        """What LastProcessingResult shows."""
        if self._means.store.standing_nowait(self._mapping.mapping_id).result != result:
            self._means.store.report(self._mapping.mapping_id, result=result)

    def problem(self, why: str) -> None:
        """Something keeps it from working; logged when it is new."""
        told = f"PROBLEM: {why}"
        if self._means.store.standing_nowait(self._mapping.mapping_id).result != told:
            self._means.store.report(self._mapping.mapping_id, result=told)
            self.says(LogEvent.MAPPING_FAILED, level=logging.WARNING, error=why)

    def no_function(self) -> None:
        """The function is gone, or stopped."""
        name = self._mapping.function_name
        gone = self._means.registry.function_nowait(name) is None
        self.problem("Function not found" if gone else "Function's reserved concurrency is 0")

    def says(
        self, event: LogEvent, *, level: int = logging.INFO, **fields: str | float | None
    ) -> None:
        """A line in the platform's log."""
        mapping = self._mapping
        event_log(
            event,
            level=level,
            mapping=mapping.mapping_id,
            function=mapping.function_name,
            source=mapping.source_arn,
            **fields,
        )
