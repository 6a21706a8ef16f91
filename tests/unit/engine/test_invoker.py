from __future__ import annotations

import asyncio
import json

import pytest

from mayfly.engine.bounds import EngineLimits
from mayfly.model.errors import IsolateLost, ShuttingDown, SnapshotFailed, TooManyRequests
from mayfly.model.function import Reuse
from mayfly.model.invocation import ErrorKind
from mayfly.model.limits import LOG_BYTES_PER_CALL_MAX, LOG_TAIL_BYTES
from mayfly.testing.clock import VirtualClock, in_virtual_time
from mayfly.testing.driver import Deed, Plan, failure
from tests.unit.engine.world import World


@in_virtual_time
async def test_a_call_is_answered(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        outcome = await world.call(await world.function(), b'{"a":1}')
    assert outcome.payload == b'{"a":1}'
    assert outcome.error is None
    assert outcome.version == "$LATEST"


@in_virtual_time
async def test_the_first_call_is_cold_and_says_how_long_it_waited(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        world.driver.plan = Plan(init_s=0.5)
        function = await world.function()
        first, second = await world.call(function), await world.call(function)
        numbers = world.engine.statistics()["echo"]
    assert first.init_ms == pytest.approx(500, abs=1)
    assert second.init_ms is None
    assert numbers.cold_starts == 1


@in_virtual_time
async def test_a_call_that_finds_a_parked_isolate_waits_for_nothing(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        await world.call(function)
        await clock.sleep(1)
        start_s = clock.monotonic_s()
        await world.call(function)
        assert clock.monotonic_s() - start_s < 0.000_1


@in_virtual_time
async def test_each_fresh_call_has_an_isolate_of_its_own(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("count")
        answers = [(await world.call(function)).payload for _ in range(5)]
        ids = {life.isolate_id for life in world.engine.lives(10)}
    assert answers == [b"1"] * 5
    assert len(ids) == 5


@in_virtual_time
async def test_a_functions_error_is_an_outcome(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        outcome = await world.call(await world.function("fail"))
        numbers = world.engine.statistics()["fail"]
    assert outcome.error is ErrorKind.UNHANDLED
    assert outcome.error_type == "KeyError"
    assert (numbers.calls, numbers.errors) == (1, 1)


@in_virtual_time
async def test_a_deadline_is_an_outcome_and_costs_other_calls_nothing(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        hanging, fine = await world.function("hang", timeout_s=2), await world.function()
        async with asyncio.TaskGroup() as tasks:
            slow = tasks.create_task(world.call(hanging))
            await clock.sleep(0.1)
            start_s = clock.monotonic_s()
            await world.call(fine)
            assert clock.monotonic_s() - start_s < 0.1
        outcome = slow.result()
    assert outcome.error_type == "Sandbox.Timedout"
    assert outcome.duration_ms == pytest.approx(2_000, abs=1)


@in_virtual_time
async def test_the_log_of_a_call_has_lambdas_lines_in_order(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        world.driver.plan = Plan(output=b"imported\n")
        function = await world.function("print")
        cold = await world.call(function, b'"no newline"')
        invocation = world.invocation(function, b'"again"')
        warm = await world.engine.invoke(invocation)
        log = world.logs.text("print", invocation.request_id)
        init = world.logs.text("print", "")
    lines = cold.log_tail.decode().split("\n")
    assert lines[0] == "INIT_START Runtime Version: python:3.11"
    assert lines[1] == "imported"
    assert lines[2].startswith("START RequestId: ")
    assert lines[3] == "no newline"
    assert lines[4].startswith("END RequestId: ")
    assert "\tInit Duration: 10.00 ms\t" in lines[5]
    assert init == "INIT_START Runtime Version: python:3.11\nimported\n"
    assert warm.log_tail.decode() == log
    assert log.startswith(f"START RequestId: {invocation.request_id} Version: $LATEST\nagain\n")
    assert "Init Duration" not in log


@in_virtual_time
async def test_the_tail_is_the_last_four_kibibytes(clock: VirtualClock) -> None:
    world = World(clock, handlers={"app.f": lambda _event, _memory: Deed(output=b"~" * 10_000)})
    async with world.running():
        outcome = await world.call(await world.function("f"))
        kept = world.logs.text("f")
    assert len(outcome.log_tail) == LOG_TAIL_BYTES
    assert b"REPORT" in outcome.log_tail
    assert kept.count("~") == 10_000


@in_virtual_time
async def test_a_flood_of_output_is_cut_with_a_notice(clock: VirtualClock) -> None:
    flood = b"~" * (LOG_BYTES_PER_CALL_MAX + 5)
    world = World(clock, handlers={"app.f": lambda _event, _memory: Deed(output=flood)})
    async with world.running():
        outcome = await world.call(await world.function("f"))
        kept = world.logs.text("f")
    assert kept.count("~") == LOG_BYTES_PER_CALL_MAX
    assert b"the rest is not kept\nEND" in outcome.log_tail


@in_virtual_time
async def test_a_function_that_floods_call_after_call_is_told_how_much_was_lost(
    clock: VirtualClock,
) -> None:
    handlers = {"app.f": lambda _event, _memory: Deed(output=b"~" * 1_500)}
    limits = EngineLimits(log_bytes_per_s_max=1_000, log_burst_s=2)
    world = World(clock, handlers=handlers, limits=limits)
    async with world.running():
        function = await world.function("f")
        outcomes = [await world.call(function) for _ in range(3)]
        kept = world.logs.text("f")
    assert 1_900 < kept.count("~") < 2_100
    assert b" bytes were not kept" in outcomes[1].log_tail
    assert b"[mayfly] 1500 bytes were not kept" in outcomes[2].log_tail
    assert kept.count("REPORT") == 3, "what the platform says is always there"


@in_virtual_time
async def test_a_lost_isolate_is_replaced_without_the_caller_knowing(clock: VirtualClock) -> None:
    losses = [True, True, False]
    world = World(clock, handlers={"app.f": lambda e, _memory: Deed(e, lost=losses.pop(0))})
    async with world.running():
        function = await world.function("f")
        invocation = world.invocation(function)
        outcome = await world.engine.invoke(invocation)
        log = world.logs.text("f", invocation.request_id)
    assert outcome.payload == b'"hi"'
    assert log.count("START RequestId") == 1


@in_virtual_time
async def test_a_call_that_loses_three_isolates_fails(clock: VirtualClock) -> None:
    tries: list[object] = []

    def lose(event: object, _memory: dict[str, object]) -> Deed:
        tries.append(event)
        return Deed(lost=True)

    world = World(clock, handlers={"app.f": lose})
    async with world.running():
        function = await world.function("f")
        with pytest.raises(IsolateLost):
            await world.call(function)
        assert world.engine.statistics()["f"].busy == 0
    assert len(tries) == 3


@in_virtual_time
async def test_a_cancelled_call_kills_its_isolate(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("long", timeout_s=900)
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(world.call(function))
            await clock.sleep(1)
            call.cancel()
        await clock.sleep(1)
        assert world.engine.statistics()["long"].busy == 0
        stages = [one.stage for one in world.engine.census() if one.kind == "isolate"]
        assert "busy" not in stages


@in_virtual_time
async def test_beyond_reserved_concurrency_a_call_waits_its_turn(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("slow", concurrency=1)
        await world.engine.prepare(function)
        start_s = clock.monotonic_s()
        await world.calls(function, 3)
        assert 3 <= clock.monotonic_s() - start_s < 3.1


@in_virtual_time
async def test_a_call_that_waited_ten_seconds_is_throttled(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("long", concurrency=1, timeout_s=900)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(world.call(function))
            await clock.sleep(1)
            with pytest.raises(TooManyRequests):
                await world.call(function)
            assert world.engine.statistics()["long"].throttles == 1
            running.cancel()


@in_virtual_time
async def test_a_stopped_function_is_refused_at_once(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("echo", concurrency=0)
        start_s = clock.monotonic_s()
        with pytest.raises(TooManyRequests):
            await world.call(function)
        assert clock.monotonic_s() == start_s
        assert world.driver.made == 0


@in_virtual_time
async def test_a_flooded_function_does_not_starve_another(clock: VirtualClock) -> None:
    world = World(clock, limits=EngineLimits(node_concurrency_max=2, function_concurrency_max=2))
    async with world.running():
        flood, other = await world.function("slow"), await world.function("echo")
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(world.call(flood)) for _ in range(12)]
            await clock.sleep(0.1)
            start_s = clock.monotonic_s()
            await world.call(other)
            assert clock.monotonic_s() - start_s < 2
        assert all(call.result().error is None for call in calls)


@in_virtual_time
async def test_calls_before_the_engine_runs_and_after_are_refused(clock: VirtualClock) -> None:
    world = World(clock)
    function = await world.function()
    with pytest.raises(ShuttingDown):
        await world.call(function)
    async with world.running():
        await world.call(function)
    with pytest.raises(ShuttingDown):
        await world.call(function)


@in_virtual_time
async def test_draining_lets_running_calls_finish_and_takes_no_new_one(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("slow")
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(world.call(function))
            await clock.sleep(0.001)
            assert await world.engine.drain(5)
            assert running.done()
        with pytest.raises(ShuttingDown):
            await world.call(function)


@in_virtual_time
async def test_a_call_that_runs_as_the_engine_stops_is_told_so(clock: VirtualClock) -> None:
    world = World(clock)
    function = await world.function("long", timeout_s=900)

    async def call() -> None:
        with pytest.raises(ShuttingDown):
            await world.call(function)

    async with asyncio.TaskGroup() as tasks, world.running():
        tasks.create_task(call())
        await clock.sleep(1)


@in_virtual_time
async def test_a_failed_import_is_the_answer_of_everyone_who_waited(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("f", "gone.handler")
        outcomes = await world.calls(function, 3)
        assert world.driver.made == 1
        log = world.logs.text("f")
    for outcome in outcomes:
        assert outcome.error_type == "Runtime.ImportModuleError"
        assert len(json.loads(outcome.payload)["requestId"]) == 36
    assert "Status: error\tError Type: Runtime.ImportModuleError" in log


@in_virtual_time
async def test_a_failed_import_is_tried_again_but_not_without_pause(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        world.driver.plans["echo"] = Plan(failure=failure("Runtime.ImportModuleError", "no"))
        for _ in range(100):
            await world.call(function)
        assert world.driver.made < 5
        del world.driver.plans["echo"]
        await clock.sleep(10)
        assert (await world.call(function)).error is None


@in_virtual_time
async def test_a_snapshot_that_cannot_be_made_is_an_error_for_all_who_waited(
    clock: VirtualClock,
) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        world.driver.plans["echo"] = Plan(error=SnapshotFailed("no memory"))
        async with asyncio.TaskGroup() as tasks:

            async def call() -> None:
                with pytest.raises(SnapshotFailed, match="no memory"):
                    await world.call(function)

            for _ in range(3):
                tasks.create_task(call())
        assert len(world.driver.specs) == 1
        del world.driver.plans["echo"]
        await clock.sleep(1)
        assert (await world.call(function)).error is None


@in_virtual_time
async def test_missing_code_is_said_so(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        world.code.missing.add(function.code.digest)
        with pytest.raises(SnapshotFailed, match="deploy again"):
            await world.call(function)
        assert not world.engine.census()


@in_virtual_time
async def test_lives_tell_birth_event_answer_and_death(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        await world.call(function)
        await world.call(function, b'"longer"')
        await clock.sleep(1)
        newest, oldest = world.engine.lives(10)
    assert oldest.cold
    assert not newest.cold
    assert (newest.bytes_in, newest.bytes_out) == (8, 8)
    assert newest.died_ms is not None
    assert newest.born_ms <= newest.parked_ms
    assert newest.parked_ms <= newest.answered_ms <= newest.died_ms


@in_virtual_time
async def test_only_the_newest_lives_are_remembered(clock: VirtualClock) -> None:
    async with World(clock, limits=EngineLimits(lives_max=3)).running() as world:
        function = await world.function()
        for _ in range(5):
            await world.call(function)
        assert len(world.engine.lives(100)) == 3
        assert len(world.engine.lives(2)) == 2


@in_virtual_time
async def test_a_warm_isolate_that_fails_is_not_used_again(clock: VirtualClock) -> None:
    answers = [Deed(1), Deed(exits=1), Deed(2)]
    world = World(clock, handlers={"app.f": lambda _event, _memory: answers.pop(0)})
    async with world.running():
        function = await world.function("f", reuse=Reuse.WARM)
        errors = [(await world.call(function)).error_type for _ in range(3)]
        first, second, third = reversed(world.engine.lives(3))
    assert errors == ["", "Runtime.ExitError", ""]
    assert first.isolate_id == second.isolate_id != third.isolate_id
