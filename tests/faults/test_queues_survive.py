"""What queues promise through failing disks and through `kill -9` under load.

An acknowledged message is received at least once, whatever dies; a FIFO queue keeps its order and
its window of duplicates over a restart.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from mayfly.backends.sqlite.failures import Site
from mayfly.model.errors import StorageFailed
from mayfly.stores.queues.queue import Fate, QueueSettings
from mayfly.stores.queues.schema import QueueSite
from mayfly.stores.queues.sweeping import sweep
from mayfly.testing.faults import ALWAYS, Faults
from mayfly.testing.ids import seeded
from tests.support.life import Life, new_life
from tests.unit.stores.queues.world import HandClock, World, open_world

# Botocore's clients have no types.
Sqs = Any
SENDERS, RECEIVERS, KILLS = 3, 3, 6
GROUPS = "abc"
SITES = [QueueSite.MANAGE, QueueSite.SEND, QueueSite.RECEIVE, QueueSite.SETTLE, QueueSite.SWEEP]


@dataclass
class Told:
    """What a life was told: kept, given out, refused."""

    kept: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def trying(self) -> Iterator[None]:
        try:
            yield
        except StorageFailed as error:
            self.refused.append(error.site)

    async def live(self, folder: Path, life: str, clock: HandClock, faults: Faults) -> None:
        """Do a little of everything; what is refused is noted by its site."""
        async with open_world(folder, clock=clock, sites=faults, seed=len(life)) as world:
            with self.trying():
                await world.queues.create(f"q-{life}", QueueSettings())
            for number in range(3):
                body = f"{life}-{number}"
                with self.trying():
                    await world.send("q", body)
                    self.kept.add(body)
            with self.trying():
                await self._consume(world)
            with self.trying():
                await sweep(world.store, world.queues.catalogue, clock)

    async def _consume(self, world: World) -> None:
        (taken,) = await world.queues.receive("q")
        (fate,) = await world.queues.delete("q", [taken.receipt])
        assert fate is Fate.DONE
        self.deleted.add(taken.body)


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("times", [1, ALWAYS])
async def test_what_was_told_holds_after_any_site_failed(
    tmp_path: Path, site: QueueSite, number: int, times: int
) -> None:
    told, faults, clock = Told(), Faults(), HandClock()
    async with open_world(tmp_path, clock=clock) as world:
        await world.make("q")
    await told.live(tmp_path, "before", clock, faults)
    assert faults.visits[site]
    faults.fail(site, times=times, number=number)
    await told.live(tmp_path, "during", clock, faults)
    assert set(told.refused) == {site}
    faults.heal()
    await told.live(tmp_path, "after", clock, faults)
    clock.step(60)
    async with open_world(tmp_path, clock=clock) as world:
        left = {*await world.bodies("q"), *await world.bodies("q")}
        assert left == told.kept - told.deleted
        assert world.queues.catalogue.find("q-after")


@pytest.mark.parametrize("site", [QueueSite.LOAD, Site.MIGRATE])
async def test_a_store_that_cannot_be_read_is_not_opened(tmp_path: Path, site: str) -> None:
    faults = Faults()
    faults.fail(site, times=1)
    with pytest.raises(StorageFailed, match=site):
        async with open_world(tmp_path, sites=faults):
            pass


async def test_a_move_outlasts_a_full_disk(tmp_path: Path) -> None:
    faults, clock = Faults(), HandClock()
    async with open_world(tmp_path, clock=clock, sites=faults) as world:
        await world.make("dead")
        await world.make("other")
        await world.send("dead", "x")
        await world.quiet()
        await world.queues.moves.start("dead", "other", 500)
        faults.fail(QueueSite.MOVE, number=errno.ENOSPC)
        await world.quiet()
        faults.heal()
        for _ in range(3):
            clock.step(1)
            await world.quiet()
        assert await world.counts("other") == (1, 0, 0)


@dataclass
class Traffic:
    """Senders and receivers that go on through the deaths of the platform."""

    life: Life
    names: tuple[str, str]
    over: threading.Event = field(default_factory=threading.Event)
    sent: list[set[str]] = field(default_factory=list)
    received: list[list[str]] = field(default_factory=list)
    acknowledged: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def client(self) -> Sqs:
        assert self.life.platform is not None
        config = Config(retries={"total_max_attempts": 1}, read_timeout=5, connect_timeout=1)
        platform = self.life.platform
        return platform.session.client("sqs", endpoint_url=platform.endpoint, config=config)

    def urls(self) -> tuple[str, str]:
        plain, fifo = (f"http://x/000000000000/{name}" for name in self.names)
        return plain, fifo

    def send(self, number: int) -> None:
        """One group of the FIFO queue, in order; what is not acknowledged is sent again."""
        mine: set[str] = set()
        self.sent.append(mine)
        plain, fifo = self.urls()
        count = 0
        while not self.over.is_set():
            count += 1
            body = f"{GROUPS[number]}-{count:06d}"
            in_group = {"MessageGroupId": GROUPS[number], "MessageDeduplicationId": body}
            kept = self._is_kept(QueueUrl=plain, MessageBody=body)
            if kept and self._is_kept(QueueUrl=fifo, MessageBody=body, **in_group):
                mine.add(body)
                self.acknowledged.release()

    def _is_kept(self, **members: str) -> bool:
        """Send until it is acknowledged; False when the test ends before."""
        while not self.over.is_set():
            with contextlib.suppress(ClientError, BotoCoreError):
                self.client_of_thread().send_message(**members)
                return True
        return False

    def client_of_thread(self) -> Sqs:
        """A client of the platform's present life."""
        held = threading.current_thread().__dict__
        if held.get("life") is not self.life.platform:
            held["life"], held["sqs"] = self.life.platform, self.client()
        return held["sqs"]

    def receive(self, number: int) -> None:
        """Receive and delete; a message counts as received when it is in our hands."""
        mine: list[str] = []
        self.received.append(mine)
        url = self.urls()[0]
        while not self.over.is_set():
            with contextlib.suppress(ClientError, BotoCoreError):
                take(self.client_of_thread(), url, mine, wait_s=number % 2)


