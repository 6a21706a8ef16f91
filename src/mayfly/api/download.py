"""A function's archive, sent from its file in parts: the `Location` that GetFunction gives."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import Executor

from mayfly.api.exchange import Exchange
from mayfly.api.platform import Platform
from mayfly.model.errors import NotFound

_PART_BYTES = 256 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


async def send_archive(
    platform: Platform, exchange: Exchange, digest: str, threads: Executor
) -> None:
    """Reply with the archive. One part is in memory at a time.

    Raises:
        NotFound: There is no such archive. Nothing was sent.
    """
    if not _DIGEST.match(digest):
        raise NotFound(f'"{digest[:80]}" names no archive: a digest is 64 hexadecimal digits')
    path = platform.code.archive_path(digest)
    loop = asyncio.get_running_loop()
    try:
        file = await loop.run_in_executor(threads, path.open, "rb")
    except OSError as error:
        raise NotFound(f"the archive {digest} is gone from the data folder") from error
    with file:
        size = path.stat().st_size
        headers = [(b"content-type", b"application/zip"), (b"content-length", b"%d" % size)]
        await exchange.start(200, headers)
        timeout_s = platform.limits.send_timeout_s
        sent = 0
        while sent < size and exchange.method != "HEAD":
            part = await loop.run_in_executor(threads, file.read, min(_PART_BYTES, size - sent))
            if not part:
                # The file became shorter: the connection is cut, for the length was promised.
                return
            sent += len(part)
            await exchange.send_part(part, timeout_s=timeout_s)
        await exchange.send_part(b"", timeout_s=timeout_s, more=False)
