"""Queues to functions, in virtual time: gathered, delivered, deleted, given back."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from mayfly.model.errors import ShuttingDown, TooManyRequests
from mayfly.stores.queues.queue import Attribute, Redrive
from mayfly.testing.clock import VirtualClock, in_virtual_time
from mayfly.testing.faults import Faults
from tests.support.mappings import FUNCTION, failing, open_yard
from tests.support.tables import Document


@in_virtual_time
async def test_a_message_reaches_the_function_at_once_and_is_deleted(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.queue()
        mapping = await yard.map_queue()
        async with yard.at_work():
            await clock.sleep(60)
            assert yard.stands(mapping) == "No records processed"
            began_s = clock.monotonic_s()
            await yard.send("hello", attributes={"a": Attribute("String", "x")})
            await yard.until(lambda: bool(yard.function.calls))
            (at_s, (record,)) = yard.function.calls[0]
            assert at_s - began_s < 0.001
            await clock.sleep(1)
            assert await yard.left() == 0
            assert yard.stands(mapping) == "OK"
        assert record["body"] == "hello"
        assert record["eventSource"] == "aws:sqs"
        assert record["awsRegion"] == "us-east-1"
        assert record["eventSourceARN"] == mapping.source_arn
        assert record["md5OfBody"] == "5d41402abc4b2a76b9719d911017c592"
        assert record["attributes"]["ApproximateReceiveCount"] == "1"
        assert record["messageAttributes"]["a"]["stringValue"] == "x"
        assert len(yard.function.calls) == 1


@in_virtual_time
async def test_what_waits_goes_in_batches_several_at_once(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.queue()
        await yard.send(*(str(n) for n in range(1_000)))
        await yard.map_queue(concurrency_max=8)
        yard.function.seconds = 1.0
        async with yard.at_work():
            await yard.until(lambda: len(yard.function.seen) == 1_000)
            await clock.sleep(2)
            assert await yard.left() == 0
        assert {len(one) for one in yard.function.batches} == {10}
        assert yard.function.most == 8, "it grew up to its bound and not beyond"
        assert len(set(yard.function.seen)) == 1_000


@in_virtual_time
async def test_a_window_gathers_until_it_ends_or_the_batch_is_full(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.queue(visibility_s=60)
        await yard.map_queue(window_s=10, batch_size=20)
        async with yard.at_work():
            began_s = clock.monotonic_s()
            for n in range(3):
                await yard.send(str(n))
                await clock.sleep(1)
            await yard.until(lambda: len(yard.function.calls) == 1)
            assert yard.function.batches == [["0", "1", "2"]]
            assert yard.function.calls[0][0] - began_s == pytest.approx(10, abs=0.1)
            await yard.send(*(str(n) for n in range(20)))
            await clock.sleep(0.1)
            assert len(yard.function.batches[1]) == 20, "full: it does not wait"


@in_virtual_time
async def test_a_batch_is_no_larger_than_a_call_can_carry(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.queue(visibility_s=60)
        await yard.send(*(f"{n}{'x' * 900_000}" for n in range(9)))
        await yard.map_queue(window_s=1, batch_size=100)
        async with yard.at_work():
            await yard.until(lambda: len(yard.function.seen) == 9)
            await clock.sleep(1)
            assert await yard.left() == 0
        assert [len(one) for one in yard.function.batches] == [6, 3]


@in_virtual_time
async def test_what_no_filter_lets_pass_is_deleted_without_a_call(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.queue()
        mapping = await yard.map_queue(filters=('{"body": {"n": [{"numeric": [">", 1]}]}}',))
        await yard.send(*(json.dumps({"n": n}) for n in range(4)), "plain")
        async with yard.at_work():
            await clock.sleep(1)
            assert await yard.left() == 0
        assert yard.function.batches == [['{"n": 2}', '{"n": 3}']]
        assert yard.metrics.mappings[mapping.mapping_id].filtered == 3


@in_virtual_time
async def test_a_batch_that_fails_comes_again_after_its_visibility_then_is_dead(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.queue("dead")
        await yard.queue(visibility_s=20, redrive=Redrive("dead", 2))
        yard.function.answer = failing("bad")
        await yard.send("bad", "good")
        mapping = await yard.map_queue()
        async with yard.at_work():
            await yard.until(lambda: len(yard.function.calls) == 2)
            assert yard.stands(mapping) == "PROBLEM: Function call failed"
            assert yard.function.calls[1][0] - yard.function.calls[0][0] == pytest.approx(20, abs=1)
            await clock.sleep(60)
            assert await yard.left() == 0
            assert await yard.left("dead") == 2
        assert yard.function.batches == [["bad", "good"]] * 2


@in_virtual_time
async def test_of_a_batch_only_what_the_function_names_comes_again(
    clock: VirtualClock, tmp_path: Path
) -> None:
    def answer(event: Document) -> object:
        named = [one["messageId"] for one in event["Records"] if one["body"] == "bad"]
        first = all(one["attributes"]["ApproximateReceiveCount"] == "1" for one in event["Records"])
        return {"batchItemFailures": [{"itemIdentifier": one} for one in named if first]}

    async with open_yard(clock, tmp_path) as yard:
        await yard.queue(visibility_s=20)
        yard.function.answer = answer
        await yard.send("good", "bad", "fine")
        mapping = await yard.map_queue(partial_failures=True)
        async with yard.at_work():
            await clock.sleep(1)
            assert await yard.left() == 1
            await clock.sleep(30)
            assert await yard.left() == 0
        assert yard.function.batches == [["good", "bad", "fine"], ["bad"]]
        assert yard.metrics.mappings[mapping.mapping_id].failed == 1


@in_virtual_time
async def test_a_malformed_answer_fails_the_whole_batch(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.queue(visibility_s=20)
        yard.function.answer = lambda _event: {"batchItemFailures": [{"itemIdentifier": ""}]}
        await yard.send("a", "b")
        await yard.map_queue(partial_failures=True)
        async with yard.at_work():
            await clock.sleep(1)
            assert await yard.left() == 2


@in_virtual_time
async def test_a_function_without_room_slows_the_worker_and_loses_nothing(
    clock: VirtualClock, tmp_path: Path
) -> None:
    def full(_event: Document) -> object:
        if clock.monotonic_s() < ends_s:
            raise TooManyRequests("no room")
        return {}

    async with open_yard(clock, tmp_path) as yard:
        await yard.queue(visibility_s=30)
        ends_s = clock.monotonic_s() + 300
        yard.function.answer = full
        await yard.send(*(str(n) for n in range(200)))
        mapping = await yard.map_queue()
        async with yard.at_work():
            await clock.sleep(300)
            tries = len(yard.function.calls)
            assert tries < 60, "it does not hammer at a full node"
            await yard.until(lambda: yard.metrics.mappings[mapping.mapping_id].records == 200)
            assert await yard.left() == 0


@in_virtual_time
async def test_a_fifo_queues_groups_stay_in_order_and_do_not_wait_for_each_other(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.queue("q.fifo")
        for n in range(30):
            for group in "abc":
                await yard.send(f"{group}{n}", name="q.fifo", group=group)
        yard.function.seconds = 0.5
        await yard.map_queue("q.fifo", batch_size=5)
        async with yard.at_work():
            await yard.until(lambda: len(yard.function.seen) == 90)
            await clock.sleep(1)
            assert await yard.left("q.fifo") == 0
        for group in "abc":
            order = [one for one in yard.function.seen if one[0] == group]
            assert order == [f"{group}{n}" for n in range(30)]
        assert yard.function.most > 1


@in_virtual_time
async def test_a_stopped_or_missing_function_leaves_the_messages_alone(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.queue()
        stopped = replace(FUNCTION, settings=replace(FUNCTION.settings, concurrency=0))
        await yard.registry.replace_function(stopped, expected_revision_id="r1")
        mapping = await yard.map_queue()
        await yard.send("a")
        async with yard.at_work():
            await clock.sleep(100)
            assert yard.stands(mapping) == "PROBLEM: Function's reserved concurrency is 0"
            await yard.registry.delete_function("f")
            yard.source.function_changed("f")
            await clock.sleep(1)
            assert yard.stands(mapping) == "PROBLEM: Function not found"
            (message,) = await yard.queues.receive("q", visibility_s=0)
            assert message.receive_count == 1, "nobody had received it"
            await yard.registry.create_function(FUNCTION)
            yard.source.function_changed("f")
            await clock.sleep(0.1)
            assert yard.function.seen == ["a"]


@in_virtual_time
async def test_a_queue_that_is_made_again_is_read_again(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.queue()
        mapping = await yard.map_queue()
        async with yard.at_work():
            await clock.sleep(1)
            await yard.queues.delete_queue("q")
            await clock.sleep(30)
            assert yard.stands(mapping) == "PROBLEM: The specified queue does not exist"
            await yard.queue()
            await yard.send("new")
            await clock.sleep(20)
            assert yard.function.seen == ["new"]


@in_virtual_time
async def test_disabling_lets_the_batch_end_and_begins_nothing_more(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.queue()
        mapping = await yard.map_queue(batch_size=1, concurrency_max=2)
        yard.function.seconds = 5
        await yard.send("a", "b", "c")
        async with yard.at_work():
            await clock.sleep(1)
            await yard.store.change(mapping.mapping_id, lambda one: replace(one, enabled=False))
            await clock.sleep(1)
            assert yard.store.standing_nowait(mapping.mapping_id).revision == 1
            await clock.sleep(60)
            assert yard.store.standing_nowait(mapping.mapping_id).revision == 0
            assert await yard.left() == 1
            await yard.store.change(mapping.mapping_id, lambda one: replace(one, enabled=True))
            await clock.sleep(10)
            assert await yard.left() == 0
        assert sorted(yard.function.seen) == ["a", "b", "c"]


@in_virtual_time
async def test_when_the_platform_stops_what_was_not_begun_is_shown_at_once(
    clock: VirtualClock, tmp_path: Path
) -> None:
    def stopping(_event: Document) -> object:
        raise ShuttingDown("bye")

    async with open_yard(clock, tmp_path) as yard:
        await yard.queue(visibility_s=30)
        await yard.map_queue()
        yard.function.answer = stopping
        await yard.send("a")
        async with yard.at_work():
            await clock.sleep(1)
        assert (await yard.queues.counts("q")).visible == 1


@in_virtual_time
async def test_storage_that_fails_for_a_while_delays_and_loses_nothing(
    clock: VirtualClock, tmp_path: Path
) -> None:
    faults = Faults()
    async with open_yard(clock, tmp_path, sites=faults) as yard:
        await yard.queue(visibility_s=30)
        mapping = await yard.map_queue()
        await yard.send("a")
        async with yard.at_work():
            faults.fail("QUEUES:RECEIVE")
            await clock.sleep(10)
            assert yard.stands(mapping).startswith("PROBLEM: storage failed at QUEUES:RECEIVE")
            faults.heal()
            faults.fail("QUEUES:SETTLE", times=3)
            await clock.sleep(10)
            assert yard.function.seen == ["a"], "the deletion was tried again, not the call"
            assert await yard.left() == 0


@in_virtual_time
async def test_a_slow_function_delays_only_its_own_mapping(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.queue("slow", visibility_s=10_000)
        await yard.queue("quick")
        await yard.map_queue("slow", concurrency_max=2)
        await yard.map_queue("quick")
        stuck = asyncio.Event()
        quick = yard.function.invoke

        async def invoke(*args: object, **options: object) -> object:
            if b'"slow' in getattr(args[0], "payload", b""):
                await stuck.wait()
            return await quick(*args, **options)  # type: ignore[arg-type]  # passed on

        object.__setattr__(yard.source._means, "invoke", invoke)
        await yard.send(*("slow" for _ in range(100)), name="slow")
        async with yard.at_work():
            await clock.sleep(1)
            await yard.send("quick", name="quick")
            await clock.sleep(0.1)
            assert yard.function.seen == ["quick"]
            stuck.set()
