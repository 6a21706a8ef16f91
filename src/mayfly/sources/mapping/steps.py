"""What becomes of a batch of a stream after a call: settled, tried again, halved, given up. Pure.

    answered                          settled
    failed from a record on           settled up to it; the rest is tried again
    failed wholly, to be bisected     both halves, one after the other; no retry is spent
    failed, retries left              the same again, after a pause
    failed, no retry left             given up: told of, and passed by

Order holds: what is left is tried before anything that came later.

Source: Lambda Developer Guide, "Retain discarded records for a DynamoDB event source" and
"Configuring partial batch response with DynamoDB and Lambda".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mayfly.model.mapping import SourceMapping
from mayfly.stores.tables.records import RETENTION_MS


class Record(NamedTuple):
    """A stream's record as a function gets it."""

    sequence: int
    created_ms: int
    document: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that are delivered together, in order; never none.

    Args:
        failures: Calls that failed at its first record and count as retries.
        calls: Calls that any of it was in.
    """

    records: tuple[Record, ...]
    failures: int = 0
    calls: int = 0

    @property
    def last(self) -> int:
        """The sequence of its last record."""
        return self.records[-1].sequence


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from a call.

    Args:
        settled: The sequence up to which all is done with, or None: nothing new is.
        left: To be tried next, in this order.
        given_up: What is told of and passed by; it lies within `settled`.
        pause: Whether to pause before what is left is tried.
    """

    settled: int | None = None
    left: tuple[Batch, ...] = ()
    given_up: Batch | None = None
    pause: bool = False


def step_after(batch: Batch, first_failed: int | None, mapping: SourceMapping) -> Step:
    """What follows from a call of the function with `batch`.

    Args:
        batch: As it was before the call.
        first_failed: The index of the first record that failed; None when none did.
    """
    called = replace(batch, calls=batch.calls + 1)
    if first_failed is None:
        return Step(settled=batch.last)
    if first_failed:
        done = batch.records[first_failed - 1].sequence
        rest = Batch(batch.records[first_failed:], failures=1, calls=called.calls)
        return _unless_spent(rest, mapping, done)
    if mapping.bisect and len(batch.records) > 1:
        return Step(left=_halves(called))
    return _unless_spent(replace(called, failures=batch.failures + 1), mapping, None)


def expired(batch: Batch, mapping: SourceMapping, now_ms: float) -> Step | None:
    """What follows when records of it are too old to be delivered; None when none is."""
    age_ms = RETENTION_MS if mapping.age_s_max < 0 else mapping.age_s_max * 1000
    oldest_ms = now_ms - min(age_ms, RETENTION_MS)
    count = next(
        (n for n, one in enumerate(batch.records) if one.created_ms >= oldest_ms),
        len(batch.records),
    )
    if not count:
        return None
    gone, left = batch.records[:count], batch.records[count:]
    rest = (Batch(left, calls=batch.calls),) if left else ()
    return Step(settled=gone[-1].sequence, left=rest, given_up=replace(batch, records=gone))


def first_failed(records: Sequence[Record], failed: frozenset[int]) -> int | None:
    """The index of the first record whose sequence is among those that failed."""
    return next((n for n, one in enumerate(records) if one.sequence in failed), None)


def _unless_spent(rest: Batch, mapping: SourceMapping, done: int | None) -> Step:
    """Try it again, unless the head of it has failed too often."""
    if 0 <= mapping.retries_max < rest.failures:
        if mapping.bisect and len(rest.records) > 1:
            return Step(settled=done, left=_halves(replace(rest, failures=0)))
        return Step(settled=rest.last, given_up=rest)
    return Step(settled=done, left=(rest,), pause=True)


def _halves(batch: Batch) -> tuple[Batch, Batch]:
    middle = (len(batch.records) + 1) // 2
    return (
        replace(batch, records=batch.records[:middle]),
        replace(batch, records=batch.records[middle:]),
    )
