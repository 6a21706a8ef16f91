from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.engine import lifecycle
from mayfly.engine.lifecycle import TABLE, LifeEvent, follow, picture
from mayfly.ports import LifeStage


def test_the_picture_in_the_docstring_is_the_table() -> None:
    assert lifecycle.__doc__ is not None
    assert picture() in lifecycle.__doc__


def test_nothing_follows_death() -> None:
    assert not [before for before, _ in TABLE if before is LifeStage.DEAD]


def test_every_other_stage_may_end_in_death() -> None:
    for stage in LifeStage:
        if stage is not LifeStage.DEAD:
            assert follow(stage, LifeEvent.ENDED) is LifeStage.DEAD


def test_an_event_that_the_table_does_not_have_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="parked cannot be returned"):
        follow(LifeStage.PARKED, LifeEvent.RETURNED)


@given(st.lists(st.sampled_from(LifeEvent)))
def test_an_isolate_is_busy_only_after_it_was_taken(events: list[LifeEvent]) -> None:
    stage, last = LifeStage.BORN, None
    for event in events:
        if (stage, event) in TABLE:
            stage, last = follow(stage, event), event
    assert (stage is LifeStage.BUSY) == (last is LifeEvent.TAKEN)
