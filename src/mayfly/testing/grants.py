"""A `Grants` that gives a function its own environment and nothing else."""

from __future__ import annotations

from mayfly.model.function import Function
from mayfly.ports import Surroundings


class EnvironmentOnly:
    """Port `Grants` for tests that reach nothing."""

    async def give(self, function: Function, snapshot_id: str) -> Surroundings:
        """The function's own variables."""
        del snapshot_id
        return Surroundings(function.settings.environment)

    def take_back(self, snapshot_id: str) -> None:
        """There is nothing to take."""
