"""The platform's interfaces onto the world: what the engine and the API need, whoever provides it.

Each port has one contract suite in tests/contracts, run on every implementation and on the
doubles in `testing`. Methods are `async` only where they may wait; a plain method never blocks.
Names follow Trio's rule: `x_nowait` never waits.

    Clock, Ids            time, randomness and identity, handed in
    Sites                 told of each I/O just before it is done; tests fail it by name
    Registry              functions and their URLs; durable, one writer
    Backlog               accepted asynchronous events; durable
    CodeStore             archives and trees by digest
    LogStore              what functions print, with rotation
    Grants                what a snapshot reaches beyond its image
    Driver                makes snapshots; a Snapshot makes isolates; an Isolate answers
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from mayfly.model.event import EventSettings
from mayfly.model.function import Code, Function, FunctionUrl
from mayfly.model.invocation import Answer, Invocation
from mayfly.ports.backlog import Backlog as Backlog
from mayfly.ports.surface import Surface


class Clock(Protocol):
    """Time. The daemon hands in the real one, tests a virtual one."""

    def now_ms(self) -> float:
        """Wall-clock time, Unix milliseconds with fractions. May jump."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an unspecified start; never goes back. For durations and deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class Ids(Protocol):
    """Names for new things."""

    def uuid(self) -> str:
        """A random UUID in its 36-character form."""
        ...

    def token(self, length: int) -> str:
        """`length` random characters of [a-z0-9], from a cryptographic source."""
        ...


class Sites(Protocol):
    """Told the name of an I/O site ("BACKLOG:COMMIT") just before the I/O is done there.

    `unwatched` is the real one; `testing.faults.Faults` raises OSError there, as a disk would.
    """

    def __call__(self, site: str, /) -> None:
        """The I/O at `site` comes next. Any thread."""
        ...


def unwatched(_site: str, /) -> None:
    """Nobody watches the I/O sites: what production hands in."""


class Registry(Protocol):
    """Functions and URLs. Reads are answered from memory; a write returns when it is durable."""

    def function_nowait(self, name: str) -> Function | None:
        """The function now, or None."""
        ...

    def functions_nowait(self) -> Sequence[Function]:
        """All functions, by name."""
        ...

    def url_nowait(self, function_name: str) -> FunctionUrl | None:
        """The function's URL, or None."""
        ...

    def url_by_id_nowait(self, url_id: str) -> FunctionUrl | None:
        """The URL with this id, or None."""
        ...

    def urls_nowait(self) -> Sequence[FunctionUrl]:
        """All URLs, by function name."""
        ...

    async def create_function(self, function: Function) -> None:
        """Add a function.

        Raises:
            Conflict: The name is taken.
            StorageFailed: Nothing was written.
        """
        ...

    async def replace_function(self, function: Function, *, expected_revision_id: str) -> None:
        """Put `function` in the place of the one that has `expected_revision_id`.

        Raises:
            NotFound: No function has this name.
            PreconditionFailed: Somebody changed it meanwhile.
            StorageFailed: Nothing was written.
        """
        ...

    async def delete_function(self, name: str) -> None:
        """Remove a function, its URL and what is set for its events.

        Raises:
            NotFound: No function has this name.
        """
        ...

    async def put_url(self, url: FunctionUrl) -> None:
        """Add or replace a function's URL.

        Raises:
            NotFound: The function does not exist.
        """
        ...

    async def delete_url(self, function_name: str) -> None:
        """Remove a function's URL.

        Raises:
            NotFound: It has none.
        """
        ...

    def event_settings_nowait(self, function_name: str, qualifier: str) -> EventSettings | None:
        """What is set for the asynchronous events of a function and qualifier, or None."""
        ...

    def all_event_settings_nowait(self, function_name: str) -> Sequence[EventSettings]:
        """What is set for a function's asynchronous events, by qualifier."""
        ...

    async def put_event_settings(self, settings: EventSettings) -> None:
        """Add or replace what is set for a function's asynchronous events.

        Raises:
            NotFound: The function does not exist.
        """
        ...

    async def delete_event_settings(self, function_name: str, qualifier: str) -> None:
        """Remove what is set for a function's asynchronous events.

        Raises:
            NotFound: Nothing is set.
        """
        ...


