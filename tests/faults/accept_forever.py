"""Accepts events without end and prints the id of each when it is durable; a test kills it.

python accept_forever.py DATABASE PREFIX
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from mayfly.backends.sqlite.backlog import SqliteBacklog
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.event import Event

ACCEPTERS = 16


async def accept_forever(path: Path, prefix: str) -> None:
    store = await SqliteStore.open(path)
    backlog = await SqliteBacklog.open(store)

    async def accepter(number: int) -> None:
        count = 0
        while True:
            count += 1
            event_id = f"{prefix}-{number}-{count}"
            await backlog.accept(Event(event_id, "f", "$LATEST", b"{}" * 500, 0, 0))
            sys.stdout.write(event_id + "\n")
            sys.stdout.flush()

    async with asyncio.TaskGroup() as tasks:
        for number in range(ACCEPTERS):
            tasks.create_task(accepter(number))


asyncio.run(accept_forever(Path(sys.argv[1]), sys.argv[2]))
