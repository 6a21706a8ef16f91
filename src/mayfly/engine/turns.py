"""Calls that wait for their turn: futures and deadlines around `Admission`'s decisions.

Deadlines are kept in a heap that one task, `run`, watches: a waiting call costs no timer. An entry
whose call was let in meanwhile is skipped when its time comes.
"""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush

from mayfly.engine.admission import Admission, Lane, Ticket
from mayfly.engine.alarm import Alarm
from mayfly.model.errors import MayflyError, ShuttingDown
from mayfly.ports import Clock


class Turn(Ticket):
    """A ticket with the future that its call waits on."""

    __slots__ = ("granted",)

    def __init__(self, lane: Lane, memory_mib: int) -> None:
        super().__init__(lane, memory_mib)
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def refuse(self, error: MayflyError) -> None:
        """End the wait with `error`."""
        if not self.granted.done():
            self.granted.set_exception(error)


class Turns:
    """Lets calls in and out. `run` must be running, or nobody is ever refused for waiting long."""

    def __init__(self, admission: Admission, clock: Clock) -> None:
        self._admission = admission
        self._clock = clock
        self._alarm = Alarm(clock)
        self._deadlines: list[tuple[float, int, Turn]] = []
        self._waiting: set[Turn] = set()
        self._count = 0

    async def wait(self, lane: Lane, memory_mib: int, *, wait_s: float) -> None:
        """Wait until the call may run; the caller then owes a `leave`.

        Raises:
            TooManyRequests: Too many wait, or it waited for `wait_s`.
            ShuttingDown: The engine stops.
        """
        turn = Turn(lane, memory_mib)
        self._admission.queue(turn)
        self._set_deadline(turn, wait_s)
        self._waiting.add(turn)
        self.pump()
        try:
            await turn.granted
        except BaseException:
            if not self._admission.abandon(turn) and _was_granted(turn):
                self.leave(lane, memory_mib)
            else:
                self.pump()
            raise
        finally:
            self._waiting.discard(turn)

    def leave(self, lane: Lane, memory_mib: int) -> None:
        """A call is over; whoever is next may run."""
        if self._admission.leave(lane, memory_mib):
            self.pump()

    def reserve(self, lane: Lane, reserved: int | None) -> None:
        """Change a function's reserved concurrency; 0 refuses those who wait."""
        for ticket in self._admission.reserve(lane, reserved):
            assert isinstance(ticket, Turn)
            ticket.refuse(self._admission.refusal(lane))
        self.pump()

    def pump(self) -> None:
        """Let in all who may run now."""
        while (ticket := self._admission.next()) is not None:
            assert isinstance(ticket, Turn)
            if ticket.granted.done():
                # Cancelled, but its task did not yet run to say so.
                self._admission.leave(ticket.lane, ticket.memory_mib)
            else:
                ticket.granted.set_result(None)

    def refuse_all(self) -> None:
        """The engine stops: nobody's turn will come."""
        for turn in list(self._waiting):
            if self._admission.abandon(turn):
                turn.refuse(ShuttingDown("the platform is stopping; call again when it is back"))

    async def run(self) -> None:
        """Refuse those who waited too long. Runs until cancelled."""
        while True:
            await self._alarm.wait()
            now_s = self._clock.monotonic_s()
            while self._deadlines and self._deadlines[0][0] <= now_s:
                turn = heappop(self._deadlines)[2]
                if self._admission.abandon(turn):
                    turn.refuse(self._admission.refusal(turn.lane))
            if self._deadlines:
                self._alarm.set(self._deadlines[0][0])

    def _set_deadline(self, turn: Turn, wait_s: float) -> None:
        self._count += 1
        at_s = self._clock.monotonic_s() + wait_s
        heappush(self._deadlines, (at_s, self._count, turn))
        self._alarm.set(at_s)


def _was_granted(turn: Turn) -> bool:
    future = turn.granted
    return future.done() and not future.cancelled() and future.exception() is None
