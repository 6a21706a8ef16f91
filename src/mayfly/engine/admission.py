"""Who may run now, who waits, who is refused. Pure: it decides, others wait and wake.

A *lane* is one function's standing. A call enters when its function is below its own bound, the
node is below its bound, and nobody is ahead of it; else it takes a *ticket* and waits in its lane,
first in, first out. When a call leaves, lanes take turns (`_ring`), so that a function with a
thousand waiters delays another function's only waiter by one turn, not by a thousand.

    enter(lane) --yes--> runs --leave(lane)--> next() --> a ticket that runs now
        `--no--> queue(lane, ticket) ... next() or abandon(ticket)

Lambda's unreserved functions share what the node has; reserved concurrency is a bound of the
function's own, and 0 stops it.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from mayfly.engine.bounds import EngineLimits
from mayfly.model.errors import TooManyRequests

RESERVED_REASON = "ReservedFunctionConcurrentInvocationLimitExceeded"
SHARED_REASON = "ConcurrentInvocationLimitExceeded"


class Lane:
    """One function's standing.

    Args:
        name: The function's name, for messages.
        reserved: Its reserved concurrency, or None.
        shared_max: Its bound when nothing is reserved.
    """

    __slots__ = ("busy", "in_ring", "name", "reserved", "shared_max", "waiting")

    def __init__(self, name: str, *, reserved: int | None, shared_max: int) -> None:
        self.name = name
        self.reserved = reserved
        self.shared_max = shared_max
        self.busy = 0
        self.waiting: OrderedDict[Ticket, None] = OrderedDict()
        self.in_ring = False

    @property
    def busy_max(self) -> int:
        """How many calls of it may run at once."""
        return self.shared_max if self.reserved is None else self.reserved


class Ticket:
    """A waiting call's place in its lane."""

    __slots__ = ("lane", "memory_mib")

    def __init__(self, lane: Lane, memory_mib: int) -> None:
        self.lane = lane
        self.memory_mib = memory_mib


class Admission:
    """The node's books: who runs, who waits."""

    __slots__ = ("_limits", "_memory_max", "_node_max", "_ring", "busy", "memory_mib", "waiting")

    def __init__(self, limits: EngineLimits) -> None:
        self._limits = limits
        self._node_max = limits.node_concurrency_max
        self._memory_max = limits.memory_busy_mib_max
        self._ring: deque[Lane] = deque()
        self.busy = 0
        self.memory_mib = 0
        self.waiting = 0

    def enter(self, lane: Lane, memory_mib: int) -> bool:
        """Let a call in if it may run at once; the caller owes a `leave`."""
        if lane.waiting or self._ring or not self._has_room(lane, memory_mib):
            return False
        self._admit(lane, memory_mib)
        return True

    def queue(self, ticket: Ticket) -> None:
        """Let a call wait.

        Raises:
            TooManyRequests: The function is stopped, or too many wait already.
        """
        lane = ticket.lane
        if (
            lane.reserved == 0
            or self.waiting >= self._limits.waiters_max
            or len(lane.waiting) >= self._limits.function_waiters_max
        ):
            raise self.refusal(lane)
        lane.waiting[ticket] = None
        self.waiting += 1
        self._line_up(lane)

    def leave(self, lane: Lane, memory_mib: int) -> bool:
        """A call that was let in is over. True when somebody may now run: ask `next`."""
        lane.busy -= 1
        self.busy -= 1
        self.memory_mib -= memory_mib
        assert lane.busy >= 0, f"more calls of {lane.name} left than entered"
        if lane.waiting:
            self._line_up(lane)
        return bool(self._ring)

    def next(self) -> Ticket | None:
        """Let the next waiting call in, in turn between functions, or None."""
        ring = self._ring
        while ring:
            lane = ring[0]
            if not lane.waiting or lane.busy >= lane.busy_max:
                ring.popleft()
                lane.in_ring = False
                continue
            ticket = next(iter(lane.waiting))
            # A call that does not fit blocks the others: passed over, it might wait for ever.
            if not self._has_room(lane, ticket.memory_mib):
                return None
            del lane.waiting[ticket]
            self.waiting -= 1
            self._admit(lane, ticket.memory_mib)
            ring.rotate(-1)
            return ticket
        return None

    def abandon(self, ticket: Ticket) -> bool:
        """A waiting call gave up. False when it was let in before: then it owes a `leave`."""
        waiting = ticket.lane.waiting
        if ticket not in waiting:
            return False
        del waiting[ticket]
        self.waiting -= 1
        return True

    def reserve(self, lane: Lane, reserved: int | None) -> list[Ticket]:
        """Change a function's reserved concurrency.

        Returns:
            Tickets that are refused now, as the function was stopped; `next` may let others in.
        """
        lane.reserved = reserved
        if reserved == 0:
            refused = list(lane.waiting)
            lane.waiting.clear()
            self.waiting -= len(refused)
            return refused
        if lane.waiting:
            self._line_up(lane)
        return []

    def refusal(self, lane: Lane) -> TooManyRequests:
        """Why a call of this function cannot run now."""
        if lane.reserved is not None and lane.busy >= lane.reserved:
            told = "is stopped" if lane.reserved == 0 else "has all of them running"
            text = f"function {lane.name} with reserved concurrency {lane.reserved} {told}"
            return TooManyRequests(f"{text}; raise it, or call again later", reason=RESERVED_REASON)
        return TooManyRequests(
            f"function {lane.name} waited for one of {self._node_max} places on this node, "
            f"{self.busy} of them busy, {self.waiting} calls waiting; call again later",
            reason=SHARED_REASON,
        )

    def _has_room(self, lane: Lane, memory_mib: int) -> bool:
        if self.busy >= self._node_max or lane.busy >= lane.busy_max:
            return False
        bound = self._memory_max
        return not bound or not self.busy or self.memory_mib + memory_mib <= bound

    def _admit(self, lane: Lane, memory_mib: int) -> None:
        lane.busy += 1
        self.busy += 1
        self.memory_mib += memory_mib

    def _line_up(self, lane: Lane) -> None:
        if not lane.in_ring and lane.busy < lane.busy_max:
            lane.in_ring = True
            self._ring.append(lane)
