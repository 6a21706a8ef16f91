"""A seeded day in the engine's life: arrivals, crashes, deploys, deaths, restarts; then the books.

Every call must come to an end; nobody may run beyond a bound; and when all is over, nothing may be
alive. A quieter day checks that calls begin in order. A failing seed replays exactly.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from random import Random  # noqa: TID251 the type; seeds come from `seeded`

import pytest

from mayfly.engine.bounds import EngineLimits
from mayfly.model.errors import MayflyError, NotFound
from mayfly.model.function import Function, Reuse
from mayfly.testing.clock import VirtualClock, in_virtual_time
from mayfly.testing.driver import Deed, Plan
from mayfly.testing.ids import seeded
from tests.unit.engine.world import World

LIMITS = EngineLimits(
    node_concurrency_max=12,
    function_concurrency_max=9,
    waiters_max=60,
    function_waiters_max=30,
    parked_max=6,
    node_parked_max=16,
    snapshots_max=5,
    idle_isolates_s=5,
    idle_snapshot_s=20,
    delivery_concurrency_max=6,
)
NAMES = ("a", "b", "c", "d", "warm", "tight")
RESERVED = 2
LIFE_S = 120.0


@dataclass
class Day:
    """One simulated day."""

    world: World
    random: Random
    functions: dict[str, Function] = field(default_factory=dict)
    running: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    arrived: int = 0
    accepted: int = 0

    def deed(self, event: object, _memory: dict[str, object]) -> Deed:
        """What a handler does today."""
        assert isinstance(event, dict)
        chance = self.random.random()
        if chance < 0.03:
            return Deed(lost=True)
        self._check_bounds()
        if chance < 0.06:
            return Deed(exits=1)
        if chance < 0.08:
            return Deed(hangs=True)
        if chance < 0.12:
            raise ValueError("as planned")
        return Deed(
            event["number"], after_s=self.random.choice([0, 0.001, 0.05, 0.5]), output=b"line\n"
        )

    def _check_bounds(self) -> None:
        numbers = self.world.engine.statistics()
        assert sum(one.busy for one in numbers.values()) <= LIMITS.node_concurrency_max
        assert numbers["tight"].busy <= RESERVED if "tight" in numbers else True

    async def call(self, name: str) -> None:
        """One call, to whatever end."""
        self.arrived += 1
        number = self.arrived
        payload = f'{{"name":"{name}","number":{number}}}'.encode()
        try:
            async with asyncio.timeout(self.random.choice([None, None, None, 0.2])):
                outcome = await self.world.call(self.functions[name], payload)
            self.ended["error" if outcome.error else "answered"] += 1
        except MayflyError as error:
            self.ended[type(error).__name__] += 1
        except TimeoutError:
            self.ended["cancelled"] += 1

    async def accept(self, name: str) -> None:
        """One asynchronous call."""
        self.accepted += 1
        payload = f'{{"name":"{name}","number":-1}}'.encode()
        await self.world.engine.accept(self.world.event(self.functions[name], payload))

    async def trouble(self) -> None:
        """Things that happen to a platform."""
        match self.random.randrange(5):
            case 0:
                await self._deploy()
            case 1:
                for snapshot in list(self.world.driver.alive.values())[:1]:
                    snapshot.die("killed by hand")
            case 2:
                for isolate in self.world.driver.isolates()[:2]:
                    isolate.kill()
            case 3:
                self.world.driver.plans[self.random.choice(NAMES)] = self._plan()
            case _:
                await self._delete()

    async def _deploy(self) -> None:
        name = self.random.choice(NAMES)
        digest = f"code-{self.random.randrange(3)}"
        self.functions[name] = await self.world.change(self.functions[name], digest=digest)

    async def _delete(self) -> None:
        name = self.random.choice(("c", "d"))
        await self.world.registry.delete_function(name)
        self.world.engine.function_changed(name)
        self.functions[name] = await self.world.function(name, "app.f")
        self.world.engine.function_changed(name)

    def _plan(self) -> Plan:
        return self.random.choice(
            [
                Plan(),
                Plan(init_s=1.0, birth_s=0.05),
                Plan(error=NotFound("as planned")),
                Plan(births_lost=3),
                Plan(dies_after_births=4),
                Plan(birth_s=0.5, death_s=0.5),
            ]
        )

    async def live(self) -> None:
        """A day's arrivals and troubles; then everything is fine again, and all calls end."""
        clock = self.world.clock
        end_s = clock.monotonic_s() + LIFE_S
        async with asyncio.TaskGroup() as tasks:
            while clock.monotonic_s() < end_s:
                await clock.sleep(self.random.expovariate(10))
                for _ in range(self.random.choice([1, 1, 1, 1, 25])):
                    name = self.random.choice(NAMES)
                    act = self.call if self.random.random() < 0.8 else self.accept
                    tasks.create_task(act(name))
                if self.random.random() < 0.05:
                    await self.trouble()
            self.world.driver.plans.clear()


