from __future__ import annotations

import asyncio

import pytest

from mayfly.model.errors import IsolateLost, ShuttingDown
from mayfly.model.function import Code, Function, Settings
from mayfly.testing.clock import VirtualClock, in_virtual_time
from mayfly.testing.driver import Deed, Plan
from tests.unit.engine.world import World

SCRIPT = Function(
    name="run",
    code=Code("script", 1),
    settings=Settings(handler="", runtime="python3.11"),
    revision_id="r",
    modified_ms=0,
)


def _world(clock: VirtualClock) -> World:
    return World(
        clock,
        handlers={
            "hello.py": lambda _event, _memory: Deed(0, output=b"hello\n"),
            "exit.py": lambda _event, _memory: Deed(exits=3),
            "hang.py": lambda _event, _memory: Deed(hangs=True),
        },
    )


@in_virtual_time
async def test_a_script_runs_once_and_leaves_nothing(clock: VirtualClock) -> None:
    printed: list[bytes] = []
    async with _world(clock).running() as world:
        call = world.invocation(SCRIPT)
        outcome = await world.engine.run_script(SCRIPT, call, "hello.py", printed.append)
        assert not world.driver.alive
        assert world.engine.census() == []
    assert outcome.error is None
    assert printed == [b"hello\n"]


@in_virtual_time
async def test_a_script_that_exits_badly_is_an_outcome(clock: VirtualClock) -> None:
    async with _world(clock).running() as world:
        call = world.invocation(SCRIPT)
        outcome = await world.engine.run_script(SCRIPT, call, "exit.py", lambda _data: None)
    assert outcome.error_type == "Runtime.ExitError"


@in_virtual_time
async def test_a_cancelled_script_is_gone(clock: VirtualClock) -> None:
    async with _world(clock).running() as world:
        call = world.invocation(SCRIPT)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(
                world.engine.run_script(SCRIPT, call, "hang.py", lambda _data: None)
            )
            await clock.sleep(1)
            assert [one.stage for one in world.engine.census()] == ["ready", "busy"]
            running.cancel()
        assert not world.driver.alive


@in_virtual_time
async def test_a_script_whose_isolate_never_arrives_fails(clock: VirtualClock) -> None:
    async with _world(clock).running() as world:
        world.driver.plan = Plan(births_lost=1)
        call = world.invocation(SCRIPT)
        with pytest.raises(IsolateLost):
            await world.engine.run_script(SCRIPT, call, "hello.py", lambda _data: None)
        assert not world.driver.alive


@in_virtual_time
async def test_no_script_starts_when_the_engine_does_not_run(clock: VirtualClock) -> None:
    world = _world(clock)
    with pytest.raises(ShuttingDown):
        await world.engine.run_script(
            SCRIPT, world.invocation(SCRIPT), "hello.py", lambda _data: None
        )