class CodeStore(Protocol):
    """Archives and trees, by digest; a tree appears whole or not at all."""

    async def put_archive(self, archive: bytes) -> Code:
        """Keep a zip archive and unpack its tree.

        Raises:
            InvalidArchive: Not a zip, or one that is refused (traversal, links out, bombs, too
                many files).
            RequestTooLarge: Over the bounds in `limits`.
            StorageFailed: The disk refused; nothing half-written stays.
        """
        ...

    def archive_path(self, digest: str) -> Path:
        """Where the archive lies. Raises NotFound."""
        ...

    def tree_path(self, digest: str) -> Path:
        """Where the unpacked, read-only tree lies. Raises NotFound."""
        ...

    def dependencies_path(self, digest: str) -> Path:
        """Where the tree of installed requirements lies. Raises NotFound."""
        ...

    async def collect(self, keep: frozenset[str]) -> int:
        """Delete archives and trees whose digest is not in `keep`; bytes freed."""
        ...


class LogStore(Protocol):
    """What functions print."""

    def append_nowait(
        self, function_name: str, request_id: str, when_ms: float, data: bytes
    ) -> None:
        """Take some output of a call.

        Lines are split and written behind, in order. Never blocks; bounded.
        """
        ...

    async def read(
        self, function_name: str, *, since_ms: float = 0, limit: int = 10_000
    ) -> Sequence[LogLine]:
        """The newest `limit` lines at or after `since_ms`, oldest first."""
        ...

    def follow(self, function_name: str) -> AsyncIterator[LogLine]:
        """Lines as they come, from now on, until the iterator is closed."""
        ...

    async def forget(self, function_name: str) -> None:
        """Delete a function's log."""
        ...

    async def flush(self) -> None:
        """Everything appended so far is in the files."""
        ...


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a function's log. `request_id` is "" for lines of a snapshot's making."""

    when_ms: int
    request_id: str
    text: str


class LifeStage(StrEnum):
    """Where an isolate stands; `engine.lifecycle` holds the table of what may follow what."""

    BORN = "born"
    PARKED = "parked"
    BUSY = "busy"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Door:
    """An address inside an isolate's own network that the daemon answers at.

    Args:
        name: The host name that stands for it inside, or "".
        address: IPv4, of the isolate's loopback.
        port: 1 to 65535.
    """

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a snapshot has of the world beyond its image.

    Args:
        environment: The whole environment at import, the platform's variables included.
        doors: All that it can connect to.
    """

    environment: Mapping[str, str]
    doors: tuple[Door, ...] = ()


class Grants(Protocol):
    """Gives a snapshot what its function was granted, and takes it back."""

    async def give(self, function: Function, snapshot_id: str) -> Surroundings:
        """What a new snapshot of `function` gets; held until `take_back`.

        Raises:
            SnapshotFailed: Something that was granted cannot be given: a secret that is not there.
        """
        ...

    def take_back(self, snapshot_id: str) -> None:
        """The snapshot is gone: its keys open nothing more. Harmless when it had none."""
        ...


@dataclass(frozen=True, slots=True)
class Trace:
    """What a traced snapshot and its isolates were newly seen to do.

    Args:
        files: Paths that were opened, as the isolate knows them.
        calls: Names of system calls, refused ones too.
        tasks_max: Processes and threads at once, so far.
        tmp_bytes_max: The most that /tmp held when a file was written or closed, so far.
        unavailable: Why nothing can be traced here, or "".
    """

    files: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()
    tasks_max: int = 0
    tmp_bytes_max: int = 0
    unavailable: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotSpec:
    """All that a driver needs to make a snapshot.

    Args:
        snapshot_id: Unique on this node; [a-z0-9]{8,32}; names cgroups and folders.
        function: Whose snapshot; its settings give memory, /tmp and reuse.
        code_path: The unpacked code tree; becomes /var/task, read-only.
        dependencies_path: The tree of requirements, or None.
        environment: The whole environment at import, the platform's variables included.
        init_timeout_s: How long the import may take.
        script: When not None, the isolate runs this file of /var/task as `__main__` instead of
            calling a handler.
        doors: All that its isolates can connect to.
        on_trace: Told what its processes do, call by call, which slows them; None: nobody is.
    """

    snapshot_id: str
    function: Function
    code_path: Path
    dependencies_path: Path | None
    environment: Mapping[str, str]
    init_timeout_s: float
    pids_max: int
    script: str | None = None
    doors: tuple[Door, ...] = ()
    on_trace: Callable[[Trace], None] | None = None


