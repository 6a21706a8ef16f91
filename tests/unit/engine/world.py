"""An engine on doubles, in virtual time: what the engine's tests start from."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from mayfly.engine.bounds import EngineLimits
from mayfly.engine.engine import Engine
from mayfly.model.errors import NotFound
from mayfly.model.event import Event
from mayfly.model.function import Code, Function, Reuse, Settings
from mayfly.model.invocation import Invocation, Outcome
from mayfly.ports import Clock, LogLine
from mayfly.telemetry import Metrics
from mayfly.testing.driver import Deed, FakeDriver, Handler
from mayfly.testing.grants import EnvironmentOnly
from mayfly.testing.ids import SeededIds
from mayfly.testing.memory import MemoryBacklog, MemoryRegistry


def _count(_event: object, memory: dict[str, object]) -> object:
    """How often this isolate was called."""
    before = memory.get("calls", 0)
    assert isinstance(before, int)
    memory["calls"] = before + 1
    return before + 1


def _fail(_event: object, _memory: dict[str, object]) -> object:
    raise KeyError("missing")


HANDLERS: Mapping[str, Handler] = {
    "app.echo": lambda event, _memory: event,
    "app.slow": lambda event, _memory: Deed(event, after_s=1.0),
    "app.long": lambda event, _memory: Deed(event, after_s=100.0),
    "app.hang": lambda _event, _memory: Deed(hangs=True),
    "app.exit": lambda _event, _memory: Deed(exits=3),
    "app.print": lambda event, _memory: Deed(event, output=str(event).encode()),
    "app.count": _count,
    "app.fail": _fail,
}


class Logs:
    """A LogStore that remembers chunks as they came."""

    def __init__(self) -> None:
        self.chunks: dict[str, list[tuple[str, bytes]]] = defaultdict(list)

    def append_nowait(
        self, function_name: str, request_id: str, when_ms: float, data: bytes
    ) -> None:
        assert when_ms > 0
        self.chunks[function_name].append((request_id, data))

    def text(self, function_name: str, request_id: str | None = None) -> str:
        return b"".join(
            data
            for owner, data in self.chunks[function_name]
            if request_id is None or owner == request_id
        ).decode()

    async def read(
        self, function_name: str, *, since_ms: float = 0, limit: int = 10_000
    ) -> Sequence[LogLine]:
        raise NotImplementedError

    def follow(self, function_name: str) -> AsyncIterator[LogLine]:
        raise NotImplementedError

    async def forget(self, function_name: str) -> None:
        raise NotImplementedError

    async def flush(self) -> None:
        """Nothing is behind."""


class Trees:
    """A CodeStore in which every digest lies, but those that are `missing`."""

    def __init__(self) -> None:
        self.missing: set[str] = set()

    async def put_archive(self, archive: bytes) -> Code:
        raise NotImplementedError

    def archive_path(self, digest: str) -> Path:
        return Path("/archives") / digest

    def tree_path(self, digest: str) -> Path:
        if digest in self.missing:
            raise NotFound(f"no tree {digest}")
        return Path("/trees") / digest

    def dependencies_path(self, digest: str) -> Path:
        return Path("/dependencies") / digest

    async def collect(self, keep: frozenset[str]) -> int:
        raise NotImplementedError


@dataclass
class World:
    """The engine and what it stands on."""

    clock: Clock
    limits: EngineLimits = field(default_factory=EngineLimits)
    handlers: Mapping[str, Handler] = field(default_factory=lambda: HANDLERS)

    def __post_init__(self) -> None:
        self.driver = FakeDriver(self.clock, self.handlers)
        self.registry = MemoryRegistry()
        self.backlog = MemoryBacklog()
        self.logs = Logs()
        self.code = Trees()
        self.ids = SeededIds(1)
        self.metrics = Metrics()
        self.engine = self.new_engine()

    def new_engine(self) -> Engine:
        """Another engine on the same world, as after a restart."""
        return Engine(
            driver=self.driver,
            registry=self.registry,
            code=self.code,
            backlog=self.backlog,
            logs=self.logs,
            clock=self.clock,
            ids=self.ids,
            limits=self.limits,
            grants=EnvironmentOnly(),
            metrics=self.metrics,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        """The engine runs; afterwards, nothing may be alive."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.engine.run())
            await self.engine.started()
            yield self
            task.cancel()
        assert not self.driver.alive, "a snapshot was left alive"

    async def function(
        self,
        name: str = "echo",
        handler: str | None = None,
        *,
        reuse: Reuse = Reuse.NEVER,
        concurrency: int | None = None,
        timeout_s: int = 3,
        memory_mib: int = 128,
    ) -> Function:
        """A function in the registry."""
        made = Function(
            name=name,
            code=Code(digest=f"digest-of-{name}", size_bytes=100),
            settings=Settings(
                handler=handler or f"app.{name}",
                runtime="python3.11",
                reuse=reuse,
                concurrency=concurrency,
                timeout_s=timeout_s,
                memory_mib=memory_mib,
            ),
            revision_id=self.ids.uuid(),
            modified_ms=0,
        )
        await self.registry.create_function(made)
        return made

    async def change(self, function: Function, **settings: object) -> Function:
        """Deploy other settings; `digest` is other code."""
        digest = settings.pop("digest", function.code.digest)
        assert isinstance(digest, str)
        changed = replace(
            function,
            code=replace(function.code, digest=digest),
            settings=replace(function.settings, **settings),  # type: ignore[arg-type]
            revision_id=self.ids.uuid(),
        )
        await self.registry.replace_function(changed, expected_revision_id=function.revision_id)
        self.engine.function_changed(function.name)
        return changed

    def invocation(self, function: Function, payload: bytes = b'"hi"') -> Invocation:
        """A call, ready to run."""
        return Invocation(
            request_id=self.ids.uuid(),
            function=function,
            payload=payload,
            invoked_arn=function.arn,
        )

    async def call(self, function: Function, payload: bytes = b'"hi"') -> Outcome:
        """Call a function."""
        return await self.engine.invoke(self.invocation(function, payload))

    async def calls(self, function: Function, count: int) -> list[Outcome]:
        """Call a function `count` times at once; outcomes in order of their calls."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self.call(function)) for _ in range(count)]
        return [task.result() for task in running]

    def event(self, function: Function, payload: bytes = b'"hi"') -> Event:
        """An asynchronous call, due now."""
        now_ms = int(self.clock.now_ms())
        return Event(
            event_id=self.ids.uuid(),
            function_name=function.name,
            qualifier="",
            payload=payload,
            accepted_ms=now_ms,
            due_ms=now_ms,
        )
