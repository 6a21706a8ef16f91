from __future__ import annotations

import asyncio

import pytest

from mayfly.engine.bounds import EngineLimits
from mayfly.engine.brood import Held
from mayfly.model.errors import SnapshotFailed, TooManyRequests
from mayfly.model.function import Function, Reuse
from mayfly.model.invocation import Outcome
from mayfly.testing.clock import VirtualClock, in_virtual_time
from mayfly.testing.driver import FakeSnapshot, Plan
from tests.unit.engine.world import World


def _parked(world: World, name: str = "echo") -> int:
    return world.engine.statistics()[name].parked


def _snapshot(world: World) -> FakeSnapshot:
    (snapshot,) = world.driver.alive.values()
    return snapshot


def _stages(world: World, kind: str = "isolate") -> list[str]:
    return [one.stage for one in world.engine.census() if one.kind == kind]


@in_virtual_time
async def test_calls_that_wait_share_one_snapshot(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        await world.calls(await world.function(), 50)
        assert world.driver.made == 1


@in_virtual_time
async def test_cold_starts_of_different_functions_do_not_wait_for_one_another(
    clock: VirtualClock,
) -> None:
    async with World(clock).running() as world:
        world.driver.plan = Plan(init_s=1)
        functions = [await world.function(f"f{n}", "app.echo") for n in range(20)]
        start_s = clock.monotonic_s()
        async with asyncio.TaskGroup() as tasks:
            for function in functions:
                tasks.create_task(world.call(function))
        assert clock.monotonic_s() - start_s < 1.1


@in_virtual_time
async def test_one_isolate_is_parked_after_a_lone_call(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        await world.call(await world.function())
        await clock.sleep(1)
        assert _parked(world) == 1


@in_virtual_time
async def test_as_many_are_parked_as_ran_at_once(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("slow")
        await world.calls(function, 16)
        await clock.sleep(1)
        assert 16 <= _parked(world, "slow") <= 20


@in_virtual_time
async def test_a_burst_parks_no_more_than_the_bound(clock: VirtualClock) -> None:
    async with World(clock, limits=EngineLimits(parked_max=8)).running() as world:
        function = await world.function("slow")
        await world.calls(function, 50)
        await clock.sleep(1)
        assert _parked(world, "slow") == 8


@in_virtual_time
async def test_the_node_parks_no_more_than_its_bound(clock: VirtualClock) -> None:
    limits = EngineLimits(parked_max=8, node_parked_max=12)
    async with World(clock, limits=limits).running() as world:
        functions = [await world.function(f"f{n}", "app.slow") for n in range(4)]
        async with asyncio.TaskGroup() as tasks:
            for function in functions:
                tasks.create_task(world.calls(function, 8))
        await clock.sleep(1)
        assert _stages(world).count("parked") <= 12


@in_virtual_time
async def test_no_more_births_are_asked_for_than_are_needed(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        for _ in range(100):
            await world.call(function)
            await clock.sleep(0.1)
        assert _snapshot(world).births_asked <= 103


@in_virtual_time
async def test_surplus_isolates_go_when_demand_falls(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("slow")
        await world.calls(function, 16)
        for _ in range(10):
            await clock.sleep(5)
            await world.call(function)
        assert _parked(world, "slow") <= 2


@in_virtual_time
async def test_an_idle_function_loses_its_isolates_then_its_snapshot(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        await world.call(await world.function())
        await clock.sleep(50)
        assert _parked(world) == 1
        await clock.sleep(15)
        assert _stages(world) == []
        assert _stages(world, "snapshot") == ["ready"]
        await clock.sleep(520)
        assert _stages(world, "snapshot") == ["ready"]
        await clock.sleep(20)
        assert world.engine.census() == []
        assert not world.driver.alive


@in_virtual_time
async def test_a_function_that_scaled_to_zero_answers_again(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        await world.call(function)
        await clock.sleep(65)
        warm = await world.call(function)
        await clock.sleep(700)
        cold = await world.call(function)
    assert warm.init_ms is None
    assert cold.init_ms is not None


@in_virtual_time
async def test_nothing_wakes_while_nothing_lives(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        await world.call(await world.function())
        await clock.sleep(1_000)
        loop = asyncio.get_running_loop()
        scheduled = loop._scheduled  # type: ignore[attr-defined]  # no public name for it
        assert not [one for one in scheduled if not one.cancelled()]


@in_virtual_time
async def test_a_change_of_code_takes_effect_for_the_next_call(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        await world.call(function)
        changed = await world.change(function, digest="other")
        await world.call(changed)
        assert [spec.code_path.name for spec in world.driver.specs] == ["digest-of-echo", "other"]
        await clock.sleep(1)
        assert _stages(world, "snapshot") == ["ready"]


@in_virtual_time
async def test_a_running_call_finishes_on_its_version(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("slow")
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(world.call(function))
            await clock.sleep(0.5)
            changed = await world.change(function, handler="app.echo")
            await world.call(changed)
            assert not running.done()
        assert running.result().error is None
        await clock.sleep(0.1)
        assert len(world.driver.alive) == 1


@in_virtual_time
async def test_a_change_while_the_snapshot_is_made_loses_no_call(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        world.driver.plan = Plan(init_s=1)
        function = await world.function()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(world.call(function))
            await clock.sleep(0.5)
            await world.change(function, digest="other")
        assert waiting.result().error is None
        await clock.sleep(1)
        assert not world.driver.alive


@in_virtual_time
async def test_a_change_of_concurrency_keeps_the_isolates(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        await world.call(function)
        changed = await world.change(function, concurrency=5)
        assert (await world.call(changed)).init_ms is None


@in_virtual_time
async def test_a_change_back_keeps_what_is_still_there(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("slow")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(world.call(function))
            await clock.sleep(0.5)
            changed = await world.change(function, digest="other")
            back = await world.change(changed, digest=function.code.digest)
            assert (await world.call(back)).init_ms is None
        await clock.sleep(1)
        assert _parked(world, "slow") >= 1


@in_virtual_time
async def test_a_deleted_function_leaves_nothing(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        await world.call(function)
        await world.registry.delete_function(function.name)
        world.engine.function_changed(function.name)
        await clock.sleep(1)
        assert world.engine.census() == []
        assert world.engine.statistics() == {}
        assert b"echo" not in world.metrics.render()


@in_virtual_time
async def test_a_prepared_function_has_no_cold_start(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        await world.engine.prepare(function)
        assert (await world.call(function)).init_ms is None


@in_virtual_time
async def test_a_version_may_be_prepared_before_it_is_current(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        await world.call(function)
        soon = Function(
            name=function.name,
            code=function.code,
            settings=function.settings.__class__(handler="app.slow", runtime="python3.11"),
            revision_id="next",
            modified_ms=1,
        )
        await world.engine.prepare(soon)
        await world.registry.replace_function(soon, expected_revision_id=function.revision_id)
        world.engine.function_changed(function.name)
        assert (await world.call(soon)).init_ms is None


@in_virtual_time
async def test_preparing_a_function_whose_import_fails_raises_nothing(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("f", "gone.handler")
        await world.engine.prepare(function)
        assert (await world.call(function)).error_type == "Runtime.ImportModuleError"


@in_virtual_time
async def test_a_warm_isolate_serves_many_calls(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("count", reuse=Reuse.WARM)
        answers = [(await world.call(function)).payload for _ in range(4)]
    assert answers == [b"1", b"2", b"3", b"4"]


@in_virtual_time
async def test_a_warm_function_has_one_isolate_per_concurrent_call(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("slow", reuse=Reuse.WARM)
        for _ in range(5):
            await world.calls(function, 4)
        await clock.sleep(1)
        assert len(_stages(world)) <= 5


@in_virtual_time
async def test_a_warm_isolate_that_nobody_uses_goes(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("slow", reuse=Reuse.WARM)
        await world.calls(function, 4)
        for _ in range(20):
            await clock.sleep(5)
            await world.call(function)
        assert len(_stages(world)) == 1


@in_virtual_time
async def test_a_killed_snapshot_is_made_again_and_its_waiting_calls_are_served(
    clock: VirtualClock,
) -> None:
    async with World(clock).running() as world:
        world.driver.plans["echo"] = Plan(dies_after_births=0)
        function = await world.function()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(world.call(function))
            await clock.sleep(0.005)
            del world.driver.plans["echo"]
        assert waiting.result().error is None
        assert world.driver.made == 2


@in_virtual_time
async def test_a_snapshot_that_dies_when_idle_is_made_again_at_the_next_call(
    clock: VirtualClock,
) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        await world.call(function)
        await clock.sleep(1)
        _snapshot(world).die("killed by hand")
        assert _parked(world) == 0
        await clock.sleep(10)
        assert world.driver.made == 1
        assert (await world.call(function)).error is None
        assert world.driver.made == 2


@in_virtual_time
async def test_a_snapshot_that_always_dies_does_not_burn_the_machine(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        world.driver.plans["echo"] = Plan(dies_after_births=0)
        function = await world.function()
        for _ in range(200):
            with pytest.raises(SnapshotFailed, match="died"):
                await world.call(function)
        assert world.driver.made <= 5


@in_virtual_time
async def test_births_that_never_arrive_end_in_another_snapshot(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        world.driver.plans["echo"] = Plan(births_lost=1_000)
        function = await world.function()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(world.call(function))
            await clock.sleep(5)
            del world.driver.plans["echo"]
        assert waiting.result().error is None
        await clock.sleep(1)
        assert len(world.driver.alive) == 1


@in_virtual_time
async def test_a_parked_isolate_that_dies_is_not_given_to_a_call(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        await world.call(function)
        await clock.sleep(1)
        for isolate in world.driver.isolates():
            isolate.kill()
        await clock.sleep(1)
        assert _parked(world) == 0
        assert (await world.call(function)).error is None


@in_virtual_time
async def test_the_snapshot_idle_longest_makes_room_for_another(clock: VirtualClock) -> None:
    async with World(clock, limits=EngineLimits(snapshots_max=2)).running() as world:
        for name in ("a", "b", "c"):
            await world.call(await world.function(name, "app.echo"))
            await clock.sleep(1)
        alive = {one.function for one in world.engine.census() if one.kind == "snapshot"}
    assert alive == {"b", "c"}


@in_virtual_time
async def test_when_all_snapshots_are_in_use_a_new_function_is_throttled(
    clock: VirtualClock,
) -> None:
    async with World(clock, limits=EngineLimits(snapshots_max=1)).running() as world:
        busy, other = await world.function("slow"), await world.function("echo")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(world.call(busy))
            await clock.sleep(0.5)
            with pytest.raises(TooManyRequests, match="snapshots"):
                await world.call(other)


@in_virtual_time
async def test_an_isolate_that_outlives_its_deadline_is_killed_again(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        world.driver.plan = Plan(death_s=100)
        function = await world.function()
        await world.call(function)
        await clock.sleep(60)
        kills = world.metrics.isolates
        assert kills is not None
        assert "busy" in _stages(world)
        await clock.sleep(60)
        assert "busy" not in _stages(world)


@in_virtual_time
async def test_an_isolate_given_to_a_call_that_was_cancelled_meanwhile_goes(
    clock: VirtualClock,
) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        pool = world.engine._tenants.prepared_pool(function)
        hand_over = pool.isolate_ready
        calls: list[asyncio.Task[Outcome]] = []

        def hand_over_then_cancel(held: Held) -> None:
            hand_over(held)
            calls[0].cancel()

        pool.isolate_ready = hand_over_then_cancel  # type: ignore[method-assign]
        async with asyncio.TaskGroup() as tasks:
            calls.append(tasks.create_task(world.call(function)))
        await clock.sleep(1)
        assert "busy" not in _stages(world)


@in_virtual_time
async def test_births_that_arrive_after_a_change_are_not_parked(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        world.driver.plan = Plan(birth_s=0.5)
        function = await world.function("long", timeout_s=900)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(world.call(function))
            await clock.sleep(0.3)
            await world.change(function, digest="other")
            await clock.sleep(5)
            assert _stages(world) == ["busy"]
            running.cancel()
