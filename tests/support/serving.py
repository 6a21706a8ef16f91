"""The real server in a thread of its own, over doubles that answer at once.

    with serving() as served:
        status, headers, body = served.signed("GET", "/2015-03-31/functions/")

Everything from the socket to `Engine.invoke` is what production runs: uvicorn, httptools, uvloop,
our connection, routes and signatures. Behind it stand a registry in memory and an `EngineDouble`.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import uvloop

from mayfly.api.dispatch import Services
from mayfly.api.keys import Keys, root_credential
from mayfly.api.lambda_.operations import LambdaOperations
from mayfly.api.listener import Listener, Server, bind
from mayfly.api.platform import BuiltFunction, Platform, ServerBounds
from mayfly.api.server import create_app
from mayfly.api.triggers.triggers import Triggers
from mayfly.cli.signer import Key, sign
from mayfly.engine.census import FunctionStatistics, Resident, ResidentKind
from mayfly.model.errors import MayflyError
from mayfly.model.event import Event
from mayfly.model.function import Code, Function, FunctionUrl, Settings, UrlAuth
from mayfly.model.invocation import Answer as FunctionAnswer
from mayfly.model.invocation import Invocation, Life, Outcome
from mayfly.ports import LogLine, RuntimeInfo
from mayfly.sources.http import FunctionUrls
from mayfly.telemetry import Metrics
from mayfly.testing.ids import SeededIds
from mayfly.testing.memory import (
    MemoryBacklog,
    MemoryCodeStore,
    MemoryLogStore,
    MemoryRegistry,
)

KEY = Key("AKIAMAYFLYTESTKEY001", "secret")
NOW_MS = 1_800_000_000_000.0
AMAZON_DATE = "20270115T080000Z"
WAIT_S = 10.0
CODE = Code("ab" * 32, 10)


class StillClock:
    """Wall time stands still, so that one signature stays good; the rest is real."""

    def now_ms(self) -> float:
        return NOW_MS

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def outcome(payload: bytes = b"{}", **changes: object) -> Outcome:
    """What a call came to; a success unless `changes` say otherwise."""
    made = Outcome(payload, None, "", "$LATEST", b"", 1.0)
    return replace(made, **changes) if changes else made  # type: ignore[arg-type]  # by name


@dataclass
class EngineDouble:
    """Answers each call with its own event, or with what `answer` says.

    Attributes:
        held: While set, a call waits for `release`.
        finished: Set by each call that came to its end.
    """

    answer: Callable[[Invocation], Outcome | MayflyError | Exception] = field(
        default=lambda invocation: outcome(invocation.payload)
    )
    invocations: list[Invocation] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)
    measured: int = 0
    prepare_error: MayflyError | None = None
    prepare_failure: FunctionAnswer | None = None
    script: Callable[[Invocation, Callable[[bytes], None]], Outcome] | None = None
    held: bool = False
    started: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    _gate: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None

    async def invoke(self, invocation: Invocation) -> Outcome:
        self.invocations.append(invocation)
        await self._wait()
        result = self.answer(invocation)
        self.finished.set()
        if isinstance(result, Exception):
            raise result
        return result

    async def accept(self, event: Event) -> None:
        self.events.append(event)

    def function_changed(self, name: str) -> None:
        self.changed.append(name)

    async def prepare(self, function: Function) -> FunctionAnswer | None:
        self.prepared.append(function.name)
        if self.prepare_error is not None:
            raise self.prepare_error
        return self.prepare_failure

    async def run_script(
        self,
        function: Function,
        invocation: Invocation,
        script: str,
        on_output: Callable[[bytes], None],
    ) -> Outcome:
        self.invocations.append(replace(invocation, trace_id=script, function=function))
        try:
            await self._wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        assert self.script is not None
        return self.script(invocation, on_output)

    def census(self) -> Sequence[Resident]:
        snapshot = Resident(
            ResidentKind.SNAPSHOT, "s1", "echo", "$LATEST", "ready", 7, NOW_MS, 100, 200
        )
        return [snapshot, replace(snapshot, kind=ResidentKind.ISOLATE, id="i1", stage="parked")]

    def lives(self, count: int) -> Sequence[Life]:
        life = Life("r", "echo", "$LATEST", "i", 1.0, 2.0, 3.0, 4.0, 5.0, 6, 7, False, "", ())
        return [life] * min(count, 2)

    def statistics(self) -> Mapping[str, FunctionStatistics]:
        return {"echo": FunctionStatistics(3, 1, 0, 1, 0, 1, 1.5, 2.5)}

    async def measure(self) -> None:
        self.measured += 1

    def release(self) -> None:
        """Let calls that wait go on; from any thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._gate.set)

    async def _wait(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.started.set()
        if self.held:
            await self._gate.wait()


class LogsDouble(MemoryLogStore):
    """Tells when a follower has been closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = threading.Event()

    def follow(self, function_name: str) -> AsyncIterator[LogLine]:
        followed = super().follow(function_name)

        async def lines() -> AsyncIterator[LogLine]:
            try:
                async for line in followed:
                    yield line
            finally:
                self.closed.set()

        return lines()

    def texts(self, function_name: str = "echo") -> list[str]:
        return [line.text for line in self._lines.get(function_name, [])]


@dataclass
class BuilderDouble:
    """Takes any bytes for a folder and makes `built` of it."""

    built: BuiltFunction | Exception = field(
        default_factory=lambda: BuiltFunction(
            "echo", Settings(handler="app.handler", runtime="python3.11"), CODE
        )
    )
    archives: list[bytes] = field(default_factory=list)

    async def deploy(
        self, archive: bytes, on_step: Callable[[Mapping[str, object]], object]
    ) -> BuiltFunction:
        self.archives.append(archive)
        on_step({"step": "unpack", "ms": 1.0})
        await asyncio.sleep(0)
        if isinstance(self.built, Exception):
            raise self.built
        on_step({"step": "dependencies", "ms": 2.0, "cached": True})
        return self.built

    async def look(self, archive: bytes) -> BuiltFunction:
        self.archives.append(archive)
        if isinstance(self.built, Exception):
            raise self.built
        return self.built


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.body)
        return found

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass
class Served:
    """A running server, and the doubles behind it."""

    port: int
    platform: Platform
    engine: EngineDouble
    registry: MemoryRegistry
    logs: LogsDouble
    builder: BuilderDouble
    code: MemoryCodeStore
    server: Server
    stopped: threading.Event

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S)

    def plain(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, target, body, dict(headers or {}))
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            connection.close()

    def sign(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        service: str = "lambda",
        headers: Mapping[str, str] | None = None,
        key: Key = KEY,
    ) -> dict[str, str]:
        """The headers of a signed request."""
        path, _, query = target.partition("?")
        return sign(
            method=method,
            path=path,
            query=query,
            headers={"host": self.host, **(headers or {})},
            body=body,
            key=key,
            service=service,
            amazon_date=AMAZON_DATE,
        )

    def signed(
        self, method: str, target: str, body: bytes = b"", *, service: str = "lambda"
    ) -> Answer:
        return self.plain(method, target, body, self.sign(method, target, body, service=service))

    def control(self, method: str, path: str, body: bytes = b"") -> Answer:
        return self.signed(method, f"/_mayfly/v1/{path}", body, service="mayfly")

    def invoke(self, body: bytes = b"{}", name: str = "echo") -> Answer:
        return self.signed("POST", f"/2015-03-31/functions/{name}/invocations", body)

    def raw(self, data: bytes) -> bytes:
        """Send bytes and read until the server closes."""
        with self.socket() as line:
            line.sendall(data)
            return read_all(line)


def read_all(line: socket.socket) -> bytes:
    parts = []
    while part := line.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def function(name: str = "echo", **settings: object) -> Function:
    chosen: dict[str, object] = {"handler": "app.handler", "runtime": "python3.11", **settings}
    made = Settings(**chosen)  # type: ignore[arg-type]  # by name
    return Function(name, CODE, made, "11111111-1111-4111-8111-111111111111", int(NOW_MS))


def url(url_id: str = "u1", auth: UrlAuth = UrlAuth.NONE, **rest: object) -> FunctionUrl:
    return FunctionUrl("echo", url_id, auth, 1, 1, **rest)  # type: ignore[arg-type]  # by name


@contextmanager
def serving(
    folder: Path, *, bounds: ServerBounds | None = None, urls: Sequence[FunctionUrl] = ()
) -> Iterator[Served]:
    """Run the server until the block ends; the function "echo" is in the registry."""
    listener = bind("127.0.0.1", 0)
    stopped = threading.Event()
    ids = SeededIds()
    registry, engine, logs = MemoryRegistry(), EngineDouble(), LogsDouble()
    builder, code = BuilderDouble(), MemoryCodeStore(folder, plant=lambda _archive, _tree: None)
    platform = Platform(
        registry=registry,
        code=code,
        engine=engine,
        logs=logs,
        backlog=MemoryBacklog(),
        builder=builder,
        http=FunctionUrls(),
        keys=Keys(root_credential(KEY.access_key_id, KEY.secret_access_key)),
        clock=StillClock(),
        ids=ids,
        runtimes={
            name: RuntimeInfo(name, Path("/usr/bin/python3"), "3")
            for name in ("python3.9", "python3.11")
        },
        metrics=Metrics(),
        stop=stopped.set,
        host="127.0.0.1",
        endpoint=listener.endpoint,
        data=folder,
        triggers=Triggers(),
        limits=bounds or ServerBounds(),
    )
    running = _Running(platform, listener, urls, registry)
    thread = threading.Thread(target=running.main, name="server")
    thread.start()
    try:
        assert running.ready.wait(WAIT_S)
        assert running.server is not None
        yield Served(
            listener.port, platform, engine, registry, logs, builder, code, running.server, stopped
        )
    finally:
        running.stop()
        thread.join(WAIT_S)
        assert not thread.is_alive()


class _Running:
    def __init__(
        self,
        platform: Platform,
        listener: Listener,
        urls: Sequence[FunctionUrl],
        registry: MemoryRegistry,
    ) -> None:
        self._platform = platform
        self._listener = listener
        self._urls = urls
        self._registry = registry
        self._loop: asyncio.AbstractEventLoop | None = None
        self.ready = threading.Event()
        self.server: Server | None = None

    def main(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._registry.create_function(function())
        for one in self._urls:
            await self._registry.put_url(one)
        app = create_app(self._platform, Services({"lambda": LambdaOperations(self._platform)}))
        self.server = Server(
            app, self._listener, bounds=self._platform.limits, ids=self._platform.ids
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.server.run())
                self.ready.set()
        finally:
            app.close()

    def stop(self) -> None:
        if self._loop is not None and self.server is not None:
            self._loop.call_soon_threadsafe(self.server.stop)
