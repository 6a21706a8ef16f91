"""Mappings at work in virtual time: the real stores and the real source, a function that is a call.

async with open_yard(clock, tmp_path) as yard:
    yard.function.answer = lambda event: {}
    await yard.map_queue("q")
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from mayfly.api.dynamodb.endpoint import DynamoDb
from mayfly.backends.sqlite.outbox import Outbox
from mayfly.model.errors import MayflyError
from mayfly.model.function import Code, Function, Settings
from mayfly.model.invocation import ErrorKind, Invocation, Outcome
from mayfly.model.mapping import SourceMapping
from mayfly.ports import Sites, unwatched
from mayfly.sources.mapping.means import Means
from mayfly.sources.mapping.source import MappingSource
from mayfly.stores.mappings.store import MappingStore
from mayfly.stores.queues.queue import Draft, QueueSettings, queue_arn
from mayfly.stores.queues.store import QueueStore
from mayfly.stores.tables.figures import Counter
from mayfly.stores.tables.keeper import TableKeeper
from mayfly.stores.tables.store import TableStore
from mayfly.telemetry import Metrics
from mayfly.testing.clock import VirtualClock
from mayfly.testing.ids import SeededIds
from mayfly.testing.memory import MemoryRegistry
from tests.support.immediate import ImmediateStore
from tests.support.tables import Desk, Document

# Fields of QueueSettings, Draft and SourceMapping, each of its own type.
Setting = Any
FUNCTION = Function("f", Code("0" * 64, 1), Settings("app.handler", "python3.11"), "r1", 0)


@dataclass
class FakeFunction:
    """Stands for the engine: calls `answer` with each event.

    Args:
        seconds: How long a call takes.
        calls: When each call began, by the monotonic clock, and its event's records.
    """

    clock: VirtualClock
    answer: Callable[[Document], object] = lambda _event: {}
    seconds: float = 0.01
    calls: list[tuple[float, list[Document]]] = field(default_factory=list)
    running: int = 0
    most: int = 0

    async def invoke(self, invocation: Invocation, *, wait_s: float | None = None) -> Outcome:
        """The engine's `invoke`."""
        del wait_s
        event: Document = json.loads(invocation.payload)
        self.calls.append((self.clock.monotonic_s(), event["Records"]))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.clock.sleep(self.seconds)
            value = self.answer(event)
        except MayflyError:
            raise
        except Exception as error:  # noqa: BLE001 a handler may raise anything
            document = {"errorMessage": str(error), "errorType": type(error).__name__}
            return self._outcome(document, ErrorKind.UNHANDLED)
        finally:
            self.running -= 1
        return self._outcome(value, None)

    def _outcome(self, value: object, error: ErrorKind | None) -> Outcome:
        payload = value if isinstance(value, bytes) else json.dumps(value).encode()
        return Outcome(payload, error, "" if error is None else "Error", "$LATEST", b"", 1.0)

    @property
    def batches(self) -> list[list[str]]:
        """What each call was about: bodies of messages, or ids of items."""
        return [[about(one) for one in records] for _, records in self.calls]

    @property
    def seen(self) -> list[str]:
        """The same of all calls together."""
        return [name for batch in self.batches for name in batch]


def about(record: Document) -> str:
    """A message's body, or an item's id with its number."""
    if "body" in record:
        return str(record["body"])
    image = record["dynamodb"].get("NewImage") or record["dynamodb"]["Keys"]
    return str(image["id"]["S"]) + (image["n"]["N"] if "n" in image else "")