@pytest.mark.parametrize("seed", range(8))
def test_a_day_of_troubles_loses_no_call_and_leaves_nothing(seed: int) -> None:
    _live(seed)


@in_virtual_time
async def _live(clock: VirtualClock, seed: int) -> None:
    world = World(clock, limits=LIMITS)
    day = Day(world, seeded(seed))
    world.driver.handlers = {"app.f": day.deed}
    for name in NAMES:
        day.functions[name] = await world.function(
            name,
            "app.f",
            reuse=Reuse.WARM if name == "warm" else Reuse.NEVER,
            concurrency=RESERVED if name == "tight" else None,
            timeout_s=2,
        )
    async with world.running():
        await day.live()
        await clock.sleep(1_000)
        await _check_the_books(day)


async def _check_the_books(day: Day) -> None:
    world = day.world
    assert sum(day.ended.values()) == day.arrived, "a call was lost"
    assert day.ended["answered"] > day.arrived / 3, day.ended
    assert not world.driver.isolates(), "an isolate leaked"
    assert not world.driver.alive, "a snapshot leaked"
    assert world.engine.census() == []
    assert all(one.busy == 0 for one in world.engine.statistics().values())
    left = await world.backlog.counts()
    assert not left.get("waiting", 0), "an event was forgotten"
    assert not left.get("leased", 0), "an event was forgotten"


@pytest.mark.parametrize("seed", range(8))
def test_calls_of_a_function_begin_in_the_order_in_which_they_came(seed: int) -> None:
    _live_in_order(seed)


@in_virtual_time
async def _live_in_order(clock: VirtualClock, seed: int) -> None:
    chance = seeded(seed)
    begun: dict[str, list[tuple[float, int]]] = defaultdict(list)

    def deed(event: object, _memory: dict[str, object]) -> Deed:
        assert isinstance(event, dict)
        begun[event["name"]].append((clock.monotonic_s(), event["number"]))
        return Deed(after_s=chance.choice([0, 0.01, 0.1]))

    limits = EngineLimits(node_concurrency_max=6, parked_max=4, wait_s_max=1_000)
    world = World(clock, limits=limits, handlers={"app.f": deed})
    async with world.running(), asyncio.TaskGroup() as tasks:
        functions = [await world.function(name, "app.f") for name in ("a", "b", "c")]
        for number in range(300):
            function = chance.choice(functions)
            payload = f'{{"name":"{function.name}","number":{number}}}'.encode()
            tasks.create_task(world.call(function, payload))
            if chance.random() < 0.2:
                await clock.sleep(chance.expovariate(20))
    assert sum(map(len, begun.values())) == 300
    for rows in begun.values():
        # What begins in the same instant may begin in any order.
        when = [when_s for when_s, _ in sorted(rows, key=lambda row: row[1])]
        assert when == sorted(when)
