"""A function's log, read and followed.

Following begins before what is there is read, so that no line falls in between; a line that both
saw is told once. The store bounds what waits for a reader who is slow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack

from mayfly.api.control.stream import LineStream, line_stream
from mayfly.api.exchange import Exchange
from mayfly.api.platform import Platform
from mayfly.model.errors import NotFound
from mayfly.ports import LogLine

LINES_MAX = 100_000
# A line carries the time at which it was taken in, which is not quite when it was printed.
_OVERLAP_MS = 1_000


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
    timeout_s = platform.limits.send_timeout_s
    if not follow:
        lines = await _read(platform, name, since_ms, limit)
        async with line_stream(exchange, timeout_s=timeout_s) as stream:
            await _put_all(stream, lines)
        return
    async with AsyncExitStack() as stack:
        began_ms = platform.clock.now_ms()
        follower = platform.logs.follow(name)
        close = getattr(follower, "aclose", None)
        if close is not None:
            stack.push_async_callback(close)
        lines = await _read(platform, name, since_ms, limit)
        told = Counter(line for line in lines if line.when_ms >= began_ms - _OVERLAP_MS)
        async with line_stream(exchange, timeout_s=timeout_s, abandon=True) as stream:
            await _put_all(stream, lines)
            async for line in follower:
                if told[line]:
                    told[line] -= 1
                else:
                    await _put_all(stream, (line,))


async def _read(platform: Platform, name: str, since_ms: float, limit: int) -> Sequence[LogLine]:
    await platform.logs.flush()
    lines = await platform.logs.read(name, since_ms=since_ms, limit=min(limit, LINES_MAX))
    if not lines and platform.registry.function_nowait(name) is None:
        raise NotFound(f'no function has the name "{name[:80]}"; `mayfly ls` lists them')
    return lines


async def _put_all(stream: LineStream, lines: Iterable[LogLine]) -> None:
    for line in lines:
        await stream.put(
            {"when_ms": line.when_ms, "request_id": line.request_id, "text": line.text}
        )
