"""What the server is given: every port and every room below, in one frozen value.

The daemon makes one `Platform` and hands it to `server.create_app`. The protocols here say how
much of each room the API uses, so that a test's double stays small. Nothing here does anything.

    Platform -> registry code logs backlog   ports
             -> engine builder               rooms below
             -> http                         the function-URL source, a neighbour: not imported
             -> keys clock ids metrics       who may call, and what is handed in
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mayfly.api.auth import Keys
from mayfly.api.lambda_.platform import InvokingEngine
from mayfly.engine.census import FunctionStatistics, Resident
from mayfly.model import limits
from mayfly.model.errors import MayflyError
from mayfly.model.function import Code, Function, Settings, UrlAuth
from mayfly.model.invocation import Answer, Invocation, Life, Outcome
from mayfly.model.trigger import Trigger
from mayfly.model.url_call import UrlCall, UrlReply
from mayfly.ports import Backlog, Clock, CodeStore, Ids, LogStore, Registry, RuntimeInfo
from mayfly.telemetry import Metrics


class PlatformEngine(InvokingEngine, Protocol):
    """All that the server asks of the engine."""

    async def prepare(self, function: Function) -> Answer | None:
        """Make the snapshot ahead of the first call; the error document of a failed import."""
        ...

    async def run_script(
        self,
        function: Function,
        invocation: Invocation,
        script: str,
        on_output: Callable[[bytes], None],
    ) -> Outcome:
        """Run a file of the function's code once, in an isolate of its own.

        `on_output` is called on the event loop with what the script prints. Cancelled: the isolate
        is killed.
        """
        ...

    def census(self) -> Sequence[Resident]:
        """Everything that is alive."""
        ...

    def lives(self, count: int) -> Sequence[Life]:
        """The newest finished calls, newest first."""
        ...

    def statistics(self) -> Mapping[str, FunctionStatistics]:
        """By function name."""
        ...

    async def measure(self) -> None:
        """Bring the gauges of `Metrics` up to date."""
        ...


@dataclass(frozen=True, slots=True)
class BuiltFunction:
    """A folder made deployable: what its manifest says, and its code on disk.

    Args:
        url_auth: The manifest's `[url]`, or None where it has none.
        url_cors: AWS's Cors structure, or None.
    """

    name: str
    settings: Settings
    code: Code
    url_auth: UrlAuth | None = None
    url_cors: Mapping[str, object] | None = None
    triggers: tuple[Trigger, ...] = ()


class Builder(Protocol):
    """Makes a function of an uploaded folder."""

    async def deploy(
        self, archive: bytes, on_step: Callable[[Mapping[str, object]], object]
    ) -> BuiltFunction:
        """Unpack the zip, read its mayfly.toml, install its requirements.

        Args:
            archive: A zip of the folder, mayfly.toml at its top.
            on_step: Told of each step when it is done: {"step": "unpack", "ms": 3.1}.

        Raises:
            InvalidManifest, InvalidArchive, InvalidParameter, RequestTooLarge: The upload is
                refused; nothing of it stays.
        """
        ...

    async def look(self, archive: bytes) -> BuiltFunction:
        """What `deploy` would make of the upload; nothing of it is kept or installed.

        Raises:
            InvalidManifest, InvalidArchive, InvalidParameter, RequestTooLarge: As `deploy`.
        """
        ...


class UrlSource(Protocol):
    """Turns HTTP requests into events and outcomes into HTTP replies; `sources.http` is one."""

    def preflight(self, call: UrlCall) -> UrlReply | None:
        """The platform's own answer to a CORS preflight, or None: then the function is called."""
        ...

    def event(self, call: UrlCall) -> bytes:
        """The event document, payload format 2.0."""
        ...

    def reply(self, call: UrlCall, outcome: Outcome) -> UrlReply:
        """What the function's outcome means in HTTP."""
        ...

    def refusal(self, call: UrlCall, error: MayflyError) -> UrlReply:
        """What an error of ours, or of the caller, means in HTTP."""
        ...


class FunctionTriggers(Protocol):
    """What manifests say that functions are called for; `api.triggers` is one."""

    def require(
        self, function_name: str, triggers: Sequence[Trigger], settings: Settings | None = None
    ) -> None:
        """Refuse triggers that cannot be made now, and settings that do not fit what is there.

        Before anything is changed.
        """
        ...

    async def converge(self, function_name: str, triggers: Sequence[Trigger]) -> bool:
        """Make, change and remove until these are the function's; whether anything changed."""
        ...

    async def remove(self, function_name: str) -> None:
        """Remove all that the function's manifest made."""
        ...

    def shown_nowait(self, function_name: str) -> Sequence[Mapping[str, object]]:
        """The function's triggers, as people and programs are shown them."""
        ...


@dataclass(frozen=True, slots=True)
class ServerBounds:
    """Every bound of the HTTP side. The defaults suit a machine of one's own.

    Args:
        payload_bytes_max: Of a synchronous event.
        code_bytes_max: Of an AWS request that carries code, base64 in JSON.
        deploy_bytes_max: Of a folder's zip.
        discard_bytes_max: Of an oversize body that is read and thrown away so that its sender
            sees the answer; a longer one is cut off.
        head_bytes_max: Of a request's line and headers.
        header_count_max: How many headers one request may have.
        patience_s: How long a request's head may take, and over how long its body's pace is
            measured.
        pace_bytes_per_s_min: A body that comes slower is cut off.
        send_timeout_s: How long a stream waits for a client that does not read.
        uploads_max: How many large bodies are held at once; more of them wait.
    """

    payload_bytes_max: int = limits.SYNC_PAYLOAD_BYTES_MAX
    code_bytes_max: int = 72 * limits.MIB
    deploy_bytes_max: int = limits.CODE_UNZIPPED_BYTES_MAX
    discard_bytes_max: int = 32 * limits.MIB
    head_bytes_max: int = 64 * limits.KIB
    header_count_max: int = 128
    patience_s: float = 20.0
    pace_bytes_per_s_min: int = 4 * limits.KIB
    keep_alive_s: int = 75
    send_timeout_s: float = 60.0
    uploads_max: int = 4
    backlog: int = 4_096
    shutdown_s: int = 10


@dataclass(frozen=True, slots=True)
class Platform:
    """All that the server works with; it fits `LambdaPlatform` as well.

    Args:
        host: What the server listens on, as configured; a loopback address switches the check of
            Host headers on.
        data: The data folder, absolute.
        endpoint: `http://HOST:PORT`, no slash at the end.
        stop: Makes the daemon stop; returns at once.
        started_s: The clock's monotonic seconds when the daemon started.
    """

    registry: Registry
    code: CodeStore
    engine: PlatformEngine
    logs: LogStore
    backlog: Backlog
    builder: Builder
    http: UrlSource
    keys: Keys
    clock: Clock
    ids: Ids
    runtimes: Mapping[str, RuntimeInfo]
    metrics: Metrics
    stop: Callable[[], None]
    host: str
    endpoint: str
    data: Path
    triggers: FunctionTriggers
    started_s: float = 0.0
    limits: ServerBounds = field(default_factory=ServerBounds)
