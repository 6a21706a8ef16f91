"""A function's log, read and followed.

Following begins before what is there is read, so that no line falls in between; a line that both
saw is told once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import cast

from mayfly.api.control.stream import LineStream, line_stream
from mayfly.api.exchange import Exchange
from mayfly.api.platform import Platform
from mayfly.model.errors import NotFound
from mayfly.ports import LogLine

LINES_MAX = 100_000
_QUEUED_MAX = 10_000


async def send_logs(
    platform: Platform,
    exchange: Exchange,
    *,
    name: str,
    since_ms: float,
    limit: int,
    follow: bool,
) -> None:
    """Reply with the newest lines, oldest first, and with those that come when `follow`.

    Raises:
        NotFound: No function of this name is or was here. Nothing was sent.
    """
    if not follow:
        lines = await _read(platform, name, since_ms, limit)
        async with line_stream(exchange, timeout_s=platform.limits.send_timeout_s) as stream:
            await _put_all(stream, lines)
        return
    queue: asyncio.Queue[LogLine] = asyncio.Queue(_QUEUED_MAX)
    async with asyncio.TaskGroup() as group:
        feeder = group.create_task(_feed(platform.logs.follow(name), queue))
        # Let the feeder reach its first wait: from there on, lines go to the queue.
        await asyncio.sleep(0)
        try:
            lines = await _read(platform, name, since_ms, limit)
            await _send_following(platform, exchange, lines, queue)
        finally:
            feeder.cancel()


async def _send_following(
    platform: Platform,
    exchange: Exchange,
    lines: Sequence[LogLine],
    queue: asyncio.Queue[LogLine],
) -> None:
    timeout_s = platform.limits.send_timeout_s
    async with line_stream(exchange, timeout_s=timeout_s, abandon=True) as stream:
        await _put_all(stream, lines)
        told = set(lines[-_QUEUED_MAX:])
        while True:
            line = await queue.get()
            if line in told:
                told.discard(line)
            else:
                await _put_all(stream, (line,))


async def _feed(lines: AsyncIterator[LogLine], queue: asyncio.Queue[LogLine]) -> None:
    # The port promises an iterator that can be closed: an asynchronous generator.
    async with aclosing(cast("_Closable", lines)) as closable:
        async for line in closable:
            await queue.put(line)


class _Closable(AsyncIterator[LogLine]):
    async def aclose(self) -> None: ...


async def _read(platform: Platform, name: str, since_ms: float, limit: int) -> Sequence[LogLine]:
    await platform.logs.flush()
    lines = await platform.logs.read(name, since_ms=since_ms, limit=min(limit, LINES_MAX))
    if not lines and platform.registry.function_nowait(name) is None:
        raise NotFound(f'no function has the name "{name[:80]}"; `mayfly ls` lists them')
    return lines


async def _put_all(stream: LineStream, lines: Sequence[LogLine]) -> None:
    for line in lines:
        await stream.put(
            {"when_ms": line.when_ms, "request_id": line.request_id, "text": line.text}
        )
