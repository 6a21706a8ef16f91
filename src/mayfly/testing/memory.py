"""The ports without a disk behind them: what a test of a room above hands in.

They keep what they are given in dictionaries and pass the contract suites of the real ones. They
outlive nothing and promise nothing about a crash. Only the code store needs a folder, for whoever
asks for a tree reads files.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
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
from mayfly.model.event import EventSettings
from mayfly.model.function import Code, Function, FunctionUrl
from mayfly.ports import LogLine
from mayfly.testing.memory_backlog import MemoryBacklog

__all__ = ["MemoryBacklog", "MemoryCodeStore", "MemoryLogStore", "MemoryRegistry"]


class MemoryRegistry:
    """The port `Registry` in memory."""

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}
        self._urls: dict[str, FunctionUrl] = {}
        self._event_settings: dict[tuple[str, str], EventSettings] = {}

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
        """Remove a function, its URL and what is set for its events."""
        self._required(name)
        del self._functions[name]
        self._urls.pop(name, None)
        for key in [key for key in self._event_settings if key[0] == name]:
            del self._event_settings[key]

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

    def event_settings_nowait(self, function_name: str, qualifier: str) -> EventSettings | None:
        """What is set for a function's events, or None."""
        return self._event_settings.get((function_name, qualifier))

    def all_event_settings_nowait(self, function_name: str) -> Sequence[EventSettings]:
        """What is set for a function's events, by qualifier."""
        held = sorted(key for key in self._event_settings if key[0] == function_name)
        return [self._event_settings[key] for key in held]

    async def put_event_settings(self, settings: EventSettings) -> None:
        """Add or replace what is set for a function's events."""
        self._required(settings.function_name)
        self._event_settings[settings.function_name, settings.qualifier] = settings

    async def delete_event_settings(self, function_name: str, qualifier: str) -> None:
        """Remove what is set for a function's events."""
        if self._event_settings.pop((function_name, qualifier), None) is None:
            raise NotFound(f"function {function_name}:{qualifier} has no settings of events")

    def _required(self, name: str) -> Function:
        function = self._functions.get(name)
        if function is None:
            raise NotFound(f"function not found: {name}")
        return function


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
