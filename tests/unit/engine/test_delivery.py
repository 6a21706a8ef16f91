from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from mayfly.engine.bounds import EngineLimits
from mayfly.engine.delivery import Verdict, verdict_on
from mayfly.model.errors import NotFound, SnapshotFailed, StorageFailed, TooManyRequests
from mayfly.model.event import Event, EventState
from mayfly.model.invocation import ErrorKind, Outcome
from mayfly.testing.clock import VirtualClock, in_virtual_time
from mayfly.testing.driver import Deed, Plan
from tests.unit.engine.world import World

LIMITS = EngineLimits()
EVENT = Event("id", "f", "", b"{}", accepted_ms=0, due_ms=0, state=EventState.LEASED)
ANSWERED = Outcome(b"1", None, "", "$LATEST", b"", 1.0)
FAILED = Outcome(b'{"errorType":"KeyError"}', ErrorKind.UNHANDLED, "KeyError", "$LATEST", b"", 1.0)
SIX_HOURS_MS = 21_600_000


def test_an_answered_event_is_settled() -> None:
    assert verdict_on(EVENT, ANSWERED, now_ms=5, limits=LIMITS).verdict is Verdict.SETTLE


@pytest.mark.parametrize(("attempts", "due_ms"), [(0, 60_000), (1, 120_000)])
def test_a_function_error_is_tried_again_after_one_and_two_minutes(
    attempts: int, due_ms: int
) -> None:
    decision = verdict_on(replace(EVENT, attempts=attempts), FAILED, now_ms=0, limits=LIMITS)
    assert (decision.verdict, decision.due_ms) == (Verdict.RETRY, due_ms)
    assert decision.attempted
    assert "KeyError" in decision.error


def test_the_third_function_error_is_the_last() -> None:
    decision = verdict_on(replace(EVENT, attempts=2), FAILED, now_ms=0, limits=LIMITS)
    assert decision.verdict is Verdict.FAIL


@pytest.mark.parametrize("error", [TooManyRequests("busy"), SnapshotFailed("no"), OSError("bug")])
def test_throttles_and_platform_errors_use_up_no_attempt(error: Exception) -> None:
    decision = verdict_on(replace(EVENT, attempts=2), error, now_ms=500, limits=LIMITS)
    assert decision.verdict is Verdict.RETRY
    assert not decision.attempted
    assert 750 <= decision.due_ms - 500 <= 1_250


def test_the_pause_after_a_throttle_grows_to_five_minutes() -> None:
    decision = verdict_on(EVENT, TooManyRequests("busy"), now_ms=3_600_000, limits=LIMITS)
    assert 225_000 <= decision.due_ms - 3_600_000 <= 375_000


def test_after_six_hours_an_event_is_kept_as_failed() -> None:
    error = TooManyRequests("busy")
    decision = verdict_on(EVENT, error, now_ms=SIX_HOURS_MS, limits=LIMITS)
    assert decision.verdict is Verdict.FAIL
    assert "TooManyRequestsException: busy" in decision.error


def test_an_event_of_a_stopped_or_deleted_function_is_kept_as_failed() -> None:
    stopped = verdict_on(EVENT, TooManyRequests("no"), now_ms=0, limits=LIMITS, stopped=True)
    gone = verdict_on(EVENT, NotFound("gone"), now_ms=0, limits=LIMITS)
    assert stopped.verdict is gone.verdict is Verdict.FAIL


