"""Accepting clients at a door: each in a task of its own, all cut when the door closes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine

BLOCK_BYTES = 65_536

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


async def serve_clients(listener: socket.socket, serve: Serve) -> None:
    """Serve a listener, which the caller owns, until cancelled; then every connection is cut.

    Args:
        serve: One client; its connection is cut when it returns. It lets no exception out.
    """
    closing = False
    async with asyncio.TaskGroup() as tasks:

        def came(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if closing:
                # Accepted in the last turn of the loop: nobody would own it.
                writer.transport.abort()
            else:
                task = tasks.create_task(serve(reader, writer))
                # Not in the task, which may be cancelled before its first line.
                task.add_done_callback(lambda _task: writer.transport.abort())

        server = await asyncio.start_server(came, sock=listener, limit=BLOCK_BYTES)
        try:
            await asyncio.Event().wait()
        finally:
            closing = True
            server.close()
