"""Events that were answered are forgotten together: one write for all that ended meanwhile.

    settle(id) --waiting--> run: takes all that wait --one settle_all--> each is told

A write for each would cost more than the call that it ends. While one write is on its way the next
ones gather, so that nothing waits when there is little to do, and much is done at once when there
is much.
"""

from __future__ import annotations

import asyncio

from mayfly.model.errors import MayflyError
from mayfly.ports import Backlog


class Settling:
    """Gathers what is to be settled. `run` does it."""

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._asked = asyncio.Event()

    async def settle(self, event_id: str) -> None:
        """Forget an event that was answered; return when that is durable.

        Raises:
            MayflyError: It was not forgotten, nor were those that were to be with it.
        """
        done = self._waiting[event_id] = asyncio.get_running_loop().create_future()
        self._asked.set()
        await done

    async def run(self) -> None:
        """Settle until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            together, self._waiting = self._waiting, {}
            try:
                await self._backlog.settle_all(list(together))
            except MayflyError as error:
                for done in together.values():
                    if not done.done():
                        done.set_exception(error)
            else:
                for done in together.values():
                    if not done.done():
                        done.set_result(None)
