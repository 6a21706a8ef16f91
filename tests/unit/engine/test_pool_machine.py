"""Hypothesis drives one function's pool: calls, time, kills and deploys in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mayfly.engine.bounds import EngineLimits
from mayfly.model.errors import MayflyError
from mayfly.model.function import Function, Reuse
from mayfly.model.invocation import Outcome
from mayfly.ports import LifeStage
from mayfly.testing.clock import VirtualClock, VirtualLoop
from mayfly.testing.driver import Deed, Plan
from tests.unit.engine.world import World

LIMITS = EngineLimits(
    node_concurrency_max=5,
    parked_max=4,
    idle_isolates_s=5,
    idle_snapshot_s=20,
    wait_s_max=3,
)


class PoolMachine(RuleBasedStateMachine):
    """Calls end, bounds hold, and nothing is alive that nobody holds."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.runner = asyncio.Runner(loop_factory=lambda: VirtualLoop(self.clock))
        self.calls: list[asyncio.Task[Outcome]] = []
        self.ended = 0
        self.started = 0

    @initialize(reuse=st.sampled_from(Reuse), concurrency=st.sampled_from([None, 2]))
    def begin(self, reuse: Reuse, concurrency: int | None) -> None:
        self.runner.run(self._begin(reuse, concurrency))

    async def _begin(self, reuse: Reuse, concurrency: int | None) -> None:
        self.world = World(self.clock, limits=LIMITS, handlers={"app.f": self._deed})
        self.function: Function = await self.world.function(
            "f", "app.f", reuse=reuse, concurrency=concurrency, timeout_s=2
        )
        loop = asyncio.get_running_loop()
        self.engine = loop.create_task(self.world.engine.run())
        await self.world.engine.started()

    def _deed(self, event: object, _memory: dict[str, object]) -> Deed:
        match event:
            case "exit":
                return Deed(exits=1)
            case "hang":
                return Deed(hangs=True)
            case "lost":
                return Deed(lost=True)
            case _:
                return Deed(after_s=0.5)

    @rule(kind=st.sampled_from(["fine", "exit", "hang", "lost"]), count=st.integers(1, 4))
    def call(self, kind: str, count: int) -> None:
        async def start() -> None:
            loop = asyncio.get_running_loop()
            for _ in range(count):
                call: Coroutine[object, object, Outcome] = self.world.call(
                    self.function, f'"{kind}"'.encode()
                )
                self.calls.append(loop.create_task(call))
                self.started += 1
            await asyncio.sleep(0)

        self.runner.run(start())

    @rule(seconds=st.sampled_from([0.001, 0.011, 0.1, 1.0, 6.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.runner.run(self.clock.sleep(seconds))
        self._collect()

    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        if self.calls:
            self.calls[data.draw(st.integers(0, len(self.calls) - 1))].cancel()
            self.wait(0.001)

    @rule()
    def deploy(self) -> None:
        digest = f"code-{self.started % 2}"
        self.function = self.runner.run(self.world.change(self.function, digest=digest))

    @rule()
    def kill_snapshots(self) -> None:
        async def kill() -> None:
            for snapshot in list(self.world.driver.alive.values()):
                snapshot.die("killed by hand")

        self.runner.run(kill())

    @rule()
    def kill_isolates(self) -> None:
        async def kill() -> None:
            for isolate in self.world.driver.isolates():
                isolate.kill()

        self.runner.run(kill())

    @rule(plan=st.sampled_from([Plan(), Plan(init_s=2.0), Plan(births_lost=1)]))
    def plan(self, plan: Plan) -> None:
        self.world.driver.plan = plan

    def _collect(self) -> None:
        for task in [task for task in self.calls if task.done()]:
            self.calls.remove(task)
            self.ended += 1
            if not task.cancelled():
                error = task.exception()
                assert error is None or isinstance(error, MayflyError), repr(error)

    @invariant()
    def bounds_hold(self) -> None:
        if not hasattr(self, "world"):
            return
        for numbers in self.world.engine.statistics().values():
            assert numbers.busy <= (self.function.settings.concurrency or 5)
            assert numbers.parked <= LIMITS.parked_max + LIMITS.node_concurrency_max

    @invariant()
    def whatever_is_parked_may_be_taken(self) -> None:
        if not hasattr(self, "world"):
            return
        for brood in self.world.engine._node.broods.values():
            for held in brood.parked:
                assert held.stage is LifeStage.PARKED
                assert brood.held[held.isolate.isolate_id] is held

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.runner.run(self._end())
        self.runner.close()

    async def _end(self) -> None:
        await self.clock.sleep(100)
        self._collect()
        assert self.ended == self.started, "a call never ended"
        assert self.world.engine.census() == [], "an idle function keeps nothing"
        self.engine.cancel()
        await asyncio.wait([self.engine])
        assert not self.world.driver.alive


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
