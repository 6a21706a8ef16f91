"""Lambda's operations over ports in memory and an engine that answers at once."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mayfly.api.dispatch import Services
from mayfly.api.keys import Keys, root_credential
from mayfly.api.lambda_.operations import LambdaOperations
from mayfly.api.sts.operations import StsOperations
from mayfly.model.errors import MayflyError
from mayfly.model.event import Event
from mayfly.model.invocation import Invocation, Outcome
from mayfly.ports import RuntimeInfo
from mayfly.testing.clock import VirtualClock
from mayfly.testing.ids import SeededIds
from mayfly.testing.memory import MemoryCodeStore, MemoryRegistry
from tests.support.aws_call import Caller

ROLE = "arn:aws:iam::000000000000:role/any"
RUNTIME = "python3.11"


def zipped(source: str = "def handler(event, context):\n    return event\n") -> bytes:
    """An archive with an app.py."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", source)
    return buffer.getvalue()


@dataclass
class EngineDouble:
    """Answers with the event, or with what the test wants, and remembers what it was asked."""

    outcome: Outcome | None = None
    error: MayflyError | None = None
    calls: list[Invocation] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    async def invoke(self, invocation: Invocation) -> Outcome:
        self.calls.append(invocation)
        if self.error:
            raise self.error
        echoed = Outcome(invocation.payload, None, "", "$LATEST", b"END\n", 1.0)
        return self.outcome or echoed

    async def accept(self, event: Event) -> None:
        if self.error:
            raise self.error
        self.events.append(event)

    def function_changed(self, name: str) -> None:
        self.changed.append(name)


@dataclass
class PlatformDouble:
    """What `LambdaOperations` needs, in memory."""

    code: MemoryCodeStore
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    engine: EngineDouble = field(default_factory=EngineDouble)
    keys: Keys = field(default_factory=lambda: Keys(root_credential("AKIAMAYFLYTESTKEY001", "s")))
    clock: VirtualClock = field(default_factory=VirtualClock)
    ids: SeededIds = field(default_factory=SeededIds)
    runtimes: Mapping[str, RuntimeInfo] = field(
        default_factory=lambda: {
            name: RuntimeInfo(name, Path("/usr/bin") / name, "3")
            for name in (RUNTIME, "python3.12")
        }
    )
    endpoint: str = "http://127.0.0.1:9000"


class LambdaApi:
    """A platform in memory and a client of it."""

    def __init__(self, folder: Path) -> None:
        self.platform = PlatformDouble(MemoryCodeStore(folder))
        self.caller = Caller(
            Services({"lambda": LambdaOperations(self.platform), "sts": StsOperations()})
        )

    async def call(self, operation: str, **members: object) -> dict[str, object]:
        """An operation of Lambda; `Refused` when it was an error."""
        return await self.caller.call("lambda", operation, **members)

    async def make(self, name: str = "hello", **members: object) -> dict[str, object]:
        """Create a function that can be called."""
        wanted: dict[str, object] = {
            "Runtime": RUNTIME,
            "Role": ROLE,
            "Handler": "app.handler",
            "Code": {"ZipFile": zipped()},
        }
        return await self.call("CreateFunction", FunctionName=name, **(wanted | members))
