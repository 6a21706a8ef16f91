"""Converging on a manifest's triggers: once, only on what it made, and on after a failure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mayfly.api.triggers.room import shown
from mayfly.api.triggers.triggers import Triggers
from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import InvalidParameter, StorageFailed
from mayfly.model.trigger import QueueTrigger, ScheduleTrigger, Trigger, TriggerKind
from mayfly.stores.triggers.store import Made, TriggerStore

MAIL, PARCELS = QueueTrigger("mail"), QueueTrigger("parcels", batch=5)


@dataclass
class Room:
    """Holds what is there; fails when it is told to."""

    there: set[str] = field(default_factory=set)
    failing: bool = False

    def plan(self, function_name: str, triggers: Sequence[Trigger]) -> Sequence[Made]:
        return [Made(TriggerKind.QUEUE, f"{function_name}/{_name(t)}", shown(t)) for t in triggers]

    def problems(self, function_name: str, triggers: Sequence[Trigger]) -> Sequence[str]:
        del function_name
        return [f"no {_name(one)}" for one in triggers if _name(one) == "missing"]

    async def converge(
        self, function_name: str, triggers: Sequence[Trigger], gone: Sequence[Made]
    ) -> bool:
        before = set(self.there)
        self.there -= {one.made_id for one in gone}
        for one in triggers:
            self.there.add(f"{function_name}/{_name(one)}")
            if self.failing:
                raise StorageFailed(site="TEST:COMMIT")
        return self.there != before


def _name(trigger: Trigger) -> str:
    assert isinstance(trigger, QueueTrigger)
    return trigger.queue


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TriggerStore]:
    database = await SqliteStore.open(tmp_path / "mayfly.db")
    yield await TriggerStore.open(database)
    await database.close()


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def triggers(store: TriggerStore, room: Room) -> Triggers:
    made = Triggers()
    made.use(store, {TriggerKind.QUEUE: room, TriggerKind.TABLE: room})
    return made


async def test_they_come_and_go_with_the_manifest(triggers: Triggers, room: Room) -> None:
    room.there.add("others")
    assert await triggers.converge("f", [MAIL, PARCELS])
    assert room.there == {"others", "f/mail", "f/parcels"}
    assert [one["queue"] for one in triggers.shown_nowait("f")] == ["mail", "parcels"]
    assert not await triggers.converge("f", [MAIL, PARCELS])
    assert await triggers.converge("f", [PARCELS])
    assert room.there == {"others", "f/parcels"}
    await triggers.remove("f")
    assert room.there == {"others"}
    assert triggers.shown_nowait("f") == []


async def test_what_a_failure_left_is_known_and_finished_or_removed(
    triggers: Triggers, room: Room
) -> None:
    room.failing = True
    with pytest.raises(StorageFailed):
        await triggers.converge("f", [MAIL])
    room.failing = False
    assert [one["queue"] for one in triggers.shown_nowait("f")] == ["mail"]
    await triggers.converge("f", [])
    assert room.there == set()


def test_all_that_is_missing_is_told_together(triggers: Triggers) -> None:
    with pytest.raises(InvalidParameter, match="nothing was changed") as caught:
        triggers.require("f", [QueueTrigger("missing"), ScheduleTrigger("rate(1 day)"), MAIL])
    assert "no missing" in str(caught.value)
    assert 'no source for triggers of type "schedule"' in str(caught.value)
    triggers.require("f", [MAIL])
