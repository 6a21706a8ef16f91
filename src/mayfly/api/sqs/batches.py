"""Batches: up to ten entries with ids, each of which succeeds or fails for itself.

A batch is refused as a whole only for its form: no entry, too many, ids that are none or twice
there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from mayfly.api.sqs.refusals import (
    EmptyBatch,
    EntryIdsNotDistinct,
    InvalidEntryId,
    TooManyEntries,
    query_code,
)
from mayfly.model.errors import CallerError
from mayfly.stores.queues.queue import Fate

Document = dict[str, object]
ENTRIES_MAX = 10
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


class Entry(Protocol):
    """An entry of a batch."""

    @property
    def id(self) -> str:
        """Its name in the answer."""
        ...


E = TypeVar("E", bound=Entry)
V = TypeVar("V")


def read_entries(
    operation: str, entries: Sequence[E] | None, read: Callable[[E], V]
) -> tuple[list[tuple[str, V]], list[Document]]:
    """What `read` makes of each entry, under its id; and what is answered of those it refused.

    Raises:
        BatchRefused: The batch as a whole.
    """
    if not entries:
        raise EmptyBatch(operation)
    if len(entries) > ENTRIES_MAX:
        raise TooManyEntries(len(entries))
    seen: set[str] = set()
    for one in entries:
        if not _ENTRY_ID.fullmatch(one.id):
            raise InvalidEntryId
        if one.id in seen:
            raise EntryIdsNotDistinct(one.id)
        seen.add(one.id)
    accepted: list[tuple[str, V]] = []
    failed: list[Document] = []
    for one in entries:
        try:
            accepted.append((one.id, read(one)))
        except CallerError as error:
            failed.append(failure(one.id, error))
    return accepted, failed


def judged(
    accepted: Sequence[tuple[str, V]],
    fates: Sequence[Fate],
    failed: list[Document],
    require: Callable[[Fate, V], None],
) -> Document:
    """The batch's answer: `require` raises for the entries whose fate is a failure."""
    successful: list[Document] = []
    for (entry_id, value), fate in zip(accepted, fates, strict=True):
        try:
            require(fate, value)
        except CallerError as error:
            failed.append(failure(entry_id, error))
        else:
            successful.append({"Id": entry_id})
    return outcome(successful, failed)


def outcome(successful: list[Document], failed: list[Document]) -> Document:
    """A batch's answer; without a failure it lists none."""
    return {"Successful": successful, "Failed": failed} if failed else {"Successful": successful}


def failure(entry_id: str, error: CallerError) -> Document:
    """What is answered of an entry that failed."""
    return {
        "Id": entry_id,
        "SenderFault": True,
        "Code": query_code(error),
        "Message": error.message,
    }
