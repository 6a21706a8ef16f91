"""Standard queues: what is sent comes until it is deleted, and waits where it is told to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mayfly.model.parcel import Parcel
from mayfly.stores.queues.queue import (
    Attribute,
    Draft,
    Fate,
    Message,
    NoSuchQueue,
    QueueExists,
    QueueSettings,
    queue_arn,
)
from mayfly.stores.queues.schema import QueueSite
from mayfly.stores.queues.sweeping import sweep
from tests.unit.stores.queues.world import World, open_world


async def receive_one(world: World, name: str = "q") -> Message:
    (found,) = await world.queues.receive(name)
    return found


async def test_a_message_comes_with_all_that_was_sent(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make()
        attributes = {"n": Attribute("Number", "5"), "b": Attribute("Binary", binary=b"\0\xff")}
        draft = Draft("id-1", "héllo", attributes, sender="me", trace_header="Root=1")
        await world.queues.send("q", [draft])
        found = await receive_one(world)
        assert (found.message_id, found.body, found.sender) == ("id-1", "héllo", "me")
        assert (found.attributes, found.trace_header) == (attributes, "Root=1")
        assert (found.receive_count, found.sent_ms) == (1, int(world.clock.now_ms()))


async def test_a_large_body_comes_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make()
        body = "ü" * 300_000
        await world.send("q", body)
        found = await receive_one(world)
        assert found.body == body
        await world.queues.delete("q", [found.receipt])
        left = world.store.read_nowait(
            lambda connection: connection.execute("SELECT count(*) FROM message_body").fetchone()
        )
        assert left == (0,)


async def test_a_received_message_is_hidden_until_its_visibility_ends(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(visibility_s=30)
        await world.send("q", "a")
        assert await world.bodies("q") == ["a"]
        assert await world.bodies("q") == []
        assert await world.counts("q") == (0, 1, 0)
        world.clock.step(30)
        assert await world.counts("q") == (1, 0, 0)
        assert (await receive_one(world)).receive_count == 2


async def test_a_deleted_message_is_gone_and_deleting_it_again_is_no_error(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(visibility_s=5)
        await world.send("q", "a")
        receipt = (await receive_one(world)).receipt
        assert list(await world.queues.delete("q", [receipt])) == [Fate.DONE]
        assert list(await world.queues.delete("q", [receipt])) == [Fate.GONE]
        world.clock.step(10)
        assert await world.bodies("q") == []
        assert await world.counts("q") == (0, 0, 0)


async def test_an_old_receipt_does_not_take_a_message_from_its_newer_receiver(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        await world.make(visibility_s=5)
        await world.send("q", "a")
        old = (await receive_one(world)).receipt
        world.clock.step(5)
        new = (await receive_one(world)).receipt
        assert list(await world.queues.delete("q", [old])) == [Fate.STALE]
        assert list(await world.queues.change_visibility("q", [(old, 0)])) == [Fate.STALE]
        assert list(await world.queues.delete("q", [new])) == [Fate.DONE]


async def test_a_receipt_settles_a_message_also_after_its_visibility_ended(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(visibility_s=5)
        await world.send("q", "a")
        receipt = (await receive_one(world)).receipt
        world.clock.step(6)
        assert list(await world.queues.change_visibility("q", [(receipt, 9)])) == [Fate.VISIBLE]
        assert list(await world.queues.delete("q", [receipt])) == [Fate.DONE]


@pytest.mark.parametrize("handle", ["", "x", "A" * 32, "Ä" * 32, "=" * 32])
async def test_a_handle_that_is_none_is_told_from_an_old_one(tmp_path: Path, handle: str) -> None:
    async with open_world(tmp_path) as world:
        await world.make()
        assert list(await world.queues.delete("q", [handle])) == [Fate.INVALID]


async def test_a_receipt_of_another_queue_is_none_of_this_one(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make("q")
        await world.make("other")
        await world.send("other", "a")
        receipt = (await receive_one(world, "other")).receipt
        assert list(await world.queues.delete("q", [receipt])) == [Fate.INVALID]
        assert await world.counts("other") == (0, 1, 0)


async def test_visibility_can_be_shortened_and_lengthened_up_to_twelve_hours(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        await world.make(visibility_s=30)
        await world.send("q", "a")
        receipt = (await receive_one(world)).receipt
        change = world.queues.change_visibility
        world.clock.step(10)
        assert list(await change("q", [(receipt, 43_200)])) == [Fate.TOO_LONG]
        assert list(await change("q", [(receipt, 60)])) == [Fate.DONE]
        world.clock.step(59)
        assert await world.bodies("q") == []
        assert list(await change("q", [(receipt, 0)])) == [Fate.DONE]
        assert await world.bodies("q") == ["a"]


async def test_a_message_is_delayed_by_its_own_delay_or_else_by_its_queue(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(delay_s=10)
        await world.send("q", "queue's")
        await world.send("q", "none", delay_s=0)
        await world.send("q", "own", delay_s=20)
        assert await world.counts("q") == (1, 0, 2)
        assert await world.bodies("q") == ["none"]
        world.clock.step(10)
        assert await world.bodies("q") == ["queue's"]
        world.clock.step(10)
        assert await world.bodies("q") == ["own"]


async def test_a_long_poll_is_woken_by_a_message(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make()
        poll = world.group.create_task(world.bodies("q", wait_s=20))
        await world.quiet()
        await world.send("q", "a")
        assert await poll == ["a"]


async def test_each_message_wakes_one_long_poll(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make()
        polls = [world.group.create_task(world.bodies("q", 1, wait_s=20)) for _ in range(3)]
        await world.quiet()
        await world.send("q", "a")
        await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)
        assert sum(one.done() for one in polls) == 1
        await world.queues.send("q", [Draft(f"m{n}", "b") for n in range(2)])
        assert sorted([await one for one in polls]) == [["a"], ["b"], ["b"]]


async def test_a_long_poll_ends_with_nothing_when_its_time_is_up(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make()
        poll = world.group.create_task(world.bodies("q", wait_s=20))
        await world.quiet()
        world.clock.step(19)
        await world.quiet()
        assert not poll.done()
        world.clock.step(1)
        assert await poll == []


async def test_a_long_poll_gets_what_becomes_visible_while_it_waits(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(visibility_s=5)
        await world.send("q", "hidden")
        await world.bodies("q")
        poll = world.group.create_task(world.bodies("q", wait_s=20))
        await world.quiet()
        world.clock.step(5)
        assert await poll == ["hidden"]
        await world.send("q", "delayed", delay_s=3)
        poll = world.group.create_task(world.bodies("q", wait_s=20))
        await world.quiet()
        world.clock.step(3)
        assert await poll == ["delayed"]


async def test_a_deleted_queue_ends_its_long_polls(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make()

        async def poll() -> str:
            with pytest.raises(NoSuchQueue):
                await world.bodies("q", wait_s=20)
            return "told"

        polling = world.group.create_task(poll())
        await world.quiet()
        await world.queues.delete_queue("q")
        assert await polling == "told"


async def test_a_listener_is_told_of_arrivals_and_of_what_becomes_visible(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(visibility_s=5)
        calls: list[int] = []
        leave = world.queues.when_arrived(queue_arn("q"), lambda: calls.append(1))
        await world.send("q", "a")
        assert len(calls) == 1
        assert await world.bodies("q") == ["a"]
        await world.quiet()
        world.clock.step(5)
        await world.quiet()
        assert len(calls) == 2
        leave()
        await world.send("q", "b")
        assert len(calls) == 2


async def test_a_message_older_than_the_retention_is_gone_and_not_counted(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(retention_s=60)
        await world.send("q", "old")
        world.clock.step(59)
        await world.send("q", "new")
        world.clock.step(1)
        assert await world.counts("q") == (1, 0, 0)
        assert await world.bodies("q") == ["new"]
        await sweep(world.store, world.queues.catalogue, world.clock)
        assert await world.counts("q") == (0, 1, 0)


async def test_purging_empties_a_queue_at_once_and_its_receipts_do_no_harm(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make()
        for number in range(3):
            await world.send("q", str(number))
        receipt = (await receive_one(world)).receipt
        await world.queues.catalogue.purge("q")
        assert await world.counts("q") == (0, 0, 0)
        await world.send("q", "later")
        assert list(await world.queues.delete("q", [receipt])) == [Fate.GONE]
        await sweep(world.store, world.queues.catalogue, world.clock)
        assert await world.bodies("q") == ["later"]
        rows = world.store.read_nowait(
            lambda connection: connection.execute("SELECT count(*) FROM message").fetchone()
        )
        assert rows == (1,)


async def test_a_queue_made_again_has_nothing_of_the_old_one(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make()
        await world.send("q", "old")
        await world.queues.delete_queue("q")
        with pytest.raises(NoSuchQueue):
            await world.send("q", "lost")
        await world.make()
        assert await world.bodies("q") == []
        with pytest.raises(QueueExists):
            await world.queues.create("q", QueueSettings())


async def test_queues_and_messages_are_there_after_a_restart(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(visibility_s=7)
        await world.send("q", "a")
        clock = world.clock
    async with open_world(tmp_path, clock=clock) as world:
        assert world.queues.catalogue.queue("q").settings.visibility_s == 7
        assert await world.bodies("q") == ["a"]


async def test_a_parcel_becomes_a_message_of_its_change(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make()
        parcel = Parcel("p1", queue_arn("q"), b"{}", "s3:photos", {"ErrorCode": "200"}, delay_s=3)
        lost = Parcel("p2", queue_arn("gone"), b"{}")
        now_ms = int(world.clock.now_ms())
        put = await world.store.transact(
            QueueSite.SEND,
            lambda connection: [
                world.queues.put(connection, one, now_ms) for one in (parcel, lost)
            ],
            lambda _: world.queues.arrived(parcel),
        )
        assert put == [True, False]
        assert await world.counts("q") == (0, 0, 1)
        world.clock.step(3)
        found = await receive_one(world)
        assert (found.message_id, found.body) == ("p1", "{}")
        assert found.attributes == {"ErrorCode": Attribute("String", "200")}
