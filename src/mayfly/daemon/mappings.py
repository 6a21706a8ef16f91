"""Event source mappings, opened on the stores that they read from.

Lambda's operations change them, the source reads by them; they meet in the store.
"""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.api.lambda_.mappings import MappingOperations
from mayfly.api.platform import Platform
from mayfly.backends.sqlite.outbox import Outbox
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.engine.engine import Engine
from mayfly.sources.filters import compile_pattern
from mayfly.sources.mapping.means import Means
from mayfly.sources.mapping.source import MappingSource
from mayfly.stores.mappings.store import MappingStore
from mayfly.stores.queues.store import QueueStore
from mayfly.stores.tables.store import TableStore


async def open_mappings(
    *,
    database: SqliteStore,
    outbox: Outbox,
    platform: Platform,
    engine: Engine,
    queues: QueueStore,
    tables: TableStore,
) -> tuple[MappingOperations, MappingSource]:
    """Open the store of mappings; the source is to be run. Raises StorageFailed."""
    store = await MappingStore.open(database, outbox)
    source = MappingSource(
        Means(
            store=store,
            queues=queues,
            tables=tables,
            registry=platform.registry,
            invoke=engine.invoke,
            clock=platform.clock,
            ids=platform.ids,
            metrics=platform.metrics,
        )
    )
    engine.when_function_changed(source.function_changed)
    operations = MappingOperations(
        store,
        registry=platform.registry,
        clock=platform.clock,
        ids=platform.ids,
        sources=_Readable(queues, tables),
        check_filter=compile_pattern,
    )
    return operations, source


@dataclass(frozen=True, slots=True)
class _Readable:
    """What mappings may read from, by the stores."""

    queues: QueueStore
    tables: TableStore

    def visibility_s(self, queue: str) -> int | None:
        found = self.queues.catalogue.find(queue)
        return None if found is None else found.settings.visibility_s

    def has_stream(self, stream_arn: str) -> bool:
        return stream_arn in self.tables.catalog.streams
