from __future__ import annotations

from dataclasses import fields

import pytest

from mayfly.engine.bounds import EngineLimits


@pytest.mark.parametrize("name", [field.name for field in fields(EngineLimits)])
def test_every_bound_is_documented(name: str) -> None:
    assert EngineLimits.__doc__ is not None
    assert f"        {name}: " in EngineLimits.__doc__


def test_a_minimum_above_its_maximum_is_refused() -> None:
    with pytest.raises(AssertionError, match="parked_min"):
        EngineLimits(parked_min=3, parked_max=2)
