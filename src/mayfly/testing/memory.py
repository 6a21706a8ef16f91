"""The ports without a disk behind them: what a test of a room above hands in.

They keep what they are given in dictionaries and pass the contract suites of the real ones. They
outlive nothing and promise nothing about a crash. Only the code store needs a folder, for whoever
asks for a tree reads files.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mayfly.images.tree import plant_tree
from mayfly.model import limits
from mayfly.model.errors import (
    Conflict,
    InvalidParameter,
    NotFound,
    PreconditionFailed,
    RequestTooLarge,
)
from mayfly.model.event import Event, EventState
from mayfly.model.function import Code, Function, FunctionUrl
from mayfly.ports import LogLine


class MemoryRegistry:
    """The port `Registry` in memory."""

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}
        self._urls: dict[str, FunctionUrl] = {}

    def function_nowait(self, name: str) -> Function | None:
        """The function now, or None."""
        return self._functions.get(name)

    def functions_nowait(self) -> Sequence[Function]:
        """All functions, by name."""
        return [self._functions[name] for name in sorted(self._functions)]

    def url_nowait(self, function_name: str) -> FunctionUrl | None:
        """The function's URL, or None."""
        return self._urls.get(function_name)

    def url_by_id_nowait(self, url_id: str) -> FunctionUrl | None:
        """The URL with this id, or None."""
        return next((url for url in self._urls.values() if url.url_id == url_id), None)

    def urls_nowait(self) -> Sequence[FunctionUrl]:
        """All URLs, by function name."""
        return [self._urls[name] for name in sorted(self._urls)]

    async def create_function(self, function: Function) -> None:
        """Add a function."""
        if function.name in self._functions:
            raise Conflict(f"function already exists: {function.name}")
        self._functions[function.name] = function

    async def replace_function(self, function: Function, *, expected_revision_id: str) -> None:
        """Change a function."""
        before = self._required(function.name)
        if before.revision_id != expected_revision_id:
            raise PreconditionFailed(f"function {function.name} was changed meanwhile")
        self._functions[function.name] = function

    async def delete_function(self, name: str) -> None:
        """Remove a function and its URL."""
        self._required(name)
        del self._functions[name]
        self._urls.pop(name, None)

    async def put_url(self, url: FunctionUrl) -> None:
        """Add or replace a function's URL."""
        self._required(url.function_name)
        holder = self.url_by_id_nowait(url.url_id)
        if holder is not None and holder.function_name != url.function_name:
            raise Conflict(f"url id {url.url_id} is the one of function {holder.function_name}")
        self._urls[url.function_name] = url

    async def delete_url(self, function_name: str) -> None:
        """Remove a function's URL."""
        if self._urls.pop(function_name, None) is None:
            raise NotFound(f"function {function_name} has no url")

    def _required(self, name: str) -> Function:
        function = self._functions.get(name)
        if function is None:
            raise NotFound(f"function not found: {name}")
        return function


@dataclass(slots=True)
class _Row:
    """An event, when it may next be taken, and its place in the order of acceptance."""

    event: Event
    ready_ms: int
    place: int


