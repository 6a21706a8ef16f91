"""What all pools of one node share: the ports, the bounded counts, the owner of tasks.

It decides nothing; it is handed to those who do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass

from mayfly.engine.alarm import Alarm
from mayfly.engine.bounds import EngineLimits
from mayfly.engine.brood import Brood
from mayfly.engine.log_quota import LogQuotas
from mayfly.model.errors import ShuttingDown, TooManyRequests
from mayfly.ports import Clock, CodeStore, Driver, Grants, Ids, LogStore
from mayfly.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Ports:
    """The world as the engine was given it."""

    driver: Driver
    code: CodeStore
    logs: LogStore
    clock: Clock
    ids: Ids
    grants: Grants
    metrics: Metrics


class Node:
    """Shared state of this node's pools."""

    def __init__(self, ports: Ports, limits: EngineLimits) -> None:
        self.ports = ports
        self.limits = limits
        self.log_quotas = LogQuotas(limits)
        # Snapshots being made, ready, or closing.
        self.broods: dict[str, Brood] = {}
        # Rings when some pool has something to look after.
        self.alarm = Alarm(ports.clock)
        self.tasks: asyncio.TaskGroup | None = None
        # New calls are let in: from the start of `Engine.run` to `drain` or its end.
        self.accepting = False
        # Nothing new may be born any more.
        self.stopping = False

    def room_to_park(self) -> int:
        """How many more isolates may be parked ahead on this node."""
        bound = self.limits.node_parked_max
        if len(self.broods) * self.limits.parked_max <= bound:
            return self.limits.parked_max
        used = sum(len(brood.parked) + brood.outstanding for brood in self.broods.values())
        return max(0, bound - used)

    def make_room(self) -> None:
        """See to it that one more snapshot may be made, at the cost of the one idle longest.

        Raises:
            TooManyRequests: There are `snapshots_max` of them and each is in use.
        """
        open_broods = [brood for brood in self.broods.values() if not brood.closing]
        if len(open_broods) < self.limits.snapshots_max:
            return
        idle = [
            (since_s, brood.snapshot_id, brood.owner)
            for brood in open_broods
            if brood.usable and (since_s := brood.owner.idle_since_s()) is not None
        ]
        if not idle:
            raise TooManyRequests(
                f"all {len(open_broods)} snapshots of this node are in use; call again later"
            )
        min(idle, key=lambda row: row[:2])[2].dismiss()

    def require_accepting(self) -> None:
        """Raises ShuttingDown when no new call is let in."""
        if not self.accepting:
            raise ShuttingDown("the engine does not run; call again when it is back")

    def spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        """Run `coroutine` as the engine's own task. It must not raise.

        Raises:
            ShuttingDown: The engine does not run.
        """
        try:
            if self.tasks is not None and not self.stopping:
                self.tasks.create_task(coroutine)
                return
        except RuntimeError:
            # The group is shutting down: a task of it has failed.
            self.stopping = True
        coroutine.close()
        raise ShuttingDown("the engine does not run; call again when it is back")