@dataclass
class Yard:
    """What a test holds."""

    database: ImmediateStore
    store: MappingStore
    queues: QueueStore
    desk: Desk
    registry: MemoryRegistry
    function: FakeFunction
    source: MappingSource
    metrics: Metrics
    clock: VirtualClock
    ids: SeededIds

    async def queue(self, name: str = "q", **settings: Setting) -> None:
        """Make a queue."""
        fifo = name.endswith(".fifo")
        await self.queues.create(name, QueueSettings(fifo=fifo, **settings))

    async def send(self, *bodies: str, name: str = "q", group: str = "", **more: Setting) -> None:
        """Send messages, all in one transaction."""
        fifo = name.endswith(".fifo")
        drafts = [
            Draft(
                self.ids.uuid(),
                body,
                group_id=group,
                deduplication_id=self.ids.uuid() if fifo else "",
                **more,
            )
            for body in bodies
        ]
        await self.queues.send(name, drafts)

    async def left(self, name: str = "q") -> int:
        """Messages of a queue, in flight or not."""
        counts = await self.queues.counts(name)
        return counts.visible + counts.in_flight + counts.delayed

    async def bodies(self, name: str) -> list[Document]:
        """What a queue holds, parsed; received and not deleted."""
        return [json.loads(one.body) for one in await self.queues.receive(name, count_max=10)]

    async def map_queue(self, name: str = "q", **members: Setting) -> SourceMapping:
        """A mapping of a queue."""
        plain = self._plain(queue_arn(name), 10)
        return await self.store.create(replace(plain, **members))

    async def map_stream(self, *, newest: bool = False, **members: Setting) -> SourceMapping:
        """A mapping of the table "ttt"."""
        stream = self.desk.tables.catalog.find("ttt").stream
        assert stream is not None
        plain = self._plain(stream.arn, 100)
        return await self.store.create(replace(plain, **members), newest=newest)

    async def table(self) -> None:
        """Make the table "ttt", with a stream."""
        stream = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        await self.desk.table("ttt", StreamSpecification=stream)

    async def until(self, holds: Callable[[], bool], *, seconds: float = 3_600.0) -> None:
        """Let time pass until something holds."""
        async with asyncio.timeout(seconds):
            while not holds():
                await self.clock.sleep(0.01)

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """The source runs, and is let end."""
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self.queues.run())
            running = group.create_task(self.source.run())
            try:
                yield
            finally:
                running.cancel()
                await asyncio.wait([running])
                keeping.cancel()

    def stands(self, mapping: SourceMapping) -> str:
        """What LastProcessingResult shows."""
        return self.store.standing_nowait(mapping.mapping_id).result

    def _plain(self, arn: str, size: int) -> SourceMapping:
        return SourceMapping(self.ids.uuid(), FUNCTION.name, arn, size, int(self.clock.now_ms()))


@contextlib.asynccontextmanager
async def open_yard(
    clock: VirtualClock, folder: Path, *, sites: Sites = unwatched, seed: int = 0
) -> AsyncIterator[Yard]:
    """Open, or open again, what lies in a folder."""
    database = ImmediateStore(folder / "mayfly.db", sites)
    outbox, ids, metrics, registry = Outbox(), SeededIds(seed), Metrics(), MemoryRegistry()
    await registry.create_function(FUNCTION)
    queues = await QueueStore.open(database, clock, ids)
    outbox.employ("sqs", queues)
    tables = await TableStore.open(database, clock)
    dynamo = DynamoDb(tables, Counter(database, clock), clock=clock, ids=ids, host="localhost:1")
    desk = Desk(database, tables, TableKeeper(database, tables, clock), clock, {"dynamodb": dynamo})
    store = await MappingStore.open(database, outbox)
    function = FakeFunction(clock)
    means = Means(
        store=store,
        queues=queues,
        tables=tables,
        registry=registry,
        invoke=function.invoke,
        clock=clock,
        ids=ids,
        metrics=metrics,
    )
    yard = Yard(
        *(database, store, queues, desk, registry, function, MappingSource(means)),
        *(metrics, clock, ids),
    )
    try:
        yield yard
    finally:
        await database.close()


def failing(*names: str) -> Callable[[Document], object]:
    """A handler that raises when one of these is in its batch."""

    def answer(event: Document) -> object:
        hit = set(names) & {about(one) for one in cast("Sequence[Document]", event["Records"])}
        if hit:
            raise ValueError(", ".join(sorted(hit)))
        return {}

    return answer
