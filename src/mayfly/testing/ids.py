"""Ids and randomness from a seed, so that a run can be repeated.

The one file that imports `random`: whoever needs chance takes a `Random` made by `seeded`.
"""

from __future__ import annotations

import string
from random import Random  # noqa: TID251 seeds are made here, and nowhere else
from uuid import UUID

_ALPHABET = string.ascii_lowercase + string.digits


def seeded(seed: int) -> Random:
    """A source of chance that repeats itself for the same seed."""
    return Random(seed)  # noqa: S311 for tests


class SeededIds:
    """The Ids port; the same seed names the same things."""

    def __init__(self, seed: int = 0) -> None:
        self._random = seeded(seed)

    def uuid(self) -> str:
        """A version-4 UUID from the seed."""
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def token(self, length: int) -> str:
        """`length` characters of [a-z0-9] from the seed."""
        return "".join(self._random.choices(_ALPHABET, k=length))
