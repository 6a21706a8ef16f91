"""FIFO queues: order within a group, one receiver of a group at a time, no duplicate."""

from __future__ import annotations

from pathlib import Path

from mayfly.model.parcel import Parcel
from mayfly.stores.queues.queue import Fate, queue_arn
from mayfly.stores.queues.schema import QueueSite
from mayfly.stores.queues.sweeping import sweep
from tests.unit.stores.queues.world import World, open_world

Q = "q.fifo"


async def fill(world: World, *messages: str) -> None:
    """ "a1" is message "a1" of group "a"."""
    for one in messages:
        await world.send(Q, one, one[0])


async def test_a_group_is_locked_while_one_of_its_messages_is_in_flight(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(Q)
        await fill(world, "a1", "a2", "b1", "a3")
        assert await world.bodies(Q, 1) == ["a1"]
        assert await world.bodies(Q) == ["b1"]
        assert await world.bodies(Q) == []
        world.clock.step(30)
        assert await world.bodies(Q) == ["a1", "a2", "a3", "b1"]


async def test_deleting_frees_a_group_and_wakes_a_long_poll(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(Q)
        await fill(world, "a1", "a2", "a3")
        taken = await world.queues.receive(Q, count_max=2)
        poll = world.group.create_task(world.bodies(Q, wait_s=20))
        await world.queues.delete(Q, [taken[0].receipt])
        await world.quiet()
        assert not poll.done()
        await world.queues.delete(Q, [taken[1].receipt])
        assert await poll == ["a3"]


async def test_a_message_shown_again_keeps_its_group_locked_for_the_others(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(Q)
        await fill(world, "a1", "a2", "a3")
        first, second = await world.queues.receive(Q, count_max=2)
        await world.queues.change_visibility(Q, [(first.receipt, 0)])
        assert await world.bodies(Q) == []
        await world.queues.change_visibility(Q, [(second.receipt, 0)])
        assert await world.bodies(Q) == ["a1", "a2", "a3"]


async def test_a_receipt_expires_with_the_visibility(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(Q)
        await fill(world, "a1")
        (taken,) = await world.queues.receive(Q)
        world.clock.step(30)
        assert list(await world.queues.delete(Q, [taken.receipt])) == [Fate.STALE]


async def test_a_duplicate_within_five_minutes_is_the_same_message(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(Q)
        first = await world.send(Q, "x", "g")
        again = await world.send(Q, "x", "h")
        assert (again.message_id, again.sequence, again.duplicate) == (
            first.message_id,
            first.sequence,
            True,
        )
        (taken,) = await world.queues.receive(Q)
        await world.queues.delete(Q, [taken.receipt])
        world.clock.step(299)
        assert (await world.send(Q, "x", "g")).duplicate
        world.clock.step(1)
        assert not (await world.send(Q, "x", "g")).duplicate
        assert await world.counts(Q) == (1, 0, 0)


async def test_duplicates_are_of_a_group_where_the_queue_says_so(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(Q, deduplication_per_group=True)
        await world.send(Q, "x", "g")
        assert not (await world.send(Q, "x", "h")).duplicate
        assert (await world.send(Q, "x", "g")).duplicate


async def test_what_was_deduplicated_is_forgotten_on_disk_too(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(Q)
        await fill(world, "a1", "b1")
        await world.bodies(Q, attempt_id="t")
        world.clock.step(300)
        await sweep(world.store, world.queues.catalogue, world.clock)
        both = "SELECT (SELECT count(*) FROM deduplication) + (SELECT count(*) FROM attempt)"
        left = world.store.read_nowait(lambda connection: connection.execute(both).fetchone())
        assert left == (0,)


async def test_a_receive_can_be_repeated_by_its_attempt_id(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(Q)
        await fill(world, "a1", "a2", "b1")
        first = await world.queues.receive(Q, count_max=2, attempt_id="t1")
        world.clock.step(20)
        again = await world.queues.receive(Q, count_max=2, attempt_id="t1")
        assert again == first
        assert await world.bodies(Q, attempt_id="t2") == ["b1"]
        # The repetition has begun the visibility anew.
        world.clock.step(29)
        assert await world.bodies(Q) == []
        await world.queues.delete(Q, [first[0].receipt])
        assert await world.bodies(Q, attempt_id="t1") == []


async def test_the_queues_delay_holds_a_whole_group_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(Q, delay_s=10)
        await fill(world, "a1")
        world.clock.step(5)
        await fill(world, "a2")
        poll = world.group.create_task(world.bodies(Q, wait_s=20))
        await world.quiet()
        world.clock.step(5)
        assert await poll == ["a1"]
        world.clock.step(5)
        assert await world.bodies(Q) == []


async def test_a_group_that_expires_makes_room_for_the_next(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(Q, retention_s=60)
        await fill(world, "a1", "a2")
        world.clock.step(60)
        await fill(world, "a3", "b1")
        assert await world.bodies(Q) == ["a3", "b1"]


async def test_a_parcel_is_deduplicated_by_its_id(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make(Q)
        parcel = Parcel("p1", queue_arn(Q), b"{}", group_id="g")
        for _ in range(2):
            await world.store.transact(
                QueueSite.SEND, lambda connection: world.queues.put(connection, parcel, 1)
            )
        assert (await world.queues.counts(Q)).visible == 0
        (row,) = world.store.read_nowait(
            lambda connection: connection.execute("SELECT count(*) FROM message").fetchall()
        )
        assert row == (1,)
