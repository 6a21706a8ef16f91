"""The ports `Registry` and `Backlog` without a disk: what a test of a room above hands in.

They keep what they are given in dictionaries and pass the contract suites of the real ones. They
outlive nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mayfly.model.errors import Conflict, NotFound, PreconditionFailed
from mayfly.model.event import Event, EventState
from mayfly.model.function import Function, FunctionUrl


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