# Takes the listeners of a snapshot's doors, in their order, and owns them.
ServeDoors = Callable[[SnapshotSpec, Sequence[socket.socket]], None]


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """What is known of a snapshot when it is ready.

    Args:
        init_ms: From asking to "handler imported".
        pid: Of the snapshot's process as seen on the node, 0 where there is none.
        failure: Lambda's error document when the import failed (such a snapshot still makes
            isolates of no use, so it is closed), or None.
    """

    init_ms: float
    pid: int
    failure: Answer | None = None


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Memory now, in KiB: private to the process(es), and shared parts counted by share."""

    private_kib: int = 0
    proportional_kib: int = 0


class Isolate(Protocol):
    """One sealed copy of a snapshot, parked or at work."""

    @property
    def isolate_id(self) -> str:
        """Unique on this node."""
        ...

    @property
    def born_ms(self) -> float:
        """When it was asked for, Unix milliseconds."""
        ...

    @property
    def parked_ms(self) -> float:
        """When it was ready, Unix milliseconds."""
        ...

    @property
    def pid(self) -> int:
        """Its process as seen on the node, 0 where there is none."""
        ...

    async def invoke(self, invocation: Invocation, *, timeout_s: float) -> Answer:
        """Send the event, wait for the answer or the deadline.

        A function's failure of any kind (exception, exit, crash, out of memory, deadline, too
        large an answer) is an Answer with an error. Cancelled: the isolate is killed.

        Raises:
            IsolateLost: It was dead before it could have read the event; the call may be tried on
                another.
        """
        ...

    def kill(self) -> None:
        """End it, with everything that it started. Harmless when it is dead."""
        ...


class Snapshot(Protocol):
    """A version brought up once, handler imported, waiting to be copied."""

    @property
    def facts(self) -> SnapshotFacts:
        """What is known of it."""
        ...

    def birth(self, count: int) -> None:
        """Ask for `count` more isolates; each arrives by `Nursery.isolate_parked`."""
        ...

    def memory(self) -> MemoryUse:
        """Of the snapshot itself, its isolates not counted."""
        ...

    async def close(self) -> None:
        """Kill the snapshot and every isolate of it, and wait until nothing of them is left."""
        ...


class Nursery(Protocol):
    """Who is told what becomes of a snapshot's isolates.

    Called on the event loop; must not block.
    """

    def isolate_parked(self, isolate: Isolate) -> None:
        """A new isolate is ready. Called once per isolate."""
        ...

    def isolate_output(self, isolate: Isolate, data: bytes) -> None:
        """The isolate's process wrote to stdout or stderr while it had a call."""
        ...

    def isolate_died(self, isolate: Isolate) -> None:
        """The isolate is gone, all of it. Called once, after `isolate_parked`."""
        ...

    def snapshot_output(self, data: bytes) -> None:
        """The import wrote to stdout or stderr."""
        ...

    def snapshot_died(self, reason: str) -> None:
        """The snapshot is gone although nobody closed it; each isolate of it was reported."""
        ...


class Driver(Protocol):
    """A way of holding isolates."""

    async def snapshot(self, spec: SnapshotSpec, nursery: Nursery) -> Snapshot:
        """Make a snapshot. Concurrent calls do not wait for one another.

        A failed import is not an exception: it is in the snapshot's facts.

        Raises:
            SealStepFailed: The kernel refused a step.
            SnapshotFailed: It could not be made for another reason of ours.
        """
        ...

    async def surface(self, spec: SnapshotSpec) -> Surface:
        """What isolates of such a snapshot could do; nothing is made or started.

        Raises:
            SnapshotFailed: There is no such runtime.
            StorageFailed: A tree cannot be read.
        """
        ...

    async def close(self) -> None:
        """Close every snapshot, then the driver."""
        ...


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """One interpreter that functions can run on."""

    name: str
    executable: Path
    version: str
    details: Mapping[str, str] = field(default_factory=dict)
