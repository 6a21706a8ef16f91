"""What functions print: taken in at once, written behind by one thread, read from the end.

    append_nowait --deque, bounded in bytes--> writer thread, at most 50 times a second:
                                                 pieces -> lines (log_lines) -> files (log_files)
                                                                             -> followers
    read, flush, forget --the same deque--> done in their turn, so that they see what came before

Over its bound, output is dropped and counted, and the log says how much; a disk that refuses
counts as well. Nobody who prints ever waits for the disk.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

from mayfly.backends.files.log_files import FILE_BYTES_MAX, LogFiles
from mayfly.backends.files.log_follower import Follower
from mayfly.backends.files.log_lines import OPEN_MAX, LineJoiner, Source, written
from mayfly.backends.files.sites import Site
from mayfly.model import limits
from mayfly.model.errors import InvalidParameter, ShuttingDown, StorageFailed
from mayfly.ports import Clock, LogLine, Sites, unwatched

BUFFER_BYTES_MAX = 16 * limits.MIB
READERS_MAX = 2
# The writer gathers for so long before it writes: a wake for each call would cost the calls.
_GATHERED_S = 0.02
# A line without an end is written after so long: a prompt shows up, and nothing is kept forever.
_UNENDED_S = 1.0
_PIECE_BYTES = 200  # what a piece costs beyond its data
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some output of a call."""

    source: Source
    when_ms: float
    data: bytes

    @property
    def cost_bytes(self) -> int:
        return len(self.data) + _PIECE_BYTES


# Something to be done on the writer thread, in its turn.
_Errand = Callable[[], None]


