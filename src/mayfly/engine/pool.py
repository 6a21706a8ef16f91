"""One version's isolates: brought up on demand, parked ahead of need, gone when idle.

                 call, none parked                    made
    EMPTY ------------------------> MAKING -------------------------> READY
      ^  ^                            | import failed, seal refused     |
      |  `-- (answered or raised) ----'                                 |
      `------- idle, retired, evicted, or the snapshot died ------------'

A call takes a parked isolate without waiting. Where there is none it waits in line; everyone in
line shares one snapshot, and each birth that arrives goes to the first in line. Births are asked
for behind an answer, or at once when the last parked isolate was taken. A *retired* pool serves
the calls that it has and parks nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from mayfly.engine.brood import Brood, Held
from mayfly.engine.call import Call
from mayfly.engine.demand import Demand
from mayfly.engine.journal import lost_line
from mayfly.engine.lifecycle import LifeEvent, follow
from mayfly.engine.making import close_brood, make_brood
from mayfly.engine.node import Node
from mayfly.engine.retry import restart_delay_s
from mayfly.model.errors import IsolateLost, MayflyError, ShuttingDown, SnapshotFailed
from mayfly.model.function import Function, Reuse
from mayfly.model.invocation import Answer
from mayfly.ports import LifeStage
from mayfly.telemetry import LogEvent, event_log

# Births are asked for when this share of the target is missing: fewer, larger requests.
_STEP_SHARE = 4
_QUIET_S = 0.25
_BREATH_S = 0.005


@dataclass(frozen=True, slots=True)
class ImportFailure:
    """The function's import failed: that is the answer of every call until it is tried again.

    Args:
        answer: Lambda's error document.
        init_ms: How long the import took.
        log: What it printed, its last 4 KiB.
    """

    answer: Answer
    init_ms: float
    log: bytes


class Pool:
    """The isolates of one snapshot key. Owns its broods.

    Args:
        function: What a snapshot is made of.
        node: What it shares with others.
        drained: Told when a retired pool has served its last call.
        retired: It is not the version that the next call will use.
    """

    def __init__(
        self, function: Function, node: Node, drained: Callable[[Pool], None], *, retired: bool
    ) -> None:
        self.function = function
        self.node = node
        self.retired = retired
        self.brood: Brood | None = None
        # Calls that chose this pool and are not over, waiting ones included.
        self.open = 0
        self.failures = 0
        self.used_s = node.ports.clock.monotonic_s()
        self._warm = function.settings.reuse is Reuse.WARM
        self._demand = Demand(window_s=node.limits.demand_window_s, now_s=self.used_s)
        self._line: deque[asyncio.Future[Held | ImportFailure]] = deque()
        self._made: asyncio.Event | None = None
        self._failure: ImportFailure | MayflyError | None = None
        self._retry_at_s = 0.0
        self._refill_due = self._refill_later = False
        self._ahead_last = 0
        self._drained = drained

    # What a call does, in its order.

    def open_call(self, now_s: float) -> None:
        """A call chose this pool; it owes a `close_call`."""
        self.open += 1
        self._demand.arrive(now_s=now_s, running=self.open)

    def take(self) -> Held | None:
        """A parked isolate, or None. Never waits."""
        brood = self.brood
        if brood is None:
            return None
        held = brood.take()
        if held is not None and not brood.parked and not self._warm:
            self._refill_soon()
        return held

    async def wait_isolate(self, call: Call) -> Held | ImportFailure:
        """Wait in line for an isolate; makes the snapshot if there is none.

        Raises:
            IsolateLost: The snapshot died meanwhile; try again.
            SealStepFailed: The snapshot could not be made.
            SnapshotFailed: The snapshot could not be made.
            TooManyRequests: The node has no room for a snapshot.
            ShuttingDown: The engine stops.
        """
        clock = self.node.ports.clock
        began_s = clock.monotonic_s()
        cold = not self._is_ready()
        if cold:
            failure = self._recent_failure(began_s)
            if failure is not None:
                return failure
            self._start_making()
        got = await self._stand_in_line()
        if cold and isinstance(got, ImportFailure):
            call.init_ms = got.init_ms
            call.waited_ms = (clock.monotonic_s() - began_s) * 1000
        elif cold and isinstance(got, Held):
            call.init_ms = got.brood.init_ms
            call.waited_ms = max(0.0, (got.brood.ready_s - began_s) * 1000)
        return got

    def put_back(self, held: Held) -> None:
        """A warm isolate is free again: to the first in line, or onto the stack."""
        if not held.brood.usable or held.stage is LifeStage.DEAD:
            held.isolate.kill()
        elif self._hand(held):
            return
        elif self.retired:
            held.isolate.kill()
        else:
            held.brood.park(held, self.node.ports.clock.monotonic_s())

    def close_call(self, now_s: float) -> None:
        """A call is over; refill behind it."""
        self.open -= 1
        self.used_s = now_s
        if self.retired and not self.open:
            self.retire()
        else:
            self._refill_soon()

    def forgive(self) -> None:
        """A call was answered: earlier failures no longer count."""
        self.failures = 0
        self._failure = None

    # What the engine does.

    async def prepare(self) -> Answer | None:
        """Make the snapshot ahead of the first call. A failure is kept for that call.

        Returns:
            The error document of a failed import, or None.

        Raises:
            SealStepFailed, SnapshotFailed: It could not be made, by the platform's fault.
        """
        if not self._is_ready() and self._made is None:
            self._start_making()
        if self._made is not None:
            await self._made.wait()
        if isinstance(self._failure, ImportFailure):
            return self._failure.answer
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        return None

    def retire(self) -> None:
        """Another version is current now: no more parking, and none left after the last call."""
        self.retired = True
        if self.brood is not None:
            self.brood.cull(len(self.brood.parked))
        if not self.open:
            self.dismiss()
            self._drained(self)

    def stop(self, error: ShuttingDown) -> None:
        """The engine stops: nobody in line will be served."""
        self._fail_line(error)

    def tend(self, now_s: float) -> float:
        """Let idle isolates go, then the snapshot; look for what hangs. Returns when to look again.

        Returns:
            Monotonic seconds; `inf` when nothing of this pool is alive.
        """
        brood = self.brood
        if brood is None:
            return inf
        limits = self.node.limits
        self._kill_overdue(brood, now_s)
        self._check_births(brood, now_s)
        idle_s = self._idle_s(now_s)
        if idle_s >= limits.idle_snapshot_s:
            self.dismiss()
            return inf
        surplus = self._surplus(brood, now_s)
        if surplus > 0:
            brood.cull(surplus)
        look_s = now_s + limits.demand_window_s
        for bound_s in (limits.idle_isolates_s, limits.idle_snapshot_s):
            if idle_s < bound_s:
                look_s = min(look_s, now_s + bound_s - idle_s)
        return look_s

    # Owner of a brood.

    def isolate_ready(self, held: Held) -> None:
        """A birth arrived: to the first in line, or onto the stack."""
        vitals = held.vitals
        self._demand.learn_birth((vitals.parked_ms - vitals.born_ms) / 1000)
        if self._hand(held):
            return
        if self.retired:
            held.isolate.kill()
        else:
            held.brood.park(held, held.used_s)

    def isolate_gone(self, held: Held) -> None:
        """Replaced when the next call asks; a crash loop of parked isolates must not spin."""

    def import_printed(self, data: bytes) -> None:
        """Lines of a snapshot's making belong to no request."""
        ports, name = self.node.ports, self.function.name
        kept = self.node.log_quotas.admit(name, data, ports.clock.monotonic_s())
        if len(kept) < len(data):
            end = b"" if kept[-1:] in (b"", b"\n") else b"\n"
            kept += end + lost_line(len(data) - len(kept))
        ports.logs.append_nowait(name, "", ports.clock.now_ms(), kept)

    def brood_died(self, brood: Brood, reason: str) -> None:
        """The next call makes another; calls in line try again."""
        event_log(
            LogEvent.SNAPSHOT_DIED,
            function=self.function.name,
            snapshot=brood.snapshot_id,
            reason=reason,
        )
        self._abandon(brood, f"the snapshot of function {self.function.name} died: {reason}")

    def idle_since_s(self) -> float | None:
        """Since its last call."""
        return None if self.open or self._made is not None else self.used_s

    def dismiss(self) -> None:
        """Close the snapshot."""
        brood, self.brood = self.brood, None
        if brood is not None:
            self._close(brood)

    # Making.

    def _is_ready(self) -> bool:
        return self.brood is not None and self.brood.usable

    def _recent_failure(self, now_s: float) -> ImportFailure | None:
        """What the last attempt came to, as long as it is too early for another."""
        failure = self._failure
        if failure is None or now_s >= self._retry_at_s:
            return None
        if isinstance(failure, ImportFailure):
            return failure
        raise failure.with_traceback(None)

    def _start_making(self) -> None:
        if self._made is not None:
            return
        self.node.make_room()
        self.node.spawn(self._make())
        self._made = asyncio.Event()

    async def _make(self) -> None:
        try:
            brood = await make_brood(self.node, self, self.function)
        except MayflyError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 the border of a task: callers are told
            self._fail(SnapshotFailed(f"making a snapshot of {self.function.name}: {error!r}"))
        else:
            self._receive(brood)
        finally:
            if self._made is not None:
                self._made.set()
                self._made = None
        if self.retired and not self.open:
            self.retire()

    def _receive(self, brood: Brood) -> None:
        facts = None if brood.snapshot is None else brood.snapshot.facts
        if facts is not None and facts.failure is not None:
            failure = ImportFailure(facts.failure, facts.init_ms, brood.init_log)
            event_log(
                LogEvent.IMPORT_FAILED,
                function=self.function.name,
                error_type=facts.failure.error_type,
            )
            self._close(brood)
            self._remember(failure)
            for waiter in self._empty_line():
                waiter.set_result(failure)
        elif not brood.usable:
            self._abandon(brood, f"the snapshot of {self.function.name} died as it was made")
        else:
            self.brood = brood
            self.used_s = brood.ready_s
            self.node.alarm.set(brood.ready_s + self.node.limits.demand_window_s)
            self.refill()

    def _fail(self, error: MayflyError) -> None:
        event_log(LogEvent.SNAPSHOT_FAILED, function=self.function.name, error=str(error))
        self._remember(error)
        self._fail_line(error)

    def _abandon(self, brood: Brood, reason: str) -> None:
        if self.brood is brood:
            self.brood = None
        brood.closing = True
        if not self.node.stopping:
            self.node.spawn(_close_when_quiet(self.node, brood))
        self._remember(SnapshotFailed(reason))
        self._fail_line(IsolateLost(reason))

    def _remember(self, failure: ImportFailure | MayflyError) -> None:
        limits = self.node.limits
        self.failures += 1
        delay_s = restart_delay_s(self.failures, min_s=limits.retry_s_min, max_s=limits.retry_s_max)
        self._failure = failure
        self._retry_at_s = self.node.ports.clock.monotonic_s() + delay_s

    def _close(self, brood: Brood) -> None:
        brood.closing = True
        if not self.node.stopping:
            self.node.spawn(close_brood(self.node, brood))

    # The line.

    async def _stand_in_line(self) -> Held | ImportFailure:
        waiter: asyncio.Future[Held | ImportFailure] = asyncio.get_running_loop().create_future()
        self._line.append(waiter)
        self.refill()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter in self._line:
                self._line.remove(waiter)
            elif not waiter.cancelled() and waiter.exception() is None:
                self._return_unused(waiter.result())
            raise

    def _return_unused(self, got: Held | ImportFailure) -> None:
        # Its place in the table is BUSY: only a warm one may be parked again.
        if isinstance(got, Held):
            if self._warm:
                self.put_back(got)
            elif not self._hand(got):
                got.isolate.kill()

    def _hand(self, held: Held) -> bool:
        """Give an isolate to the first in line."""
        while self._line:
            waiter = self._line.popleft()
            if not waiter.done():
                if held.stage is LifeStage.PARKED:
                    held.stage = follow(held.stage, LifeEvent.TAKEN)
                waiter.set_result(held)
                return True
        return False

    def _empty_line(self) -> list[asyncio.Future[Held | ImportFailure]]:
        waiting = [waiter for waiter in self._line if not waiter.done()]
        self._line.clear()
        return waiting

    def _fail_line(self, error: MayflyError) -> None:
        for waiter in self._empty_line():
            waiter.set_exception(error)

    # How many.

    def _refill_soon(self) -> None:
        """Refill behind the answer; with half of them still parked, when the burst has passed.

        Births take the processors from the very calls that they are for.
        """
        if self._is_half_full():
            if not self._refill_later:
                self._refill_later = True
                asyncio.get_running_loop().call_later(_BREATH_S, self._refill_when_quiet)
        elif not self._refill_due:
            self._refill_due = True
            asyncio.get_running_loop().call_soon(self.refill)

    def _refill_when_quiet(self) -> None:
        self._refill_later = False
        if self._is_half_full() and self._idle_s(self.node.ports.clock.monotonic_s()) < _BREATH_S:
            self._refill_soon()
        else:
            self.refill()

    def _is_half_full(self) -> bool:
        brood = self.brood
        return brood is not None and not self._line and 2 * len(brood.parked) >= self._ahead_last

    def refill(self) -> None:
        """Ask for the births that are needed and not yet asked for."""
        self._refill_due = False
        brood = self.brood
        if brood is None or not brood.usable or self.node.stopping:
            return
        now_s = self.node.ports.clock.monotonic_s()
        ahead = self._ahead_last = self._ahead(now_s)
        # A warm isolate comes back: only what is missing from the minimum is made ahead.
        spare = max(0, ahead - len(brood.held)) if self._warm else ahead - len(brood.parked)
        if spare > 0:
            spare = min(spare, self.node.room_to_park())
        waiting = len(self._line)
        wanted = waiting + spare - brood.outstanding
        if wanted > 0 and (waiting or wanted >= ahead // _STEP_SHARE):
            brood.birth(wanted)

    def _ahead(self, now_s: float) -> int:
        """How many isolates to have parked, demand being what it is."""
        limits = self.node.limits
        if self.retired or self._idle_s(now_s) >= limits.idle_isolates_s:
            return 0
        if self._warm:
            return limits.parked_min
        return min(max(self._demand.target(now_s), limits.parked_min), limits.parked_max)

    def _idle_s(self, now_s: float) -> float:
        return 0.0 if self.open else now_s - self.used_s

    def _surplus(self, brood: Brood, now_s: float) -> int:
        if not self._warm:
            return len(brood.parked) - self._ahead(now_s)
        # The stack is in order of use, so those that idled too long are at its bottom.
        bound_s = now_s - self.node.limits.idle_isolates_s
        return sum(1 for held in brood.parked if held.used_s <= bound_s)

    # What hangs.

    def _kill_overdue(self, brood: Brood, now_s: float) -> None:
        for held in list(brood.held.values()):
            if held.overdue_s and now_s >= held.overdue_s:
                held.overdue_s = now_s + self.node.limits.death_timeout_s
                event_log(
                    LogEvent.ISOLATE_OVERDUE,
                    function=self.function.name,
                    isolate=held.isolate.isolate_id,
                )
                held.isolate.kill()

    def _check_births(self, brood: Brood, now_s: float) -> None:
        if not brood.outstanding or now_s - brood.birth_s < self.node.limits.birth_timeout_s:
            return
        event_log(
            LogEvent.BIRTHS_OVERDUE,
            function=self.function.name,
            snapshot=brood.snapshot_id,
            count=brood.outstanding,
        )
        if self._line:
            self._abandon(brood, f"the snapshot of {self.function.name} makes no more isolates")
        else:
            brood.outstanding = 0


async def _close_when_quiet(node: Node, brood: Brood) -> None:
    """Close a snapshot that is of no more use, but let its calls finish."""
    clock = node.ports.clock
    bound_s = clock.monotonic_s() + brood.function.settings.timeout_s
    while brood.calls and clock.monotonic_s() < bound_s and not brood.dead:
        await clock.sleep(_QUIET_S)
    await close_brood(node, brood)
