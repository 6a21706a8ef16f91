"""Newline-delimited JSON, written as it comes about and no faster than the client reads it.

Two ways in: `put` waits while too much is unsent, for sources that can wait (a log); `put_nowait`
never waits and says whether it took the line, for those that cannot (an isolate's output). One
task sends; it is the only one that touches the reply.

    put, put_nowait --> lines (bounded in bytes) --> pump --> client
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec

from mayfly.api.exchange import Disconnected, Exchange

PENDING_BYTES_MAX = 1024 * 1024
_TYPE = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]
_encode = msgspec.json.Encoder().encode


class LineStream:
    """A reply of JSON lines under way. Made by `line_stream`."""

    def __init__(self, exchange: Exchange, *, pending_bytes_max: int, timeout_s: float) -> None:
        self._exchange = exchange
        self._pending_bytes_max = pending_bytes_max
        self._timeout_s = timeout_s
        self._lines: deque[bytes] = deque()
        self._pending_bytes = 0
        self._ended = False
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()

    def put_nowait(self, document: Mapping[str, object]) -> bool:
        """Queue a line; False when there is no room and the line is lost."""
        if self._pending_bytes > self._pending_bytes_max:
            return False
        self._append(_encode(document))
        return True

    def put_last_nowait(self, document: Mapping[str, object]) -> None:
        """Queue the line that ends the reply; it always has room."""
        self._append(_encode(document))
        self.end()

    async def put(self, document: Mapping[str, object]) -> None:
        """Queue a line, waiting until there is room."""
        while self._pending_bytes > self._pending_bytes_max:
            self._drained.clear()
            await self._drained.wait()
        self._append(_encode(document))

    def end(self) -> None:
        """No more lines; what is queued is still sent."""
        self._ended = True
        self._filled.set()

    async def pump(self) -> None:
        """Send until `end`. Raises Disconnected when the client stops reading."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            ended = self._ended
            part, self._lines = b"".join(self._lines), deque()
            if part or ended:
                await self._exchange.send_part(part, timeout_s=self._timeout_s, more=not ended)
            self._pending_bytes -= len(part)
            self._drained.set()
            if ended:
                return

    def _append(self, line: bytes) -> None:
        self._lines.append(line + b"\n")
        self._pending_bytes += len(line) + 1
        self._filled.set()


@asynccontextmanager
async def line_stream(
    exchange: Exchange,
    *,
    timeout_s: float,
    pending_bytes_max: int = PENDING_BYTES_MAX,
    abandon: bool = False,
) -> AsyncIterator[LineStream]:
    """Begin the reply and send lines while the body runs; the reply ends with it.

    Args:
        timeout_s: How long the client may take nothing.
        abandon: Cancel the body when the client goes away. Otherwise it runs to its end, with
            nobody reading.
    """
    await exchange.start(200, _TYPE)
    stream = LineStream(exchange, pending_bytes_max=pending_bytes_max, timeout_s=timeout_s)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(stream.pump())
            watch = group.create_task(_until_gone(exchange)) if abandon else None
            try:
                yield stream
            finally:
                stream.end()
                if watch is not None:
                    watch.cancel()
    except* Disconnected:
        pass


async def _until_gone(exchange: Exchange) -> None:
    await exchange.wait_disconnected()
    raise Disconnected