class FileLogStore:
    """The port `LogStore` on a folder; closed by `close`.

    Args:
        root: One folder per function lies below it; made when needed.
        clock: Times notices, and lines that do not end.
    """

    def __init__(
        self,
        root: Path,
        clock: Clock,
        *,
        file_bytes_max: int = FILE_BYTES_MAX,
        buffer_bytes_max: int = BUFFER_BYTES_MAX,
        sites: Sites = unwatched,
    ) -> None:
        self._clock = clock
        self._files = LogFiles(root, file_bytes_max=file_bytes_max, sites=sites)
        self._buffer_bytes_max = buffer_bytes_max
        self._waiting: deque[_Piece | _Errand] = deque()
        self._waiting_bytes = 0
        self._dropped: dict[str, int] = {}
        self._guard = threading.Lock()
        self._wake, self._urgent = threading.Event(), threading.Event()
        self._joiner = LineJoiner()
        self._followers: dict[str, WeakSet[Follower]] = {}
        self._closing = False
        self._readers = ThreadPoolExecutor(READERS_MAX, thread_name_prefix="mayfly-log-read")
        self._thread = threading.Thread(target=self._run, name="mayfly-log", daemon=True)
        self._thread.start()

    def append_nowait(
        self, function_name: str, request_id: str, when_ms: float, data: bytes
    ) -> None:
        """Take some output of a call. Any thread; never blocks.

        Raises:
            InvalidParameter: The function's name is no name.
        """
        piece = _Piece((_checked(function_name), request_id), when_ms, data)
        with self._guard:
            if self._closing or self._waiting_bytes + piece.cost_bytes > self._buffer_bytes_max:
                self._dropped[function_name] = self._dropped.get(function_name, 0) + len(data)
                return
            self._waiting_bytes += piece.cost_bytes
            self._waiting.append(piece)
        if not self._wake.is_set():
            self._wake.set()

    async def read(
        self, function_name: str, *, since_ms: float = 0, limit: int = 10_000
    ) -> Sequence[LogLine]:
        """The newest `limit` lines at or after `since_ms`, oldest first.

        Every line that was ended before the call is among them. Raises StorageFailed.
        """
        read = partial(
            self._files.read, _checked(function_name), since_ms=since_ms, count_max=limit
        )
        await self._ask(lambda: None)
        failing_here = partial(_failing_at, Site.LOG_READ, read)
        return await asyncio.get_running_loop().run_in_executor(self._readers, failing_here)

    def follow(self, function_name: str) -> AsyncIterator[LogLine]:
        """Lines as they come, from now on; the iterator has `aclose`."""
        follower = Follower()
        with self._guard:
            self._followers.setdefault(_checked(function_name), WeakSet()).add(follower)
        return follower

    async def forget(self, function_name: str) -> None:
        """Delete a function's log. Raises StorageFailed."""
        forget = partial(self._files.forget, _checked(function_name))

        def errand() -> None:
            self._joiner.forget(function_name)
            _failing_at(Site.LOG_FORGET, forget)

        await self._ask(errand)

    async def flush(self) -> None:
        """Everything appended so far is in the files, lines that have not ended included."""
        await self._ask(self._finish)

    async def close(self) -> None:
        """Write what there is and end the thread. Harmless when it is closed."""
        if not self._closing:
            await self.flush()
        self._closing = True
        self._wake.set()
        self._urgent.set()
        self._thread.join()
        self._readers.shutdown()

    async def _ask(self, errand: Callable[[], T]) -> T:
        """Have the writer do `errand` in its turn, now; its result."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                tell: Callable[[], None] = partial(answer.set_result, errand())
            except Exception as error:  # noqa: BLE001  the errand's border: the asker is told
                tell = partial(answer.set_exception, error)
            with suppress(RuntimeError):  # the loop may have ended
                loop.call_soon_threadsafe(lambda: None if answer.done() else tell())

        with self._guard:
            if self._closing:
                raise ShuttingDown("the log is closed: the platform is stopping")
            self._waiting.append(run)
        self._wake.set()
        self._urgent.set()
        return await answer

    # Below: the writer thread.

    def _run(self) -> None:
        while not self._closing or self._waiting:
            self._wake.wait(_UNENDED_S if self._joiner.has_open or self._dropped else None)
            self._urgent.wait(0 if self._closing else _GATHERED_S)
            self._wake.clear()
            self._urgent.clear()
            self._drain()
            self._write(self._joiner.close_beyond(OPEN_MAX))
            self._write(self._joiner.close_older(self._clock.monotonic_s() - _UNENDED_S))
            self._say_what_was_dropped()
        self._finish()

    def _finish(self) -> None:
        self._write(self._joiner.close_beyond(0))
        self._say_what_was_dropped()

    def _drain(self) -> None:
        """Everything that waits, in order."""
        gathered: list[tuple[Source, LogLine]] = []
        while self._waiting:
            next_one = self._waiting.popleft()
            if isinstance(next_one, _Piece):
                gathered += self._lines(next_one)
                continue
            self._write(gathered)
            gathered = []
            next_one()
        self._write(gathered)

    def _lines(self, piece: _Piece) -> Iterable[tuple[Source, LogLine]]:
        with self._guard:
            self._waiting_bytes -= piece.cost_bytes
        now_s = self._clock.monotonic_s()
        for line in self._joiner.feed(piece.source, piece.data, when_ms=piece.when_ms, now_s=now_s):
            yield piece.source, line

    def _write(self, lines: Iterable[tuple[Source, LogLine]]) -> None:
        """Write lines to their functions' files and tell the followers."""
        by_function: dict[str, list[LogLine]] = {}
        for (function_name, _), line in lines:
            by_function.setdefault(function_name, []).append(line)
        for function_name, some in by_function.items():
            data = b"".join(written(line) for line in some)
            try:
                self._files.append(function_name, data)
            except OSError:
                # Told in the log itself, when the disk takes it again.
                with self._guard:
                    self._count_dropped(function_name, len(data))
            self._tell_followers(function_name, some)

    def _say_what_was_dropped(self) -> None:
        with self._guard:
            dropped, self._dropped = self._dropped, {}
        now_ms = int(self._clock.now_ms())
        for function_name, count in dropped.items():
            line = LogLine(now_ms, "", f"... {count} bytes of log dropped")
            try:
                self._files.append(function_name, written(line))
            except OSError:
                with self._guard:
                    self._count_dropped(function_name, count)
                continue
            self._tell_followers(function_name, [line])

    def _count_dropped(self, function_name: str, count: int) -> None:
        self._dropped[function_name] = self._dropped.get(function_name, 0) + count

    def _tell_followers(self, function_name: str, lines: Sequence[LogLine]) -> None:
        with self._guard:
            followers = list(self._followers.get(function_name, ()))
            if not followers:
                self._followers.pop(function_name, None)
        for follower in followers:
            follower.offer(lines)


def _checked(function_name: str) -> str:
    """The name as one safe part of a path."""
    if not _NAME.fullmatch(function_name):
        raise InvalidParameter(f"{function_name[:80]!r} is no function's name: it has no log")
    return function_name


def _failing_at(site: Site, work: Callable[[], T]) -> T:
    try:
        return work()
    except OSError as error:
        raise StorageFailed(site=site, errno=error.errno or 0, detail=str(error)) from error
