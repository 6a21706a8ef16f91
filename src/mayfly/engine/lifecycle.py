"""An isolate's life, as a table. Pure: what may follow what, and nothing else.

The picture is made from the table by `picture()`, and a test compares the two.

    BORN    --ready-->     PARKED
    BORN    --ended-->     DEAD
    PARKED  --taken-->     BUSY
    PARKED  --ended-->     DEAD
    BUSY    --returned-->  PARKED
    BUSY    --ended-->     DEAD

A fresh isolate is never returned: it goes from BUSY to DEAD. Between its answer and the driver's
word that nothing of it is left, it is BUSY: it still holds its memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from mayfly.ports import LifeStage


class LifeEvent(StrEnum):
    """What can happen to an isolate."""

    READY = "ready"
    TAKEN = "taken"
    RETURNED = "returned"
    ENDED = "ended"


TABLE: Mapping[tuple[LifeStage, LifeEvent], LifeStage] = MappingProxyType(
    {
        (LifeStage.BORN, LifeEvent.READY): LifeStage.PARKED,
        (LifeStage.BORN, LifeEvent.ENDED): LifeStage.DEAD,
        (LifeStage.PARKED, LifeEvent.TAKEN): LifeStage.BUSY,
        (LifeStage.PARKED, LifeEvent.ENDED): LifeStage.DEAD,
        (LifeStage.BUSY, LifeEvent.RETURNED): LifeStage.PARKED,
        (LifeStage.BUSY, LifeEvent.ENDED): LifeStage.DEAD,
    }
)


def follow(stage: LifeStage, event: LifeEvent) -> LifeStage:
    """The stage after `event`. An event that the table does not have is a bug: AssertionError."""
    after = TABLE.get((stage, event))
    assert after is not None, f"an isolate that is {stage} cannot be {event}"
    return after


def picture() -> str:
    """The table as this module's docstring shows it."""
    return "\n".join(
        f"    {before.name:<7} {f'--{event}-->':<14} {after.name}"
        for (before, event), after in TABLE.items()
    )
