"""A driver whose isolates are entries in a dictionary, and whose handlers are Python callables.

It keeps the Driver port's promises (it passes tests/contracts/test_driver.py), takes the time it is
told to take, and fails where a test wants it to: an import that raises, a seal that is refused, a
snapshot that dies, births that never arrive, an isolate that is lost, crashes, hangs or prints.

    driver = FakeDriver(clock, {"app.echo": lambda event, memory: event})
    driver.plans["thumbnail"] = Plan(init_s=0.5, birth_s=0.002)

A handler gets the event (parsed) and its isolate's memory (a dictionary that is born empty and
dies with the isolate); it returns a value, raises, or returns a `Deed` for everything else.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mayfly.model import limits
from mayfly.model.errors import IsolateLost, MayflyError
from mayfly.model.function import Reuse
from mayfly.model.invocation import Answer, ErrorKind, Invocation
from mayfly.ports import Clock, MemoryUse, Nursery, SnapshotFacts, SnapshotSpec
from mayfly.ports.surface import AllowedCall, Surface, Tree, WritablePlace

Handler = Callable[[object, dict[str, object]], object]

_TMP = "/tmp"  # noqa: S108  the isolate's own


@dataclass(frozen=True, slots=True)
class Deed:
    """What an isolate does with a call, where a plain value does not say enough.

    Args:
        value: The answer.
        after_s: How long it takes.
        output: Printed at once.
        exits: The process exits with this status instead of answering.
        hangs: It never answers: the deadline ends it.
        lost: It was dead before it read the event: IsolateLost.
        memory_mib: The highest memory use that is reported.
    """

    value: object = None
    after_s: float = 0.0
    output: bytes = b""
    exits: int | None = None
    hangs: bool = False
    lost: bool = False
    memory_mib: int = 30


@dataclass(frozen=True, slots=True)
class Plan:
    """How one function's snapshots behave.

    Args:
        init_s: How long the import takes.
        birth_s: From a birth's asking to parked.
        death_s: From the answer to `isolate_died`.
        output: Printed by the import.
        failure: The import fails with this document.
        error: The snapshot cannot be made: raised by `Driver.snapshot`.
        dies_after_births: The snapshot dies when it is asked for more births than this.
        births_lost: This many births are swallowed: they never arrive.
    """

    init_s: float = 0.010
    birth_s: float = 0.002
    death_s: float = 0.001
    output: bytes = b""
    failure: Answer | None = None
    error: MayflyError | None = None
    dies_after_births: int | None = None
    births_lost: int = 0


class FakeDriver:
    """The Driver port in memory.

    Args:
        clock: Stamps births; waits are the event loop's, so use a `VirtualLoop` of this clock.
        handlers: By handler string ("app.echo"). A module that none of them has fails its import
            with Runtime.ImportModuleError, another name in a known module with
            Runtime.HandlerNotFound, as the real driver does.
        plan: For functions without an entry in `plans`.
    """

    def __init__(
        self, clock: Clock, handlers: Mapping[str, Handler], *, plan: Plan | None = None
    ) -> None:
        self.clock = clock
        self.handlers = dict(handlers)
        self.plan = plan or Plan()
        self.plans: dict[str, Plan] = {}
        self.alive: dict[str, FakeSnapshot] = {}
        self.made = 0
        self.specs: list[SnapshotSpec] = []
        self._closed = False

    async def snapshot(self, spec: SnapshotSpec, nursery: Nursery) -> FakeSnapshot:
        """Make a snapshot, as planned for the function."""
        assert not self._closed, "the driver was closed"
        plan = self.plans.get(spec.function.name, self.plan)
        self.specs.append(spec)
        await asyncio.sleep(plan.init_s)
        if plan.error is not None:
            raise plan.error
        if plan.output:
            nursery.snapshot_output(plan.output)
        self.made += 1
        made = FakeSnapshot(self, spec, nursery, plan)
        self.alive[spec.snapshot_id] = made
        return made

    async def surface(self, spec: SnapshotSpec) -> Surface:
        """The bounds of the spec, its code counted; a kernel that has one system call."""
        settings = spec.function.settings
        count = sum(one.is_file() for one in spec.code_path.rglob("*"))
        tmp_bytes = settings.tmp_mib * limits.MIB
        return Surface(
            driver="fake",
            kernel="none",
            architecture="none",
            trees=(Tree("/var/task", files=count, links=0, size_bytes=0),),
            writable=(WritablePlace(_TMP, tmp_bytes, executable=False, lasting=False),),
            devices=(),
            calls=(AllowedCall("exit", "an isolate may end", conditional=False),),
            kernel_calls=1,
            capabilities=(),
            uid=1000,
            outside="nobody",
            namespaces=(),
            landlock_abi=0,
            limits_by="rlimits",
            limits={
                "memory_bytes": settings.memory_mib * limits.MIB,
                "processes": spec.pids_max,
                "tmp_bytes": tmp_bytes,
            },
        )

    async def close(self) -> None:
        """Close every snapshot."""
        self._closed = True
        for snapshot in list(self.alive.values()):
            await snapshot.close()

    def isolates(self) -> list[FakeIsolate]:
        """All isolates alive: none may be left when a test has closed everything."""
        return [one for snapshot in self.alive.values() for one in snapshot.isolates.values()]

    def handler_of(self, spec: SnapshotSpec) -> Handler | Answer:
        """The callable, or the document of a failed import."""
        name = spec.function.settings.handler
        if spec.script is not None:
            name = spec.script
        found = self.handlers.get(name)
        if found is not None:
            return found
        module, _, attribute = name.rpartition(".")
        if any(known.rpartition(".")[0] == module for known in self.handlers):
            return failure(
                "Runtime.HandlerNotFound", f"Handler '{attribute}' missing on module '{module}'"
            )
        return failure(
            "Runtime.ImportModuleError",
            f"Unable to import module '{module}': No module named '{module}'",
        )


class FakeSnapshot:
    """The Snapshot port in memory."""

    def __init__(
        self, driver: FakeDriver, spec: SnapshotSpec, nursery: Nursery, plan: Plan
    ) -> None:
        self.driver = driver
        self.spec = spec
        self.nursery = nursery
        self.plan = plan
        self.isolates: dict[str, FakeIsolate] = {}
        self.births_asked = 0
        self.dead = False
        handler = driver.handler_of(spec)
        self.handler: Handler | None = None if isinstance(handler, Answer) else handler
        found = plan.failure or (handler if isinstance(handler, Answer) else None)
        self._facts = SnapshotFacts(init_ms=plan.init_s * 1000, pid=driver.made, failure=found)

    @property
    def facts(self) -> SnapshotFacts:
        """What is known of it."""
        return self._facts

    def birth(self, count: int) -> None:
        """Each isolate arrives after the plan's `birth_s`."""
        assert count > 0, "asked for no birth"
        if self.dead:
            return
        born_ms = self.driver.clock.now_ms()
        loop = asyncio.get_running_loop()
        for _ in range(count):
            self.births_asked += 1
            bound = self.plan.dies_after_births
            if bound is not None and self.births_asked > bound:
                loop.call_soon(self.die, "as planned")
                return
            if self.births_asked > self.plan.births_lost:
                name = f"{self.spec.snapshot_id}-{self.births_asked}"
                loop.call_later(self.plan.birth_s, self._arrive, name, born_ms)

    def memory(self) -> MemoryUse:
        """A constant."""
        return MemoryUse(private_kib=4_000, proportional_kib=6_000)

    async def close(self) -> None:
        """Kill everything. A second close finds nothing to do."""
        self.dead = True
        self._end_isolates()
        await asyncio.sleep(0)
        self.driver.alive.pop(self.spec.snapshot_id, None)

    def die(self, reason: str = "killed") -> None:
        """The snapshot is killed from outside, with every isolate of it."""
        if self.dead:
            return
        self.dead = True
        self._end_isolates()
        self.driver.alive.pop(self.spec.snapshot_id, None)
        self.nursery.snapshot_died(reason)

    def _end_isolates(self) -> None:
        for isolate in list(self.isolates.values()):
            isolate.end(failure("Runtime.ExitError", "Runtime exited with error: signal: killed"))
            isolate.report_death()

    def _arrive(self, name: str, born_ms: float) -> None:
        if self.dead:
            return
        isolate = FakeIsolate(self, name, born_ms)
        self.isolates[name] = isolate
        self.nursery.isolate_parked(isolate)


