"""One reader who follows a function's log, from now on.

Bounded: who reads too slowly loses the oldest lines, and is told how many. Ends by `aclose`, or
when nobody holds it any more: the store knows it only weakly.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from mayfly.ports import LogLine

WAITING_MAX = 10_000


class Follower:
    """An async iterator of lines. One event loop's."""

    def __init__(self, waiting_max: int = WAITING_MAX) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[LogLine] = deque(maxlen=waiting_max)
        self._lost = 0
        self._news = asyncio.Event()
        self._closed = False

    def offer(self, lines: Iterable[LogLine]) -> None:
        """Hand over lines. Any thread."""
        try:
            self._loop.call_soon_threadsafe(self.offer_nowait, list(lines))
        except RuntimeError:  # The loop has ended, and the reader with it.
            self._closed = True

    def offer_nowait(self, lines: Iterable[LogLine]) -> None:
        """Hand over lines, on the reader's event loop."""
        for line in lines:
            self._lost += len(self._waiting) == self._waiting.maxlen
            self._waiting.append(line)
        self._news.set()

    def __aiter__(self) -> Follower:
        return self

    async def __anext__(self) -> LogLine:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        if self._lost:
            notice = f"... {self._lost} lines lost: this reader is too slow"
            self._lost = 0
            return LogLine(self._waiting[0].when_ms, "", notice)
        return self._waiting.popleft()

    async def aclose(self) -> None:
        """End it: whoever waits gets the end after what has come."""
        self._closed = True
        self._news.set()