class MemoryBacklog:
    """The port `Backlog` in memory."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._accepted = 0

    async def accept(self, event: Event) -> None:
        """Keep an event."""
        if event.event_id in self._rows:
            raise Conflict(f"event {event.event_id} was accepted before")
        self._accepted += 1
        self._rows[event.event_id] = _Row(event, event.due_ms, self._accepted)

    async def lease(self, *, now_ms: int, lease_ms: int, count_max: int) -> Sequence[Event]:
        """Take up to `count_max` events that are due."""
        due = [row for row in self._takeable() if row.ready_ms <= now_ms]
        due = sorted(due, key=lambda row: (row.ready_ms, row.place))[:count_max]
        for row in due:
            row.event = replace(row.event, state=EventState.LEASED)
            row.ready_ms = now_ms + lease_ms
        return [row.event for row in due]

    async def settle(self, event_id: str) -> None:
        """The event was answered: forget it."""
        self._rows.pop(event_id, None)

    async def retry(self, event: Event, *, due_ms: int, error: str, attempted: bool = True) -> None:
        """Put the event back, due at `due_ms`."""
        again = replace(event, due_ms=due_ms, attempts=event.attempts + attempted, error=error)
        self._put_back(replace(again, state=EventState.WAITING))

    async def fail(self, event: Event, *, error: str) -> None:
        """Keep the event as failed."""
        self._put_back(replace(event, state=EventState.FAILED, error=error))

    async def release(self, *, now_ms: int) -> int:
        """Every lease ends now."""
        leased = [row for row in self._rows.values() if row.event.state is EventState.LEASED]
        for row in leased:
            row.event = replace(row.event, state=EventState.WAITING)
            row.ready_ms = min(row.event.due_ms, now_ms)
        return len(leased)

    async def counts(self) -> Mapping[str, int]:
        """How many events are in each state."""
        found = Counter(row.event.state for row in self._rows.values())
        return {state.value: found[state] for state in EventState}

    async def next_due_ms(self) -> int | None:
        """The first due time or end of a lease."""
        return min((row.ready_ms for row in self._takeable()), default=None)

    def _takeable(self) -> list[_Row]:
        return [row for row in self._rows.values() if row.event.state is not EventState.FAILED]

    def _put_back(self, event: Event) -> None:
        row = self._rows.get(event.event_id)
        if row is not None:
            row.event = event
            row.ready_ms = event.due_ms


class MemoryCodeStore:
    """The port `CodeStore`: bookkeeping in memory, archives and trees in a folder.

    Args:
        root: An empty folder, owned by the caller.
        plant: Fills an empty folder from an archive.
    """

    def __init__(self, root: Path, plant: Callable[[bytes, Path], None] = plant_tree) -> None:
        self._root = root
        self._plant = plant
        self._trees: dict[str, Path] = {}
        self._young: set[str] = set()
        self._put = 0

    async def put_archive(self, archive: bytes) -> Code:
        """Keep a zip archive and unpack its tree."""
        if len(archive) > limits.CODE_ZIPPED_BYTES_MAX:
            raise RequestTooLarge(f"the code archive has {len(archive)} bytes, too many")
        digest = hashlib.sha256(archive).hexdigest()
        self._young.add(digest)
        if digest not in self._trees:
            self._put += 1
            tree = self._root / f"tree-{self._put}"
            tree.mkdir()
            self._plant(archive, tree)
            tree.with_suffix(".zip").write_bytes(archive)
            self._trees[digest] = tree
        return Code(digest=digest, size_bytes=len(archive))

    def archive_path(self, digest: str) -> Path:
        """Where the archive lies. Raises NotFound."""
        return self.tree_path(digest).with_suffix(".zip")

    def tree_path(self, digest: str) -> Path:
        """Where the tree lies. Raises NotFound."""
        self._young.add(digest)
        if digest not in self._trees:
            raise NotFound(f"no code with digest {digest} is kept here")
        return self._trees[digest]

    def dependencies_path(self, digest: str) -> Path:
        """Raises NotFound: it keeps none."""
        raise NotFound(f"no code with digest {digest} is kept here")

    async def collect(self, keep: frozenset[str]) -> int:
        """Forget what is not in `keep`, nor was asked for since the last time."""
        spared, self._young = self._young, set()
        doomed = [digest for digest in self._trees if digest not in keep | spared]
        return sum(self._trees.pop(digest).with_suffix(".zip").stat().st_size for digest in doomed)


class MemoryLogStore:
    """The port `LogStore` in memory; unbounded, and every line is there at once."""

    def __init__(self) -> None:
        self._lines: dict[str, list[LogLine]] = {}
        self._begun: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._followers: dict[str, set[asyncio.Queue[LogLine]]] = {}

    def append_nowait(
        self, function_name: str, request_id: str, when_ms: float, data: bytes
    ) -> None:
        """Take some output of a call."""
        if not function_name.replace("-", "a").replace("_", "a").isalnum():
            raise InvalidParameter(f"{function_name[:80]!r} is no function's name")
        source = (function_name, request_id)
        begun_ms, begun = self._begun.pop(source, (int(when_ms), b""))
        *ended, rest = (begun + data).split(b"\n")
        for number, text in enumerate(ended):
            self._keep(source, int(when_ms) if number else begun_ms, text)
        if rest:
            self._begun[source] = (int(when_ms) if ended else begun_ms, rest)

    async def read(
        self, function_name: str, *, since_ms: float = 0, limit: int = 10_000
    ) -> Sequence[LogLine]:
        """The newest `limit` lines at or after `since_ms`."""
        lines = self._lines.get(function_name, [])
        return [line for line in lines if line.when_ms >= since_ms][-limit:]

    def follow(self, function_name: str) -> AsyncIterator[LogLine]:
        """Lines as they come, from now on."""
        queue: asyncio.Queue[LogLine] = asyncio.Queue()
        self._followers.setdefault(function_name, set()).add(queue)

        async def lines() -> AsyncIterator[LogLine]:
            try:
                while True:
                    yield await queue.get()
            finally:
                self._followers[function_name].discard(queue)

        return lines()

    async def forget(self, function_name: str) -> None:
        """Delete a function's log."""
        self._lines.pop(function_name, None)
        for source in [source for source in self._begun if source[0] == function_name]:
            del self._begun[source]

    async def flush(self) -> None:
        """End every line that has not ended."""
        begun, self._begun = self._begun, {}
        for source, (begun_ms, text) in begun.items():
            self._keep(source, begun_ms, text)

    def _keep(self, source: tuple[str, str], when_ms: int, text: bytes) -> None:
        text = text.removesuffix(b"\r")
        line = LogLine(when_ms, source[1], text.decode(errors="replace"))
        self._lines.setdefault(source[0], []).append(line)
        for queue in self._followers.get(source[0], ()):
            queue.put_nowait(line)