class FakeIsolate:
    """The Isolate port in memory."""

    def __init__(self, snapshot: FakeSnapshot, isolate_id: str, born_ms: float) -> None:
        self.isolate_id = isolate_id
        self.born_ms = born_ms
        self.parked_ms = snapshot.driver.clock.now_ms()
        self.pid = 0
        self.calls = 0
        self._snapshot = snapshot
        self._memory: dict[str, object] = {}
        self._ended = False
        self._reported = False
        self._answer: asyncio.Future[Answer] | None = None

    async def invoke(self, invocation: Invocation, *, timeout_s: float) -> Answer:
        """Run the handler on the event loop; its `Deed` says how that goes."""
        if self._ended:
            raise IsolateLost(f"isolate {self.isolate_id} is dead")
        assert self._answer is None, "an isolate serves one call at a time"
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._answer = answer
        self.calls += 1
        deadline = loop.call_later(timeout_s, self.end, _timed_out(invocation, timeout_s))
        try:
            self._start(invocation)
            return await answer
        except BaseException:
            self.kill()
            raise
        finally:
            deadline.cancel()
            self._answer = None

    def memory(self) -> MemoryUse:
        """A constant. Not of the port: drivers that can tell it do."""
        return MemoryUse(private_kib=800, proportional_kib=1_200)

    def kill(self) -> None:
        """End it; its death is reported a moment later."""
        self.end(failure("Runtime.ExitError", "Runtime exited with error: signal: killed"))

    def end(self, answer: Answer) -> None:
        """No more calls: one that runs is answered with `answer`."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(replace(answer, alive=False))
        if not self._ended:
            self._ended = True
            loop = asyncio.get_running_loop()
            loop.call_later(self._snapshot.plan.death_s, self.report_death)

    def report_death(self) -> None:
        """Tell the nursery, once."""
        if not self._reported:
            self._reported = True
            self._snapshot.isolates.pop(self.isolate_id, None)
            self._snapshot.nursery.isolate_died(self)

    def _start(self, invocation: Invocation) -> None:
        deed = self._decide(invocation)
        loop = asyncio.get_running_loop()
        if isinstance(deed, Answer):
            loop.call_soon(self._finish, deed)
            return
        if deed.lost:
            raise IsolateLost(f"isolate {self.isolate_id} did not read its event")
        if deed.output:
            self._snapshot.nursery.isolate_output(self, deed.output)
        if deed.hangs:
            return
        answer = self._answer_of(deed, invocation)
        if deed.after_s > 0:
            loop.call_later(deed.after_s, self._finish, answer)
        else:
            loop.call_soon(self._finish, answer)

    def _decide(self, invocation: Invocation) -> Deed | Answer:
        handler = self._snapshot.handler
        assert handler is not None, "a snapshot whose import failed makes no useful isolates"
        try:
            value = handler(json.loads(invocation.payload or b"null"), self._memory)
        except Exception as error:  # noqa: BLE001 a handler may raise anything
            return _raised(error, invocation)
        return value if isinstance(value, Deed) else Deed(value)

    def _answer_of(self, deed: Deed, invocation: Invocation) -> Answer:
        if deed.exits is not None:
            text = f"Runtime exited with error: exit status {deed.exits}"
            message = f"RequestId: {invocation.request_id} Error: {text}"
            return failure("Runtime.ExitError", message)
        try:
            payload = json.dumps(deed.value, separators=(",", ":")).encode()
        except (TypeError, ValueError) as error:
            return failure("Runtime.MarshalError", f"Unable to marshal response: {error}")
        if len(payload) > limits.RESPONSE_BYTES_MAX:
            return failure("Function.ResponseSizeTooLarge", "Response payload size exceeded")
        warm = self._snapshot.spec.function.settings.reuse is Reuse.WARM
        return Answer(payload, alive=warm, memory_mib_max=deed.memory_mib)

    def _finish(self, answer: Answer) -> None:
        if self._answer is None or self._answer.done():
            return
        if answer.alive and not self._ended:
            self._answer.set_result(answer)
        else:
            self.end(answer)


def failure(error_type: str, message: str) -> Answer:
    """Lambda's error document as an Answer."""
    document = {"errorMessage": message, "errorType": error_type}
    return Answer(json.dumps(document).encode(), ErrorKind.UNHANDLED, error_type)


def _raised(error: Exception, invocation: Invocation) -> Answer:
    document = {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": invocation.request_id,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }
    return Answer(json.dumps(document).encode(), ErrorKind.UNHANDLED, type(error).__name__)


def _timed_out(invocation: Invocation, timeout_s: float) -> Answer:
    text = f"RequestId: {invocation.request_id} Error: Task timed out after {timeout_s:.2f} seconds"
    return failure("Sandbox.Timedout", text)
