from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from mayfly.engine.bounds import EngineLimits
from mayfly.model.errors import SnapshotFailed, StorageFailed
from mayfly.model.event import Event, EventFilter, EventSettings, EventState
from mayfly.model.invocation import Invocation, Outcome
from mayfly.model.parcel import Parcel
from mayfly.testing.clock import VirtualClock, in_virtual_time
from mayfly.testing.driver import Deed, Plan
from tests.unit.engine.world import World

NEXT = "arn:aws:lambda:us-east-1:000000000000:function:next"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:records"


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
        assert world.engine.statistics()["slow"].busy == 3
        await clock.sleep(7)
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

        async def refuse(event: Event, *, leased_until_ms: int = 0) -> bool:
            raise StorageFailed(site="BACKLOG:COMMIT", detail=f"{event.event_id} {leased_until_ms}")

        accept, world.backlog.accept = world.backlog.accept, refuse  # type: ignore[method-assign]
        for _ in range(3):
            with pytest.raises(StorageFailed):
                await world.engine.accept(world.event(function))
        world.backlog.accept = accept  # type: ignore[method-assign]
        await clock.sleep(1)
        assert not any((await world.backlog.counts()).values())
        await world.engine.accept(world.event(function))
        await clock.sleep(1)
        assert world.engine.statistics()["echo"].calls == 1


