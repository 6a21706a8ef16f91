"""Messages that are received too often, and their way back."""

from __future__ import annotations

from pathlib import Path

import pytest

from mayfly.stores.queues.moving import MoveRunning, NoSuchMove
from mayfly.stores.queues.queue import queue_arn
from tests.unit.stores.queues.world import World, open_world


async def bury(world: World, name: str, count: int) -> None:
    """Send messages and receive each too often: once is allowed."""
    for number in range(count):
        await world.send(name, str(number), "g")
    for _ in range(count):
        await world.bodies(name)
        world.clock.step(31)
    assert await world.bodies(name) == []


async def test_the_receive_after_the_last_allowed_one_moves_a_message(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make("dead")
        await world.make("q", redrive=("dead", 2))
        sent = await world.send("q", "poison")
        sent_ms = int(world.clock.now_ms())
        for _ in range(2):
            assert await world.bodies("q") == ["poison"]
            world.clock.step(30)
        assert await world.counts("dead") == (0, 0, 0)
        assert await world.bodies("q") == []
        assert await world.counts("q") == (0, 0, 0)
        (found,) = await world.queues.receive("dead")
        assert (found.message_id, found.body) == (sent.message_id, "poison")
        assert found.dead_letter_source == queue_arn("q")
        assert (found.sent_ms, found.receive_count) == (sent_ms, 3)


async def test_a_dead_letter_wakes_a_long_poll_on_its_queue(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make("dead")
        await world.make("q", redrive=("dead", 1))
        await world.send("q", "poison")
        await world.bodies("q")
        world.clock.step(30)
        poll = world.group.create_task(world.bodies("dead", wait_s=20))
        await world.quiet()
        await world.bodies("q")
        assert await poll == ["poison"]


async def test_many_spent_messages_do_not_hide_a_good_one(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make("dead")
        await world.make("q", redrive=("dead", 1))
        for number in range(450):
            await world.send("q", str(number))
        for _ in range(45):
            await world.bodies("q")
        world.clock.step(31)
        await world.send("q", "good")
        assert await world.bodies("q") == ["good"]
        assert await world.counts("dead") == (450, 0, 0)


async def test_without_its_dead_letter_queue_a_message_stays(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make("dead")
        await world.make("q", redrive=("dead", 1))
        await world.send("q", "a")
        await world.queues.delete_queue("dead")
        for _ in range(3):
            assert await world.bodies("q") == ["a"]
            world.clock.step(30)


async def test_a_fifo_group_goes_on_behind_its_dead_letter(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make("dead.fifo")
        await world.make("q.fifo", redrive=("dead.fifo", 1))
        await world.send("q.fifo", "poison", "g")
        await world.send("q.fifo", "next", "g")
        assert await world.bodies("q.fifo", 1) == ["poison"]
        world.clock.step(30)
        assert await world.bodies("q.fifo", 1) == ["next"]
        (found,) = await world.queues.receive("dead.fifo")
        assert (found.body, found.group_id) == ("poison", "g")
        assert found.sent_ms == int(world.clock.now_ms())


@pytest.mark.parametrize("suffix", ["", ".fifo"])
async def test_a_move_brings_messages_back_as_new_ones_in_order(
    tmp_path: Path, suffix: str
) -> None:
    async with open_world(tmp_path) as world:
        dead, name = f"dead{suffix}", f"q{suffix}"
        await world.make(dead)
        await world.make(name, redrive=(dead, 1))
        await bury(world, name, 5)
        move = await world.queues.moves.start(dead, "", 500)
        poll = world.group.create_task(world.bodies(name, wait_s=20))
        assert await poll == ["0", "1", "2", "3", "4"]
        await world.quiet()
        world.clock.step(1)
        await world.quiet()
        (ended,) = world.queues.moves.of(dead, 10)
        assert (ended.task_id, ended.status, ended.moved) == (move.task_id, "COMPLETED", 5)
        assert await world.counts(dead) == (0, 0, 0)


async def test_a_move_keeps_its_pace_and_can_be_cancelled(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make("dead")
        await world.make("other")
        for number in range(5):
            await world.send("dead", str(number))
        move = await world.queues.moves.start("dead", "other", 2)
        with pytest.raises(MoveRunning):
            await world.queues.moves.start("dead", "other", 2)
        await world.quiet()
        assert await world.counts("other") == (2, 0, 0)
        world.clock.step(1)
        await world.quiet()
        assert await world.counts("other") == (4, 0, 0)
        assert (await world.queues.moves.cancel(move.task_id)).moved == 4
        world.clock.step(1)
        await world.quiet()
        assert await world.counts("dead") == (1, 0, 0)
        with pytest.raises(NoSuchMove):
            await world.queues.moves.cancel(move.task_id)


async def test_a_move_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.make("dead")
        await world.make("other")
        for number in range(4):
            await world.send("dead", str(number))
        await world.queues.moves.start("dead", "other", 1)
        await world.quiet()
        clock = world.clock
    async with open_world(tmp_path, clock=clock, seed=1) as world:
        for _ in range(8):
            clock.step(1)
            await world.quiet()
        assert await world.counts("other") == (4, 0, 0)