@in_virtual_time
async def test_an_accepted_event_is_delivered_and_forgotten(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        await world.engine.accept(world.event(function))
        await clock.sleep(1)
        assert world.engine.statistics()["echo"].calls == 1
        assert not any((await world.backlog.counts()).values())


@in_virtual_time
async def test_the_events_id_is_the_request_id(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        event = world.event(await world.function())
        await world.engine.accept(event)
        await clock.sleep(1)
        assert world.engine.lives(1)[0].request_id == event.event_id


@in_virtual_time
async def test_an_event_that_keeps_failing_is_called_three_times_then_kept(
    clock: VirtualClock,
) -> None:
    async with World(clock).running() as world:
        await world.engine.accept(world.event(await world.function("fail")))
        start_ms = clock.now_ms()
        await clock.sleep(500)
        times = [life.event_ms - start_ms for life in reversed(world.engine.lives(10))]
        assert [round(when / 1000) for when in times] == [0, 60, 180]
        assert (await world.backlog.counts())["failed"] == 1


@in_virtual_time
async def test_an_event_that_meets_a_broken_platform_waits_for_it(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        world.driver.plans["echo"] = Plan(error=SnapshotFailed("disk full"))
        await world.engine.accept(world.event(function))
        await clock.sleep(3_600)
        del world.driver.plans["echo"]
        await clock.sleep(600)
        assert world.engine.statistics()["echo"].calls > world.metrics.function("echo").failed
        assert not any((await world.backlog.counts()).values())
        assert world.metrics.function("echo").answered == 1


@in_virtual_time
async def test_events_run_beside_one_another_up_to_a_bound(clock: VirtualClock) -> None:
    world = World(clock, limits=EngineLimits(delivery_concurrency_max=5))
    async with world.running():
        function = await world.function("slow")
        await world.engine.prepare(function)
        for _ in range(20):
            await world.engine.accept(world.event(function))
        await clock.sleep(0.5)
        assert world.engine.statistics()["slow"].busy == 5
        await clock.sleep(4)
        assert world.engine.statistics()["slow"].calls == 20


@in_virtual_time
async def test_a_function_at_its_bound_does_not_hold_up_others_events(clock: VirtualClock) -> None:
    world = World(clock, limits=EngineLimits(delivery_concurrency_max=5))
    async with world.running():
        stuck = await world.function("long", concurrency=1, timeout_s=900)
        other = await world.function("echo")
        for _ in range(30):
            await world.engine.accept(world.event(stuck))
        await world.engine.accept(world.event(other))
        await clock.sleep(30)
        assert world.engine.statistics()["echo"].calls == 1


@in_virtual_time
async def test_events_survive_a_restart(clock: VirtualClock) -> None:
    world = World(clock)
    function = await world.function("long", timeout_s=900)
    async with world.running():
        await world.engine.accept(world.event(function))
        await clock.sleep(50)
    assert (await world.backlog.counts())["leased"] == 1
    world.engine = world.new_engine()
    async with world.running():
        await clock.sleep(150)
        assert not any((await world.backlog.counts()).values())
    assert world.metrics.function("long").answered == 1


@in_virtual_time
async def test_an_event_of_a_deleted_function_is_kept_as_failed(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        event = world.event(function)
        await world.registry.delete_function("echo")
        await world.engine.accept(event)
        await clock.sleep(1)
        assert (await world.backlog.counts())["failed"] == 1


@in_virtual_time
async def test_an_event_that_is_not_kept_is_not_acknowledged(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()

        async def refuse(event: Event) -> None:
            raise StorageFailed(site="BACKLOG:COMMIT", detail=event.event_id)

        world.backlog.accept = refuse  # type: ignore[method-assign]
        with pytest.raises(StorageFailed):
            await world.engine.accept(world.event(function))


@in_virtual_time
async def test_a_backlog_that_fails_for_a_while_stops_nothing_for_good(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        settle, failures = world.backlog.settle, [True, True]

        async def settle_badly(event_id: str) -> None:
            if failures:
                failures.pop()
                raise StorageFailed(site="BACKLOG:COMMIT")
            await settle(event_id)

        world.backlog.settle = settle_badly  # type: ignore[method-assign]
        await world.engine.accept(world.event(function))
        await clock.sleep(1)
        assert (await world.backlog.counts())["leased"] == 1
        await world.engine.accept(world.event(function))
        await clock.sleep(4_000)
        assert not any((await world.backlog.counts()).values())


@in_virtual_time
async def test_the_client_context_is_handed_on(clock: VirtualClock) -> None:
    seen: list[object] = []
    world = World(clock, handlers={"app.f": lambda event, _memory: seen.append(event)})
    async with world.running():
        function = await world.function("f")
        event = world.event(function, json.dumps({"a": 1}).encode())
        await world.engine.accept(replace(event, client_context="eyJiIjoyfQ=="))
        await clock.sleep(1)
    assert seen == [{"a": 1}]


@in_virtual_time
async def test_a_thousand_events_are_each_delivered_once(clock: VirtualClock) -> None:
    seen: list[object] = []

    def note(event: object, _memory: dict[str, object]) -> Deed:
        seen.append(event)
        return Deed(after_s=0.01)

    world = World(clock, handlers={"app.f": note})
    async with world.running():
        function = await world.function("f")
        async with asyncio.TaskGroup() as tasks:
            for number in range(1_000):
                event = world.event(function, str(number).encode())
                tasks.create_task(world.engine.accept(event))
        await clock.sleep(60)
    assert sorted(map(str, seen)) == sorted(str(number) for number in range(1_000))


@in_virtual_time
async def test_an_event_that_outlives_its_lease_is_not_run_beside_itself(
    clock: VirtualClock,
) -> None:
    async with World(clock, limits=EngineLimits(delivery_lease_s=10)).running() as world:
        function = await world.function("long", timeout_s=900)
        await world.engine.accept(world.event(function))
        await clock.sleep(15)
        await world.engine.accept(world.event(function))
        await clock.sleep(1)
        assert world.engine.statistics()["long"].busy == 2
        await clock.sleep(500)
        assert world.metrics.function("long").answered == 2


@in_virtual_time
async def test_a_clock_that_jumps_ahead_does_not_leave_a_due_event_waiting(
    clock: VirtualClock,
) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        event = replace(world.event(function), due_ms=int(clock.now_ms()) + 3_600_000)
        await world.engine.accept(event)
        await clock.sleep(1)
        clock.jump_wall(3_600_000)
        await clock.sleep(61)
        assert world.engine.statistics()["echo"].calls == 1