@in_virtual_time
async def test_a_backlog_that_fails_for_a_while_stops_nothing_for_good(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        settle, failures = world.backlog.settle_all, [True, True]

        async def settle_badly(event_ids: Sequence[str]) -> None:
            if failures:
                failures.pop()
                raise StorageFailed(site="BACKLOG:COMMIT")
            await settle(event_ids)

        world.backlog.settle_all = settle_badly  # type: ignore[method-assign]
        await world.engine.accept(world.event(function))
        await clock.sleep(0.9)
        assert (await world.backlog.counts())["leased"] == 1
        await world.engine.accept(world.event(function))
        await clock.sleep(3)
        assert not any((await world.backlog.counts()).values())
        assert world.engine.statistics()["echo"].calls == 2


@in_virtual_time
async def test_an_event_with_a_place_is_born_leased_and_the_others_wait_their_turn(
    clock: VirtualClock,
) -> None:
    world = World(clock, limits=EngineLimits(delivery_concurrency_max=4))
    async with world.running():
        function = await world.function("slow")
        await world.engine.prepare(function)
        leased: list[Event] = []
        lease = world.backlog.lease

        async def noted(
            *, now_ms: int, lease_ms: int, shares: Mapping[str, int]
        ) -> Sequence[Event]:
            found = await lease(now_ms=now_ms, lease_ms=lease_ms, shares=shares)
            leased.extend(found)
            return found

        world.backlog.lease = noted  # type: ignore[method-assign]
        for _ in range(5):
            await world.engine.accept(world.event(function))
        assert await world.backlog.counts() == {"waiting": 3, "leased": 2, "failed": 0}
        assert not leased
        await clock.sleep(60)
        assert world.engine.statistics()["slow"].calls == 5
        assert len(leased) == 3


@in_virtual_time
async def test_an_event_of_another_door_begins_or_is_put_back_to_wait(
    clock: VirtualClock,
) -> None:
    async with World(clock).running() as world:
        function = await world.function("slow", concurrency=1)
        await world.engine.prepare(function)
        await clock.sleep(1)
        cause = world.event(function)
        parcels = [Parcel(f"p{number}", function.arn, b"{}") for number in range(3)]
        await world.backlog.accept(replace(cause, due_ms=2**52))
        await world.backlog.settle(cause.event_id, parcels=parcels, now_ms=int(clock.now_ms()))
        assert await world.backlog.counts() == {"waiting": 0, "leased": 3, "failed": 0}
        await clock.sleep(0.5)
        assert await world.backlog.counts() == {"waiting": 2, "leased": 1, "failed": 0}
        await clock.sleep(60)
        assert world.engine.statistics()["slow"].calls == 3
        assert not any((await world.backlog.counts()).values())


@in_virtual_time
async def test_an_event_is_delivered_although_its_caller_went_away(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        accept = world.backlog.accept

        async def slowly(event: Event, *, leased_until_ms: int = 0) -> bool:
            await clock.sleep(1)
            return await accept(event, leased_until_ms=leased_until_ms)

        world.backlog.accept = slowly  # type: ignore[method-assign]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await world.engine.accept(world.event(function))
        await clock.sleep(2)
        assert world.engine.statistics()["echo"].calls == 1
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


@in_virtual_time
async def test_an_answer_is_told_to_its_destination(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function, _ = await world.function(), await world.function("next", "app.echo")
        await world.registry.put_event_settings(
            EventSettings("echo", "$LATEST", 0, on_success=NEXT)
        )
        event = world.event(function)
        await world.engine.accept(event)
        await clock.sleep(1)
        (parcel,) = world.backlog.posted
        told = json.loads(parcel.body)
        assert told["requestContext"]["requestId"] == event.event_id
        assert told["requestContext"]["condition"] == "Success"
        assert (told["requestPayload"], told["responsePayload"]) == ("hi", "hi")
        assert world.engine.statistics()["next"].calls == 1
        assert not any((await world.backlog.counts()).values())
        assert world.metrics.events_ended == {"Success": 2}


@in_virtual_time
async def test_an_event_without_retries_fails_at_once_and_is_told(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("fail")
        await world.registry.put_event_settings(
            EventSettings("fail", "$LATEST", 0, retries_max=0, on_failure=QUEUE)
        )
        event = world.event(function)
        await world.engine.accept(event)
        await clock.sleep(1)
        kept = await world.backlog.event(event.event_id)
        assert kept is not None
        assert (kept.state, kept.attempts) == (EventState.FAILED, 1)
        assert kept.condition == "RetriesExhausted"
        told = json.loads(world.backlog.posted[0].body)
        assert told["requestContext"]["approximateInvokeCount"] == 1
        assert told["responseContext"]["functionError"] == "Unhandled"
        assert "missing" in told["responsePayload"]["errorMessage"]


@in_virtual_time
async def test_an_event_is_given_up_at_the_end_of_its_age(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("fail")
        await world.registry.put_event_settings(
            EventSettings("fail", "$LATEST", 0, age_s_max=100, on_failure=QUEUE)
        )
        await world.engine.accept(world.event(function))
        await clock.sleep(99)
        assert (await world.backlog.counts())["waiting"] == 1
        await clock.sleep(2)
        assert (await world.backlog.counts())["failed"] == 1
        told = json.loads(world.backlog.posted[0].body)
        assert told["requestContext"]["condition"] == "EventAgeExceeded"
        assert told["requestContext"]["approximateInvokeCount"] == 2
        assert told["responsePayload"]["errorType"] == "KeyError"


@in_virtual_time
async def test_the_events_of_a_stopped_function_are_given_up_without_a_call(
    clock: VirtualClock,
) -> None:
    async with World(clock).running() as world:
        function = await world.function(concurrency=0)
        await world.registry.put_event_settings(
            EventSettings("echo", "$LATEST", 0, on_failure=QUEUE)
        )
        await world.engine.accept(world.event(function))
        await clock.sleep(1)
        told = json.loads(world.backlog.posted[0].body)
        assert told["requestContext"]["condition"] == "ZeroReservedConcurrency"
        assert told["requestContext"]["approximateInvokeCount"] == 0
        assert "responseContext" not in told
        assert "echo" not in world.engine.statistics()


@in_virtual_time
async def test_a_dead_letter_is_the_bare_event(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function("fail", concurrency=None)
        await world.change(function, dead_letter_arn=QUEUE)
        await world.engine.accept(world.event(function, b'{"order": 7}'))
        await clock.sleep(500)
        (letter,) = world.backlog.posted
        assert (letter.target_arn, letter.body) == (QUEUE, b'{"order": 7}')
        assert letter.attributes["ErrorCode"] == "200"
        assert "missing" in letter.attributes["ErrorMessage"]


@in_virtual_time
async def test_an_answer_whose_destination_is_gone_is_kept_as_failed(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        world.backlog.gone.add(QUEUE)
        function = await world.function()
        await world.registry.put_event_settings(
            EventSettings("echo", "$LATEST", 0, on_success=QUEUE)
        )
        await world.engine.accept(world.event(function))
        await clock.sleep(1)
        (kept,) = await world.backlog.find(EventFilter(), count_max=9)
        assert kept.state is EventState.FAILED
        assert QUEUE in kept.error


@in_virtual_time
async def test_a_record_that_is_too_large_for_its_target_is_kept_as_failed(
    clock: VirtualClock,
) -> None:
    large = "x" * 600_000
    world = World(clock, handlers={"app.f": lambda event, _memory: event})
    async with world.running():
        function = await world.function("f")
        await world.registry.put_event_settings(EventSettings("f", "$LATEST", 0, on_success=QUEUE))
        await world.engine.accept(world.event(function, json.dumps(large).encode()))
        await clock.sleep(1)
        (kept,) = await world.backlog.find(EventFilter(), count_max=9)
        assert (kept.state, kept.condition) == (EventState.FAILED, "Success")
        assert "takes at most" in kept.error
        assert not world.backlog.posted


@in_virtual_time
async def test_a_replayed_event_has_all_its_tries_and_its_whole_age_again(
    clock: VirtualClock,
) -> None:
    async with World(clock).running() as world:
        await world.engine.accept(world.event(await world.function("fail")))
        await clock.sleep(30_000)
        assert (await world.backlog.counts())["failed"] == 1
        await world.backlog.replay(EventFilter(), now_ms=int(clock.now_ms()))
        world.engine.events_arrived()
        await clock.sleep(500)
        assert world.engine.statistics()["fail"].calls == 6
        assert (await world.backlog.counts())["failed"] == 1


@in_virtual_time
async def test_thousands_of_slow_events_of_one_function_leave_room_for_others(
    clock: VirtualClock,
) -> None:
    world = World(clock, limits=EngineLimits(delivery_concurrency_max=8))
    async with world.running():
        flood = await world.function("long", timeout_s=900)
        other = await world.function("echo")
        for _ in range(2_000):
            await world.backlog.accept(world.event(flood))
        world.engine.events_arrived()
        await clock.sleep(5)
        for _ in range(50):
            await world.engine.accept(world.event(other))
        await clock.sleep(5)
        assert world.engine.statistics()["echo"].calls == 50
        assert world.engine.statistics()["long"].busy == 4


@in_virtual_time
async def test_a_throttled_functions_events_rest_together(clock: VirtualClock) -> None:
    world = World(clock, limits=EngineLimits(wait_s_max=5, delivery_wait_s_max=0.1))
    async with world.running(), asyncio.TaskGroup() as tasks:
        function = await world.function("long", concurrency=1, timeout_s=900)
        held = tasks.create_task(world.call(function))
        await clock.sleep(1)
        for _ in range(300):
            await world.backlog.accept(world.event(function))
        world.engine.events_arrived()
        await clock.sleep(60)
        # One at a time, at growing distances: not three hundred, again and again.
        assert 3 <= world.metrics.function("long").throttles <= 12
        held.cancel()
        await clock.sleep(15)
        assert world.engine.statistics()["long"].busy == 1


@in_virtual_time
async def test_only_so_many_failed_events_are_kept(clock: VirtualClock) -> None:
    world = World(clock, limits=EngineLimits(failed_events_max=3, failed_events_age_s=7_200))
    async with world.running():
        function = await world.function(concurrency=0)
        for _ in range(10):
            await world.engine.accept(world.event(function))
            await clock.sleep(1)
        assert (await world.backlog.counts())["failed"] == 3
        assert world.metrics.events_dropped == 7
        await clock.sleep(4 * 3_600)
        assert (await world.backlog.counts())["failed"] == 0
        assert world.metrics.events_dropped == 10


@in_virtual_time
async def test_a_trace_and_a_version_travel_with_the_event(clock: VirtualClock) -> None:
    async with World(clock).running() as world:
        function = await world.function()
        seen: list[tuple[str, str]] = []
        delivery = world.engine._delivery
        invoke = delivery._invoke

        async def note(invocation: Invocation) -> Outcome:
            seen.append((invocation.trace_id, invocation.invoked_arn))
            return await invoke(invocation)

        delivery._invoke = note
        await world.engine.accept(replace(world.event(function), qualifier="7", trace_id="Root=1"))
        await clock.sleep(1)
        assert seen == [("Root=1", f"{function.arn}:7")]
