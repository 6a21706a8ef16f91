"""One snapshot and the isolates that came of it; the engine's end of the Nursery port.

A brood knows what is alive, what is parked and what was asked for; its *owner* (a pool, or a
script's run) decides what to ask for and who gets an isolate. Every isolate is here from
`isolate_parked` to `isolate_died`, so nothing can be alive and forgotten.
"""

from __future__ import annotations

from typing import Protocol

from mayfly.engine.call import Vitals
from mayfly.engine.journal import CUT_NOTICE
from mayfly.engine.lifecycle import LifeEvent, follow
from mayfly.model.function import Function
from mayfly.model.limits import LOG_BYTES_PER_CALL_MAX, LOG_TAIL_BYTES
from mayfly.ports import Clock, Isolate, LifeStage, Snapshot
from mayfly.telemetry import Metrics


class Sink(Protocol):
    """Who gets what an isolate prints."""

    def output(self, data: bytes) -> None:
        """Some output; never blocks."""
        ...


class Held:
    """One isolate as the engine holds it."""

    __slots__ = ("brood", "isolate", "overdue_s", "sink", "stage", "used_s", "vitals")

    def __init__(self, brood: Brood, isolate: Isolate, now_s: float) -> None:
        self.brood = brood
        self.isolate = isolate
        self.stage = follow(LifeStage.BORN, LifeEvent.READY)
        self.sink: Sink | None = None
        self.used_s = now_s
        # When it should be gone: set when it gets a call that has a deadline.
        self.overdue_s = 0.0
        self.vitals = Vitals(
            isolate.isolate_id, born_ms=isolate.born_ms, parked_ms=isolate.parked_ms
        )


class Owner(Protocol):
    """Who decides about a brood's isolates. Called on the event loop; must not block."""

    def isolate_ready(self, held: Held) -> None:
        """A new isolate: PARKED, and not yet on the stack."""
        ...

    def isolate_gone(self, held: Held) -> None:
        """It is DEAD and no longer held."""
        ...

    def import_printed(self, data: bytes) -> None:
        """The import printed."""
        ...

    def brood_died(self, brood: Brood, reason: str) -> None:
        """The snapshot is gone although nobody closed it."""
        ...

    def idle_since_s(self) -> float | None:
        """Since when nobody needs the snapshot, monotonic seconds; None while somebody does."""
        ...

    def dismiss(self) -> None:
        """Close the snapshot, which nobody needs; the next call makes another."""
        ...


class Brood:
    """One snapshot's isolates. Implements `Nursery`."""

    def __init__(
        self, owner: Owner, snapshot_id: str, function: Function, clock: Clock, metrics: Metrics
    ) -> None:
        self.snapshot_id = snapshot_id
        self.function = function
        self.made_ms = clock.now_ms()
        # None while it is being made.
        self.snapshot: Snapshot | None = None
        self.dead = False
        self.closing = False
        self.held: dict[str, Held] = {}
        # LIFO: the one used last is taken first, so that the others' idle time is real.
        self.parked: list[Held] = []
        self.outstanding = 0
        # When the last birth was asked for or arrived, and when the snapshot was made.
        self.birth_s = 0.0
        self.ready_s = 0.0
        self.init_log = b""
        self._init_logged = 0
        self.owner = owner
        self._clock = clock
        self._metrics = metrics

    @property
    def usable(self) -> bool:
        """Isolates may be asked of it."""
        return self.snapshot is not None and not self.dead and not self.closing

    @property
    def init_ms(self) -> float:
        """How long the import took."""
        return 0.0 if self.snapshot is None else self.snapshot.facts.init_ms

    @property
    def calls(self) -> int:
        """How many isolates have a call, or are not gone since their last one."""
        return sum(1 for held in self.held.values() if held.stage is LifeStage.BUSY)

    def birth(self, count: int) -> None:
        """Ask for isolates."""
        assert self.snapshot is not None
        self.outstanding += count
        self.birth_s = self._clock.monotonic_s()
        self.snapshot.birth(count)

    def take(self) -> Held | None:
        """A parked isolate, now BUSY, or None."""
        if not self.parked:
            return None
        held = self.parked.pop()
        held.stage = follow(held.stage, LifeEvent.TAKEN)
        return held

    def park(self, held: Held, now_s: float) -> None:
        """Put an isolate on the stack; one that comes back from a call is PARKED again."""
        if held.stage is LifeStage.BUSY:
            held.stage = follow(held.stage, LifeEvent.RETURNED)
            held.sink = None
        held.used_s = now_s
        held.overdue_s = 0.0
        self.parked.append(held)

    def cull(self, count: int) -> None:
        """Kill the `count` parked isolates that were used least lately."""
        goners, self.parked[:count] = self.parked[:count], []
        for held in goners:
            held.isolate.kill()

    async def close(self) -> None:
        """Kill the snapshot with all of its isolates; returns when nothing is left of them."""
        self.closing = True
        self.parked.clear()
        if self.snapshot is not None:
            await self.snapshot.close()

    # The Nursery port.

    def isolate_parked(self, isolate: Isolate) -> None:
        """A birth arrived."""
        now_s = self._clock.monotonic_s()
        self.outstanding = max(0, self.outstanding - 1)
        self.birth_s = now_s
        held = Held(self, isolate, now_s)
        self.held[isolate.isolate_id] = held
        self._metrics.birth_seconds.observe((isolate.parked_ms - isolate.born_ms) / 1000)
        if self.closing or self.dead:
            isolate.kill()
        else:
            self.owner.isolate_ready(held)

    def isolate_output(self, isolate: Isolate, data: bytes) -> None:
        """It goes to the call that the isolate has, or had last."""
        held = self.held.get(isolate.isolate_id)
        if held is not None and held.sink is not None:
            held.sink.output(data)

    def isolate_died(self, isolate: Isolate) -> None:
        """Nothing of it is left."""
        held = self.held.pop(isolate.isolate_id, None)
        if held is None:
            return
        if held.stage is LifeStage.PARKED and held in self.parked:
            self.parked.remove(held)
        held.stage = follow(held.stage, LifeEvent.ENDED)
        held.vitals.died_ms = self._clock.now_ms()
        self.owner.isolate_gone(held)

    def snapshot_output(self, data: bytes) -> None:
        """Kept in the function's log, and its end for those who wait. Bounded."""
        left = LOG_BYTES_PER_CALL_MAX - self._init_logged
        if left < 0:
            return
        self._init_logged += len(data)
        if len(data) > left:
            data = data[:left] + CUT_NOTICE
        self.init_log = (self.init_log + data[-LOG_TAIL_BYTES:])[-LOG_TAIL_BYTES:]
        self.owner.import_printed(data)

    def snapshot_died(self, reason: str) -> None:
        """Killed from outside, or it crashed."""
        if self.dead or self.closing:
            return
        self.dead = True
        self.parked.clear()
        self.owner.brood_died(self, reason)
