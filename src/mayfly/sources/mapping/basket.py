"""Messages that are gathered for one batch: so many, and so many bytes, that a call can carry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mayfly.sources.mapping.documents import RECORDS_BYTES_MAX
from mayfly.stores.queues.queue import Message


@dataclass(frozen=True, slots=True)
class Gathered:
    """A message with its record.

    Args:
        record: As the function gets it, JSON.
        until_s: Monotonic; a call that begins later may outlast the message's visibility.
    """

    message: Message
    record: bytes
    until_s: float


class Basket:
    """What one batch will have.

    Args:
        count_max: Messages, at most.
    """

    def __init__(self, count_max: int) -> None:
        self.gathered: list[Gathered] = []
        self._count_max = count_max
        self._bytes = 0

    @property
    def room(self) -> int:
        """How many more messages it takes."""
        return self._count_max - len(self.gathered)

    @property
    def bytes_left(self) -> int:
        """How many more bytes it takes."""
        return max(RECORDS_BYTES_MAX - self._bytes, 1)

    def fill(self, offered: Iterable[Gathered]) -> Sequence[Gathered]:
        """Put in what fits, in order; the rest. A first one fits always."""
        rest: list[Gathered] = []
        for one in offered:
            fits = not self.gathered or len(one.record) + 1 <= self.bytes_left
            if rest or not self.room or not fits:
                rest.append(one)
            else:
                self.gathered.append(one)
                self._bytes += len(one.record) + 1
        return rest