def take(sqs: Sqs, url: str, into: list[str], *, wait_s: int = 0) -> None:
    """Receive up to ten, note their bodies, then delete them."""
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_s)
    messages = found.get("Messages", [])
    into += [one["Body"] for one in messages]
    if messages:
        sqs.delete_message_batch(
            QueueUrl=url,
            Entries=[
                {"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]}
                for n, one in enumerate(messages)
            ],
        )


@pytest.mark.timeout(300)
def test_an_acknowledged_message_is_received_though_the_platform_is_killed() -> None:
    with new_life(ordinary_user=False) as life:
        life.up()
        traffic, chance = Traffic(life, ("plain", "q.fifo")), seeded(11)
        sqs = traffic.client()
        sqs.create_queue(QueueName="plain", Attributes={"VisibilityTimeout": "2"})
        sqs.create_queue(
            QueueName="q.fifo", Attributes={"FifoQueue": "true", "VisibilityTimeout": "2"}
        )
        threads = [threading.Thread(target=traffic.send, args=(n,)) for n in range(SENDERS)]
        threads += [threading.Thread(target=traffic.receive, args=(n,)) for n in range(RECEIVERS)]
        for one in threads:
            one.start()
        try:
            for _ in range(KILLS):
                for _ in range(chance.randrange(20, 80)):
                    assert traffic.acknowledged.acquire(timeout=60)
                life.kill()
                life.up()
        finally:
            traffic.over.set()
            for one in threads:
                one.join(timeout=60)
        sqs = traffic.client()
        plain, fifo = traffic.urls()
        sent = set().union(*traffic.sent)
        received = {body for mine in traffic.received for body in mine} | set(drain(sqs, plain))
        assert not sent - received
        in_order = drain(sqs, fifo)
        # The last send of each group may have been kept although nobody was told so.
        for number in range(SENDERS):
            got = [body for body in in_order if body[0] == GROUPS[number]]
            assert got == sorted(got)
            assert len(got) == len(set(got))
            mine = {body for body in sent if body[0] == GROUPS[number]}
            assert mine <= set(got)
            assert len(got) - len(mine) <= 1
        assert len(sent) > KILLS


def drain(sqs: Sqs, url: str) -> list[str]:
    """Everything that is left, also what was in flight when the platform died."""
    found: list[str] = []
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    while True:
        take(sqs, url, found, wait_s=3)
        left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        if all(count == "0" for count in left.values()):
            return found
