from __future__ import annotations

from dataclasses import fields

import pytest

from mayfly.engine.bounds import EngineLimits, pids_of


@pytest.mark.parametrize("name", [field.name for field in fields(EngineLimits)])
def test_every_bound_is_documented(name: str) -> None:
    assert EngineLimits.__doc__ is not None
    assert f"        {name}: " in EngineLimits.__doc__


def test_a_minimum_above_its_maximum_is_refused() -> None:
    with pytest.raises(AssertionError, match="parked_min"):
        EngineLimits(parked_min=3, parked_max=2)


def test_processes_are_bounded_by_memory_between_a_least_and_the_nodes_bound() -> None:
    assert [pids_of(mib, 256) for mib in (128, 300, 512, 10_240)] == [64, 150, 256, 256]
    assert pids_of(128, 10) == 10
